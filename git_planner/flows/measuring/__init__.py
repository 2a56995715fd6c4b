"""Measuring: build the tree to measure, and run the policy's commands on it."""
