"""Taking a worktree away touches that one only, and of the recoverers of a dead lock one gets it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from git_planner.cli import complete_variable
from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterateOptions, iterate
from git_planner.flows.iterations.prune import prune_worktrees
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.gitio import worktree
from git_planner.gitio.repository import open_repository
from tests.support.lab import GIT, Lab
from tests.support.small_campaign import agent, attempt, campaign, hush


def pruned(lab: Lab) -> None:
    """An iteration, and its worktree removed."""
    attempt(lab, "echo 90 >value")
    assert [place.why for place in prune_worktrees(lab.repo, hush, dry_run=False).places] == [None]


def resumed(lab: Lab) -> None:
    """A resumed iteration whose worktree has been deleted."""
    policy = (lab.path / ".git-planner.yml").read_text()
    lab.commit("a broken agent", {".git-planner.yml": policy.replace("[sh,", "[./no-such-program,")})
    with pytest.raises(PlannerError):
        iterate(lab.repo, IterateOptions(slug="x"), hush)
    (lab.root / "repo.iter" / "0001-x").rename(lab.root / "deleted")
    with pytest.raises(PlannerError) as caught:
        resume_iteration(lab.repo, 1, IterateOptions(), hush)
    assert caught.value.code == "E_MISSING_TOOL", caught.value
    assert (lab.root / "repo.iter" / "0001-x").is_dir()


@pytest.mark.parametrize("act", [pruned, resumed])
def test_a_worktree_on_a_disk_that_is_not_there_keeps_its_index(lab: Lab, act: Callable[[Lab], None]) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    lab.git("branch", "mine")
    place = lab.worktree("mine", "mine")
    (place / "staged").write_text("a person's\n")
    lab.git("add", "staged", cwd=place)
    away = place.rename(lab.root / "away")
    act(lab)
    away.rename(place)
    assert lab.git("status", "--porcelain", "--branch", cwd=place).splitlines() == ["## mine", "A  staged"]


def test_a_locked_one_stays_with_all_that_is_in_it(lab: Lab) -> None:
    lab.git("branch", "other")
    place = lab.worktree("other", "other")
    (place / "new").write_text("new\n")
    lab.git("worktree", "lock", str(place))
    with pytest.raises(PlannerError) as caught:
        worktree.remove(lab.repo, place)
    assert (caught.value.code, "locked" in caught.value.message) == ("E_GIT", True)
    assert (place / "new").read_text() == "new\n"
    lab.git("worktree", "unlock", str(place))
    worktree.remove(lab.repo, place)
    assert not place.exists()
    assert [entry.path for entry in worktree.listing(lab.repo)] == [Path(lab.path)]


def test_pruning_does_not_wait_at_a_pipe_that_git_would_open(lab: Lab) -> None:
    campaign(lab)
    done = attempt(lab, "echo 90 >value")
    assert done.worktree is not None
    os.mkfifo(done.worktree / ".gitignore")
    assert [place.why for place in prune_worktrees(lab.repo, hush, dry_run=False).places] == [None]


# -- locks of killed writers ---------------------------------------------------------------------------------
REF = "refs/heads/mine"
HOLD = """
import sys
from pathlib import Path
from git_planner.gitio.repository import open_repository
from git_planner.gitio.worktree import Lockstep
step = Lockstep(open_repository(Path.cwd()), *sys.argv[1:])
step.take()
print("taken", flush=True)
sys.stdin.read()
"""
RECOVER = """
from pathlib import Path
from git_planner.gitio.repository import open_repository
from git_planner.gitio.worktree import recover
recover(open_repository(Path.cwd()))
"""
# A git that reports a query of the branch and then waits.
PAUSING = """\
#!/bin/sh
case "$*" in
*cat-file*) : >"{root}/asking"; while [ ! -e "{root}/go" ]; do sleep 0.02; done ;;
esac
exec "{git}" "$@"
"""


def dead_lock(lab: Lab, change: Mapping[str, str] = {}) -> tuple[Path, Path, str, str]:
    """A worktree with the lock of a killed writer; the lock, and where its branch is and was to go."""
    lab.git("branch", "mine")
    place = lab.worktree("mine", "mine")
    old = lab.git("rev-parse", "mine")
    new = lab.git("commit-tree", "-p", old, "-m", "next", f"{old}^{{tree}}")
    if change:
        new = lab.commit("next", dict(change))
        lab.git("reset", "-q", "--hard", old)
    writer = subprocess.Popen(
        [sys.executable, "-c", HOLD, REF, old, new],
        cwd=place,
        env=lab.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"taken\n"
    lock = lab.path / ".git/worktrees/mine/index.lock"
    with pytest.raises(PlannerError) as caught:
        worktree.Lockstep(open_repository(place), REF, old, new).take()
    assert caught.value.code == "E_CHECKED_OUT"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert lock.exists()
    return place, lock, old, new


def test_of_two_recoverers_the_late_one_leaves_the_lock_of_the_next_writer_alone(lab: Lab) -> None:
    place, lock, old, new = dead_lock(lab)
    script = lab.root / "bin" / "git"
    script.parent.mkdir()
    script.write_text(PAUSING.format(root=lab.root, git=GIT))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = {**lab.env, "PATH": f"{script.parent}{os.pathsep}{lab.env['PATH']}"}
    late = subprocess.Popen([sys.executable, "-c", RECOVER], cwd=place, env=path)
    while not (lab.root / "asking").exists():
        assert late.poll() is None
        time.sleep(0.01)
    step = worktree.Lockstep(open_repository(place), REF, old, new)
    with suppress(PlannerError):
        step.take()
    if step._held is None:
        # The first one still holds the dead lock: the writer has to come again.
        (lab.root / "go").touch()
        assert late.wait() == 0
        step.take()
    mine = lock.stat()
    (lab.root / "go").touch()
    assert late.wait() == 0
    assert os.path.samestat(lock.stat(), mine)
    step.release()
    assert not lock.exists()


def test_a_lock_is_dead_though_its_process_number_is_in_use_again(lab: Lab) -> None:
    place, lock, old, new = dead_lock(lab)
    text = lock.read_text()
    (number,) = (word for word in text.replace(",", " ").split() if word.isdigit())
    lock.write_text(text.replace(number, str(os.getpid())))
    step = worktree.Lockstep(open_repository(place), REF, old, new)
    step.take()
    step.release()
    assert not list(lock.parent.glob("index.*"))


@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize("command", ["git-plan status", "git-iterate list", "git-record log", "git-bo4 list"])
def test_any_command_lets_a_worktree_follow_that_a_killed_one_left_behind(
    lab: Lab, command: str, is_moved: bool
) -> None:
    place, lock, old, new = dead_lock(lab, {"value": "new\n"})
    (place / "mine").write_text("a file of the person\n")
    if is_moved:
        lab.git("update-ref", REF, new, old)
    lab.run(*command.split())
    assert not lock.exists()
    assert (place / "value").exists() == is_moved
    assert lab.git("-C", str(place), "status", "--porcelain") == "?? mine"


def test_completing_a_word_changes_no_worktree(lab: Lab) -> None:
    place, lock, old, new = dead_lock(lab, {"value": "new\n"})
    lab.git("update-ref", REF, new, old)
    words = {complete_variable("git-plan"): "fish_complete", "COMP_WORDS": "git-plan use ", "COMP_CWORD": ""}
    assert lab.spawn("git-plan", **words).status == 0
    assert lock.exists()
    assert not (place / "value").exists()


def test_a_lock_of_git_itself_is_left_alone(lab: Lab) -> None:
    lock = lab.path / ".git/index.lock"
    lock.touch()
    lab.run("git-plan", "status")
    assert lock.exists()


@pytest.mark.parametrize(
    ("move", "age", "is_recovered"),
    [
        ({"host": "another container"}, 0, True),
        ({"host": "another machine", "boot": "another"}, 0, False),
        ({"host": "another machine", "boot": "another"}, 601, True),
        ({"boot": ""}, 0, True),
        ({"host": "another machine", "boot": ""}, 0, False),
    ],
)
def test_the_lock_of_a_writer_that_was_killed_elsewhere(
    lab: Lab, move: dict[str, str], age: int, is_recovered: bool
) -> None:
    place, lock, old, new = dead_lock(lab)
    text = json.loads(lock.read_text())
    text["git-planner"] |= move
    lock.write_text(json.dumps(text))
    os.utime(lock, (time.time() - age,) * 2)
    step = worktree.Lockstep(open_repository(place), REF, old, new)
    if is_recovered:
        step.take()
        step.release()
    else:
        with pytest.raises(PlannerError, match="its index is locked"):
            step.take()
    assert lock.exists() != is_recovered
