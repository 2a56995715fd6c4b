"""The map of a repository for a prompt that is pasted, and the files in it that are most worth reading."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.planning.packet import CONTEXT_FILES, REGULAR, file_texts
from git_planner.gitio import export
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.host import bounded_call
from git_planner.host.bounded_call import Stopped
from git_planner.rules.planning import repository_map as map_rule
from git_planner.rules.planning.repository_map import MappedFile
from git_planner.rules.planning.source_symbols import is_source, top_symbols
from git_planner.rules.policy.policy import Policy, pathspecs

# Characters of the files that are added to those of the policy; about 15,000 tokens.
ADDED_CHARACTERS = 60_000
LARGEST_FILE = 24_000
# Source files that are read for their symbols.
_MOST_READ, _MOST_BYTES, _LARGEST_SOURCE = 2_000, 64 * 1024 * 1024, 1024 * 1024
_RECENT_COMMITS = 20


@dataclass(frozen=True, slots=True)
class PastedCode:
    """Code in a pasted prompt: the map, and texts of files by path."""

    map: str
    files: Mapping[str, str]


def describe_repository(
    repo: Repository, base: str, policy: Policy, shown: Collection[str], *, named: Sequence[str] = ()
) -> PastedCode:
    """Describe the code of a base commit for a reader who cannot open it.

    Args:
        repo: the repository.
        base: the base commit.
        policy: its policy: files in scope come first.
        shown: paths that the packet shows already.
        named: paths or folders that a person wants to be shown.

    Raises:
        PlannerError: E_USAGE for a named path that is not in the base commit.
    """
    files = _tracked_files(repo, base)
    sizes = {path: file.size for path, file in files.items()}
    wanted = _named_files(repo, sizes, named)
    scope = _scope(repo, base, policy) & files.keys()
    sources = _read_sources(repo, files, scope)
    words = {word for path in scope & sources.keys() for word in map_rule.imported_words(sources[path])}
    guarded = set(export.entries(repo, base, pathspecs(policy.guarded)))
    ranked = map_rule.rank_files(
        files.keys() - guarded, scope=scope, recent=_recent_paths(repo, base), imported=words
    )
    symbols = bounded_call.call(lambda: {path: top_symbols(path, text) for path, text in sources.items()})
    known: Mapping[str, tuple[str, ...]] = {} if isinstance(symbols, Stopped) else symbols
    mapped = [MappedFile(path, size, known.get(path, ())) for path, size in sizes.items()]
    rest = [path for path in ranked if path not in shown and path not in wanted]
    chosen = [
        *(path for path in wanted if path not in shown),
        *map_rule.choose_files(rest, sizes, ADDED_CHARACTERS, LARGEST_FILE),
    ]
    texts = file_texts(repo, [(path, files[path].oid) for path in chosen[:CONTEXT_FILES]])
    return PastedCode(redact.mask_text(map_rule.render_map(mapped, ranked)), texts)


class _TrackedFile(NamedTuple):
    oid: str
    size: int


def _tracked_files(repo: Repository, base: str) -> dict[str, _TrackedFile]:
    """Return the regular files of a commit."""
    files = {}
    for entry in repo.git.names("ls-tree", "-r", "-l", "-z", base):
        fields, _, path = entry.partition("\t")
        mode, _, oid, size = fields.split()
        if mode in REGULAR:
            files[path] = _TrackedFile(oid, int(size))
    return files


def _named_files(repo: Repository, sizes: Mapping[str, int], named: Sequence[str]) -> dict[str, None]:
    """Return the files that names of files and folders mean."""
    wanted: dict[str, None] = {}
    for name in named:
        top = os.path.relpath(os.path.abspath(name), repo.top) if repo.top else os.path.normpath(name)
        below = [path for path in sizes if path == top or path.startswith(f"{top}/") or top == "."]
        if not below:
            raise PlannerError(
                "E_USAGE",
                f"'{name}' is not in the base commit",
                hint="name a committed file or folder",
            )
        wanted.update(dict.fromkeys(below))
    return wanted


def _scope(repo: Repository, base: str, policy: Policy) -> set[str]:
    """Return the files that a directive may change."""
    allowed = export.entries(repo, base, pathspecs(policy.allow or ("**",)))
    barred = export.entries(repo, base, pathspecs((*policy.forbid, *policy.guarded)))
    return set(allowed) - set(barred)


def _recent_paths(repo: Repository, base: str) -> set[str]:
    """Return the files that the last commits have changed."""
    return set(
        repo.git.names(
            *("log", f"-{_RECENT_COMMITS}", "--no-show-signature", "--format=", "--name-only", "-z", base)
        )
    )


def _read_sources(
    repo: Repository, files: Mapping[str, _TrackedFile], scope: Collection[str]
) -> dict[str, bytes]:
    """Read source files within limits, those in scope first."""
    wanted: list[str] = []
    left = _MOST_BYTES
    for path in sorted(filter(is_source, files), key=lambda path: path not in scope):
        if files[path].size <= min(left, _LARGEST_SOURCE) and len(wanted) < _MOST_READ:
            wanted.append(path)
            left -= files[path].size
    contents = read_objects(repo.git, (files[path].oid for path in wanted))
    return {path: content for path, content in zip(wanted, contents, strict=True) if content is not None}
