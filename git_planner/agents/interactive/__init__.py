"""Clients that work in a terminal of their own: which there are, their threads, and their trust prompt."""
