"""Ask the installed test runner which modules it imports, and which files configure it.

The Python that a policy's commands name is asked, once for each state of its folder of packages; the answer
is cached in the private folder. Where no Python can be asked, only what git-planner lists itself is known.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host.machine import search_path
from git_planner.rules.policy.policy import Policy

CACHE = "runners.json"
_MOST = 1024 * 1024
_KEPT = 20
# Python needs a second for it; a busy machine may need many.
_SECONDS = 120.0
# Answers of this process, for repositories that share a Python.
_ANSWERS: dict[str, dict[str, Any]] = {}
_PYTHON = re.compile(r"python[0-9.]*")


@dataclass(frozen=True, slots=True)
class RunnerNames:
    """The top-level modules that a test runner imports, and the names of its configuration files."""

    modules: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


def runner_names(repo: Repository, policy: Policy | None, *, ask: bool = True) -> RunnerNames:
    """Return the names for the commands of a policy.

    Args:
        repo: the repository, whose private folder has the cache.
        policy: the trusted policy; None asks the Python on PATH.
        ask: start a Python that was not asked before; otherwise only cached answers count.
    """
    modules: set[str] = set()
    files: set[str] = set()
    path = repo.private(CACHE)
    cached = _read_cache(path)
    for python in dict.fromkeys(_pythons(policy)):
        answer = cached.get(python)
        if (not isinstance(answer, dict) or answer.get("stamp") != _stamp(python, answer)) and ask:
            answer = _ANSWERS.get(python, {})
            if answer.get("stamp") != _stamp(python, answer):
                answer = _ask(python)
            if answer is not None:
                _ANSWERS[python] = answer
                # Another process may have asked another Python meanwhile.
                cached = {**dict(list(_read_cache(path).items())[-_KEPT:]), python: answer}
                with suppress(OSError):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    atomic_file.write(path, json.dumps(cached).encode())
        if isinstance(answer, dict):
            modules.update(_names(answer, "modules"))
            files.update(_names(answer, "files"))
    return RunnerNames(frozenset(name for name in modules if name.isidentifier()), frozenset(files))


def _pythons(policy: Policy | None) -> Iterator[str]:
    """Yield the Pythons that the commands start, as far as that can be seen; else the one on PATH."""
    runs = [metric.run for metric in policy.metrics] if policy else []
    if policy and policy.correctness:
        runs.insert(0, policy.correctness.run)
    pythons = [python for run in runs if (python := _python_of(run[0])) is not None]
    yield from pythons or filter(None, map(_python_of, ("python3", "python")))


def _python_of(program: str) -> str | None:
    """Return the Python that a program is, or that its first line names."""
    if "/" in program and not os.path.isabs(program):
        return None
    where = shutil.which(program, path=search_path())
    if where is None or _PYTHON.fullmatch(os.path.basename(where)):
        return where
    try:
        with open(where, "rb") as file:
            words = os.fsdecode(file.readline(512)).removeprefix("#!").split()
    except OSError:
        return None
    if words and os.path.basename(words[0]) == "env":
        words = [shutil.which(word, path=search_path()) or "" for word in words[1:2]]
    return words[0] if words and _PYTHON.fullmatch(os.path.basename(words[0])) else None


def _ask(python: str) -> dict[str, Any] | None:
    from git_planner.flows.guard import runner_probe
    from git_planner.host import process

    env = {"PATH": search_path(), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    with suppress(PlannerError, ValueError, RecursionError):
        done = process.run(
            [python, "-I", str(runner_probe.__file__)], cwd=Path("/"), seconds=_SECONDS, env=env, limit=_MOST
        )
        # A plugin may have printed something before.
        answer = json.loads(done.stdout.splitlines()[-1] if done.stdout.strip() else b"")
        if isinstance(answer, dict):
            return {**answer, "stamp": _stamp(python, answer)}
    return None


def _stamp(python: str, answer: Mapping[str, Any]) -> list[list[Any]]:
    """Return the times of a Python and of its folders of packages, which change with an installation."""
    stamp: list[list[Any]] = []
    for path in (os.path.realpath(python), *_names(answer, "folders")):
        with suppress(OSError, ValueError):
            stamp.append([path, os.stat(path).st_mtime_ns])
    return stamp


def _names(answer: Mapping[str, Any], key: str) -> list[str]:
    values = answer.get(key)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _read_cache(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(atomic_file.read(path, _MOST))
        return document if isinstance(document, dict) else {}
    return {}
