"""Benchmarks of measuring."""
