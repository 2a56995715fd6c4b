"""Comparison of what is reviewed with what was approved last."""
