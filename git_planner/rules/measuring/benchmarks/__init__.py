"""Readers of benchmark results, one a format."""
