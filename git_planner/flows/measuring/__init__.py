"""Measuring: build the tree to measure, and run its commands."""
