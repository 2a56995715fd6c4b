"""Sandbox of measured programs: bubblewrap, where it is installed and works.

Inside there is no network, no process but the program's own, no home, no repository and no other file than
the measured tree, the system's programs and libraries, and the folders that the tools on PATH consist of.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from git_planner.errors import PlannerError
from git_planner.host import process

PROGRAM = "bwrap"
# Where a measured program finds its folders. Always the same place: a path's length moves the stack about.
PLACE = "/measured"
RESULTS = "results"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
# Files that libraries look up. Not all of /etc, which holds keys and passwords; few, as a mount takes time.
_ETC = ("alternatives", "fonts", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf", "passwd")
_ALONE = (
    *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--hostname", "measured", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)
_PROBE_SECONDS = 30.0
# What programs need to reach servers: names, and the certificates of authorities.
_NETWORK_FILES = ("resolv.conf", "ssl", "pki", "ca-certificates", "gai.conf", "host.conf", "services")


@dataclass(frozen=True, slots=True)
class Jail:
    """A working bubblewrap. `program` is its path; `shown` is its name in records."""

    program: str
    version: str

    @property
    def shown(self) -> str:
        """Name in records."""
        return f"bubblewrap {self.version}"


@dataclass(frozen=True, slots=True)
class NoJail:
    """Absence of a sandbox, with the reason. `installed`: bubblewrap is installed, but does not work."""

    why: str
    installed: bool = False

    @property
    def shown(self) -> str:
        """Name in records."""
        return f"none ({self.why})"


def find(mode: Literal["auto", "required", "off"], path: str) -> Jail | NoJail:
    """Return the sandbox of this machine, probed once per process.

    Args:
        mode: the policy's setting.
        path: the search path for programs, absolute entries only.
    """
    if mode == "off":
        return NoJail("turned off by the policy")
    program = shutil.which(PROGRAM, path=path)
    return NoJail("bubblewrap is not installed") if program is None else _probe(program)


def confined(
    jail: Jail,
    argv: Sequence[str],
    env: Mapping[str, str],
    place: Path,
    *,
    hidden: Sequence[Path] = (),
    shown: Sequence[Path] = (),
    bound: Sequence[tuple[Path, Path]] = (),
    network: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment that run a program in the sandbox.

    Args:
        jail: the sandbox that `find` returned.
        argv: the program and its arguments.
        env: its environment; its PATH selects the tools that are visible inside.
        place: the throw-away folder with 'tree' (where it starts), 'home' and 'tmp', and with RESULTS if the
            program is to leave a report. Inside it is PLACE; paths into it are rewritten.
        hidden: folders that no tool makes visible, such as the repository's.
        shown: further folders to show, read-only.
        bound: files and folders to show read-only elsewhere, each with its path below `place`.
        network: whether the program may use the network.

    Raises:
        PlannerError: E_MISSING_TOOL when the program does not exist.
    """
    here = str(place)
    within = {name: value.replace(here, PLACE) for name, value in env.items()}
    path = tuple(env.get("PATH", os.defpath).split(os.pathsep))
    command = [jail.program, *_ALONE, *_system(), "--proc", "/proc", "--dev", "/dev"]
    if network:
        command.remove("--unshare-net")
        for name in (f"/etc/{entry}" for entry in _NETWORK_FILES):
            command += ("--ro-bind-try", os.path.realpath(name), name)
    for name in ("/tmp", "/var/tmp"):
        command += ("--bind", str(place / "tmp"), name)
    for folder in tool_folders(argv[0], path, tuple(hidden)):
        command += ("--ro-bind-try", folder, folder)
    for folder in map(str, shown):
        command += ("--ro-bind-try", folder, folder)
    for name in ("tree", "home", "tmp", RESULTS):
        if (place / name).is_dir():
            command += ("--bind", str(place / name), f"{PLACE}/{name}")
    for source, target in bound:
        command += ("--ro-bind", str(source), str(target).replace(here, PLACE, 1))
    command += ("--remount-ro", "/", "--chdir", f"{PLACE}/tree", "--")
    return [*command, *(word.replace(here, PLACE) for word in argv)], within


def status(done: process.Finished) -> int:
    """Return the exit status of a held program: its holder reports a signal as 128 plus its number."""
    return 128 - done.status if 128 < done.status <= 128 + 64 else done.status


def holder(jail: Jail | NoJail) -> process.Holder | None:
    """Return what holds all that a measured program starts where there is no jail, which ends it at once."""
    return None if isinstance(jail, Jail) else "supervisor"


def not_started(jail: Jail | NoJail, done: process.Finished) -> str | None:
    """Return the error of bubblewrap when it could not start the program; otherwise None."""
    stderr = done.stderr[:2000].decode("utf-8", "replace")
    if isinstance(jail, Jail) and done.status == 1 and stderr.startswith("bwrap: "):
        return stderr.splitlines()[0].removeprefix("bwrap: ")[:300]
    return None


