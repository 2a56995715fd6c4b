"""The boundary of every command line: a refusal of the system is reported as such, not as a defect."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from git_planner.cli.boundary import guarded
from git_planner.gitio.git_failure import GitResult, failure
from tests.support.lab import Lab
from tests.support.small_campaign import campaign

CODE = "import sys; from git_planner import cli; sys.exit(cli.main('git-record', sys.argv[1:]))"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR])
def test_what_cannot_be_written_is_no_defect(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise OSError(number, os.strerror(number), "/some/place")

    assert guarded(command, as_json=True) == 4
    output = capsys.readouterr()
    assert json.loads(output.out)["code"] == "E_UNWRITABLE"
    assert f"'/some/place' cannot be written or reached: {os.strerror(number)}" in output.err
    assert "defect" not in output.err


def test_a_file_in_the_place_of_a_folder_is_named(lab: Lab) -> None:
    campaign(lab)
    place = lab.path / ".git/planner"
    place.write_text("in the way\n")
    ran = lab.run("git-planner", "init")
    assert (ran.status, "(E_UNWRITABLE)" in ran.err, str(place) in ran.err) == (4, True, True), ran.err


@pytest.mark.parametrize(
    "stderr",
    [
        "error: unable to create temporary file: Read-only file system\nfatal: cannot store it",
        "error: insufficient permission for adding an object to repository database .git/objects",
        "fatal: Unable to create '/x/.git/refs/heads/a.lock': Permission denied",
    ],
)
def test_a_repository_that_can_only_be_read_is_distinguished_from_other_failures(
    stderr: str, tmp_path: Path
) -> None:
    error = failure(("hash-object",), GitResult(128, b"", stderr.encode()), tmp_path)
    assert (error.code, error.details) == ("E_UNWRITABLE", tuple(stderr.splitlines()))
    other = failure(("push",), GitResult(128, b"", b"Permission denied (publickey)."), tmp_path)
    assert other.code == "E_GIT"


@pytest.mark.parametrize("argv", [(), ("--json",)])
def test_a_closed_stdout_is_no_success(lab: Lab, argv: tuple[str, ...]) -> None:
    ran = lab.run_program("sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", CODE, "log", *argv)
    assert (ran.status, ran.err.splitlines()[0]) == (
        4,
        "error: the output cannot be written: stdout is closed (E_UNWRITABLE)",
    )


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (("git-plan", "task", "claim", "task_001"), "--hours"),
        (("git-plan", "task", "verify", "task_001"), "--timeout"),
        (("git-plan", "manual", "pack"), "--threshold"),
        (("git-plan", "delegate"), "--timeout"),
        (("git-iterate",), "--threshold"),
        (("git-iterate", "--loop"), "--timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_number_is_a_finite_one(lab: Lab, argv: tuple[str, ...], option: str, number: str) -> None:
    campaign(lab)
    before = lab.refs()
    ran = lab.run(*argv, option, number)
    assert (ran.status, lab.refs()) == (2, before)
    assert ran.err.startswith(f"error: invalid value for '{option}': "), ran.err
