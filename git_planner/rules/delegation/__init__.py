"""Delegation: the prompt of a task, and the outcome of its run."""
