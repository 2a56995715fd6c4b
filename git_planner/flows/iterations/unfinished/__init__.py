"""Iterations that were interrupted: go on with them, or give them up."""
