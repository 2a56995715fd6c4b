"""Plots of a plan's metric."""
