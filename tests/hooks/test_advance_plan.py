"""The hooks that plans follow by: beside the repository's own, in both places, and without their Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from git_planner.flows.hooks import install
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX
from git_planner.flows.hooks.uninstall import uninstall_hooks
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from tests.hooks.hooked_repository import hook
from tests.support.lab import Lab
from tests.support.workshop import workshop

ROOT = Path(__file__).parents[2]


def lab_with_task(lab: Lab, *, ordinary: bool = False) -> Lab:
    """A workshop with a task and hooks, on main."""
    workshop(lab)
    assert lab.run("git-plan", "task", "add", "do it").status == 0
    install.install_hooks(lab.repo, ordinary=ordinary)
    return lab


def status_and_commits(lab: Lab) -> tuple[str, list[str]]:
    one = json.loads(lab.show("plan/default:.plans/default/plan.json"))["tasks"][0]
    return one["status"], one["commits"]


@pytest.mark.parametrize("ordinary", [False, True])
@pytest.mark.parametrize("branch", ["main", "iter/0001-x"])
def test_beside_theirs(lab: Lab, ordinary: bool, branch: str) -> None:
    for name in ("commit-msg", "post-commit", "reference-transaction"):
        rename = 'sed -i "s/TODAY/task_001/" "$1"; ' if name == "commit-msg" else ""
        more = " $1" if name == "reference-transaction" else ""
        hook(lab.path / ".git/hooks" / name, f'{rename}echo "{name}{more}" >>"$LOG"')
    lab.env["LOG"] = str(lab.root / "log")
    with lab.entered():
        lab_with_task(lab, ordinary=ordinary)
        if branch != "main":
            lab.git("switch", "-q", "-c", branch)
        (lab.root / "log").write_text("")
        # Their hook gives the message the task's name.
        lab.git("commit", "-q", "--allow-empty", "-m", "TODAY: do it")
        assert status_and_commits(lab) == ("agent_done", [lab.git("rev-parse", "HEAD")])
        lines = (lab.root / "log").read_text().splitlines()
        own = [line for line in lines if not line.startswith("reference")]
        assert own == ["commit-msg", "post-commit"]
        # The commit's own, and that of the plan; newer gits have one more for AUTO_MERGE.
        assert lines.count("reference-transaction committed") >= 2
        # Theirs refuses first.
        hook(lab.path / ".git/hooks/commit-msg" if not ordinary else _kept(lab), "exit 1")
        assert lab.run_git("commit", "-q", "--allow-empty", "-m", "task_001: no").status == 1


def _kept(lab: Lab) -> Path:
    return lab.path / ".git/hooks" / ("commit-msg" + BACKUP_SUFFIX)


def test_in_a_linked_worktree(lab: Lab) -> None:
    lab_with_task(lab)
    lab.git("branch", "iter/0001-x")
    place = lab.worktree("it's there", "iter/0001-x")
    lab.git("commit", "-q", "--allow-empty", "-m", "task_001: x", cwd=place)
    assert status_and_commits(lab) == ("agent_done", [lab.git("rev-parse", "iter/0001-x")])
    assert "E_UNKNOWN_TASK" in lab.run_git("commit", "--allow-empty", "-m", "task_2: x", cwd=place).err


@pytest.mark.parametrize("branch", ["main", "iter/0001-x"])
def test_without_their_python_the_commit_stands(lab: Lab, branch: str) -> None:
    lab_with_task(lab)
    if branch != "main":
        lab.git("switch", "-q", "-c", branch)
    baked = [lab.path / ".git/hooks/reference-transaction"]
    baked += [lab.path / ".git/planner/hooks" / name for name in ("commit-msg", "reference-transaction")]
    for path in baked:
        text = path.read_text()
        line = next(line for line in text.splitlines() if line.startswith("python="))
        path.write_text(text.replace(line, "python='/there/is/none'"))
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_007: x")
    message = "warning: plan not updated: the hooks' Python does not exist, '/there/is/none' (E_HOOKS)\n"
    assert (result.status, result.err) == (0, message * (1 if branch == "main" else 2))
    assert status_and_commits(lab) == ("todo", [])


def test_python_does_not_start_where_no_task_is_named(lab: Lab) -> None:
    lab_with_task(lab)
    before = lab.refs()["refs/heads/plan/default"]
    lab.git("switch", "-q", "-c", "iter/0001-x")
    started = lab.root / "started"
    program = hook(lab.root / "python", f'echo "$@" >>"{started}"')
    for path in (lab.path / ".git/hooks", lab.path / ".git/planner/hooks"):
        for script in path.iterdir():
            if script.is_file() and b"python=" in script.read_bytes():
                lines = script.read_text().splitlines()
                script.write_text(
                    "\n".join(f"python='{program}'" if x.startswith("python=") else x for x in lines) + "\n"
                )
    for branch in ("iter/0001-x", "main"):
        lab.git("switch", "-q", branch)
        for message in ("plain", "about task_001: nothing", "x\n\nSigned-off-by: task_001"):
            result = lab.run_git("commit", "-q", "--allow-empty", "-m", message)
            assert (result.status, result.err, started.exists()) == (0, "", False)
    assert lab.refs()["refs/heads/plan/default"] == before
    lab.git("commit", "-q", "--allow-empty", "-m", "task_001: x")
    assert "moved" in started.read_text()


def test_on_an_ordinary_branch_a_task_that_is_not_there_is_told_and_the_commit_stands(lab: Lab) -> None:
    lab_with_task(lab)
    message = "warning: a commit names 'task_999', and the plan 'default' has no such task (E_UNKNOWN_TASK)\n"
    for branch in ("main", "feature"):
        if branch != "main":
            lab.git("switch", "-q", "-c", branch)
        for again in range(2):
            result = lab.run_git("commit", "-q", "--allow-empty", "-m", f"task_999: typo {again}")
            assert (result.status, result.err) == (0, message), branch
        result = lab.run_git("commit", "-q", "--allow-empty", "-m", "plain")
        assert (result.status, result.err) == (0, "")
        result = lab.run_git("commit", "-q", "--amend", "--allow-empty", "-m", "task_001: meant this")
        assert (result.status, result.err) == (0, "")
    assert status_and_commits(lab)[0] == "agent_done"
    lab.git("switch", "-q", "-c", "iter/0001-x")
    refused = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_999: typo")
    assert (refused.status, "E_UNKNOWN_TASK" in refused.err) == (1, True)


def test_a_broken_plan_does_not_stop_a_commit(lab: Lab) -> None:
    lab_with_task(lab)
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", "{")
    lab.git("switch", "-q", "-c", "iter/0001-x")
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_001: x")
    assert result.status == 0
    assert len(result.err.splitlines()) == 2
    assert all(line.startswith("warning: plan not updated: ") for line in result.err.splitlines())


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox sh"])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("TASK-7: do it\n\nabout task_8: nothing\n", ".TASK-7: do it"),
        ("fixup! squash! task_001 : x", ".task_001 : x"),
        ("x\n\n    task_002: quoted\nPlanner-task: 3\n", "..task_002: quoted"),
        ("A feature (#12)\n\n* task_001: do it\n", ".task_001: do it"),
        ("Merged PR 12: task_001: do it", ".task_001: do it"),
        ("x\n# ------------------------ >8 ------------------------\ntask_001: in a diff\n", ""),
        ("about task_001: nothing", ""),
        ("x\n\nThis reverts commit 1234.\n", "yes"),
        # Of these it is only known that somebody has to look.
        ("x\n\n" + "y" * 300_000, ".."),
        ("fixup! " * 50_000, ".."),
        ("x\n" * 600 + "task_001: late", ".."),
    ],
)
def test_what_every_shell_reads_in_a_message(tmp_path: Path, shell: str, message: str, expected: str) -> None:
    program, *more = shell.split()
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    (tmp_path / "message").write_text(message)
    script = f'. "{ROOT}/hooks/advance_plan.sh"; read_message <"$1"; printf %s "$named$naming$reverts"'
    words = [program, *more, "-c", script, "sh", str(tmp_path / "message")]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, expected, "")


@pytest.mark.parametrize("again", [False, True], ids=["cache deleted", "installed again too"])
def test_a_deleted_cache_changes_nothing(lab: Lab, again: bool) -> None:
    lab_with_task(lab)
    if again:
        uninstall_hooks(lab.repo)
        install.install_hooks(lab.repo)
    shutil.rmtree(lab.repo.private("cache"), ignore_errors=True)
    lab.git("commit", "-q", "--allow-empty", "-m", "task_001: do it")
    assert status_and_commits(lab) == ("agent_done", [lab.git("rev-parse", "HEAD")])


@pytest.mark.parametrize("number", [pages.PAGE_SIZE, pages.PAGE_SIZE + 1])
def test_the_shell_finds_a_task_on_the_page_that_python_writes(lab: Lab, number: int) -> None:
    lab_with_task(lab)
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    page["tasks"] = [{**page["tasks"][0], "id": f"task_{number}", "uid": "abcdefgh"}]
    text = canonical_json.dumps(page).decode()
    lab.rival("refs/heads/plan/default", f".plans/default/{pages.page_name(number)}", text)
    lab.git("switch", "-q", "-c", "iter/0001-x")
    path = lab.path / ".git/planner/hooks/commit-msg"
    lines = path.read_text().splitlines(keepends=True)
    # What the shell cannot tell would be asked from Python.
    path.write_text("".join("python=/gone\n" if line.startswith("python=") else line for line in lines))
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", f"task_{number}: do it")
    assert (result.status, result.err) == (0, "")
