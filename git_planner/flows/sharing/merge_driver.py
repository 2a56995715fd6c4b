"""Merging documents of ours file by file, and telling git to do so: the merge driver and its attributes.

The attributes stand in the common directory's `info/attributes`, which git reads for every worktree and in
every merge, rebase and cherry-pick. They name the driver for our JSON documents, and git's own union for
Markdown that only grows. Where they are missing, as on a hosting site, git merges line by line; our documents
are written so that this is right or a conflict.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import git_planner
from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio.git import Git
from git_planner.gitio.managed_block import Section, rewrite
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.merge_plan import merge_documents

_SECTION = Section("merge")
_MARK = b'"git-planner/'
# Packets of iterations: a request and its answer, which belong together. What people edit on a packet branch
# stands in the folder above.
_PACKETS = re.compile(r"planner_packets/[^/]+/.+")
_FAMILY = re.compile(r"git-planner/([a-z-]+)@\d+")
_BY_FIELD = (
    ".plans/**/*.json",
    f"{refnames.RECORDS}/*.json",
    f"{refnames.NOISE}/**/*.json",
    "planner_packets/*/**",
    "runs/**/*.json",
)
_UNITED = (".plans/**/MASTER.md", ".plans/**/RESEARCH.md", ".plans/**/board/*.md", "runs/**/*.ndjson")
_GROWING = re.compile(r"\.plans/(?:.+/)?(?:MASTER\.md|RESEARCH\.md|board/[^/]+\.md)|runs/.+\.ndjson")
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from git_planner.cli.driver import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the merge of one file went. `told`: what a person should know, one sentence each."""

    clean: bool
    told: tuple[str, ...] = ()


def install(repo: Repository) -> bool:
    """Make git merge our documents by task and field; return whether anything changed.

    Args:
        repo: the repository; its linked worktrees share this.

    Raises:
        PlannerError: E_BUSY.
    """
    config, attributes = _places(repo)
    attributes.parent.mkdir(exist_ok=True)
    changed = False
    for path, body, what in ((config, _driver(), "configuration"), (attributes, _lines(), "attributes file")):
        changed |= rewrite(path, partial(_put, body), what)
    return changed


def in_place(repo: Repository) -> bool:
    """Whether git merges our documents the way that `install` would tell it to."""
    for path, body in zip(_places(repo), (_driver(), _lines()), strict=True):
        text = path.read_bytes() if path.is_file() else b""
        if _put(body, text) != text:
            return False
    return True


def uninstall(repo: Repository) -> bool:
    """Take the driver and its attributes out again, to the byte; return whether anything changed.

    Raises:
        PlannerError: E_BUSY.
    """
    config, attributes = _places(repo)
    changed = rewrite(config, _SECTION.without, "configuration")
    if attributes.is_file():
        changed |= rewrite(attributes, _SECTION.without, "attributes file")
    if attributes.parent.is_dir() and not any(attributes.parent.iterdir()):
        attributes.parent.rmdir()
    return changed


def merge_file(base: Path, ours: Path, theirs: Path, path: str) -> Outcome:
    """Merge one file, as a merge driver of git's: the result is left in `ours`.

    What is no document of ours on both sides is merged line by line, as git would have done without us; so is
    what both sides changed to something else, and then the file holds conflict markers.

    Args:
        base, ours, theirs: files with the three versions; `base` is empty when there is none.
        path: the path in the repository.
    """
    if whole(path):
        return Outcome(True, (f"'{path}' was made on both sides: ours stays, the other is in the history",))
    contents = [each.read_bytes() for each in (base, ours, theirs)]
    if not is_ours(contents[1], contents[2]):
        return Outcome(by_line(base, ours, theirs))
    try:
        result, told = merged(path, contents[0], contents[1], contents[2])
    except PlannerError as error:
        if not by_line(base, ours, theirs):
            return Outcome(False, (error.message,))
        # Right line by line is not yet right.
        return _judged(ours, path)
    ours.write_bytes(result)
    return Outcome(True, told)