@cache
def _probe(program: str) -> Jail | NoJail:
    """Run bubblewrap inside bubblewrap: printing its version there proves that both work."""
    argv = [program, *_ALONE, *_system(), "--ro-bind-try", program, program]
    argv += ("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--", program, "--version")
    return probe_command(program, argv)


def probe_command(program: str, argv: Sequence[str]) -> Jail | NoJail:
    """Return the sandbox if a command line that prints bubblewrap's version in it succeeds."""
    env = {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        done = process.run(argv, cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
    except PlannerError as error:
        return NoJail(error.message, installed=True)
    version = done.stdout.decode("utf-8", "replace").split()
    if done.status == 0 and len(version) == 2:
        return Jail(program, version[1])
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"it ended with {done.status}"]
    return NoJail(f"bubblewrap does not work here: {lines[-1].removeprefix('bwrap: ')[:200]}", installed=True)


@cache
def _system() -> tuple[str, ...]:
    """Return the mount options for the system's programs and libraries; links stay links."""
    options: list[str] = []
    for name in _SYSTEM:
        if os.path.islink(name):
            options += ("--symlink", os.readlink(name), name)
        elif os.path.isdir(name):
            options += ("--ro-bind", name, name)
    java = [name for name in _folder_names("/etc") if name.startswith("java-")]
    for name in (f"/etc/{entry}" for entry in (*_ETC, *java)):
        if os.path.islink(name):
            options += ("--symlink", os.path.realpath(name), name)
        elif os.path.exists(name):
            options += ("--ro-bind", name, name)
    return (*options, "--ro-bind-try", "/sys", "/sys")


@cache
def tool_folders(program: str, path: tuple[str, ...], hidden: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the folders outside the system's that the tools on PATH and the program itself need."""
    visible: dict[str, None] = {}
    folders = [Path(entry) for entry in path if os.path.isdir(entry)]
    where = shutil.which(program, path=os.pathsep.join(path)) if "/" not in program else program
    if where is None:
        raise PlannerError("E_MISSING_TOOL", f"'{program}' is not on PATH")
    if os.path.isabs(where):
        folders += _link_folders(Path(where))
    for folder in folders:
        for place in _visible_folders(folder, hidden):
            visible.setdefault(str(place))
    return tuple(visible)


def _link_folders(program: Path) -> Iterator[Path]:
    """Yield the folders of a program, of its link targets and of its interpreter."""
    for _ in range(40):
        yield program.parent
        if not os.path.islink(program):
            break
        program = program.parent / os.readlink(program)
    try:
        with open(program, "rb") as file:
            first = file.readline(512)
    except FileNotFoundError:
        raise PlannerError("E_MISSING_TOOL", f"'{program}' does not exist") from None
    except OSError:
        # An executable that cannot be read has no visible interpreter.
        return
    shebang = os.fsdecode(first[2:]).split()
    if first.startswith(b"#!") and shebang and os.path.isabs(shebang[0]):
        interpreter = Path(shebang[0])
        yield interpreter.parent
        if os.path.islink(interpreter):
            yield interpreter.resolve().parent


def _visible_folders(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the folders that a folder's programs need: itself, or the installation that it is part of."""
    for place in dict.fromkeys((Path(os.path.normpath(folder)), folder.resolve())):
        if any(place.is_relative_to(system) for system in map(Path, (*_SYSTEM, PLACE))):
            continue
        root = _installation(place)
        if root is not None and not _exposes(root, hidden):
            yield root
            yield from _base_python(root, hidden)
        elif not any(place.is_relative_to(secret) for secret in hidden):
            yield place
            if place.name == "bin" and not _exposes(place.parent / "lib", hidden):
                yield place.parent / "lib"


def _installation(folder: Path) -> Path | None:
    """Return the installation that a folder of programs belongs to: a Python, a virtual environment, a Node.

    Anything else, such as ~/.local, may hold private files.
    """
    root = folder.parent
    if folder.name == "shims":
        return root
    if folder.name != "bin":
        return None
    marks = ("pyvenv.cfg", "conda-meta", "lib/node_modules")
    # os.path, unlike Path, takes what this user may not look at for missing, as the search on PATH does.
    python = any(
        name.startswith("python") and os.path.isfile(root / "lib" / name / "os.py")
        for name in _folder_names(str(root / "lib"))
    )
    return root if python or any(os.path.exists(root / mark) for mark in marks) else None


def _base_python(environment: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the folders of the Python that a virtual environment is based on."""
    try:
        text = (environment / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and os.path.isabs(value.strip()):
            yield from _visible_folders(Path(value.strip()), hidden)


def _exposes(folder: Path, hidden: tuple[Path, ...]) -> bool:
    """Return whether a folder holds a hidden folder or a home."""
    homes = [Path("/"), Path("/home"), Path("/root"), Path(os.path.expanduser("~"))]
    return any(secret.is_relative_to(folder) for secret in (*hidden, *homes))


def _folder_names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
