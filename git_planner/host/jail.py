"""The jail of measured programs: bubblewrap, where it is installed and really works.

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
# What libraries look up. Not all of /etc, where keys and passwords lie; and few, since each costs its time.
_ETC = ("alternatives", "fonts", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf", "passwd")
_ALONE = (
    *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--hostname", "measured", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)
_PROBE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Jail:
    """A bubblewrap that was tried and works. `program` is its path; `shown` what records say of it."""

    program: str
    version: str

    @property
    def shown(self) -> str:
        """What a record says."""
        return f"bubblewrap {self.version}"


@dataclass(frozen=True, slots=True)
class NoJail:
    """There is none, and why, in words. `installed`: bubblewrap is there, but does not work."""

    why: str
    installed: bool = False

    @property
    def shown(self) -> str:
        """What a record says."""
        return f"none ({self.why})"


def find(mode: Literal["auto", "required", "off"], path: str) -> Jail | NoJail:
    """The jail of this machine, tried once a process.

    Args:
        mode: what the policy says.
        path: the search path for programs, absolute entries only.
    """
    if mode == "off":
        return NoJail("turned off by the policy")
    program = shutil.which(PROGRAM, path=path)
    return NoJail("bubblewrap is not installed") if program is None else _tried(program)


def confined(
    jail: Jail,
    argv: Sequence[str],
    env: Mapping[str, str],
    place: Path,
    *,
    hidden: Sequence[Path] = (),
    shown: Sequence[Path] = (),
) -> tuple[list[str], dict[str, str]]:
    """A command line and environment that run a program in the jail.

    Args:
        jail: what `find` gave.
        argv: the program and its arguments.
        env: its environment; its PATH says which tools are there inside.
        place: the throw-away folder with 'tree' (where it starts), 'home' and 'tmp', and with RESULTS if the
            program is to leave a report. Inside it is PLACE; paths into it are rewritten.
        hidden: folders that are not shown for a tool's sake, such as the repository's.
        shown: further folders to show, read-only.

    Raises:
        PlannerError: E_MISSING_TOOL when the program is not there.
    """
    here = str(place)
    within = {name: value.replace(here, PLACE) for name, value in env.items()}
    path = tuple(env.get("PATH", os.defpath).split(os.pathsep))
    words = [jail.program, *_ALONE, *_system(), "--proc", "/proc", "--dev", "/dev"]
    for name in ("/tmp", "/var/tmp"):
        words += ("--bind", str(place / "tmp"), name)
    for folder in _tools(argv[0], path, tuple(hidden)):
        words += ("--ro-bind-try", folder, folder)
    for each in shown:
        words += ("--ro-bind-try", str(each), str(each))
    for name in ("tree", "home", "tmp", RESULTS):
        if (place / name).is_dir():
            words += ("--bind", str(place / name), f"{PLACE}/{name}")
    words += ("--remount-ro", "/", "--chdir", f"{PLACE}/tree", "--")
    return [*words, *(word.replace(here, PLACE) for word in argv)], within


def status(jail: Jail | NoJail, done: process.Finished) -> int:
    """How the program itself ended: bubblewrap tells a signal the way a shell does, as 128 and its number."""
    if isinstance(jail, Jail) and 128 < done.status <= 128 + 64:
        return 128 - done.status
    return done.status


def not_started(jail: Jail | NoJail, done: process.Finished) -> str | None:
    """bubblewrap's own words when it could not start the program; None when it could."""
    said = done.stderr[:2000].decode("utf-8", "replace")
    if isinstance(jail, Jail) and done.status == 1 and said.startswith("bwrap: "):
        return said.splitlines()[0].removeprefix("bwrap: ")[:300]
    return None


