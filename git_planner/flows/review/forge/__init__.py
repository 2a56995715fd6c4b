"""Reviews on hosting sites: pull requests are opened and updated, and what reviewers said comes back."""
