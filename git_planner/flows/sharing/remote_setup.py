"""Setting a remote up for plans: what is fetched from it, which one is used, and how documents merge."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.flows.sharing import merge_driver
from git_planner.flows.sharing.reconcile_best import SEEN
from git_planner.gitio import remote
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames

# What other clones need to see: who works on what, where iterations began, what was refused. Numbers are not
# among it: each clone reserves its own, and what must be told apart has a random part.
_SHARED = (refnames.CLAIMS, refnames.ITERATIONS, refnames.REFUSED)
_BRANCHES = (refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)


@dataclass(frozen=True, slots=True)
class RemoteSetup:
    """How a remote is set up now. `fetch`: the refspecs of ours; `remote` is None when none is."""

    remote: str | None
    fetch: tuple[str, ...]
    driver: bool
    changed: bool

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/remote-setup@1",
            "remote": self.remote,
            "fetch": list(self.fetch),
            "driver": self.driver,
            "changed": self.changed,
        }


def setup(repo: Repository, name: str | None) -> RemoteSetup:
    """Make 'git fetch' bring what clones share, and merge documents of ours by field. Twice is once.

    Nothing that is fetched goes over a ref of this clone: it stands under 'refs/planner/remote/<name>/'.

    Args:
        repo: the repository.
        name: the remote; the one of the settings when None.

    Raises:
        PlannerError: E_REMOTE when there is no such remote; E_BUSY.
    """
    used = read_settings(repo).remote
    name = name or used
    remote.url(repo, name)
    key = f"remote.{name}.fetch"
    there = _values(repo, key)
    specs = _refspecs(name, there)
    fresh = [each for each in specs if each not in there]
    for each in fresh:
        repo.git.bytes("config", "--local", "--add", key, each)
    if name != used:
        repo.git.bytes("config", "--local", "planner.remote", name)
    changed = merge_driver.install(repo)
    return RemoteSetup(name, specs, driver=True, changed=changed or bool(fresh) or name != used)


def remove(repo: Repository, name: str | None) -> RemoteSetup:
    """Take out what `setup` and 'git planner init' set up for merging and sharing; what was fetched stays.

    Raises:
        PlannerError: E_BUSY.
    """
    name = name or read_settings(repo).remote
    key = f"remote.{name}.fetch"
    there = _values(repo, key)
    ours = [each for each in _refspecs(name, ()) if each in there]
    for each in ours:
        repo.git.bytes("config", "--local", "--fixed-value", "--unset-all", key, each)
    chosen = _values(repo, "planner.remote") == [name]
    if chosen:
        repo.git.bytes("config", "--local", "--unset-all", "planner.remote")
    changed = merge_driver.uninstall(repo)
    return RemoteSetup(None, (), driver=False, changed=changed or chosen or bool(ours))


def _refspecs(name: str, there: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The refspecs that a remote needs beside those it has."""
    specs = [f"+{each}*:{SEEN}{name}/{each.removeprefix(refnames.OURS)}*" for each in _SHARED]
    whole = {f"{plus}{refnames.HEADS}*:refs/remotes/{name}/*" for plus in ("", "+")}
    if not whole & set(there):
        specs += [f"+{refnames.HEADS}{each}*:refs/remotes/{name}/{each}*" for each in _BRANCHES]
    return tuple(specs)


def _values(repo: Repository, key: str) -> list[str]:
    result = repo.git.run("config", "--local", "--null", "--get-all", key)
    return os.fsdecode(result.stdout).split("\0")[:-1]
