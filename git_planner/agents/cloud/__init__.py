"""Clients of services that carry a prompt out several times."""
