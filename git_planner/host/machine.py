"""The name of this machine, and where it looks for programs."""

from __future__ import annotations

import os


def host_name() -> str:
    """Return the name by which claims and runs tell machines apart."""
    return os.uname().nodename or "localhost"


def search_path() -> str:
    """Return PATH without its relative entries, which would be resolved in the tree."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))
