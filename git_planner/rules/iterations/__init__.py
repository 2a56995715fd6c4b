"""Iterations: the stop rules of a loop, and the text of a pull request."""
