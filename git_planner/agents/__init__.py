"""Planners and implementers: outside programs in a role."""
