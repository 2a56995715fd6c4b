"""Planning: build a packet, ask a planner, accept a pasted answer."""
