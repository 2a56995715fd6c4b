"""`git planner plan`, `iterate`, `record` and `bo4`: long forms for users with aliases of the short names."""

from __future__ import annotations

from git_planner.cli import group

plan, iterate, record, bo4 = map(group, ("git-plan", "git-iterate", "git-record", "git-bo4"))
