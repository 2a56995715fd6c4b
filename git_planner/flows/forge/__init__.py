"""Clients of hosting sites: gh, glab, or a link for a browser."""
