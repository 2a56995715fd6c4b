"""`git iterate show` and `git iterate why`: details of an iteration, and the iteration behind a commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.planning.list_iterations import Iteration, find_iteration, list_iterations
from git_planner.flows.records.ledger import plan_names as all_plans
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.printable import printable_line
from git_planner.rules.records.record import Record

EXCLUDE_STATE = ":(top,exclude,literal).advisor"
Match = Literal["number", "state", "trailer", "patch", "range", "tree"]

MATCH_TEXTS: dict[Match, str] = {
    "number": "the number is the iteration's own",
    "state": "the commit lies on the iteration's branch",
    "trailer": "the commit's own trailers name the iteration",
    "patch": "the commit makes the same change as the iteration",
    "range": "the commit makes the same change as the iteration and those it builds on",
    "tree": "the commit has the same content as the iteration",
}


@dataclass(frozen=True, slots=True)
class IterationDetails:
    """Details of one iteration. `files` are its local logs, relative to `folder`."""

    iteration: Iteration
    record: Record | None
    folder: str
    files: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        state = self.iteration.state
        return {
            "schema": "git-planner/iteration-shown@1",
            **self.iteration.document(),
            "state": state.document() if state else None,
            "record": self.record.document() if self.record else None,
            "refused": self.iteration.refused,
            "folder": self.folder,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True)
class Provenance:
    """Provenance of a commit. `iteration` is None if no iteration in this repository produced it."""

    commit: str
    how: Match | None
    iteration: Iteration | None
    record: Record | None
    directive: str | None

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        state = self.iteration.state if self.iteration else None
        return {
            "schema": "git-planner/why@1",
            "commit": self.commit,
            "how": MATCH_TEXTS[self.how] if self.how else None,
            "iteration": self.iteration.document() if self.iteration else None,
            "directive": state.directive.document() if state else None,
            "directive_digest": self.directive,
            "record": self.record.document() if self.record else None,
        }


def show_iteration(repo: Repository, number: int) -> IterationDetails:
    """Return the details of one iteration.

    Raises:
        PlannerError: E_UNKNOWN_REF.
    """
    iteration = find_iteration(repo, number)
    folder = process_lock.log_folder(repo, number)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return IterationDetails(iteration, iteration_record(repo, iteration), str(folder), tuple(files))


def iteration_record(repo: Repository, iteration: Iteration) -> Record | None:
    """Return the complete record of an iteration, if it has one."""
    if iteration.record is None or iteration.state is None:
        return None
    rows = read_ledger(repo, iteration.state.plan)
    return next((record for record in rows if iteration.record.id == record.id), None)


def find_provenance(repo: Repository, name: str) -> Provenance:
    """Find the iteration, directive and record that produced a commit.

    Args:
        name: a commit or ref; the number of an iteration; or a path, which stands for the last commit of HEAD
            that changed it.

    Raises:
        PlannerError: E_UNKNOWN_REF when it is neither.
    """
    iterations = list_iterations(repo)
    numbered = [
        iteration
        for iteration in iterations
        if name.isdigit() and iteration.number == int(name) and iteration.state
    ]
    if numbered:
        record = iteration_record(repo, numbered[0])
        commit = record.commit if record else numbered[0].tip or numbered[0].start
        assert numbered[0].state is not None
        assert commit is not None
        return Provenance(commit, "number", numbered[0], record, numbered[0].state.directive_digest)
    commit = repo.maybe(name) or _last_change(repo, name)
    for match, iteration in _candidates(repo, commit, iterations):
        if iteration is not None:
            digest = iteration.state.directive_digest if iteration.state else None
            return Provenance(commit, match, iteration, iteration_record(repo, iteration), digest)
    digests = history.trailers(repo.git, commit, "Planner-Directive")
    return Provenance(commit, None, None, None, digests[0] if digests else None)


def _candidates(
    repo: Repository, commit: str, iterations: list[Iteration]
) -> Iterator[tuple[Match, Iteration | None]]:
    yield "trailer", _by_trailer(repo, commit, iterations)
    yield "state", _by_state(repo, commit, iterations)
    records = {record.id: record for plan in all_plans(repo) for record in read_ledger(repo, plan)}
    recorded = [
        (iteration, records[iteration.record.id]) for iteration in iterations if iteration.record is not None
    ]
    parents = history.parents(repo.git, commit)
    patch = history.patch_id(repo.git, parents[0], commit) if parents else None
    yield (
        "patch",
        next((iteration for iteration, record in recorded if patch and record.patch_id == patch), None),
    )
    improved = [
        (iteration, record) for iteration, record in reversed(recorded) if record.verdict == "improved"
    ]
    yield (
        "range",
        next(
            (
                iteration
                for iteration, record in improved
                if patch and _range_patch_id(repo, commit, record) == patch
            ),
            None,
        ),
    )
    tree = repo.resolve(commit, "tree")
    yield "tree", next((iteration for iteration, record in recorded if record.tree == tree), None)


def _range_patch_id(repo: Repository, commit: str, record: Record) -> str | None:
    """Return the patch id of a record's commit relative to its merge base with another commit's parent."""
    anchor = history.merge_base(repo.git, f"{commit}^", record.commit)
    return history.patch_id(repo.git, anchor, record.commit, (EXCLUDE_STATE,)) if anchor else None


def _by_trailer(repo: Repository, commit: str, iterations: list[Iteration]) -> Iteration | None:
    runs = history.trailers(repo.git, commit, "Planner-Run")
    digests = history.trailers(repo.git, commit, "Planner-Directive")
    for iteration in iterations:
        if iteration.state and iteration.branch in runs and iteration.state.directive_digest in digests:
            return iteration
    return None


def _by_state(repo: Repository, commit: str, iterations: list[Iteration]) -> Iteration | None:
    """Return the iteration whose state commit is the last one before a commit."""
    spec = f":(top,literal){refnames.STATE_FILE}"
    start = repo.git.line("rev-list", "-1", commit, "--", spec)
    return next((iteration for iteration in iterations if start and iteration.start == start), None)


def _last_change(repo: Repository, path: str) -> str:
    commit = ""
    if path:
        # Relative to the current folder, as in git.
        place = os.path.relpath(path, repo.top) if repo.top else path
        result = repo.git.run("log", "-1", "--format=%H", "HEAD", "--", f":(top,literal){place}")
        commit = result.stdout.decode().strip()
    if not commit and path.isascii() and path.isdigit():
        raise PlannerError(
            "E_UNKNOWN_REF", f"there is no iteration {path} here", hint="list them with 'git iterate list'"
        )
    if not commit:
        raise PlannerError(
            "E_UNKNOWN_REF",
            f"'{printable_name(path)}' is neither a commit nor a committed path",
            hint="list iterations with 'git iterate list'",
        )
    return commit


def printable_name(text: str) -> str:
    """Return a name, shortened and escaped for a message."""
    return printable_line(text[:200])