@cache
def _tried(program: str) -> Jail | NoJail:
    """Run bubblewrap within itself: that it prints its version there proves both."""
    argv = [program, *_ALONE, *_system(), "--ro-bind-try", program, program]
    argv += ("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--", program, "--version")
    env = {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        done = process.run(argv, cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
    except PlannerError as error:
        return NoJail(error.message, installed=True)
    said = done.stdout.decode("utf-8", "replace").split()
    if done.status == 0 and len(said) == 2:
        return Jail(program, said[1])
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"it ended with {done.status}"]
    return NoJail(f"bubblewrap does not work here: {lines[-1].removeprefix('bwrap: ')[:200]}", installed=True)


@cache
def _system() -> tuple[str, ...]:
    """The system's programs and libraries, links as links."""
    words: list[str] = []
    for name in _SYSTEM:
        if os.path.islink(name):
            words += ("--symlink", os.readlink(name), name)
        elif os.path.isdir(name):
            words += ("--ro-bind", name, name)
    java = [name for name in _listed("/etc") if name.startswith("java-")]
    for name in (f"/etc/{each}" for each in (*_ETC, *java)):
        if os.path.islink(name):
            words += ("--symlink", os.path.realpath(name), name)
        elif os.path.exists(name):
            words += ("--ro-bind", name, name)
    return (*words, "--ro-bind-try", "/sys", "/sys")


@cache
def _tools(program: str, path: tuple[str, ...], hidden: tuple[Path, ...]) -> tuple[str, ...]:
    """Folders outside of the system's that the tools on PATH, and the program itself, consist of."""
    found: dict[str, None] = {}
    folders = [Path(each) for each in path if os.path.isdir(each)]
    where = shutil.which(program, path=os.pathsep.join(path)) if "/" not in program else program
    if where is None:
        raise PlannerError("E_MISSING_TOOL", f"'{program}' is not on PATH")
    if os.path.isabs(where):
        folders += _hops(Path(where))
    for folder in folders:
        for each in _rooms(folder, hidden):
            found.setdefault(str(each))
    return tuple(found)


def _hops(program: Path) -> Iterator[Path]:
    """The folders that a program is found through: its own, those its links lead to, its interpreter's."""
    for _ in range(40):
        yield program.parent
        if not program.is_symlink():
            break
        program = program.parent / os.readlink(program)
    try:
        with open(program, "rb") as file:
            first = file.readline(512)
    except FileNotFoundError:
        raise PlannerError("E_MISSING_TOOL", f"'{program}' is not there") from None
    except OSError:
        # What may be run and not be read has no interpreter that could be seen.
        return
    words = os.fsdecode(first[2:]).split()
    if first.startswith(b"#!") and words and os.path.isabs(words[0]):
        interpreter = Path(words[0])
        yield interpreter.parent
        if interpreter.is_symlink():
            yield interpreter.resolve().parent


def _rooms(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """What must be shown so that a folder's programs run: itself, or the installation it is part of."""
    for place in dict.fromkeys((Path(os.path.normpath(folder)), folder.resolve())):
        if any(place.is_relative_to(each) for each in map(Path, (*_SYSTEM, PLACE))):
            continue
        whole = _installation(place)
        if whole is not None and not _reveals(whole, hidden):
            yield whole
            yield from _base(whole, hidden)
        elif not any(place.is_relative_to(each) for each in hidden):
            yield place
            if place.name == "bin" and not _reveals(place.parent / "lib", hidden):
                yield place.parent / "lib"


def _installation(folder: Path) -> Path | None:
    """The installation that a folder of programs belongs to: a Python, a virtual environment, a Node.

    Anything else, such as ~/.local, may hold what is nobody's business.
    """
    whole = folder.parent
    if folder.name == "shims":
        return whole
    if folder.name != "bin":
        return None
    marks = ("pyvenv.cfg", "conda-meta", "lib/node_modules")
    python = any(
        name.startswith("python") and (whole / "lib" / name / "os.py").is_file()
        for name in _listed(str(whole / "lib"))
    )
    return whole if python or any((whole / each).exists() for each in marks) else None


def _base(environment: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """The Python that a virtual environment rests on."""
    config = environment / "pyvenv.cfg"
    if config.is_file():
        for line in config.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home" and os.path.isabs(value.strip()):
                yield from _rooms(Path(value.strip()), hidden)


def _reveals(folder: Path, hidden: tuple[Path, ...]) -> bool:
    """Whether a folder holds one that is to be hidden, or a whole home."""
    homes = [Path("/"), Path("/home"), Path("/root"), Path.home()]
    return any(each.is_relative_to(folder) for each in (*hidden, *homes))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
