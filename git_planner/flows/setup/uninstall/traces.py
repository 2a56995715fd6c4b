"""List what git-planner has put into a repository besides the documents on branches. Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.flows.hooks.manifest import installed_manifest
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.prune import PrunedWorktree, prune_worktrees
from git_planner.flows.measuring.prepared.working_places import OUTPUTS, existing_folder
from git_planner.flows.runs.heartbeat import check_liveness
from git_planner.flows.runs.store import has_open_sessions, list_runs
from git_planner.flows.setup.register_client import registrations
from git_planner.flows.sharing import merge_driver, remote_setup
from git_planner.gitio import history
from git_planner.gitio.kept.kept_folder import KeptTree, kept_tree_of
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.refnames import POLICY_FILE

_CI_FILES = {"github": ".github/workflows/git-planner.yml", "gitlab": ".gitlab/git-planner.yml"}
# Prefixes of refs that keep what an agent or a person has made.
_WORK = (refnames.REFUSED, refnames.INTERRUPTED, refnames.UNDONE, refnames.BESTS)


@dataclass(frozen=True, slots=True)
class Traces:
    """Things that git-planner has put into a repository.

    `running` is what still works in it, one sentence each. `config` are keys of the repository's
    configuration, `remotes` those with refspecs of ours, `refs` the private refs (ref -> object id) and
    `work` those of them with commits that nothing else keeps. `worktrees` are those of iterations.
    `folder` is the private folder in the git directory with its `size` in bytes, None if there is none, and
    `kept` the measured folder in the user's cache.
    `outside` is what an uninstallation leaves alone, one sentence each.
    """

    running: tuple[str, ...]
    hooks: bool
    driver: bool
    config: tuple[str, ...]
    remotes: tuple[str, ...]
    refs: Mapping[str, str]
    work: Mapping[str, str]
    worktrees: tuple[PrunedWorktree, ...]
    folder: Path | None
    size: int
    kept: KeptTree | None
    outside: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left that an uninstallation removes."""
        removable = any(place.why is None for place in self.worktrees)
        has_refs = len(self.refs) > len(self.work)
        found = (
            self.hooks,
            self.driver,
            self.config,
            self.remotes,
            has_refs,
            removable,
            self.folder,
            self.kept,
        )
        return not any(found)

    def document(self) -> dict[str, Any]:
        """Return the traces as one JSON object."""
        return {
            "running": list(self.running),
            "hooks": self.hooks,
            "merge_driver": self.driver,
            "config": list(self.config),
            "remotes": list(self.remotes),
            "refs": len(self.refs),
            "work": sorted(self.work),
            "worktrees": [place.document() for place in self.worktrees],
            "folder": str(self.folder) if self.folder else None,
            "bytes": self.size,
            "kept": str(self.kept.path) if self.kept else None,
            "outside": list(self.outside),
        }


def find_traces(repo: Repository) -> Traces:
    """List what git-planner has put into a repository.

    Raises:
        PlannerError: E_USAGE or E_NAME for settings that cannot be read.
    """
    refs = history.list_refs(repo, refnames.OURS)
    folder = repo.private()
    exists = folder.is_dir()
    return Traces(
        running=tuple(_running(repo)),
        hooks=installed_manifest(repo) is not None,
        driver=merge_driver.is_installed(repo),
        config=tuple(_config_keys(repo)),
        remotes=remote_setup.set_up_remotes(repo),
        refs=refs,
        work=_unkept(repo, refs),
        worktrees=prune_worktrees(repo, _ignore, dry_run=True).places,
        folder=folder if exists else None,
        size=process_lock.disk_use(folder) if exists else 0,
        kept=kept_tree_of(repo),
        outside=tuple(_outside(repo)),
    )


def _ignore(_: str) -> None:
    """Ignore a progress message: nothing is done."""


def _running(repo: Repository) -> Iterator[str]:
    folder = repo.private("runs")
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    for number in (int(name) for name in names if name.isascii() and name.isdigit()):
        if (owner := process_lock.lock_holder(repo, number)) is not None:
            yield f"process {owner} works on iteration {number}: end it with Ctrl-C where it runs"
    for run in list_runs(repo):
        if check_liveness(repo, run) in ("alive", "stalled"):
            yield f"run {run.run} of plan '{run.plan}' works: git plan runs --run {run.run} --end"
    if has_open_sessions(repo):
        yield "sessions are open: git plan shutdown"


def _config_keys(repo: Repository) -> list[str]:
    """Return the keys 'planner.…' of the repository's own configuration."""
    result = repo.git.run("config", "--local", "--null", "--name-only", "--get-regexp", r"^planner\.")
    return sorted(set(os.fsdecode(result.stdout).split("\0")[:-1]))


def _unkept(repo: Repository, refs: Mapping[str, str]) -> dict[str, str]:
    """Return the refs with work that is on no branch or tag, here or fetched."""
    work = {ref: oid for ref, oid in refs.items() if ref.startswith(_WORK)}
    if not work:
        return {}
    lines = "".join(f"{oid}\n" for oid in work.values())
    # '--stdin' is read where it stands, before '--not'.
    listed = repo.git.bytes(
        *("rev-list", "--ignore-missing", "--stdin", "--not", "--branches", "--tags", "--remotes"),
        stdin=lines.encode(),
    )
    alone = set(listed.decode().split())
    return {ref: oid for ref, oid in work.items() if oid in alone}


def _outside(repo: Repository) -> Iterator[str]:
    yield "branches 'plan/*', 'iter/*', 'bo4/*' and tags 'best/*', which are the documents"
    if repo.top is not None and os.path.lexists(repo.top / POLICY_FILE):
        yield f"'{POLICY_FILE}', which a commit removes"
    for where, path in _CI_FILES.items():
        if repo.top is not None and os.path.lexists(repo.top / path):
            yield f"'{path}' stays, with templates and owners: git planner ci {where} --remove"
    if kept := existing_folder(OUTPUTS):
        yield f"'{kept}' stays, what steps made for all repositories: git planner cache prune --unused 0"
    for registration in registrations(repo.top):
        client, _, scope = registration.partition(" ")
        yield f"the MCP server is registered with {client} {scope}: git planner mcp unregister {client}"
    variants = read_settings(repo).variants
    if variants is not None and variants.is_dir():
        yield f"'{variants}' holds archived variants of tournaments"
