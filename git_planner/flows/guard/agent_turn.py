"""Watch over the planner's refs while an agent works, and undo the moves that this program did not make.

An agent changes files of its worktree, and commits on its own branch if it likes. Plans, bests, their tags
and `refs/planner/*` are moved by this program. People commit on branches of other iterations, and on plans
that they have checked out; so such commits stay, but no other branch vanishes or goes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from git_planner import turn_notes
from git_planner.errors import PlannerError
from git_planner.gitio import history, worktree
from git_planner.gitio.repository import TURNS, Repository
from git_planner.gitio.store import Delete, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.guard.guard import ref_kind

_WATCHED = (
    refnames.HEADS + refnames.PLAN,
    refnames.HEADS + refnames.ITER,
    refnames.OURS,
    refnames.BEST_TAG,
)
# Copies of a remote's branches, written by git's fetch; nothing is decided by them alone.
_UNWATCHED = (refnames.OURS + "remote/", refnames.UNDONE)
MAX_TOLD = 20


@dataclass(slots=True)
class AgentTurn:
    """One turn of an agent. `notes` says at its end what was undone, one sentence each."""

    notes: tuple[str, ...] = ()


@contextmanager
def agent_turn(repo: Repository, own: str | None, progress: Progress) -> Iterator[AgentTurn]:
    """Undo at the end, however it comes, what the agent moved of the planner's refs.

    Args:
        repo: the repository.
        own: the full name of the agent's own branch; None if it has none.
        progress: called with each sentence about what was undone.
    """
    turn, token = AgentTurn(), refnames.random_token()
    with turn_notes.open_turn(repo.private(TURNS), token) as noted:
        before = _read_refs(repo)
        try:
            yield turn
        finally:
            after = _read_refs(repo)
            # Read after the refs: a move of ours is noted before it is made.
            foreign = _foreign_moves(repo, before, after, turn_notes.read_moves(noted), own)
            sentences = [
                _undo(repo, ref, after.get(ref), goal, f"{refnames.UNDONE}{token}/{place}")
                for place, (ref, goal) in enumerate(sorted(foreign.items()), 1)
            ]
            turn.notes = tuple(sentences[:MAX_TOLD])
            for sentence in turn.notes:
                progress(sentence)


def _read_refs(repo: Repository) -> dict[str, str]:
    refs = history.list_refs(repo, *_WATCHED)
    return {ref: oid for ref, oid in refs.items() if not ref.startswith(_UNWATCHED)}


def _foreign_moves(
    repo: Repository,
    before: Mapping[str, str],
    after: Mapping[str, str],
    noted: Mapping[str, Sequence[str | None]],
    own: str | None,
) -> dict[str, str | None]:
    """Return the refs that somebody else moved, with where they belong; None if they should not exist."""
    moved = [ref for ref in {**before, **after} if before.get(ref) != after.get(ref) and ref != own]
    foreign = [ref for ref in moved if after.get(ref) not in noted.get(ref, ())]
    if not foreign:
        return {}
    checked_out = {refnames.HEADS + place.branch for place in worktree.listing(repo) if place.branch}
    goals: dict[str, str | None] = {}
    for ref in foreign:
        if _may_be_a_persons(repo, ref, before.get(ref), after.get(ref), checked_out=ref in checked_out):
            continue
        ours = [oid for oid in noted.get(ref, ()) if oid and repo.maybe(oid, "object") is not None]
        goals[ref] = ours[-1] if ours else before.get(ref)
    return goals


def _may_be_a_persons(
    repo: Repository, ref: str, old: str | None, new: str | None, *, checked_out: bool
) -> bool:
    """Return whether a move may be a person's work: new commits, or any work on what is checked out."""
    kind = ref_kind(ref)
    forward = new is not None and (old is None or history.is_ancestor(repo.git, old, new))
    if kind in ("iteration", "proposal"):
        return checked_out or forward
    return kind == "plan" and checked_out and forward


def _undo(repo: Repository, ref: str, moved: str | None, goal: str | None, keep: str) -> str:
    """Bring a ref back, keep what it had been moved to, and return a sentence about it."""

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        if seen[ref].tip != moved:
            return []
        back = [] if goal == moved else [Delete(ref) if goal is None else Move(ref, goal)]
        return [*back, *([Move(keep, moved)] if moved else [])]

    name = refnames.short_name(ref)
    was = "was removed" if moved is None else "was made" if goal is None else f"was moved to '{moved[:12]}'"
    try:
        Store(repo).transact([ref, keep], decide)
    except PlannerError as error:
        return f"'{name}' {was} while the agent worked, and this could not be undone: {error.message}"
    kept = f"; what it named is kept as '{keep}'" if moved else ""
    return f"'{name}' {was} while the agent worked, not by git-planner, and was put back{kept}"
