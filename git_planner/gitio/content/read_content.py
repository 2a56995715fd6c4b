"""Write the tree of a worktree's files, whatever was done to its index or left in its folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from git_planner.gitio.content import encodings
from git_planner.gitio.content.inert_git import with_filters
from git_planner.gitio.content.survey import Limits, Survey, Surveyor, shown
from git_planner.gitio.fresh.quarantine import kept_tree
from git_planner.gitio.git_failure import failure
from git_planner.gitio.repository import Repository
from git_planner.gitio.worktree import temporary_index

# Impossible encodings that are named, each after one more try.
_MOST_ENCODINGS = 5


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a worktree: a tree, and a sentence for everything that is missing in it or refused."""

    tree: str
    problems: tuple[str, ...]


def read_content(
    place: Repository, start: str, limits: Limits | None = None, *, trusted: str | None = None
) -> Content:
    """Write the tree of a worktree's files, with untracked files but without ignored ones.

    A nested repository counts as a folder of files. Sockets, pipes and devices count as nothing.

    Args:
        place: the worktree. Its own index is not changed.
        start: the commit or tree whose ignored files count as tracked.
        limits: the limits for new and changed files (default: those of `Limits`).
        trusted: the commit with the programs that filters of the configuration may start (default: `start`).

    Raises:
        PlannerError: E_GIT when git cannot read it.
    """
    scratch = place.git_dir / "planner-content-index"
    second = scratch.with_name(scratch.name + "-2")
    try:
        with with_filters(place, trusted or start) as reader:
            start_index = temporary_index(reader.git, scratch, (start,))
            new_index = temporary_index(reader.git, second)
            survey = Surveyor(reader, start, limits or Limits(), (start_index, new_index)).run()
            found = list(survey.problems)

            def write(env: Mapping[str, str]) -> str:
                survey.problems[:] = found
                return _write_tree(reader, survey, {**env, **temporary_index(reader.git, second)})

            tree = kept_tree(reader.git, reader.common, start, write)
            return Content(tree, tuple(survey.problems))
    finally:
        for index in (scratch, second):
            index.unlink(missing_ok=True)
            index.with_name(index.name + ".lock").unlink(missing_ok=True)


def _write_tree(place: Repository, survey: Survey, index: Mapping[str, str]) -> str:
    git = place.git
    stdin = os.fsencode("".join(f"{path}\0" for path in survey.paths))
    fast = ("-c", "core.looseCompression=1")
    args = (*fast, "update-index", "--add", "-z", "--stdin")
    for _ in range(_MOST_ENCODINGS):
        result = git.run(*args, stdin=stdin, env=index)
        refused = encodings.refused_paths(place, survey.paths, result) if result.status != 0 else None
        if refused is None:
            break
        survey.problems.append(refused.problem)
        survey.paths = [path for path in survey.paths if path not in refused.paths]
        stdin = os.fsencode("".join(f"{path}\0" for path in survey.paths))
    if result.status != 0:
        raise failure(args, result, git.cwd)
    lines = "".join(f"{mode} {oid}\t{path}\0" for path, (mode, oid) in survey.entries.items())
    if lines:
        git.bytes("update-index", "-z", "--index-info", stdin=os.fsencode(lines), env=index)
    names = set(git.names("ls-files", "-z", env=index))
    survey.problems += [
        f"a name that git refuses: {shown(path)}" for path in survey.paths if path not in names
    ]
    return git.line("write-tree", env=index)
