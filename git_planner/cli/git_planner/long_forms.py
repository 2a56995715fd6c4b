"""`git planner plan`, `iterate` and `record`: long forms for users with aliases of the short names."""

from __future__ import annotations

from git_planner.cli import group

plan, iterate, record = map(group, ("git-plan", "git-iterate", "git-record"))
