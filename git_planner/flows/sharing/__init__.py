"""Sharing: merge, push and pull plans and the best."""
