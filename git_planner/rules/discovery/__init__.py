"""Discovery: research, options and reviews before a plan."""
