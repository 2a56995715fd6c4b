"""The boundary of every command line: a refusal of the system is reported as such, not as a defect."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from git_planner import gate
from git_planner.cli.boundary import guarded
from git_planner.cli.output import tell
from git_planner.errors import PlannerError
from git_planner.gitio.git_failure import GitResult, failure
from git_planner.host import start_program
from git_planner.rules.printable import printable
from tests.support.lab import Lab, command_line
from tests.support.small_campaign import campaign


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR])
def test_what_cannot_be_written_is_no_defect(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise OSError(number, os.strerror(number), "/some/place")

    assert guarded(command, as_json=True) == 4
    output = capsys.readouterr()
    assert json.loads(output.out)["code"] == "E_UNWRITABLE"
    assert f"'/some/place' cannot be written or reached: {os.strerror(number)}" in output.err
    assert "defect" not in output.err


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "x"), OSError(errno.ENFILE, "x", "/etc/passwd"), MemoryError()]
)
def test_a_limit_of_the_machine_is_no_defect(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise error

    assert guarded(command, as_json=True) == 4
    output = capsys.readouterr()
    assert json.loads(output.out)["code"] == "E_RESOURCES"
    assert ("defect" in output.err, "run the same command again" in output.err) == (False, True)


def test_too_many_open_files_are_named(lab: Lab) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    lab.run("git-plan", "list")
    try:
        # The next files and pipes fit, those of a further process do not.
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 2, limits[1])
        )
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        ran = lab.run("git-plan", "list", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for handle in opened:
            os.close(handle)
    assert (ran.status, json.loads(ran.out)["code"]) == (4, "E_RESOURCES"), ran.err
    with pytest.raises(PlannerError) as caught:
        raise start_program.start_error("tool", Path(), OSError(errno.EAGAIN, "x"))
    assert (caught.value.code, caught.value.message) == (
        "E_RESOURCES",
        "'tool' cannot be started: too many processes are running",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("é 日本語 \u00a0 👩\u200d💻", "é 日本語 \u00a0 👩\u200d💻"),
        ("\x1b[2J\r\x9b", "\\x1b[2J\\x0d\\x9b"),
        ("\u202eevil\u2066\u061c\u200e\u200b\ufeff", "\\u202eevil\\u2066\\u061c\\u200e\\u200b\\ufeff"),
        ("\u2028\U000e0041\udcff", "\\u2028\\U000e0041\\udcff"),
    ],
)
def test_messages_show_what_a_terminal_would_obey(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable(text) == shown
    tell(text)
    assert capsys.readouterr().err == f"{shown}\n"
    # Hooks print by the same function.
    assert gate.main([f"stage {text}", "planner"]) == 2
    assert f"'stage {shown}' is not a hook stage" in capsys.readouterr().err
    error = PlannerError("E_INTERNAL", text, hint=text, details=[text])
    gate._report(error)
    gate._warn(error)
    assert capsys.readouterr().err.count(shown) == 4


def test_few_places_print() -> None:
    """What is printed elsewhere would not be escaped."""
    package = Path(gate.__file__).parent
    printing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"(?<![\w.])(?:print|click\.s?echo)\(", path.read_text(encoding="utf-8"))
        and "reference" not in path.parts
    }
    # Besides: git's trace, the merge driver, generated tables and one JSON document per line; the supervisor
    # prints into the stderr of an agent, which is masked and escaped where it is shown.
    assert printing == {
        *("gate.py", "cli/output.py", "cli/boundary.py", "cli/driver.py", "gitio/git.py"),
        "host/supervisor.py",
        *("cli/lazy_group.py", "cli/git_planner/guard.py", "cli/git_record/record.py"),
    }


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


def test_an_error_names_the_command_of_git_and_not_its_settings(tmp_path: Path) -> None:
    error = failure(("-c", "a.b=c", "-c", "d.e=f", "read-tree", "x"), GitResult(1, b"", b""), tmp_path)
    assert error.message == "'git read-tree' ended with status 1 and no message"


@pytest.mark.parametrize("argv", [(), ("--json",)])
def test_a_closed_stdout_is_no_success(lab: Lab, argv: tuple[str, ...]) -> None:
    ran = lab.run_program("sh", "-c", 'exec "$@" >&-', "sh", *command_line("git-record", "log", *argv))
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


def test_sigterm_ends_with_a_message_as_ctrl_c_does(lab: Lab) -> None:
    # The command waits for an answer on stdin.
    command = lab.start("git-plan", "manual", "apply", "-", stdin=subprocess.PIPE)
    status = Path(f"/proc/{command.pid}/status")
    while not int(re.findall(r"SigCgt:\s*(\w+)", status.read_text())[0], 16) >> (signal.SIGTERM - 1) & 1:
        time.sleep(0.01)
    command.terminate()
    # Click ends the line in which a terminal shows '^C'.
    assert command.communicate()[1] == b"\nerror: interrupted (E_INTERRUPTED)\n"
    assert command.returncode == 143
