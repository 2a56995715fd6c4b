"""Measured folders that stay between records, in the user's cache."""
