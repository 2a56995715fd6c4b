"""Loopback servers and scripted programs that speak the real protocols."""
