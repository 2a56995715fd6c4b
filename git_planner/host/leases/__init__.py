"""Leases of this host, the state of the host that they depend on, and what runs under one."""
