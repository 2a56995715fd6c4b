"""The name of this machine, and where it looks for programs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def host_name() -> str:
    """Return the name by which claims and runs tell machines apart."""
    return os.uname().nodename or "localhost"


def search_path() -> str:
    """Return PATH without its relative entries, which would be resolved in the tree."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))


def own_program(name: str) -> str:
    """Return the path of one of our programs: the one beside this Python, since another PATH may lack it."""
    sibling = Path(sys.executable).with_name(name)
    return str(sibling) if sibling.exists() else shutil.which(name) or name
