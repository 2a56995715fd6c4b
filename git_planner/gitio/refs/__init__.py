"""Notes about refs."""
