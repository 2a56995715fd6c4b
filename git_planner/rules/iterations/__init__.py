"""Iterations: when a loop stops, and the text of a pull request."""
