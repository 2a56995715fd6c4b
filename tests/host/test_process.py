"""Programs are run for real: sh, sleep and Python in temporary folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from git_planner.errors import PlannerError
from git_planner.host import agent_jail, marks, process
from git_planner.host.jail import Jail
from git_planner.host.process import Finished, Started, run
from tests.support.signalling import signal_once_written

JAIL = agent_jail.find("auto", os.environ["PATH"])
needs_supervisor = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has child subreapers")


def sh(text: str, cwd: Path, seconds: float = 20, **more: object) -> Finished:
    return run(["sh", "-c", text], cwd=cwd, seconds=seconds, **more)  # type: ignore[arg-type]


def python(text: str, cwd: Path, seconds: float = 20, **more: object) -> Finished:
    return run([sys.executable, "-c", text], cwd=cwd, seconds=seconds, **more)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def pids(path: Path) -> list[int]:
    return [int(number) for number in path.read_text().split()]


def test_tells_how_a_program_ended(tmp_path: Path) -> None:
    done = sh("pwd; echo err >&2; exit 7", tmp_path)
    assert (done.status, done.stdout, done.stderr) == (7, f"{tmp_path}\n".encode(), b"err\n")
    assert (done.timed_out, done.truncated) == (False, False)
    assert done.argv == ("sh", "-c", "pwd; echo err >&2; exit 7")
    assert sh("kill -9 $$", tmp_path).status == -signal.SIGKILL


def test_gives_stdin_and_an_environment_and_a_session_of_its_own(tmp_path: Path) -> None:
    done = sh("cat; echo $X; ps -o sid= -p $$ | tr -d ' '; echo $$", tmp_path, stdin=b"in\0", env={"X": "y"})
    first, sid, pid = done.stdout.decode().splitlines()
    assert first == "in\0y"
    assert sid == pid


def test_a_program_without_input_reads_nothing(tmp_path: Path) -> None:
    assert sh("cat; test -t 0 || echo end", tmp_path).stdout == b"end\n"


@pytest.mark.parametrize("reader", ["exec <&-; sleep 0.1", "head -c 10 >/dev/null", "true"])
def test_a_program_need_not_read_its_input(tmp_path: Path, reader: str) -> None:
    assert sh(reader, tmp_path, stdin=b"x" * 3_000_000).status == 0


def test_input_and_output_larger_than_any_pipe(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    done = sh("tee /dev/stderr", tmp_path, stdin=data)
    assert done.stdout == data
    assert done.stderr == data


def test_output_is_bounded_and_read_to_the_end(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    done = python(
        "import sys; sys.stdout.write('a' * 5_000_000); sys.stderr.write('b' * 10)",
        tmp_path,
        limit=1000,
        stdout=out,
        stderr=err,
    )
    assert (done.status, done.truncated) == (0, True)
    assert done.stdout == out.read_bytes() == b"a" * 1000
    assert done.stderr == err.read_bytes() == b"b" * 10


def test_lines_come_while_the_program_runs(tmp_path: Path) -> None:
    lines: list[bytes] = []

    def on_line(line: bytes) -> None:
        lines.append(line)
        (tmp_path / "read").touch()

    # The program goes on when its first line was read.
    script = "echo one; printf 'tw'; until [ -e read ]; do sleep 0.02; done; printf 'o\\n\\nlast'"
    assert sh(script, tmp_path, seconds=300, on_line=on_line).status == 0
    assert lines == [b"one", b"two", b"", b"last"]


def test_a_line_without_end_cannot_fill_the_memory(tmp_path: Path) -> None:
    lines: list[bytes] = []
    python("import sys; sys.stdout.write('x' * 100_000)", tmp_path, limit=500, on_line=lines.append)
    assert lines == [b"x" * 500]


def test_the_deadline_ends_all_politely_first(tmp_path: Path) -> None:
    done = sh("trap 'echo bye; exit 3' TERM; echo $$; sleep 60 & wait", tmp_path, seconds=0.4)
    pid, bye = done.stdout.split()
    assert (bye, done.status, done.timed_out) == (b"bye", 3, True)
    assert done.seconds < 30
    assert gone(int(pid))


def test_a_deaf_program_is_killed_after_the_grace(tmp_path: Path) -> None:
    done = sh("trap '' TERM; sleep 60 & sleep 60; sleep 60", tmp_path, seconds=0.3, grace=0.3)
    assert (done.status, done.timed_out) == (-signal.SIGKILL, True)
    assert done.seconds < 30


ESCAPES = {
    "in the group": "sleep 60 & echo $! >> pids;",
    "in a session of its own": "setsid sh -c 'echo $$ >> pids; exec sleep 60' &",
    "two steps down and away": "setsid sh -c 'setsid sh -c \"echo \\$\\$ >> pids; exec sleep 60\" & exit' & ",
    "deaf and away": "setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 60; sleep 60' &",
    # Without mark and session it is known only as a recorded descendant: the program outlives the first look.
    "with an empty environment": "env -i setsid sleep 60 & echo $! >> pids; sleep 3;",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
@pytest.mark.parametrize(
    "end", ["sleep 60", "until [ -s pids ]; do sleep 0.02; done; exit 5"], ids=["deadline", "normal end"]
)
def test_nothing_that_it_started_is_left(tmp_path: Path, escape: str, end: str) -> None:
    deadline = 1.5 if end == "sleep 60" else 60
    began = time.monotonic()
    done = sh(f"{escape} {end}", tmp_path, seconds=deadline, grace=0.5)
    assert done.timed_out == (end == "sleep 60")
    assert done.status == (5 if "exit" in end else -signal.SIGTERM)
    assert time.monotonic() - began < 30
    started = pids(tmp_path / "pids")
    assert started
    assert [pid for pid in started if not gone(pid)] == []


# Nothing but its parents leads to the daemon: it forks twice, with a session and an environment of its own.
DAEMON = "(env -i setsid sh -c '{body} echo $$ >> pids; exec sleep 60' &); "


@needs_supervisor
@pytest.mark.parametrize("body", ["", 'trap "" TERM;'], ids=["polite", "deaf"])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("until [ -s pids ]; do :; done; exit 5", 5),
        ("sleep 60", 128 + 15),
        ("trap '' TERM; sleep 60; sleep 60", None),
    ],
    ids=["early end", "deadline", "deaf at the deadline"],
)
def test_a_supervisor_holds_a_daemon_that_nothing_else_leads_to(
    tmp_path: Path, body: str, end: str, status: int | None
) -> None:
    began = time.monotonic()
    daemon = DAEMON.format(body=body)
    done = sh(f"{daemon} {end}", tmp_path, 1.0 if "60" in end else 60, grace=0.3, holder="supervisor")
    assert done.timed_out == ("60" in end)
    assert status in (done.status, None)
    assert time.monotonic() - began < 30
    (daemon_pid,) = pids(tmp_path / "pids")
    assert gone(daemon_pid)


@pytest.mark.skipif(not isinstance(JAIL, Jail), reason=f"the jail of this machine: {JAIL.shown}")
def test_a_program_in_a_jail_is_asked_to_end_before_it_is_killed(tmp_path: Path) -> None:
    assert isinstance(JAIL, Jail)
    places = {"rights": {tmp_path: True}, "needed": [tmp_path]}
    for script, last in (
        ("trap 'echo bye; exit 3' TERM; echo x >pids; sleep 60 & wait", b"bye\n"),
        ("trap 'echo deaf' TERM; echo x >pids; while :; do sleep 60; done", b"deaf\n"),
    ):
        command = agent_jail.confined(JAIL, ["sh", "-c", script], tmp_path, tmp_path, **places)
        done = run(command, cwd=tmp_path, seconds=1.5, grace=0.5, holder="bubblewrap")
        assert (done.timed_out, done.stdout[: len(last)], done.seconds < 30) == (True, last, True)
        assert [
            entry for entry in psutil.process_iter(["cmdline"]) if script in (entry.info["cmdline"] or ())
        ] == []


def test_what_outlives_the_holder_is_ended(tmp_path: Path) -> None:
    # A jail ends with its first process; on a busy machine, not at once.
    done = sh("setsid sleep 60 >/dev/null 2>&1 & echo $! >pids; exit 3", tmp_path, holder="bubblewrap")
    assert done.status == 3
    assert [pid for pid in pids(tmp_path / "pids") if not gone(pid)] == []


def test_a_part_of_a_mark_names_no_process() -> None:
    mark = marks.new_mark()
    with subprocess.Popen(["sleep", "60"], env={**os.environ, marks.MARK: f"outer:{mark}"}) as child:
        assert [entry.pid for entry in marks.related(mark)] == [child.pid]
        assert marks.related(mark[:-1]) == marks.related("") == marks.related("sleep") == []
        child.kill()


@needs_supervisor
def test_a_supervised_program_is_as_one_that_is_not(tmp_path: Path) -> None:
    text = "cat; echo err >&2; env | grep -v PATH=; sed -n 's/SigIgn:.*\\(.......\\)$/\\1/p' /proc/$$/status"
    env = {"PATH": os.environ["PATH"], "LANG": "C", "X": "\udcff ü"}
    mark = marks.new_mark()
    plain = sh(text, tmp_path, stdin=b"in\0" * 100_000, env=env, mark=mark)
    held = sh(text, tmp_path, stdin=b"in\0" * 100_000, env=env, mark=mark, holder="supervisor")
    assert (held.status, held.stdout, held.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert held.argv == plain.argv
    assert sh("exit 7", tmp_path, holder="supervisor").status == 7
    assert sh("kill -9 $$", tmp_path, holder="supervisor").status == 128 + signal.SIGKILL
    assert sh("kill 0", tmp_path, holder="supervisor").status == 128 + signal.SIGTERM
    with pytest.raises(PlannerError, match="'no-such-tool' is not on PATH"):
        run(["no-such-tool"], cwd=tmp_path, seconds=5, holder="supervisor")


@needs_supervisor
def test_a_start_imports_little(tmp_path: Path) -> None:
    slow = "print({*sys.modules} & {'enum', 're', 'signal', 'subprocess', 'typing', 'psutil'})"
    host = str(Path(process.__file__).parent)
    code = f"import sys; sys.path.append({host!r}); import supervisor; {slow}"
    alone = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True)
    assert alone.stdout == b"set()\n"
    # Usually nothing of a program is left, and psutil is not needed to see that.
    code = (
        "import sys; from pathlib import Path; from git_planner.host.process import run; "
        "run(['true'], cwd=Path('.'), seconds=60); print('psutil' in sys.modules)"
    )
    root = str(Path(host).parents[1])
    env = {**os.environ, "PYTHONPATH": root}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert ran.stdout == b"False\n"


@needs_supervisor
def test_a_supervised_program_ends_with_us(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from git_planner.host.process import run\n"
        f"run(['sh', '-c', {DAEMON.format(body='') + 'sleep 60'!r}], cwd=Path('.'), seconds=60, "
        "holder='supervisor')\n"
    )
    root = Path(process.__file__).parents[2]
    ours = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}
    )
    while not (tmp_path / "pids").exists() or not pids(tmp_path / "pids"):
        time.sleep(0.02)
    ours.kill()
    ours.wait()
    (daemon,) = pids(tmp_path / "pids")
    until = time.monotonic() + 30
    while not gone(daemon) and time.monotonic() < until:
        time.sleep(0.02)
    assert gone(daemon)


def test_a_grandchild_that_holds_the_pipe_does_not_hold_us(tmp_path: Path) -> None:
    began = time.monotonic()
    done = sh("setsid sh -c 'while :; do echo noise; done' & echo mine; sleep 0.2", tmp_path, limit=10_000)
    assert done.status == 0
    assert time.monotonic() - began < 30


def test_missing_things_are_named(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/no/such/interpreter\n")
    cases: list[tuple[list[str], Path, str, str]] = [
        (["no-such-tool"], tmp_path, "E_MISSING_TOOL", "'no-such-tool' is not on PATH"),
        (["/no/tool"], tmp_path, "E_MISSING_TOOL", "'/no/tool' does not exist"),
        ([str(plain)], tmp_path, "E_MISSING_TOOL", f"'{plain}' is not executable"),
        (
            ["sh"],
            tmp_path / "gone",
            "E_MISSING_FOLDER",
            f"the folder '{tmp_path}/gone' to run 'sh' in does not exist",
        ),
        (
            ["sh", "a\0b"],
            tmp_path,
            "E_USAGE",
            "'sh' cannot be started with these arguments (embedded null byte)",
        ),
    ]
    for argv, cwd, code, message in cases:
        with pytest.raises(PlannerError) as caught:
            run(argv, cwd=cwd, seconds=5)
        assert (caught.value.code, caught.value.message) == (code, message)
    plain.chmod(0o755)
    with pytest.raises(PlannerError) as caught:
        run([str(plain)], cwd=tmp_path, seconds=5)
    assert caught.value.message == f"'{plain}' names an interpreter that does not exist"
    plain.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(PlannerError) as caught:
        run([str(plain)], cwd=tmp_path, seconds=5)
    assert caught.value.message == f"'{plain}' cannot be started (Exec format error)"


def test_a_full_disk_is_named_and_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(PlannerError) as caught:
        sh(f"echo $$ > {pid}; yes", tmp_path, stdout=Path("/dev/full"))
    assert caught.value.code == "E_NO_SPACE"
    assert gone(pids(pid)[0])


def test_an_error_in_the_reader_ends_the_program(tmp_path: Path) -> None:
    started: list[Started] = []

    def refuse(line: bytes) -> None:
        raise PlannerError("E_USAGE", line.decode())

    with pytest.raises(PlannerError, match="hello"):
        sh("echo hello; sleep 60", tmp_path, on_line=refuse, on_start=started.append)
    assert gone(started[0].pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_us_ends_the_program_and_is_told(tmp_path: Path, number: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    timer = signal_once_written(tmp_path / "pids", 2, number)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sh("echo $$ > pids; sleep 60 & echo $! >> pids; wait", tmp_path)
    timer.join()
    assert time.monotonic() - began < 30
    assert [pid for pid in pids(tmp_path / "pids") if not gone(pid)] == []
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_second_signal_cuts_the_grace_short(tmp_path: Path) -> None:
    timer = signal_once_written(tmp_path / "pids", 1, signal.SIGINT, signal.SIGINT)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sh("trap '' TERM; echo $$ > pids; sleep 60 & sleep 60; sleep 60", tmp_path, grace=50)
    timer.join()
    assert time.monotonic() - began < 45


def test_works_outside_the_main_thread(tmp_path: Path) -> None:
    ends: list[Finished] = []
    threads = [threading.Thread(target=lambda: ends.append(sh("sleep 0.1", tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.status for end in ends] == [0, 0, 0, 0]


def test_a_killed_run_can_be_found_by_its_mark(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from git_planner.host.process import run\n"
        "def tell(s): print(s.mark, flush=True)\n"
        "run(['sh', '-c', 'setsid sleep 60 & sleep 60'], cwd=Path('.'), seconds=60, on_start=tell)\n"
    )
    root = Path(process.__file__).parents[2]
    ours = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert ours.stdout is not None
    mark = ours.stdout.readline().decode().strip()
    while sorted(entry.name() for entry in marks.related(mark)) != ["sh", "sleep", "sleep"]:
        time.sleep(0.02)
    ours.kill()
    ours.wait()
    ours.stdout.close()
    related = marks.related(mark)
    assert len(related) == 3
    process.end(related)
    assert marks.related(mark) == []


def test_ticks_while_the_program_runs_and_what_a_tick_raises_ends_it(tmp_path: Path) -> None:
    seen: list[int] = []

    def tick() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sh("echo $$ >pid; exec sleep 60", tmp_path, on_tick=tick)
    assert len(seen) == 3
    assert gone(*pids(tmp_path / "pid"))


def test_leaves_no_descriptor_open(tmp_path: Path) -> None:
    sh("true", tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        sh("echo x", tmp_path, stdin=b"y", stdout=tmp_path / "out")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_signal_is_not_lost_when_the_program_ends_by_itself(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sh(f"kill -INT {os.getpid()}; exit 0", tmp_path)
