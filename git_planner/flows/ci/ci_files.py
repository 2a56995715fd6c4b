"""Write the files for CI, reviews and issues into a repository, and remove them again.

Each text is stamped. A file or block with a person's edits is left alone, in both directions; a file that may
be a person's own gets a marked block at its end.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from git_planner import atomic_file
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.managed_block import ManagedBlock, rewrite
from git_planner.resources import resource_folder
from git_planner.rules import refnames
from git_planner.rules.ci import code_owners, stamp
from git_planner.rules.ci.stamp import HASH, HTML, Stamp

State = Literal["written", "updated", "kept", "left", "removed", "absent", "skipped"]
_MAX_BYTES = 4 * 1024 * 1024
_OWNERS = "CODEOWNERS"
_EDITED = "it has changes of yours, or another origin"
_INCLUDED = ".gitlab/git-planner.yml"
_INCLUDE = re.compile(r"^[\"']?include[\"']?[ \t]*:", re.MULTILINE)


class CiFile(NamedTuple):
    """A file: its places, of which the first is made if none exists, its template; whether it is a block."""

    places: tuple[str, ...]
    template: str
    stamp: Stamp = HASH
    is_block: bool = False


def _owners_file(folder: str) -> CiFile:
    return CiFile((f"{folder}/{_OWNERS}", _OWNERS, f"docs/{_OWNERS}"), "", is_block=True)


# What each hosting site, or a server of one's own, gets; the first file is what is printed.
FILES: dict[str, tuple[CiFile, ...]] = {
    "github": (
        CiFile((".github/workflows/git-planner.yml",), "ci/github-actions.yml"),
        CiFile((".github/ISSUE_TEMPLATE/git-planner-task.yml",), "ci/github-task-form.yml"),
        CiFile((".github/ISSUE_TEMPLATE/git-planner-guard.yml",), "ci/github-guard-form.yml"),
        CiFile(
            tuple(
                f"{folder}{name}"
                for name in ("pull_request_template.md", "PULL_REQUEST_TEMPLATE.md")
                for folder in (".github/", "", "docs/")
            ),
            "ci/pull-request.md",
            HTML,
            is_block=True,
        ),
        _owners_file(".github"),
    ),
    "gitlab": (
        CiFile((_INCLUDED,), "ci/template.yml"),
        CiFile((".gitlab-ci.yml",), "ci/gitlab-include.yml", is_block=True),
        CiFile((".gitlab/issue_templates/git-planner-task.md",), "ci/gitlab-task.md", HTML),
        CiFile((".gitlab/issue_templates/git-planner-guard.md",), "ci/gitlab-guard.md", HTML),
        CiFile((".gitlab/merge_request_templates/Default.md",), "ci/pull-request.md", HTML, is_block=True),
        _owners_file(".gitlab"),
    ),
    "server": (CiFile(("hooks/pre-receive",), "server/pre-receive"),),
}


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file and what was done with it: `path` from the top, `text` as this version writes it."""

    path: str
    state: State
    text: str
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Return the file as JSON."""
        return {"path": self.path, "state": self.state, "text": self.text, "why": self.why}


@dataclass(frozen=True, slots=True)
class CiFiles:
    """The files of a hosting site or server."""

    where: str
    files: tuple[WrittenFile, ...]

    @property
    def ok(self) -> bool:
        """True if no file was left as it was although it should change."""
        return not any(file.state == "left" for file in self.files)

    def document(self) -> dict[str, Any]:
        """Return the files as a JSON document."""
        return {
            "schema": "git-planner/ci-files@1",
            "where": self.where,
            "files": [file.document() for file in self.files],
        }


def print_ci(where: str, package: str | None) -> CiFiles:
    """Return the texts of a hosting site or server as this version writes them; no repository is needed."""
    files = [
        WrittenFile(file.places[0], "absent", file.stamp.apply(_text(file, package, {})))
        for file in FILES[where]
        if file.template
    ]
    return CiFiles(where, tuple(files))


def write_ci(repo: Repository, where: str, *, package: str | None, owners: Sequence[str]) -> CiFiles:
    """Write the files of a hosting site or server, or update them to this version. Idempotent.

    Args:
        repo: the repository.
        where: a key of FILES.
        package: what pip installs in CI (default: as the file says, else the newest release).
        owners: who is asked for reviews in CODEOWNERS (default: the policy's reviewers, else as before).

    Raises:
        PlannerError: E_USAGE for a bare repository or an unusable owner; E_POLICY, E_BUSY, E_UNWRITABLE.
    """
    if wrong := [owner for owner in owners if not code_owners.is_owner(owner)]:
        raise PlannerError(
            "E_USAGE", f"{wrong[0][:80]!r} is no owner", hint="write @name, @team or an address"
        )
    top = _top(repo, where)
    files = []
    for file in FILES[where]:
        place = _find_place(top, file)
        if not file.template:
            files.append(_write_owners(repo, where, place, file, owners))
            continue

        def make(before: str, file: CiFile = file) -> str:
            return _text(file, package, stamp.settings(before))

        files.append(_write(top, place, file, make))
    return CiFiles(where, tuple(files))


def remove_ci(repo: Repository, where: str) -> CiFiles:
    """Remove the files and blocks that `write_ci` wrote, unless a person has edited them.

    Raises:
        PlannerError: E_USAGE, E_BUSY, E_UNWRITABLE.
    """
    top = _top(repo, where)
    return CiFiles(where, tuple(_remove(top, _find_place(top, file), file) for file in FILES[where]))


def written_sites(repo: Repository) -> list[str]:
    """Return the hosting sites whose files are in the worktree."""
    if repo.top is None:
        return []
    top = repo.top
    return [where for where in FILES if where != "server" and (top / FILES[where][0].places[0]).exists()]


def guess_site(repo: Repository) -> str | None:
    """Return the hosting site of a repository, by its files and the URL of 'origin'; None if unknown."""
    sites = written_sites(repo)
    if sites:
        return sites[0]
    url = (repo.config("remote.origin.url") or "").lower()
    return next((where for where in ("github", "gitlab") if where in url), None)


def _top(repo: Repository, where: str) -> Path:
    if where == "server":
        return repo.common
    if repo.top is None:
        raise PlannerError("E_USAGE", "a bare repository has no files", hint="git planner ci server --write")
    return repo.top


def _find_place(top: Path, file: CiFile) -> str:
    return next((place for place in file.places if (top / place).exists()), file.places[0])


def _text(file: CiFile, package: str | None, kept: Mapping[str, str]) -> str:
    """Return the text of a template, with the settings of an earlier one."""
    text = resource_folder("templates").joinpath(*file.template.split("/")).read_text(encoding="utf-8")
    values = dict(kept)
    if package is not None:
        values |= dict.fromkeys(("GIT_PLANNER_PACKAGE", "package"), json.dumps(package))
    return stamp.with_settings(text, values)


def _write_owners(
    repo: Repository, where: str, place: str, file: CiFile, given: Sequence[str]
) -> WrittenFile:
    head = repo.maybe("HEAD")
    policy = policy_at(repo, head) if head and repo.maybe(f"{head}:{refnames.POLICY_FILE}", "blob") else None
    more = (FILES[where][0].places[0], place)

    def make(before: str) -> str:
        owners = given or _reviewers(policy) or code_owners.owners_of(before)
        patterns = policy.guard if policy else ()
        return code_owners.owner_lines(patterns, owners, more) if owners else ""

    return _write(_top(repo, where), place, file, make)


def _reviewers(policy: Any) -> tuple[str, ...]:
    """Return the reviewers of a policy that CODEOWNERS can name."""
    document = policy.document.get("review", {}) if policy else {}
    names = (str(entry).split(" ")[0] for entry in document.get("reviewers", ()))
    return tuple(name for name in names if code_owners.is_owner(name))


def _write(top: Path, place: str, file: CiFile, make: Any) -> WrittenFile:
    block = _block(file)
    state: State = "kept"
    text = why = ""

    def change(data: bytes) -> bytes:
        nonlocal state, text, why
        before = _decoded(top / place, data)
        present = _present(block, data) if file.is_block else before or None
        body = make(present or "")
        text = file.stamp.apply(body) if body else ""
        if present is not None and not file.stamp.is_intact(present):
            state, why = "left", _EDITED
        elif not body:
            state, why = "skipped", "nobody is named; give '--code-owner', or reviewers in the policy"
        elif text != present:
            if file.template == "ci/gitlab-include.yml" and _INCLUDE.search(_rest(block, before)):
                if _INCLUDED in before:
                    return data
                state, why = "left", f"it has an 'include'; add '- local: {_INCLUDED}' to it"
                return data
            state = "written" if present is None else "updated"
            return block.appended(data, text.encode()) if file.is_block else text.encode()
        return data

    _rewrite(top, place, change)
    if state != "left" and place.startswith("hooks/"):
        (top / place).chmod(0o755)
    return WrittenFile(place, state, text, why)


def _remove(top: Path, place: str, file: CiFile) -> WrittenFile:
    block = _block(file)
    state: State = "absent"

    def change(data: bytes) -> bytes:
        nonlocal state
        before = _decoded(top / place, data)
        present = _present(block, data) if file.is_block else before or None
        if present is None:
            return data
        if not file.stamp.is_intact(present):
            state = "left"
            return data
        state = "removed"
        return block.without(data) if file.is_block else b""

    if (top / place).exists():
        _rewrite(top, place, change)
        _remove_empty_folders(top, place)
    return WrittenFile(place, state, "", _EDITED if state == "left" else "")


def _block(file: CiFile) -> ManagedBlock:
    return ManagedBlock("ci", marks=(file.stamp.opening, file.stamp.closing))


def _present(block: ManagedBlock, data: bytes) -> str | None:
    body = block.find(data)
    return None if body is None else body.decode()


def _rest(block: ManagedBlock, before: str) -> str:
    return block.without(before.encode()).decode()


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{path}' is not UTF-8",
            hint="print the texts with 'git planner ci WHERE --json'",
        ) from None


def _rewrite(top: Path, place: str, change: Any) -> None:
    path = top / place
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top)):
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{path}' is a link that leads out of the repository",
            hint="look at what the repository has there",
        )
    try:
        if path.exists():
            # Also refuses what is no regular file, and one that is too large.
            atomic_file.read(path, _MAX_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True)
        rewrite(path, change, f"file '{place}'")
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{path}' cannot be read or written: {error.strerror or error}",
            hint="print the texts with 'git planner ci WHERE --json'",
        ) from None


def _remove_empty_folders(top: Path, place: str) -> None:
    folders: Iterable[Path] = (top / place).parents
    for folder in folders:
        if folder == top or folder.name == "hooks":
            return
        with suppress(OSError):
            folder.rmdir()
