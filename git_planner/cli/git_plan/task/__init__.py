"""The commands of `git plan task`."""
