"""Running an agent's program: what it is given, and what is kept of it for later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.gitio.git import environment
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
    """Run a program and keep its prompt, command, stdout and stderr in a folder, also when it fails.

    Args:
        argv: the program and its arguments.
        cwd: the folder it works in.
        folder: where things are kept; made when missing.
        seconds: its deadline.
        stdin: the prompt.
        env: variables to set; None leaves one as it is.
        drop: variables to take away. Those that point git elsewhere are taken away in any case.
        on_line: called with each line of stdout.
        on_tick: called often while it runs; what it raises ends it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    added = {name: value for name, value in env.items() if value is not None}
    settings = {name: value for name, value in environment(added).items() if name not in drop}
    keep(folder / PROMPT, stdin)
    keep(folder / COMMAND, {"argv": list(argv), "cwd": str(cwd), "seconds": seconds, "unset": list(drop)})

    mark = process.new_mark()
    # Noted before the start: who is killed right after it leaves a program that can be found.
    keep(folder / PROCESS, expected(argv[0], mark).document())

    def started(child: Started) -> None:
        who = identity(child.pid, child.mark)
        if who is not None:
            keep(folder / PROCESS, who.document())

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
        )
    finally:
        (folder / PROCESS).unlink(missing_ok=True)
        for name in (STDOUT, STDERR):
            redact.mask_file(folder / name)


def keep(path: Path, content: str | Mapping[str, Any]) -> None:
    """Write a text, or a JSON document, with its secrets masked; readable by its owner only all the same."""
    if isinstance(content, str):
        data = redact.mask_text(content).encode("utf-8", "replace")
    else:
        data = canonical_json.dumps(redact.mask_document(content))
    atomic_file.write(path, data, 0o600)
