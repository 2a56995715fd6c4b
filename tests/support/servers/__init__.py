"""Loopback servers with scripted replies that speak the real protocols."""
