"""Set up a remote for plans: its refspecs, the default remote and the merge driver."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.flows.sharing import merge_driver
from git_planner.flows.sharing.reconcile_best import REMOTE_COPIES
from git_planner.gitio import remote
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames

# Refs that clones share: claims, trusted starts of iterations, quarantined work. Numbers are not among them:
# every clone reserves its own, and names that must be unique have a random part.
_SHARED_REFS = (refnames.CLAIMS, refnames.ITERATIONS, refnames.REFUSED)
_BRANCHES = (refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)


@dataclass(frozen=True, slots=True)
class RemoteSetup:
    """The setup of a remote. `fetch` are the refspecs of git-planner; `remote` is None after a removal."""

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


def set_up_remote(repo: Repository, name: str | None) -> RemoteSetup:
    """Add refspecs for shared refs and plans, and install the merge driver. Idempotent.

    Fetched refs never overwrite refs of this clone: they go to 'refs/planner/remote/<name>/'.

    Args:
        repo: the repository.
        name: the remote (default: from the settings).

    Raises:
        PlannerError: E_REMOTE for an unknown remote; E_BUSY.
    """
    configured = read_settings(repo).remote
    name = name or configured
    remote.url(repo, name)
    key = f"remote.{name}.fetch"
    present = _config_values(repo, key)
    specs = _refspecs(name, present)
    added = [spec for spec in specs if spec not in present]
    for spec in added:
        repo.git.bytes("config", "--local", "--add", key, spec)
    if name != configured:
        repo.git.bytes("config", "--local", "planner.remote", name)
    changed = merge_driver.install(repo)
    return RemoteSetup(name, specs, driver=True, changed=changed or bool(added) or name != configured)


def remove_setup(repo: Repository, name: str | None) -> RemoteSetup:
    """Remove the refspecs, the default remote and the merge driver; fetched refs stay.

    Raises:
        PlannerError: E_BUSY.
    """
    name = name or read_settings(repo).remote
    key = f"remote.{name}.fetch"
    present = _config_values(repo, key)
    removed = [spec for spec in _refspecs(name, ()) if spec in present]
    for spec in removed:
        repo.git.bytes("config", "--local", "--fixed-value", "--unset-all", key, spec)
    is_configured = _config_values(repo, "planner.remote") == [name]
    if is_configured:
        repo.git.bytes("config", "--local", "--unset-all", "planner.remote")
    changed = merge_driver.uninstall(repo)
    return RemoteSetup(None, (), driver=False, changed=changed or is_configured or bool(removed))


def set_up_remotes(repo: Repository) -> tuple[str, ...]:
    """Return the remotes that have refspecs of git-planner."""
    listed = repo.git.run("config", "--local", "--null", "--get-regexp", r"^remote\..*\.fetch$")
    entries = (entry.partition("\n") for entry in os.fsdecode(listed.stdout).split("\0")[:-1])
    names = {
        key.removeprefix("remote.").removesuffix(".fetch")
        for key, _, spec in entries
        if f":{REMOTE_COPIES}" in spec
    }
    return tuple(sorted(names))


def _refspecs(name: str, present: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the refspecs that a remote needs besides the present ones."""
    specs = [
        f"+{prefix}*:{REMOTE_COPIES}{name}/{prefix.removeprefix(refnames.OURS)}*" for prefix in _SHARED_REFS
    ]
    all_heads = {f"{plus}{refnames.HEADS}*:refs/remotes/{name}/*" for plus in ("", "+")}
    if not all_heads & set(present):
        specs += [f"+{refnames.HEADS}{prefix}*:refs/remotes/{name}/{prefix}*" for prefix in _BRANCHES]
    return tuple(specs)


def _config_values(repo: Repository, key: str) -> list[str]:
    result = repo.git.run("config", "--local", "--null", "--get-all", key)
    return os.fsdecode(result.stdout).split("\0")[:-1]
