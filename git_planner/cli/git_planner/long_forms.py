"""`git planner plan`, `iterate` and `record`: for whom `git plan` is another thing already."""

from __future__ import annotations

from git_planner.cli import group

plan, iterate, record = map(group, ("git-plan", "git-iterate", "git-record"))
