"""The commands of `git planner`."""
