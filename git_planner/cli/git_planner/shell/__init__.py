"""Help for the shell: completion scripts and manual pages."""
