"""Run an agent's program, and keep its input and output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.agents.confinement import Confinement
from git_planner.errors import PlannerError
from git_planner.gitio.git import program_environment
from git_planner.host import jail, marks, process
from git_planner.host.process import Finished, Started
from git_planner.host.process_identity import expected, identity
from git_planner.host.start_program import check_program
from git_planner.rules.documents import canonical_json

PROMPT, COMMAND, PROCESS, STDOUT, STDERR = "prompt.md", "command.json", "process.json", "stdout", "stderr"


def check_installed(program: str) -> None:
    """Check that an agent's program can be started, before anything is measured, committed or paid for it.

    A relative path counts from where it will work, and is checked then.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    if os.path.isabs(program) or "/" not in program:
        check_program(program, Path("/"), program_environment({}))


def run_agent(
    argv: Sequence[str],
    confinement: Confinement,
    *,
    cwd: Path,
    folder: Path,
    seconds: float,
    stdin: str,
    env: Mapping[str, str | None],
    drop: Sequence[str] = (),
    client: str | None = None,
    writable: Sequence[Path] = (),
    on_line: Callable[[bytes], None] | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Finished:
    """Run a program and keep its prompt, command, stdout and stderr in a folder, even if it fails.

    Args:
        argv: the program and its arguments.
        confinement: what it may change; whatever it starts ends with it.
        cwd: its working directory.
        folder: where to keep the files; created if missing.
        seconds, stdin: its deadline and its prompt.
        env, drop: variables to set (None: unchanged) and to remove; those that redirect git are removed.
        client: the client whose state it may change (default: the program's name).
        writable: files and folders outside `cwd` that it may change.
        on_line: called with each line of stdout.
        on_tick: called often while it runs; an exception ends the program.

    Raises:
        PlannerError: E_SANDBOX if the jail cannot be started; what `process.run` raises.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    added = {name: value for name, value in env.items() if value is not None}
    settings = {name: value for name, value in program_environment(added).items() if name not in drop}
    write_masked(folder / PROMPT, stdin)
    limits = {"seconds": seconds, "unset": list(drop), "sandbox": confinement.shown}
    write_masked(folder / COMMAND, {"argv": list(argv), "cwd": str(cwd), **limits})
    with (
        confinement.enclose(argv, settings, cwd, client or Path(argv[0]).name, writable) as program,
        kept_identity(argv[0], folder) as (mark, on_start),
    ):
        done = process.run(
            program.argv,
            cwd=cwd,
            seconds=seconds,
            env=program.env,
            stdin=stdin.encode("utf-8", "replace"),
            stdout=folder / STDOUT,
            stderr=folder / STDERR,
            on_line=on_line,
            on_start=on_start,
            on_tick=on_tick,
            mark=mark,
            holder=program.holder,
        )
    if reason := jail.not_started(confinement.sandbox, done):
        message = f"'{argv[0]}' could not be started in its sandbox: {reason}"
        raise PlannerError("E_SANDBOX", message, hint="git planner doctor")
    return done


@contextmanager
def kept_identity(name: str, folder: Path) -> Iterator[tuple[str, Callable[[Started], None]]]:
    """Keep the identity of a program in a folder while it runs; mask its output afterwards."""
    mark = marks.new_mark()
    # Written before the start, so that the program can be found if this process is killed right after it.
    write_masked(folder / PROCESS, expected(name, mark).document())

    def started(child: Started) -> None:
        if process_identity := identity(child.pid, child.mark):
            write_masked(folder / PROCESS, process_identity.document())

    try:
        yield mark, started
    finally:
        (folder / PROCESS).unlink(missing_ok=True)
        for stream in (STDOUT, STDERR):
            redact.mask_file(folder / stream)


def write_masked(path: Path, content: str | Mapping[str, Any]) -> None:
    """Write a text or a JSON document with its secrets masked, readable by its owner only."""
    if isinstance(content, str):
        data = redact.mask_text(content).encode("utf-8", "replace")
    else:
        data = canonical_json.dumps_host(redact.mask_document(content))
    atomic_file.write(path, data, 0o600)
