"""Discovery: research, options, critique and choice."""
