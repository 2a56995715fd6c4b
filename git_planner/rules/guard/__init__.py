"""The guard: paths that no iteration may change, and paths that a scope allows."""
