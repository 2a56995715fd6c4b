"""The merge driver for documents of git-planner: merge one file by field, and install the driver.

Its attributes are in the common directory's `info/attributes`, which git reads for every worktree and in
every merge, rebase and cherry-pick. They name the driver for JSON documents, and git's union driver for
append-only Markdown. Without them, as on a hosting site, git merges line by line; the documents are formatted
so that such a merge is either right or a conflict.
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
from git_planner.gitio.repository import Repository
from git_planner.managed_block import ManagedBlock, rewrite
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.merge_plan import merge_documents

_SECTION = ManagedBlock("merge")
_SCHEMA_MARK = b'"git-planner/'
# Packets of iterations: a request and its answer, which belong together. On a packet branch, people edit
# files in the folder above.
_PACKET_PATH = re.compile(r"planner_packets/[^/]+/.+")
_FAMILY = re.compile(r"git-planner/([a-z-]+)@\d+")
_BY_FIELD = (
    ".plans/**/*.json",
    f"{refnames.RECORDS}/*.json",
    f"{refnames.NOISE}/**/*.json",
    "planner_packets/*/**",
    "runs/**/*.json",
)
_BY_UNION = (".plans/**/MASTER.md", ".plans/**/RESEARCH.md", ".plans/**/board/*.md", "runs/**/*.ndjson")
_GROWING_PATH = re.compile(r"\.plans/(?:.+/)?(?:MASTER\.md|RESEARCH\.md|board/[^/]+\.md)|runs/.+\.ndjson")
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from git_planner.cli.driver import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class FileMerge:
    """Result of merging one file. `notes` for the user, one sentence each."""

    clean: bool
    notes: tuple[str, ...] = ()


def install(repo: Repository) -> bool:
    """Install the merge driver and its attributes; return whether anything changed.

    Args:
        repo: the repository; its linked worktrees share the driver.

    Raises:
        PlannerError: E_BUSY.
    """
    config, attributes = _files(repo)
    attributes.parent.mkdir(exist_ok=True)
    changed = False
    for path, body, name in (
        (config, _driver_section(), "configuration"),
        (attributes, _attributes(), "attributes file"),
    ):
        changed |= rewrite(path, partial(_with_section, body), name)
    return changed


def is_installed(repo: Repository) -> bool:
    """Return whether the driver and its attributes are installed and current."""
    for path, body in zip(_files(repo), (_driver_section(), _attributes()), strict=True):
        text = path.read_bytes() if path.is_file() else b""
        if _with_section(body, text) != text:
            return False
    return True


def uninstall(repo: Repository) -> bool:
    """Remove exactly the driver and its attributes; return whether anything changed.

    Raises:
        PlannerError: E_BUSY.
    """
    config, attributes = _files(repo)
    changed = rewrite(config, _SECTION.without, "configuration")
    if attributes.is_file():
        changed |= rewrite(attributes, _SECTION.without, "attributes file")
    if attributes.parent.is_dir() and not any(attributes.parent.iterdir()):
        attributes.parent.rmdir()
    return changed


def merge_file(base: Path, ours: Path, theirs: Path, path: str) -> FileMerge:
    """Merge one file as a git merge driver: write the result to `ours`.

    Foreign files are merged line by line, as git merges them without a driver. So are documents with a
    conflict, which then contain conflict markers.

    Args:
        base, ours, theirs: files with the three versions; `base` is empty when there is none.
        path: the path in the repository.
    """
    if is_packet(path):
        return FileMerge(
            True, (f"'{path}' was created on both sides: ours is kept, the other is in the history",)
        )
    contents = [file.read_bytes() for file in (base, ours, theirs)]
    if not may_be_document(contents[1], contents[2]):
        return FileMerge(merge_lines(base, ours, theirs))
    try:
        result, notes = merge_document(path, contents[0], contents[1], contents[2])
    except PlannerError as error:
        if not merge_lines(base, ours, theirs):
            return FileMerge(False, (error.message,))
        # A clean line merge can still be an invalid document.
        return _check_merged_file(ours, path)
    ours.write_bytes(result)
    return FileMerge(True, notes)


def merge_document(path: str, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Merge three versions of a document.

    Args:
        path: its path, for messages.
        base: the common ancestor; empty without one.
        ours, theirs: the two sides.

    Returns:
        The document, and notes on dropped values.

    Raises:
        PlannerError: E_MERGE when both sides changed the same field differently; E_JSON, E_SCHEMA.
    """
    checked: list[Any] = []
    sides = [_parse_document(content, path, checked) for content in (ours, theirs)]
    ancestor = None
    # git merges several ancestors, too, and may leave conflict markers in the result.
    with suppress(PlannerError):
        ancestor = _parse_document(base, path, checked) if base else None
    result = merge_documents(ancestor, *sides)
    if result.conflicts:
        raise conflict_error(path, result.conflicts)
    _check_document(result.document, path, checked)
    return canonical_json.dumps(result.document), result.notes


