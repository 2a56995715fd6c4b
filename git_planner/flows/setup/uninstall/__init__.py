"""Take git-planner out of a repository again."""
