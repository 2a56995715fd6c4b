"""Agents: external programs as planner, implementer, researcher or critic."""
