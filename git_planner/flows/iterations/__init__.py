"""Iterations: plan, implement and record one change, or a loop of them."""
