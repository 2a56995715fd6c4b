"""Benches: where trees are measured, on this host or on a worker of an engine."""
