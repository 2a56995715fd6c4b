"""Approvals: whether what is about to run was approved by people, as git alone can prove it."""
