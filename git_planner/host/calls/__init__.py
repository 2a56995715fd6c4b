"""Calls that are answered by forks of one process."""