def _parse_document(data: bytes, path: str, checked: list[Any]) -> Any:
    document = canonical_json.loads(data, path)
    _check_document(document, path, checked)
    checked.append(document)
    return document


def _check_document(document: Any, path: str, checked: Sequence[Any]) -> None:
    """Validate a document against its schema.

    Args:
        document: the document.
        path: its path, for messages.
        checked: validated documents. Their tasks are not validated again: that is most of the work, and
            all versions of a page share nearly all tasks.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    family = _FAMILY.fullmatch(schema) if isinstance(schema, str) else None
    if family is None:
        raise PlannerError("E_SCHEMA", f"'{path}' has no known 'schema'")
    if family[1] not in documents.KINDS:
        return
    if family[1] == "plan" and checked and isinstance(document.get("tasks"), list):
        checked_tasks = {canonical_json.compact(task) for other in checked for task in other.get("tasks", ())}
        tasks = [task for task in document["tasks"] if canonical_json.compact(task) not in checked_tasks]
        document = {**document, "tasks": tasks}
    documents.check(family[1], document, path)


def conflict_error(path: str, conflicts: tuple[str, ...]) -> PlannerError:
    """Return the error for fields that both sides changed differently."""
    return PlannerError(
        "E_MERGE",
        f"conflict in '{path}': both sides changed {', '.join(conflicts[:5])}",
        hint="agree on one value, set it on one side, then try again",
    )


def merge_lines(base: Path, ours: Path, theirs: Path, *, union: bool = False) -> bool:
    """Merge three files with git into `ours`; return whether there was no conflict.

    Args:
        base, ours, theirs: the files.
        union: keep both sides where they differ, instead of conflict markers.
    """
    labels = [word for name in ("ours", "base", "theirs") for word in ("-L", name)]
    arguments = ["merge-file", "--quiet", *(["--union"] if union else []), *labels, "--"]
    return Git((), Path.cwd()).run(*arguments, str(ours), str(base), str(theirs)).status == 0


def may_be_document(*contents: bytes) -> bool:
    """Return whether one of the contents may be a document of git-planner."""
    return any(_SCHEMA_MARK in content for content in contents)


def is_packet(path: str) -> bool:
    """Return whether a path is in a packet folder, which is taken from one side completely."""
    return _PACKET_PATH.fullmatch(path) is not None


def only_grows(path: str) -> bool:
    """Return whether a path is append-only, so that the additions of both sides are kept."""
    return _GROWING_PATH.fullmatch(path) is not None


def _check_merged_file(file: Path, path: str) -> FileMerge:
    try:
        _parse_document(file.read_bytes(), path, [])
    except PlannerError as error:
        return FileMerge(False, (error.message,))
    return FileMerge(True)


def _files(repo: Repository) -> tuple[Path, Path]:
    return (repo.common / "config").resolve(), repo.common / "info" / "attributes"


def _with_section(body: bytes, content: bytes) -> bytes:
    # Its position does not matter, so a current section stays in place.
    return content if _SECTION.holds(content, body) else _SECTION.appended(content, body)


def _attributes() -> bytes:
    """Return the content of the attributes section."""
    lines = [f"{pattern} merge=planner\n" for pattern in _BY_FIELD] + [
        f"{pattern} merge=union\n" for pattern in _BY_UNION
    ]
    return "".join(lines).encode()


def _driver_section() -> bytes:
    """Return the section of the git configuration that defines the driver."""
    code = str(Path(git_planner.__file__).parents[1])
    # git expands percent sequences.
    python, start, code = (
        shlex.quote(text).replace("%", "%%") for text in (sys.executable, _BOOTSTRAP, code)
    )
    # Without this Python, the file is merged line by line, so that no side is lost.
    command = (
        f"if test -x {python}; then exec {python} -I -c {start} {code} %O %A %B %P; "
        "else exec git merge-file --quiet %A %O %B; fi"
    )
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return os.fsencode(
        f'[merge "planner"]\n\tname = documents of git-planner by task and field\n\tdriver = "{escaped}"\n'
    )
