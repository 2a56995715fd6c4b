"""Observers of programs, from outside them."""
