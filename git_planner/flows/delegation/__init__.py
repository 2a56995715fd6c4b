"""Delegation: give tasks to agents and collect their results."""
