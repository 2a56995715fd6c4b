"""The commands of `git plan`."""
