"""Board: leases for heavy work on this host."""
