"""Run an agent's program, and keep its input and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.gitio.git import program_environment
from git_planner.host import process
from git_planner.host.process import Finished, Started
from git_planner.host.process_identity import expected, identity
from git_planner.rules.documents import canonical_json

PROMPT, COMMAND, PROCESS, STDOUT, STDERR = "prompt.md", "command.json", "process.json", "stdout", "stderr"


def run_agent(
    argv: Sequence[str],
    *,
    cwd: Path,
    folder: Path,
    seconds: float,
    stdin: str,
    env: Mapping[str, str | None],
    drop: Sequence[str] = (),
    on_line: Callable[[bytes], None] | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Finished:
    """Run a program and keep its prompt, command, stdout and stderr in a folder, even if it fails.

    Args:
        argv: the program and its arguments.
        cwd: its working directory.
        folder: where to keep the files; created if missing.
        seconds: its deadline.
        stdin: the prompt.
        env: variables to set; None leaves a variable unchanged.
        drop: variables to remove. Variables that redirect git (such as GIT_DIR) are always removed.
        on_line: called with each line of stdout.
        on_tick: called often while it runs; an exception from it ends the program.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    added = {name: value for name, value in env.items() if value is not None}
    settings = {name: value for name, value in program_environment(added).items() if name not in drop}
    write_masked(folder / PROMPT, stdin)
    write_masked(
        folder / COMMAND, {"argv": list(argv), "cwd": str(cwd), "seconds": seconds, "unset": list(drop)}
    )

    mark = process.new_mark()
    # Written before the start, so that the program can be found if this process is killed right after it.
    write_masked(folder / PROCESS, expected(argv[0], mark).document())

    def started(child: Started) -> None:
        if process_identity := identity(child.pid, child.mark):
            write_masked(folder / PROCESS, process_identity.document())

    try:
        return process.run(
            argv,
            cwd=cwd,
            seconds=seconds,
            env=settings,
            stdin=stdin.encode("utf-8", "replace"),
            stdout=folder / STDOUT,
            stderr=folder / STDERR,
            on_line=on_line,
            on_start=started,
            on_tick=on_tick,
            mark=mark,
            holder="supervisor",
        )
    finally:
        (folder / PROCESS).unlink(missing_ok=True)
        for name in (STDOUT, STDERR):
            redact.mask_file(folder / name)


def write_masked(path: Path, content: str | Mapping[str, Any]) -> None:
    """Write a text or a JSON document with its secrets masked, readable by its owner only."""
    if isinstance(content, str):
        data = redact.mask_text(content).encode("utf-8", "replace")
    else:
        data = canonical_json.dumps(redact.mask_document(content))
    atomic_file.write(path, data, 0o600)
