"""All stages of a tournament in one command, its further turns, and its plan."""