def merged(path: str, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Merge three versions of a document.

    Args:
        path: what to call it.
        base: empty when there is none.
        ours, theirs: the two sides.

    Returns:
        The document and what gave way.

    Raises:
        PlannerError: E_MERGE when both sides changed one place to something else; E_JSON, E_SCHEMA.
    """
    judged: list[Any] = []
    sides = [_read(each, path, judged) for each in (ours, theirs)]
    start = None
    # git merges ancestors, too, and leaves conflict markers in what it makes of them.
    with suppress(PlannerError):
        start = _read(base, path, judged) if base else None
    result = merge_documents(start, *sides)
    if result.conflicts:
        raise unsettled(path, result.conflicts)
    _judge(result.document, path, judged)
    return canonical_json.dumps(result.document), result.told


def _read(data: bytes, path: str, judged: list[Any]) -> Any:
    document = canonical_json.loads(data, path)
    _judge(document, path, judged)
    judged.append(document)
    return document


def _judge(document: Any, path: str, judged: Sequence[Any]) -> None:
    """Refuse what is no document of ours, or what its schema does not accept.

    Args:
        document: what to judge.
        path: what to call it.
        judged: documents that have passed. Their tasks are not judged again: that is most of the work, and
            all versions of a page share nearly all of them.
    """
    named = document.get("schema") if isinstance(document, dict) else None
    found = _FAMILY.fullmatch(named) if isinstance(named, str) else None
    if found is None:
        raise PlannerError("E_SCHEMA", f"'{path}' does not say which kind of document it is")
    if found[1] not in documents.KINDS:
        return
    if found[1] == "plan" and judged and isinstance(document.get("tasks"), list):
        known = {canonical_json.compact(task) for each in judged for task in each.get("tasks", ())}
        fresh = [task for task in document["tasks"] if canonical_json.compact(task) not in known]
        document = {**document, "tasks": fresh}
    documents.check(found[1], document, path)


def unsettled(path: str, conflicts: tuple[str, ...]) -> PlannerError:
    """The error for what both sides changed to something else."""
    return PlannerError(
        "E_MERGE",
        f"'{path}': both sides changed {', '.join(conflicts[:5])}",
        hint="agree on one value, set it on one side, then try again",
    )


def by_line(base: Path, ours: Path, theirs: Path, *, union: bool = False) -> bool:
    """Merge three files as git does, into `ours`; return whether nothing was left open.

    Args:
        base, ours, theirs: the files.
        union: take both sides where they differ, instead of marking a conflict.
    """
    labels = [word for name in ("ours", "base", "theirs") for word in ("-L", name)]
    words = ["merge-file", "--quiet", *(["--union"] if union else []), *labels, "--"]
    return Git((), Path.cwd()).run(*words, str(ours), str(base), str(theirs)).status == 0


def is_ours(*contents: bytes) -> bool:
    """Whether one of the contents may be a document of ours."""
    return any(_MARK in each for each in contents)


def whole(path: str) -> bool:
    """Whether a path belongs to a folder that is taken from one side as a whole."""
    return _PACKETS.fullmatch(path) is not None


def grows(path: str) -> bool:
    """Whether a path's text only ever grows, so that both sides' additions are right."""
    return _GROWING.fullmatch(path) is not None


def _judged(file: Path, path: str) -> Outcome:
    try:
        _read(file.read_bytes(), path, [])
    except PlannerError as error:
        return Outcome(False, (error.message,))
    return Outcome(True)


def _places(repo: Repository) -> tuple[Path, Path]:
    return (repo.common / "config").resolve(), repo.common / "info" / "attributes"


def _put(body: bytes, text: bytes) -> bytes:
    # Where it stands makes no difference, so a section that fits is left there.
    return text if _SECTION.holds(text, body) else _SECTION.appended(text, body)


def _lines() -> bytes:
    """Our attributes."""
    lines = [f"{each} merge=planner\n" for each in _BY_FIELD] + [f"{each} merge=union\n" for each in _UNITED]
    return "".join(lines).encode()


def _driver() -> bytes:
    """The section of the configuration that names the driver."""
    code = str(Path(git_planner.__file__).parents[1])
    # git replaces what follows a percent sign.
    python, start, code = (shlex.quote(each).replace("%", "%%") for each in (sys.executable, _START, code))
    # With our Python gone, the file is merged line by line, so that nobody takes one side for the whole.
    command = (
        f"if test -x {python}; then exec {python} -I -c {start} {code} %O %A %B %P; "
        "else exec git merge-file --quiet %A %O %B; fi"
    )
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return os.fsencode(
        f'[merge "planner"]\n\tname = documents of git-planner by task and field\n\tdriver = "{escaped}"\n'
    )
