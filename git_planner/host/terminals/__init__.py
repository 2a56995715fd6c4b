"""Terminals that programs of ours run in: windows of tmux, windows of a desktop, or none."""
