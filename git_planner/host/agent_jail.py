"""Jail of an agent's program: the disk read-only, a temporary folder of its own, and few folders to write to.

Unlike the jail of a measurement it shows the whole disk and the network. It is a PID namespace: whatever the
program starts ends with it. Temporary folders and the sockets in /run are those of nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from git_planner.host import jail
from git_planner.host.jail import Jail, NoJail

# Variables that name sockets of the person's session, which are not there inside.
SESSION_VARIABLES = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
_RUN = "/run"
_OPTIONS = (
    *("--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
)


def find(mode: Literal["auto", "required", "off"], path: str) -> Jail | NoJail:
    """Return the sandbox for agents' programs on this machine, probed once per process.

    Args:
        mode: the policy's setting.
        path: the search path for programs.
    """
    sandbox = jail.find(mode, path)
    return _probe(sandbox) if isinstance(sandbox, Jail) else sandbox


def confined(
    sandbox: Jail,
    argv: Sequence[str],
    cwd: Path,
    temporary: Path,
    *,
    rights: Mapping[Path, bool],
    needed: Iterable[Path] = (),
    in_terminal: bool = False,
) -> list[str]:
    """Return the command line that runs a program in the jail.

    Args:
        sandbox: what `find` returned.
        argv: the program and its arguments.
        cwd: the folder it runs in.
        temporary: its temporary folder; inside it is /tmp.
        rights: existing files and folders that it may write to (True), or not although one above is writable.
        needed: further paths that it must see even if they lie in a temporary folder.
        in_terminal: it keeps the terminal of this process, which reads nothing from it.
    """
    real_rights = {Path(os.path.realpath(path)): right for path, right in rights.items()}
    # A session of its own has no terminal, so that no program in it can type into the one outside.
    alone = () if in_terminal else ("--new-session",)
    command = [*_prefix(sandbox.program), *alone, *_temporary_options(temporary)]
    for shown in dict.fromkeys(_shown((*real_rights, *(Path(os.path.realpath(path)) for path in needed)))):
        command += ("--ro-bind-try", shown, shown)
    # A mount hides earlier ones below it, so the outer comes first.
    for path, right in sorted(real_rights.items(), key=lambda item: len(item[0].parts)):
        command += ("--bind" if right else "--ro-bind", str(path), str(path))
    return [*command, "--chdir", os.path.realpath(cwd), "--", *argv]


@cache
def _probe(sandbox: Jail) -> Jail | NoJail:
    """Start a program in such a jail."""
    program = sandbox.program
    return jail.probe_command(program, [*_prefix(program), "--", program, "--version"])


@cache
def _prefix(program: str) -> tuple[str, ...]:
    # Root needs this capability to map itself into a user namespace, as a client's own sandbox does.
    own = ("--cap-add", "CAP_SETFCAP") if os.geteuid() == 0 else ()
    run = ("--tmpfs", _RUN) if os.path.isdir(_RUN) else ()
    resolver = os.path.dirname(os.path.realpath("/etc/resolv.conf"))
    names = ("--ro-bind-try", resolver, resolver) if resolver.startswith(f"{_RUN}/") else ()
    return (program, *_OPTIONS, *own, *run, *names)


def _temporary_options(folder: Path) -> Iterator[str]:
    for name in dict.fromkeys(os.path.realpath(name) for name in _TEMPORARY):
        # A new /dev has a /dev/shm of its own.
        if os.path.isdir(name) and not name.startswith("/dev/"):
            yield from ("--bind", str(folder), name)


def _shown(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the entries of hidden folders that must be visible: the one at the top that a path lies in."""
    roots = [Path(os.path.realpath(name)) for name in _TEMPORARY]
    for path in sorted(paths):
        for root in roots:
            if root in path.parents:
                yield str(root / path.relative_to(root).parts[0])
        if Path(_RUN) in path.parents:
            yield str(path)
