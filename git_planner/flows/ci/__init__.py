"""CI of hosting sites: workflows, templates and comments for reviews."""
