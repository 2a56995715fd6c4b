"""The commands of `git bo4`."""
