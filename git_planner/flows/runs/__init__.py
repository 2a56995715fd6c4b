"""Runs: the local record of one agent process at work on a task."""
