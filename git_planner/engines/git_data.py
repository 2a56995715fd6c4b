"""Data of jobs, which git carries: a worker fetches what a job names into a copy of its own.

A copy is a bare repository in the worker's cache folder, one for each tournament. Commits come from an
address that the worker can reach, or from a bundle in the job. What a job has committed comes back as a
bundle, so a worker needs no right to push.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from git_planner.errors import PlannerError
from git_planner.folders import user_cache
from git_planner.gitio import remote
from git_planner.gitio.fresh.quarantine import quarantine
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository, open_repository
from git_planner.owned_folder import owned_folder, temporary_folder

ORIGIN = "data"
_URL = f"remote.{ORIGIN}.url"
MAX_BUNDLE = 128 * 1024 * 1024
_NAME = re.compile(r"[a-z0-9]{8,64}")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def describe_data(repo: Repository, name: str, refs: Mapping[str, str], url: str | None) -> dict[str, Any]:
    """Return the part of a job's payload that names its data.

    Args:
        repo: the repository here.
        name: the name of the copies, the same for all jobs of a tournament.
        refs: the refs that the job needs, full name -> commit.
        url: the address that workers fetch from; None sends a bundle along.

    Raises:
        PlannerError: E_TOO_LARGE if the bundle is.
    """
    data: dict[str, Any] = {"name": name, "format": repo.object_format, "refs": dict(refs)}
    if url is not None:
        return {**data, "url": url}
    bundle = repo.git.short_output("bundle", "create", "-q", "-", *refs, most=MAX_BUNDLE)
    if bundle is None:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the commits of the jobs make a bundle of more than {MAX_BUNDLE:,} bytes",
            hint="name a remote that the workers can fetch from with '--fetch-from'",
        )
    return {**data, "bundle": base64.b64encode(bundle).decode("ascii")}


def open_data(data: Mapping[str, Any]) -> Repository:
    """Return this worker's copy with the commits that a job names.

    Raises:
        PlannerError: E_REMOTE if they cannot be fetched; E_USAGE for a payload that names none.
    """
    refs = {str(ref): str(oid) for ref, oid in data["refs"].items()}
    if not _NAME.fullmatch(str(data["name"])) or not all(map(_OBJECT_ID.fullmatch, refs.values())):
        raise PlannerError("E_USAGE", "the job names no data that a worker can fetch")
    url = str(data["url"]) if "url" in data else None
    copy = _copy(str(data["name"]), str(data["format"]), url)
    missing = [ref for ref, oid in refs.items() if copy.maybe(oid) is None]
    if not missing:
        return copy
    if url is not None:
        remote.fetch_commits(copy, ORIGIN, missing, lambda _: None)
    else:
        _unbundle(copy, base64.b64decode(str(data["bundle"])))
    absent = [ref for ref in missing if copy.maybe(refs[ref]) is None]
    if absent:
        raise PlannerError(
            "E_REMOTE",
            f"the worker could not fetch {refs[absent[0]][:12]}: '{absent[0]}' is elsewhere there",
            hint="push the branches to where the workers fetch from, and run the command again",
        )
    return copy


def describe_trees(repo: Repository, name: str, trees: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Return the part of a job's payload that brings trees along, without any history.

    Args:
        repo: the repository here.
        name: the name of the copies, the same for all jobs of a repository.
        trees: ids of the trees.
        known: ids of trees that the worker has from an earlier job.

    Raises:
        PlannerError: E_TOO_LARGE.
    """
    lines = [*dict.fromkeys(trees), *(f"^{tree}" for tree in known)]
    pack = repo.git.short_output("pack-objects", "--revs", "--stdout", "-q", most=MAX_BUNDLE, lines=lines)
    if pack is None:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the files to be measured make a pack of more than {MAX_BUNDLE:,} bytes",
            hint="measure on this host, without '--engine'",
        )
    return {
        "name": name,
        "format": repo.object_format,
        "trees": list(trees),
        "pack": base64.b64encode(pack).decode("ascii"),
    }


