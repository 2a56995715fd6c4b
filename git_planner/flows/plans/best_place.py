"""Place of a plan's rolling best: where git-planner left it, and whether another program moved it since.

Every move of a best by this program sets a copy under `refs/planner/bests/` in the same transaction. A best
that is elsewhere was moved, replaced or deleted by hand, or with the hooks off; nothing starts from it. A
clone has no copy until its first move.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.refs.odd_refs import clear_odd, describe_odd, symbolic_target
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.rules.diagnostic import Diagnostic

# Seconds to wait for git to finish a transaction; a lock that stays longer was left by a killed process.
_PAUSES = (0.01, 0.01, 0.03, 0.1, 0.3, 1.0)


class MovedBest(NamedTuple):
    """A rolling best that is not where git-planner left it.

    `left` is the commit where it was left, `tip` the commit it is at now; None if there is none.
    """

    plan: str
    left: str | None
    tip: str | None
    problem: str
    symbolic: bool = False

    @property
    def branch(self) -> str:
        """Return the best's short name."""
        return refnames.short_name(refnames.best_ref(self.plan))

    @property
    def message(self) -> str:
        """Return what is wrong, with what was expected."""
        left = f"; git-planner left it at {self.left[:12]}" if self.left else ""
        return f"'{self.branch}' {self.problem}{left}"

    @property
    def fix(self) -> str:
        """Return the command that brings it back."""
        return f"git iterate best restore{self._option}"

    @property
    def way_to_keep(self) -> str | None:
        """Return how to keep the commit that it is at; None if it is at none."""
        if self.tip is None or self.symbolic:
            return None
        return f"to keep {self.tip[:12]}, measure it: 'git record {self.branch}{self._option}'"

    @property
    def _option(self) -> str:
        return "" if self.plan == "default" else f" --plan {self.plan}"

    def error(self) -> PlannerError:
        """Return the error for a command that needs the best."""
        details = [self.way_to_keep] if self.way_to_keep else []
        return PlannerError("E_BEST_MOVED", self.message, hint=self.fix, details=details)

    def diagnostic(self) -> Diagnostic:
        """Return the finding for a report."""
        from git_planner.rules.diagnostic import Diagnostic

        return Diagnostic("error", "best-moved", self.message, self.branch, self.fix)


class RestoredBest(NamedTuple):
    """Result of `best restore`. `kept` is the ref of what it was at; `moved` is False if it was in place."""

    branch: str
    commit: str
    moved: bool
    kept: str | None

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/best-restored@1",
            "branch": self.branch,
            "commit": self.commit,
            "moved": self.moved,
            "kept": self.kept,
        }


def move_best(plan: str, commit: str) -> Move:
    """Return the step that moves a plan's best; there is no other."""
    return Move(refnames.best_ref(plan), commit, refnames.best_copy(plan))


def find_moved_best(repo: Repository, plan: str) -> MovedBest | None:
    """Return a plan's best if another program moved, replaced or deleted it; None if it is in place.

    A best that follows the base branch counts as in place: 'git iterate best ensure' does that, too.
    """
    ref = refnames.best_ref(plan)
    left, tip = _read_both(repo, plan)
    target = symbolic_target(repo, ref)
    if target is not None:
        return MovedBest(plan, left, tip, f"was replaced by a symbolic ref to '{target}'", True)
    if tip is None:
        problem = describe_odd(repo, ref)
        return None if left is None and problem == "is gone" else MovedBest(plan, left, None, problem)
    if left in (None, tip):
        return None
    assert left is not None
    if history.is_ancestor(repo.git, left, tip):
        if _is_in_base_branch(repo, tip):
            return None
        way = "was moved forward by another program"
    elif history.is_ancestor(repo.git, tip, left):
        way = "was moved back by another program"
    else:
        way = "was moved to another line of commits by another program"
    return MovedBest(plan, left, tip, f"{way}, to {tip[:12]}")


def check_best(repo: Repository, plan: str) -> None:
    """Refuse to build on a best that another program moved.

    Raises:
        PlannerError: E_BEST_MOVED.
    """
    moved = find_moved_best(repo, plan)
    if moved is not None:
        raise moved.error()


def restore_best(repo: Repository, plan: str) -> RestoredBest:
    """Bring a plan's best back to where git-planner left it; keep what it was at as `refs/planner/undone/…`.

    Raises:
        PlannerError: E_NO_RECORD when nothing is known about where it was; E_CHECKED_OUT; E_CONFLICT.
    """
    ref, moved = refnames.best_ref(plan), find_moved_best(repo, plan)
    goal = (moved.left or moved.tip) if moved else repo.maybe(ref)
    if goal is None:
        raise PlannerError(
            "E_NO_RECORD",
            f"git-planner has not moved '{refnames.short_name(ref)}' in this repository yet",
            hint="git iterate best ensure",
        )
    if moved is None:
        return RestoredBest(refnames.short_name(ref), goal, False, None)
    keep = f"{refnames.UNDONE}{refnames.random_token()}/1"
    kept = None

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal kept
        tip = seen[ref].tip or moved.tip
        kept = keep if tip not in (None, goal) and repo.maybe(str(tip), "object") else None
        return [move_best(plan, goal), *([Move(keep, str(tip))] if kept else [])]

    clear_odd(repo, ref)
    Store(repo).transact([ref, keep], decide)
    return RestoredBest(moved.branch, goal, True, kept)


def _read_both(repo: Repository, plan: str) -> tuple[str | None, str | None]:
    """Return the copy and the best as they are when no transaction is moving them one after the other."""
    ref, copy = refnames.best_ref(plan), refnames.best_copy(plan)
    seen: tuple[str | None, str | None] | None = None
    for pause in _PAUSES:
        both = repo.maybe(copy), repo.maybe(ref)
        is_moving = (repo.common / f"{copy}.lock").exists()
        if both[0] in (None, both[1]) or (both == seen and not is_moving):
            return both
        seen = both
        if is_moving:
            time.sleep(pause)
    return both


def _is_in_base_branch(repo: Repository, commit: str) -> bool:
    from git_planner.flows.guard.compare_trees import GuardChecker

    base_branch = GuardChecker(repo).base_branch
    return base_branch is not None and any(
        history.is_ancestor(repo.git, commit, tip) for tip in base_branch[1]
    )
