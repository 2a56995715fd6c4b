"""Processes, the sandbox and the measuring tools of this machine."""
