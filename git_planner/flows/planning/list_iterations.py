"""List iterations with their phase, read from git: reserved, planned, committed, refused or recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import LedgerReader
from git_planner.gitio import history, worktree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import TASK_PLANNER, IterationState, state_from
from git_planner.rules.records.row import RecordRow

Phase = Literal["reserved", "planned", "committed", "refused", "recorded"]

PHASE_TEXTS: dict[Phase, str] = {
    "reserved": "planning ended before there was a directive",
    "planned": "there is a directive, and no commit that carries it out yet",
    "committed": "the change is committed and not recorded yet",
    "refused": "the change was refused and is not recorded yet",
    "recorded": "done",
}


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration. `start` is the trusted state commit, `tip` the branch's, `refused` the quarantine.

    `state` is None for a number that is only reserved. `worktree` has the branch checked out.
    """

    number: int
    phase: Phase
    state: IterationState | None = None
    start: str | None = None
    tip: str | None = None
    refused: str | None = None
    record: RecordRow | None = None
    worktree: Path | None = None

    @property
    def branch(self) -> str | None:
        """Return the short name of its branch."""
        return self.state.branch if self.state else None

    def document(self) -> dict[str, Any]:
        """Return the iteration as one JSON object."""
        return {
            "iteration": self.number,
            "slug": self.state.slug if self.state else None,
            "plan": self.state.plan if self.state else None,
            "branch": self.branch,
            "phase": self.phase,
            "verdict": self.record.verdict if self.record else None,
            "reason": self.record.reason if self.record else None,
            "value": self.record.value if self.record else None,
            "commit": self.record.commit if self.record else self.tip,
            "record": self.record.id if self.record else None,
            "worktree": str(self.worktree) if self.worktree else None,
        }


def list_iterations(
    repo: Repository, plan: str | None = None, reader: LedgerReader | None = None
) -> list[Iteration]:
    """Return every iteration in the repository, by number.

    Args:
        repo: the repository.
        plan: only those of one plan; all of them, and numbers that are only reserved, when None.
        reader: a reader of ledgers that is used already.
    """
    refs = history.list_refs(repo, refnames.NUMBERS, refnames.ITERATIONS, refnames.REFUSED)
    trailers = _read_branches(repo)
    states = _read_states(repo, refs, trailers)
    reader = reader or LedgerReader(repo)
    ledgers = {name: reader.read(name) for name in {state.plan for state, _ in states.values()}}
    records: dict[tuple[str, int | None, str | None], list[RecordRow]] = {}
    for name, rows in ledgers.items():
        for row in rows:
            if row.kind == "attempt":
                records.setdefault((name, row.iteration, _record_slug(row)), []).append(row)
    places = {
        place.branch: place.path
        for place in worktree.listing(repo)
        # An agent may have deleted the worktree's .git file; its folder still belongs to the iteration.
        if place.branch and (not place.prunable or place.path.is_dir())
    }
    iterations = []
    for (number, _), (state, start) in states.items():
        ref = refnames.HEADS + state.branch
        tip, run = trailers.get(ref, (None, ""))
        refused = refs.get(f"{refnames.REFUSED}{number:04d}")
        key = (state.plan, number)
        own_records = records.get((*key, state.slug)) or records.get((*key, None)) or []
        record = _own_record(repo, own_records, tip, refused)
        phase = _phase(record, refused, run == state.branch or (bool(run) and _is_task(state)))
        iterations.append(Iteration(number, phase, state, start, tip, refused, record, places.get(ref)))
    known_numbers = {iteration.number for iteration in iterations}
    numbers = {int(ref.rsplit("/", 1)[1]) for ref in refs if ref.startswith(refnames.NUMBERS)}
    iterations += [Iteration(number, "reserved") for number in numbers - known_numbers]
    selected = (
        iteration
        for iteration in iterations
        if plan is None or (iteration.state is not None and iteration.state.plan == plan)
    )
    return sorted(selected, key=lambda iteration: (iteration.number, iteration.branch or ""))


