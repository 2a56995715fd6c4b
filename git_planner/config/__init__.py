"""The policy of a commit, and the settings of a user."""
