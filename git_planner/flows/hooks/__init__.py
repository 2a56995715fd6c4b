"""Hooks: install, check and remove them."""
