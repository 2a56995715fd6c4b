"""The commands of `git iterate`."""
