"""The policy: its typed form, its parser, patterns and command lines."""
