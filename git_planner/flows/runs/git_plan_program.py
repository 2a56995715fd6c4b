"""Program that runs call: `git-plan` of this installation."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def git_plan_program() -> str:
    """Return the path of `git-plan`: an agent's shell may have another PATH."""
    sibling = Path(sys.executable).with_name("git-plan")
    return str(sibling) if sibling.exists() else shutil.which("git-plan") or "git-plan"
