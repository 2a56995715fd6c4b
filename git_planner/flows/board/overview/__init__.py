"""Overview: everything about a repository that a person watches, on one page."""
