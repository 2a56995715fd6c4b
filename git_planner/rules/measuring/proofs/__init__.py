"""Readers of test reports, one a format."""
