"""Runs: what is known of an agent at work, on this host."""
