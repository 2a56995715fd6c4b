"""Approvals of what is reviewed: given by a signature, and required by a server."""
