"""The name of this machine."""

from __future__ import annotations

import os


def host_name() -> str:
    """Return the name by which claims and runs tell machines apart."""
    return os.uname().nodename or "localhost"
