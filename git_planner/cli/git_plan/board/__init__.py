"""Commands of the board: inbox and leases."""
