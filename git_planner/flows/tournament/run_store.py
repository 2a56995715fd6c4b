"""Store of tournaments: one branch a run, changed by compare-and-swap only.

`bo4/<run>/run` starts at the run's base and holds `runs/<run>/`. All writers go through `RunStore.change`, so
concurrent ones lose nothing. Events are appended to one stream there and never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import git_planner
from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.tournament_prompt import bounded, read_run
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament import event
from git_planner.rules.tournament.event import EventContext, EventDraft, Mode
from git_planner.rules.tournament.run import RUN_FILE, Stage, StageName, StageOutcome, TournamentRun
from git_planner.rules.tournament.variant import Variant, variant_from

EVENTS = "artifacts/events.ndjson"
LIST = ".codex/bo4_runs.jsonl"
# Lines of the stream that stages of their own have written, under the names of their own files.
VIEWS = {
    "artifacts/events.watch.ndjson": event.is_of_watch,
    "artifacts/events.gates.ndjson": event.is_of_gates,
}
_MOST_VARIANTS = refnames.MAX_VARIANT


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its branch has it.

    `variants` are those of all turns by turn and number; `read` returns a file of the run's folder.
    """

    run: TournamentRun
    variants: Mapping[tuple[int, int], Variant]
    read: Callable[[str], bytes | None]

    @property
    def current(self) -> tuple[Variant, ...]:
        """The variants of the turn that is played now, by number."""
        turn = self.run.turn.turn
        return tuple(variant for key, variant in sorted(self.variants.items()) if key[0] == turn)

    @property
    def events(self) -> bytes:
        """The stream of events."""
        return self.read(EVENTS) or b""

    @property
    def prompt(self) -> str:
        """The prompt of the current turn."""
        return (self.read(self.run.turn.prompt_path) or b"").decode("utf-8", "replace")

    def variant(self, number: int, turn: int | None = None) -> Variant:
        """Return a variant of a turn (default: the current one).

        Raises:
            PlannerError: E_UNKNOWN_VARIANT.
        """
        key = (turn or self.run.turn.turn, number)
        if key not in self.variants:
            names = ", ".join(variant.name for variant in self.current) or "none yet"
            raise PlannerError(
                "E_UNKNOWN_VARIANT",
                f"the run '{self.run.run}' has no variant {number} in turn {key[0]}",
                hint=f"its variants: {names}",
            )
        return self.variants[key]


@dataclass(frozen=True, slots=True)
class RunChange:
    """A change of a run: the run, variants, files of its folder (None removes one) and events to append.

    What is not named stays as it is. `mode` is that of the events.
    """

    run: TournamentRun | None = None
    variants: Sequence[Variant] = ()
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    events: Sequence[EventDraft] = ()
    mode: Mode = "conceptual"


RunDecision = Callable[[RunView], RunChange | None]


