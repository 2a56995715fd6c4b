"""Tournaments: N variants of one prompt, judged."""
