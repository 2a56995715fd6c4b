"""Records: measure a commit, write its record, query the ledger."""
