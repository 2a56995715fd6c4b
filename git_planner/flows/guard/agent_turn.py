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
from git_planner.turn_notes import NotedMoves

_WATCHED = (
    refnames.HEADS + refnames.PLAN,
    refnames.HEADS + refnames.ITER,
    refnames.HEADS + refnames.TOURNAMENT,
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
            with turn_notes.no_move_under_way(repo.private(TURNS)):
                after = _read_refs(repo)
                # Read after the refs: a move of ours is noted before it is made.
                moves = turn_notes.read_moves(noted)
            foreign = _foreign_moves(repo, before, after, moves, own)
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
    noted: Mapping[str, NotedMoves],
    own: str | None,
) -> dict[str, str | None]:
    """Return the refs that somebody else moved, with where they belong; None if they should not exist."""
    nothing = NotedMoves([], [])
    foreign = []
    for ref in {**before, **after, **noted}:
        tried, made = noted.get(ref, nothing)
        # Also a ref that is where it was has been moved, if a move of ours was made in between. A move that
        # was under way as the turn began is known by its outcome alone.
        is_moved = before.get(ref) != after.get(ref) or made
        if is_moved and after.get(ref) not in (*tried, *made) and ref != own:
            foreign.append(ref)
    if not foreign:
        return {}
    checked_out = {refnames.HEADS + place.branch for place in worktree.listing(repo) if place.branch}
    goals: dict[str, str | None] = {}
    for ref in foreign:
        tried, made = (
            [oid for oid in oids if oid is None or repo.maybe(oid, "object") is not None]
            for oids in noted.get(ref, nothing)
        )
        expected = [before.get(ref), *made][-1]
        if _may_be_a_persons(repo, ref, expected, after.get(ref), checked_out=ref in checked_out):
            continue
        # A move that was tried may have lost its race to a faster one.
        goals[ref] = [before.get(ref), *tried, *made][-1]
    return goals


def _may_be_a_persons(
    repo: Repository, ref: str, old: str | None, new: str | None, *, checked_out: bool
) -> bool:
    """Return whether a move may be a person's work: new commits, or any work on what is checked out."""
    kind = ref_kind(ref)
    forward = new is not None and (old is None or history.is_ancestor(repo.git, old, new))
    if kind in ("iteration", "proposal"):
        return checked_out or forward
    return kind in ("plan", "tournament") and checked_out and forward


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
