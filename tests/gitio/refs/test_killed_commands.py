"""A command that is killed once its refs have moved: the same command lets worktrees follow, run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.records.test_disputes import recorded
from tests.support.benchmark_project import attempt, project
from tests.support.lab import GIT, Lab

# Kills its caller once the n-th transaction has moved refs.
KILLS = """\
#!/bin/sh
case "$*" in
*update-ref*--stdin*)
    echo >>"{count}"
    if [ "$(wc -l <"{count}")" -eq {turn} ]; then "{git}" "$@"; kill -9 $PPID; exit 137; fi ;;
esac
exec "{git}" "$@"
"""


def killed_after_move(lab: Lab, turn: int, *argv: str) -> bool:
    """Run a command that is killed after its n-th transaction; return whether there was one."""
    folder = lab.root / "kills"
    folder.mkdir(exist_ok=True)
    (folder / "count").unlink(missing_ok=True)
    script = folder / "git"
    script.write_text(KILLS.format(count=folder / "count", turn=turn, git=GIT))
    script.chmod(0o755)
    ran = lab.spawn(*argv, PATH=f"{folder}:{lab.env['PATH']}")
    assert ran.status in (-9, 0), ran.err
    return ran.status == -9


def followed(lab: Lab, place: Path) -> None:
    """Assert that a worktree is at its branch, with a person's file, and that nothing is locked."""
    assert lab.run_git("status", "--porcelain", cwd=place).out == "?? mine\n"
    assert not list((lab.path / ".git/worktrees" / place.name).glob("index.*"))


@pytest.mark.parametrize(
    ("command", "transactions"),
    [
        ("git-record iter/0001-next", 2),
        ("git-record reject ATTEMPT --why luck", 1),
        ("git-plan task add other", 1),
        ("git-plan task update task_001 --title other", 1),
        ("git-plan task verify task_001 --note seen", 1),
        ("git-plan sync", 1),
    ],
)
def test_the_same_command_again_lets_worktrees_follow(lab: Lab, command: str, transactions: int) -> None:
    project(lab)
    base = lab.git("rev-parse", "HEAD")
    lab.run("git-plan", "task", "add", "first")
    argv = command.replace("ATTEMPT", attempt(lab, 1, 90)).split()
    if "reject" in argv:
        recorded(lab)
    lab.git("commit", "-q", "--allow-empty", "-m", "task_001: done")
    lab.git("checkout", "-q", "--detach", base)
    if not lab.git("branch", "--list", "iter/best"):
        lab.git("branch", "iter/best", base)
    places = [
        lab.worktree(name, branch) for name, branch in (("plan", "plan/default"), ("best", "iter/best"))
    ]
    for place in places:
        (place / "mine").write_text("a file of the person\n")
    kills = 0
    # The command goes on where the killed one ended, so the next one has fewer transactions.
    while killed_after_move(lab, 1, *argv) and kills < transactions:
        kills += 1
        if kills == transactions:
            lab.run(*argv)
            for place in places:
                followed(lab, place)
    assert kills == transactions
