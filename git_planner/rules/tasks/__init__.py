"""Tasks: their form, their transitions, and how they follow the history."""
