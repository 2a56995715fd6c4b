"""The commands of `git record`."""
