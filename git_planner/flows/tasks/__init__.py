"""Tasks: edit, claim, verify, and follow commits."""
