"""One workflow a file; each returns a result object and never prints."""
