"""The guard: which paths no iteration may change, and which a scope allows."""
