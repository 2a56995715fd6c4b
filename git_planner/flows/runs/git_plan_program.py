"""Program that runs call: `git-plan` of this installation."""

from __future__ import annotations

from git_planner.host.machine import own_program


def git_plan_program() -> str:
    """Return the path of `git-plan`: an agent's shell may have another PATH."""
    return own_program("git-plan")
