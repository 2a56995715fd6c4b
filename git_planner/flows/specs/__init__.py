"""Specs: scaffold, validate, compile and archive them."""
