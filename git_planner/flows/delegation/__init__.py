"""Delegation: give tasks to agents, and take their results."""
