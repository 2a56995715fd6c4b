"""Planning: packets, prompts, and the answers of a planner."""