class RunStore:
    """Reader and writer of one run.

    Args:
        repo: the repository.
        run: its name.
        store: the store that writes (default: one of its own).

    Raises:
        PlannerError: E_NAME.
    """

    def __init__(self, repo: Repository, run: str, store: Store | None = None) -> None:
        self.repo, self.name = repo, refnames.check_run_name(run)
        self.ref, self.folder = refnames.run_ref(run), refnames.run_dir(run)
        self._store = store or Store(repo)

    @property
    def exists(self) -> bool:
        """Return whether the run's branch exists."""
        return self.repo.maybe(self.ref) is not None

    def create(self, run: TournamentRun, prompt: bytes, events: Sequence[EventDraft], line: bytes) -> RunView:
        """Create the run's branch; a run that was created from the same inputs is left as it is.

        Args:
            run: the run.
            prompt: the prompt of its first turn.
            events: its first events.
            line: the line of the list of runs that the older loop kept.

        Raises:
            PlannerError: E_RUN_EXISTS if another run has the name; what `Store.edit` raises.
        """

        listed = read_file(self.repo, f"{run.base}:{LIST}") or b""

        def decide(snapshot: Snapshot) -> Mapping[str, bytes | None]:
            if snapshot.tip is not None:
                earlier = self._view(snapshot.read).run
                if earlier.inputs != run.inputs:
                    raise run_exists_error(self.name)
                return {}
            edits = self._edits(None, RunChange(run, files={run.turn.prompt_path: prompt}, events=events))
            return {**edits, LIST: listed + line}

        self._store.edit(self.ref, decide, self._message("new", run), base=run.base)
        return self.read()

    def read(self) -> RunView:
        """Read the run.

        Raises:
            PlannerError: E_UNKNOWN_RUN; E_JSON and E_SCHEMA for what is no run.
        """
        tip = self.repo.maybe(self.ref)
        if tip is None:
            raise unknown_run_error(self.repo, self.name)
        return self._view(lambda path: read_file(self.repo, f"{tip}:{path}"))

    def change(self, decide: RunDecision, operation: str) -> RunView:
        """Change the run.

        Args:
            decide: from the run as it is to its change, None for none; pure: a lost race calls it again.
            operation: what is done, for the commit's subject and trailer.

        Returns:
            The run afterwards.

        Raises:
            PlannerError: E_UNKNOWN_RUN; what `decide` and `Store.edit` raise.
        """
        message = self._message(operation, None)
        decided: tuple[RunView, RunChange] | None = None

        def edit(snapshot: Snapshot) -> Mapping[str, bytes | None]:
            nonlocal decided
            if snapshot.tip is None:
                raise unknown_run_error(self.repo, self.name)
            view = self._view(snapshot.read)
            change = decide(view)
            decided = (view, change or RunChange())
            return {} if change is None else self._edits(view, change)

        tip = self._store.edit(self.ref, edit, message)
        assert decided is not None
        return self._after(*decided, str(tip))

    def _after(self, view: RunView, change: RunChange, tip: str) -> RunView:
        """Return the run after a change; only what was changed is read."""

        def read(path: str) -> bytes | None:
            return read_file(self.repo, f"{tip}:{path}")

        rows = {row.key: self._variant(*row.key, read) or row for row in change.variants}
        run = view.run if change.run is None else read_run(read, self.name)
        return RunView(run, {**view.variants, **rows}, lambda path: read(f"{self.folder}/{path}"))

    def end_stage(self, name: StageName, stage: Stage, change: RunChange | None = None) -> RunView:
        """Record how a stage ended, with what it changes; a turn that is over by now is left alone."""

        def decide(view: RunView) -> RunChange | None:
            if view.run.turn.turn != stage.turn:
                return None
            return replace(change or RunChange(), run=view.run.with_stage(name, stage))

        return self.change(decide, name)

    def _view(self, read: Callable[[str], bytes | None]) -> RunView:
        run = read_run(read, self.name)
        variants = {variant.key: variant for variant in self._variants(run, read)}
        return RunView(run, variants, lambda path: read(f"{self.folder}/{path}"))

    def _variants(self, run: TournamentRun, read: Callable[[str], bytes | None]) -> Iterator[Variant]:
        for turn in run.turns:
            for number in range(1, _MOST_VARIANTS + 1):
                variant = self._variant(turn.turn, number, read)
                if variant is None:
                    # Rows are written from 1 without gaps.
                    break
                yield variant

    def _variant(self, turn: int, number: int, read: Callable[[str], bytes | None]) -> Variant | None:
        path = refnames.variant_path(self.name, turn, number)
        data = read(path)
        if data is None:
            return None
        variant = variant_from(documents.read("variant", bounded(data, path), path))
        if variant.key != (turn, number):
            raise PlannerError("E_SCHEMA", f"'{path}' is of another variant: {variant.name}")
        return variant

    def _edits(self, view: RunView | None, change: RunChange) -> dict[str, bytes | None]:
        run = change.run or (view.run if view else None)
        assert run is not None
        edits: dict[str, bytes | None] = {
            f"{self.folder}/{path}": content for path, content in change.files.items()
        }
        if change.run is not None:
            path = f"{self.folder}/{RUN_FILE}"
            edits[path] = _encoded("tournament", change.run.document(), path)
        for variant in change.variants:
            path = refnames.variant_path(self.name, variant.turn, variant.number)
            edits[path] = _encoded("variant", variant.document(), path)
        if change.events:
            context = EventContext(run.uid, change.mode, run.compose_sha256, version=git_planner.__version__)
            stream = event.append(view.events if view else b"", change.events, context, mask=redact.mask_text)
            edits[f"{self.folder}/{EVENTS}"] = stream
            for path, keep in VIEWS.items():
                if lines := event.view(stream, keep):
                    edits[f"{self.folder}/{path}"] = lines
        return edits

    def _message(self, operation: str, run: TournamentRun | None) -> Message:
        trailers = [("Planner-Op", f"bo4-{operation}"), ("Planner-Tournament", self.name)]
        if run is not None:
            trailers.append(("Planner-Base", run.base))
        return Message(f"bo4: {self.name}, {operation}", tuple(trailers))


