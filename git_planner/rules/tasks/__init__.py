"""Tasks: documents, transitions, and how their statuses follow the Git history."""
