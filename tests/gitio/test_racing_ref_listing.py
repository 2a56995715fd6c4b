"""A listing of refs that misses one which is there: git reads a folder while another process writes there."""

from __future__ import annotations

import os
import stat

from tests.support.lab import GIT, Lab

# The first time it is asked to list the plan's branch it finds nothing.
BLINKING = """\
#!/bin/sh
case "$*" in
*for-each-ref*refs/heads/plan/default*)
	if mkdir "{once}" 2>/dev/null; then exit 0; fi ;;
esac
exec "{git}" "$@"
"""


def test_a_plan_is_there_though_a_listing_misses_it(lab: Lab) -> None:
    lab.commit("policy", {".git-planner.yml": "schema: git-planner/policy@1\ncorrectness: {run: [x]}\n"})
    assert lab.run("git-plan", "task", "add", "one").status == 0
    folder = lab.root / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(BLINKING.format(once=lab.root / "once", git=GIT))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = {"PATH": f"{folder}{os.pathsep}{lab.env['PATH']}"}
    ran = lab.spawn("git-plan", "task", "update", "task_001", "--title", "two", **path)
    assert (ran.status, (lab.root / "once").exists()) == (0, True), ran.err
    assert "two" in lab.run("git-plan", "task", "list").out
