"""The content of a worktree after an agent, read without running a program that the agent may have left."""
