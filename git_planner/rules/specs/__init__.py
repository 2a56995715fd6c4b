"""Specs: changes written as Markdown, and the tasks compiled from them."""