def is_task_iteration(iteration: Iteration) -> bool:
    """Return whether an iteration belongs to a task, which stores its result, so that it needs no record."""
    return iteration.state is not None and _is_task(iteration.state)


def _is_task(state: IterationState) -> bool:
    return bool(state.planner["name"] == TASK_PLANNER)


def find_iteration(repo: Repository, number: int) -> Iteration:
    """Return one iteration by its number.

    Raises:
        PlannerError: E_UNKNOWN_REF.
    """
    for iteration in list_iterations(repo):
        if iteration.number == number:
            return iteration
    raise PlannerError(
        "E_UNKNOWN_REF", f"there is no iteration {number} here", hint="list them with 'git iterate list'"
    )


def _own_record(
    repo: Repository, rows: Sequence[RecordRow], tip: str | None, refused: str | None
) -> RecordRow | None:
    """Return the record of an iteration's own work.

    A best is measured again as a merge with a new base, no commit of its iteration; and a commit that
    improved on the best is equal to the best when it is measured again.
    """
    if len(rows) < 2:
        return rows[-1] if rows else None
    own = [row for row in rows if row.commit in (tip, refused)]
    if not own and tip is not None:
        own = [
            row
            for row in rows
            if repo.maybe(row.commit) is not None and history.is_ancestor(repo.git, row.commit, tip)
        ]
    last = (own or rows)[-1]
    improved = [row for row in own if row.verdict == "improved" and row.tree == last.tree]
    return improved[-1] if improved and last.verdict == "within_noise" else last


def _record_slug(record: RecordRow) -> str | None:
    """Return the slug in a record's branch; None if that is not an iteration branch."""
    parsed = refnames.parse_iteration(record.branch or "")
    return parsed.slug if parsed else None


def _phase(record: RecordRow | None, refused: str | None, carried_out: bool) -> Phase:
    if record is not None:
        return "recorded"
    if refused is not None:
        return "refused"
    return "committed" if carried_out else "planned"


def _read_branches(repo: Repository) -> dict[str, tuple[str, str]]:
    """Read the iter branches: ref -> tip, and the run that the tip implements ('' when none).

    The state commit names its run, too, but only an implementing commit has an Assisted-by trailer.
    """
    fields = ("objectname", "contents:trailers:key=Planner-Run,key=Assisted-by,unfold")
    listed = history.list_ref_fields(repo, fields, [refnames.HEADS + refnames.ITER])
    return {ref: (tip, _implemented_run(trailers)) for ref, (tip, trailers) in listed.items()}


def _implemented_run(trailers: str) -> str:
    values = dict(line.split(": ", 1) for line in trailers.splitlines() if ": " in line)
    return values.get("Planner-Run", "").strip() if "Assisted-by" in values else ""


def _read_states(
    repo: Repository, refs: Mapping[str, str], branches: Mapping[str, tuple[str, str]]
) -> dict[tuple[int, str], tuple[IterationState, str | None]]:
    """Read (number, slug) -> state and trusted commit, which is None in a clone that only has the branch."""
    trusted = [ref for ref in refs if ref.startswith(refnames.ITERATIONS)]
    others = [ref for ref in branches if refnames.parse_iteration(ref)]
    files = Store(repo).read_all([*trusted, *others], ".advisor")
    states: dict[tuple[int, str], tuple[IterationState, str | None]] = {}
    for ref in trusted:
        if "state.json" in files[ref]:
            state = state_from(canonical_json.loads_trusted(files[ref]["state.json"], many=True))
            states[state.iteration, state.slug] = (state, refs[ref])
    for ref in others:
        parsed = refnames.parse_iteration(ref)
        assert parsed is not None
        key = (parsed.number, parsed.slug)
        if key not in states and "state.json" in files[ref]:
            # A fetched branch may hold anything; ignore an invalid state.
            with suppress(PlannerError):
                document = documents.read("state", files[ref]["state.json"], f"{ref}:{refnames.STATE_FILE}")
                state = state_from(document)
                if (state.iteration, state.slug) == key:
                    states[key] = (state, None)
    return states
