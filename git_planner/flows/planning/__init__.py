"""Planning: make a packet, ask a planner, take a pasted answer."""
