"""The live view of a repository: `git planner top`."""
