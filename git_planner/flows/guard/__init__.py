"""Guard: check staged changes, ranges and ref updates against the trusted base."""
