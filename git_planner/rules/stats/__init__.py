"""Statistics: exact paired tests, error budgets, simulated campaigns."""
