"""Hosting sites: addresses, pull requests, comments and owners of paths."""
