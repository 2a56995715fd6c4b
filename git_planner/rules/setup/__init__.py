"""Rules for setting up a repository: what a project uses, and the policy for it."""
