"""Approvals: what people have approved, proven by git. Pure."""