def open_trees(data: Mapping[str, Any]) -> Repository:
    """Return this worker's copy with the trees that a job brings along.

    Raises:
        PlannerError: E_REMOTE if one of them is missing; E_USAGE for a payload that names none.
    """
    trees = [str(tree) for tree in data["trees"]]
    if not _NAME.fullmatch(str(data["name"])) or not all(map(_OBJECT_ID.fullmatch, trees)):
        raise PlannerError("E_USAGE", "the job names no trees that a worker can measure")
    copy = _copy(str(data["name"]), str(data["format"]), None)
    # Git checks each object of a pack against its id.
    copy.git.bytes("index-pack", "--stdin", stdin=base64.b64decode(str(data["pack"])))
    for tree in trees:
        if copy.maybe(tree, "tree") != tree:
            raise PlannerError("E_REMOTE", f"the job does not bring the tree {tree[:12]} along")
    return copy


def bundle_result(copy: Repository, commits: Sequence[str], known: Sequence[str]) -> str:
    """Return a bundle of commits, without what the caller has; base64.

    Raises:
        PlannerError: E_TOO_LARGE; E_GIT if there is nothing new.
    """
    names = []
    for commit in commits:
        ref = f"refs/planner/results/{commit}"
        copy.git.bytes("update-ref", ref, commit)
        names.append(ref)
    without = [f"^{oid}" for oid in known]
    bundle = copy.git.short_output("bundle", "create", "-q", "-", *names, *without, most=MAX_BUNDLE)
    if bundle is None:
        raise PlannerError("E_TOO_LARGE", f"the result has more than {MAX_BUNDLE:,} bytes")
    return base64.b64encode(bundle).decode("ascii")


def take_commit(repo: Repository, commit: object, bundle: object) -> str:
    """Store the objects of a bundle that a job returned, and return its commit; no ref is written.

    No gc deletes them until a ref reaches the commit, or this process ends.

    Raises:
        PlannerError: E_REMOTE if the bundle cannot be read, or does not hold the commit.
    """
    try:
        with quarantine(repo.git, repo.common) as place:
            _unbundle(repo, base64.b64decode(str(bundle)), place.env)
            place.keep_packs([str(commit)])
    except (PlannerError, ValueError) as error:
        reason = error.message if isinstance(error, PlannerError) else str(error)
        raise PlannerError("E_REMOTE", f"the worker's bundle cannot be read: {reason}") from None
    name = str(commit)
    if not _OBJECT_ID.fullmatch(name) or repo.maybe(name) != name:
        raise PlannerError("E_REMOTE", f"the worker's bundle does not hold the commit {name[:80]!r}")
    return name


def _unbundle(repo: Repository, bundle: bytes, env: Mapping[str, str] | None = None) -> None:
    with temporary_folder() as folder:
        file = folder / "data.bundle"
        file.write_bytes(bundle)
        repo.git.bytes("bundle", "unbundle", str(file), env=env)


def copies_folder() -> Path:
    """Return the folder of this worker's copies; make it if there is none."""
    cache = user_cache() / "copies"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cache


def _copy(name: str, object_format: str, url: str | None) -> Repository:
    """Open this host's copy of a name; make it if there is none. Several workers may do so at once."""
    cache = copies_folder()
    place = cache / f"{name}.git"
    if not place.exists():
        with owned_folder(cache, "making-") as folder:
            new = folder / "copy.git"
            format_option = f"--object-format={object_format}"
            Git((), folder).bytes("init", "-q", "--bare", "--template=", format_option, str(new))
            _point_origin(open_repository(new), url)
            with suppress(OSError):
                # Another worker may have been faster.
                new.rename(place)
    copy = open_repository(place)
    if url is not None and copy.config(_URL) != url:
        _point_origin(copy, url)
    return copy


def _point_origin(copy: Repository, url: str | None) -> None:
    if url is not None:
        copy.git.bytes("config", _URL, url)