def read_file(repo: Repository, name: str) -> bytes | None:
    """Return the content of a file by '<commit>:<path>'; None if there is none."""
    answer = repo.git.read_object("contents", name)
    return bytes(answer[3]) if answer is not None and answer[1] == "blob" else None


def list_runs(repo: Repository) -> list[str]:
    """Return the names of all runs here, sorted."""
    prefix = refnames.HEADS + refnames.TOURNAMENT
    names = [ref.removeprefix(prefix).split("/") for ref in history.list_refs(repo, prefix)]
    return sorted(parts[0] for parts in names if parts[1:] == ["run"])


def latest_run(repo: Repository) -> str:
    """Return the name of the run that was created last.

    Raises:
        PlannerError: E_UNKNOWN_RUN if there is none.
    """
    runs = [view.run for view in read_runs(repo)]
    if not runs:
        hint = _fetch_hint(repo) or "git bo4 new -h"
        raise PlannerError("E_UNKNOWN_RUN", "there is no tournament here", hint=hint)
    return max(runs, key=lambda run: (run.created_at, run.run)).run


def read_runs(repo: Repository) -> list[RunView]:
    """Read all runs here; what is no run is left out."""
    views = []
    for name in list_runs(repo):
        try:
            views.append(RunStore(repo, name).read())
        except PlannerError as error:
            if error.code not in ("E_JSON", "E_SCHEMA", "E_UNKNOWN_RUN", "E_NAME"):
                raise
    return views


def check_stage(view: RunView, name: StageName) -> Stage:
    """Return an earlier stage that a later one builds on.

    Raises:
        PlannerError: E_STAGE unless it is done in this turn.
    """
    stage = view.run.stage(name)
    if stage is None or stage.outcome != "done":
        state = "has not run in this turn" if stage is None else f"has {stage.outcome}: {stage.message}"
        raise PlannerError(
            "E_STAGE",
            f"the stage '{name}' of the tournament '{view.run.run}' {state}",
            hint=f"git bo4 {name} {view.run.run}",
        )
    return stage


def list_lines(repo: Repository, views: Sequence[RunView]) -> list[str]:
    """Return the lines of the older loop's list of runs, one for each run."""
    lines = []
    for view in views:
        data = read_file(repo, f"{refnames.run_ref(view.run.run)}:{LIST}") or b""
        # Each run's branch has the lines of its base, and its own at the end.
        lines += data.decode("utf-8", "replace").splitlines()[-1:]
    return lines


def unknown_run_error(repo: Repository, name: str) -> PlannerError:
    """Return the error for a run that is not here."""
    from git_planner.rules.did_you_mean import close_names

    names = list_runs(repo)
    close = close_names(name, names)
    hint = f"did you mean '{close[0]}'?" if close else _fetch_hint(repo, name) or "git bo4 list"
    return PlannerError("E_UNKNOWN_RUN", f"there is no tournament '{name}'", hint=hint)


def _fetch_hint(repo: Repository, name: str = "*") -> str | None:
    """Return how to fetch a run that a remote has; None if none is known to have it."""
    pattern = f"{refnames.TOURNAMENT}{name}"
    refs = history.list_refs(repo, f"refs/remotes/*/{pattern}/run")
    remote = next((ref.split("/")[2] for ref in refs), None)
    branches = f"refs/heads/{refnames.TOURNAMENT}*"
    return None if remote is None else f"git fetch {remote} '{branches}:{branches}'"


def run_exists_error(name: str) -> PlannerError:
    """Return the error for a name that another run has."""
    return PlannerError(
        "E_RUN_EXISTS",
        f"the tournament '{name}' exists, with another prompt, base or source",
        hint=f"choose another name with '--run', or go on with it: git bo4 status {name}",
    )


def begun(run: TournamentRun, inputs: str, **facts: object) -> Stage:
    """Return the row of a stage that begins now."""
    return Stage(run.turn.turn, "begun", inputs, utc_now(), "", facts)


def ended(stage: Stage, outcome: StageOutcome, message: str = "", **facts: object) -> Stage:
    """Return the row of a stage that ends now."""
    merged = {**stage.facts, **facts}
    return replace(stage, outcome=outcome, at=utc_now(), message=message[:4000], facts=merged)


def _encoded(kind: str, document: Mapping[str, Any], where: str) -> bytes:
    """Return a document as it is stored; one that could not be read again is not written.

    Raises:
        PlannerError: E_SCHEMA, E_JSON.
    """
    documents.check(kind, document, where)
    return bounded(canonical_json.dumps(document), where)
