"""Planning and experiments for AI-written changes, kept as commits."""

__version__ = "0.1.0"
