"""Measuring: metrics, test reports, noise and verdicts."""
