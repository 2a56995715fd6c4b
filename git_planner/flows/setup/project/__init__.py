"""Setting up a project: what it uses, its first policy, and a trial of it."""
