"""Import what an older session planner left."""
