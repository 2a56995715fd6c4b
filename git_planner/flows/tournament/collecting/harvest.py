"""`git bo4 harvest`: archive the payloads of variants that are ready, and commit each on a branch of its own.

Payloads are archived first, one by one; then all trees, commits and branches are made; then the rows are
written. The commits depend on the payloads only, so a harvest that was killed anywhere goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from git_planner import atomic_file
from git_planner.agents.cloud.cloud_cli import PASSING
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import MACHINE_FAILURES, PlannerError
from git_planner.flows.tournament.collecting.archive import (
    ArchivedPayload,
    VariantArchive,
    archive_root,
    shown_folder,
)
from git_planner.flows.tournament.collecting.variant_modules import variant_modules
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, ended
from git_planner.flows.tournament.sources.contract import VariantSource
from git_planner.flows.tournament.sources.open_source import open_source
from git_planner.gitio.content.inert_git import inert
from git_planner.gitio.content.patched_trees import PatchedTree, counted_trees, patch_ids, patched_trees
from git_planner.gitio.objects import PlainCommit, write_commits
from git_planner.gitio.repository import Repository, make_shared
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.host.clock import utc_now
from git_planner.progress import Progress
from git_planner.progress import Step as ProgressStep
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.printable import counted
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.polled_rows import polled_rows, states_text
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.variant import Variant

Answer = TypeVar("Answer")
WHO = "git-planner <tournament@git-planner.invalid>"
_TAKEN = ("ready", "broken")
_RETRY_PAUSES = (1.0, 4.0, 15.0)
_WAIT_SECONDS = 600.0
# Errors that concern the machine or the login: the other variants would have them, too.
_OF_ALL = (
    *MACHINE_FAILURES,
    *("E_CODEX_AUTH", "E_CODEX_CONFIG", "E_MISSING_TOOL", "E_GIT", "E_INTERRUPTED"),
)
# A service that failed for so many variants, one after the other, is not asked for the rest.
_MOST_FAULTS = 3


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A variant that is being harvested, with its payload, or with its error."""

    row: Variant
    payload: ArchivedPayload | None = None
    tree: PatchedTree | None = None
    commit: str | None = None
    error: PlannerError | None = None


def harvest(
    repo: Repository, name: str, progress: Progress, *, sleep: Callable[[float], None] = time.sleep
) -> RunView:
    """Harvest the variants of a run's current turn that are ready, and return the run.

    Args:
        repo: the repository.
        name: the run's name.
        progress: the callback for messages.
        sleep: the pause before a retry.

    Raises:
        PlannerError: E_NO_VARIANT if there is none to harvest, or none could be; E_STAGE without a task;
            E_BUSY if another process harvests the run for long; faults of the machine and of the login.
    """
    settings = read_settings(repo)
    with _harvesting(repo, RunStore(repo, name).name, sleep):
        store = RunStore(repo, name)
        view = store.read()
        if view.run.task_id is None:
            raise PlannerError(
                "E_STAGE", f"'{name}' has no task yet", hint=f"start it with 'git bo4 watch {name}'"
            )
        if not _has_work(view) and not _lost_variants(repo, view):
            return view
        with open_source(repo, view, settings, progress) as source:
            return _Harvest(repo, store, settings, progress, sleep).run(source)


def _has_work(view: RunView) -> bool:
    """Return whether there may be something to harvest; if not, no service is asked."""
    is_over = view.run.is_done("watch") and view.run.is_done("harvest")
    return not is_over or any(row.state in _TAKEN for row in view.current)


def _lost_variants(repo: Repository, view: RunView) -> set[int]:
    """Return the harvested variants whose branch or commit is not here: deleted, or not fetched."""
    rows = [row for row in view.current if row.state == "harvested"]
    places = {row.number: refnames.variant_ref(view.run.run, row.turn, row.number) for row in rows}
    return {
        row.number
        for row in rows
        if repo.maybe(places[row.number]) is None or repo.maybe(row.commit or "") is None
    }


@contextmanager
def _harvesting(repo: Repository, name: str, sleep: Callable[[float], None]) -> Iterator[None]:
    """Wait until no other process of this host harvests the run.

    Raises:
        PlannerError: E_BUSY.
    """
    folder = repo.private("bo4")
    make_shared(folder, repo.common)
    until = time.monotonic() + _WAIT_SECONDS
    with open(folder / f"{name}.harvest.lock", "ab") as file:
        while not atomic_file.lock_now(file):
            if time.monotonic() > until:
                raise PlannerError(
                    "E_BUSY", f"another process harvests '{name}'", hint=f"git bo4 status {name}"
                )
            sleep(0.05)
        yield


class _Harvest:
    """Harvest of one run's current turn."""

    def __init__(
        self,
        repo: Repository,
        store: RunStore,
        settings: Settings,
        progress: Progress,
        sleep: Callable[[float], None],
    ) -> None:
        self._repo, self._store, self._progress, self._sleep = repo, store, progress, sleep
        self._root = archive_root(repo, settings)
        self._view = store.read()
        self._turn = self._view.run.turn.turn
        # Passing faults of the service that no success has followed.
        self._faults: list[PlannerError] = []

    def run(self, source: VariantSource) -> RunView:
        """Harvest, and record how it ended.

        Raises:
            PlannerError: as `harvest`.
        """
        if not self._view.run.is_done("watch"):
            self._poll(source)
        lost = _lost_variants(self._repo, self._view)
        rows = [row for row in self._view.current if row.state in _TAKEN or row.number in lost]
        fetched = [self._archived(source, row) for row in rows]
        view = self._recorded(self._committed([candidate for candidate in fetched if candidate]))
        if self._faults:
            raise self._faults[-1]
        return view

    def _poll(self, source: VariantSource) -> None:
        """Ask the source what is ready: the watch is not over, or there was none."""
        result = self._retried(lambda: source.poll(self._task))
        if not result.known:
            raise PlannerError(
                "E_CLOUD_TASK",
                f"the service does not have the task '{self._task}'",
                hint="see the service's list of tasks",
            )

        def decide(view: RunView) -> RunChange | None:
            rows = polled_rows(view.variants, self._turn, result) if view.run.turn.turn == self._turn else ()
            return RunChange(variants=rows) if rows else None

        self._view = self._store.change(decide, "poll")

    # -- payloads -------------------------------------------------------------------------------------------
    def _archived(self, source: VariantSource, row: Variant) -> _Candidate | None:
        """Return a variant with its archived payload, which is fetched unless it is there.

        Returns:
            None if the service could not be reached: the variant stays ready for the next harvest.
        """
        archive = VariantArchive(self._root, self._run.uid, self._task, self._turn)
        payload = archive.find(row.number) if row.state != "broken" else None
        if payload is not None:
            return _Candidate(row, payload)
        if len(self._faults) >= _MOST_FAULTS:
            return None
        self._progress(ProgressStep(f"fetching {row.name}"))
        try:
            fetched = self._retried(lambda: source.fetch(self._task, row.number))
            self._faults.clear()
            return _Candidate(row, archive.put(row.number, fetched))
        except PlannerError as error:
            if error.code in _OF_ALL:
                raise
            if error.code in PASSING:
                self._faults.append(error)
                return None
            return _Candidate(row, error=error)

    def _retried(self, call: Callable[[], Answer]) -> Answer:
        """Call a service, and again after a pause when it has a fault that passes."""
        for pause in _RETRY_PAUSES:
            try:
                return call()
            except PlannerError as error:
                if error.code not in PASSING:
                    raise
                self._progress(f"{error.code}: {error.message}")
            self._sleep(pause)
        return call()

    # -- commits --------------------------------------------------------------------------------------------
    def _committed(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Return the variants with their commits, on their branches."""
        candidates = self._with_trees(candidates)
        if self._run.needs_modules:
            names = self._modules(candidates)
            candidates = [_checked_modules(candidate, names) for candidate in candidates]
        usable = [candidate for candidate in candidates if candidate.tree is not None]
        new = [candidate for candidate in usable if candidate.commit is None]
        commits = write_commits(self._repo.git, [self._plain_commit(candidate) for candidate in new])
        oids = {candidate.row.number: oid for candidate, oid in zip(new, commits, strict=True)}
        candidates = [
            replace(candidate, commit=oids.get(candidate.row.number, candidate.commit))
            for candidate in candidates
        ]
        taken = self._moved(
            {
                refnames.variant_ref(self._run.run, self._turn, candidate.row.number): candidate.commit
                for candidate in candidates
                if candidate.tree is not None and candidate.commit is not None
            }
        )
        return [_with_branch(self._run.run, candidate, taken) for candidate in candidates]

    def _with_trees(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        base = self._run.base
        patched = [c for c in candidates if c.payload is not None and c.payload.commit is None]
        results = patched_trees(self._repo, base, (_patch(candidate) for candidate in patched))
        done = {c.row.number: result for c, result in zip(patched, results, strict=True)}
        named = {c.row.number: c.payload.commit for c in candidates if c.payload and c.payload.commit}
        trees = {number: self._repo.maybe(oid, "tree") for number, oid in named.items()}
        present = {number: tree for number, tree in trees.items() if tree is not None}
        done |= dict(zip(present, counted_trees(self._repo, base, list(present.values())), strict=True))
        done |= {number: _missing_commit(named[number]) for number in trees.keys() - present.keys()}
        return [_with_tree(c, done.get(c.row.number), named.get(c.row.number)) for c in candidates]

    def _plain_commit(self, candidate: _Candidate) -> PlainCommit:
        row, run = candidate.row, self._run
        assert candidate.tree is not None
        trailers = {
            "Planner-Op": "bo4-variant",
            "Planner-Tournament": run.run,
            "Planner-Variant": row.name,
            "Planner-Base": run.base,
        }
        lines = [f"bo4: {run.run}, {row.name}", "", *(f"{key}: {value}" for key, value in trailers.items())]
        # The same in every clone, so that two harvests of a payload make one commit.
        date = int(datetime.fromisoformat(run.turn.began_at).timestamp())
        return PlainCommit(candidate.tree.tree, (run.base,), "\n".join(lines), WHO, date)

    def _moved(self, commits: Mapping[str, str]) -> set[str]:
        """Create the branches; return those that exist with another commit, which are left alone."""
        taken: set[str] = set()

        def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
            taken.clear()
            taken.update(ref for ref, oid in commits.items() if snapshots[ref].tip not in (None, oid))
            return [Move(ref, oid) for ref, oid in commits.items() if ref not in taken]

        if commits:
            # The hook that guards branches would refuse a variant, which is for the gates to judge.
            Store(inert(self._repo)).transact(list(commits), decide)
        return taken

    def _modules(self, candidates: Sequence[_Candidate]) -> Mapping[str, tuple[str, ...]]:
        trees = [candidate.tree for candidate in candidates if candidate.tree is not None]
        return variant_modules(self._repo, self._run.base, trees)

    # -- rows -----------------------------------------------------------------------------------------------
    def _recorded(self, candidates: Sequence[_Candidate]) -> RunView:
        """Write the rows, events and the end of the stage.

        Raises:
            PlannerError: E_NO_VARIANT if nothing was harvested in this turn.
        """
        names = self._modules(candidates)
        trees = [candidate.tree.tree for candidate in candidates if candidate.tree is not None]
        ids = patch_ids(self._repo, self._run.base, trees)
        rows = [self._row(candidate, names, ids) for candidate in candidates]
        stage = begun(self._run, "")

        def decide(view: RunView) -> RunChange | None:
            if view.run.turn.turn != self._turn:
                return None
            changed = {row.key: row for row in rows if not _is_same(view.variants.get(row.key), row)}
            merged = {**view.variants, **changed}
            changed |= _twins(merged, self._turn)
            merged |= changed
            now = [row.state for key, row in merged.items() if key[0] == self._turn]
            has_any = "harvested" in now
            is_open = any(state in now for state in ("pending", "working", "ready"))
            outcome = "begun" if is_open else "done" if has_any else "failed"
            content = [[key[1], row.state, row.tree] for key, row in sorted(merged.items())]
            row_ = replace(stage, inputs=canonical_json.digest([self._turn, view.run.task_id, content]))
            last = ended(row_, outcome, states_text(merged, self._turn))  # type: ignore[arg-type]
            old = view.run.stage("harvest")
            if not changed and old is not None and (old.inputs, old.outcome) == (last.inputs, outcome):
                return None
            events = [_event(row, self._task) for key, row in sorted(changed.items())]
            return RunChange(view.run.with_stage("harvest", last), tuple(changed.values()), events=events)

        self._view = self._store.change(decide, "harvest")
        harvested = sum(row.state == "harvested" for row in self._view.current)
        if not harvested and not self._faults:
            faults = [f"{row.name}: {row.error['message']}" for row in self._view.current if row.error]
            raise PlannerError(
                "E_NO_VARIANT",
                f"no variant of '{self._run.run}' could be harvested",
                hint=f"git bo4 status {self._run.run}",
                details=faults[:20],
            )
        self._progress(f"{counted(harvested, 'variant')} harvested of {len(self._view.current)}")
        return self._view

    def _row(
        self, candidate: _Candidate, names: Mapping[str, tuple[str, ...]], ids: Mapping[str, str]
    ) -> Variant:
        """Return the row of a variant after its harvest."""
        payload, tree = candidate.payload, candidate.tree
        row = replace(
            candidate.row,
            archive=shown_folder(self._repo, payload.folder) if payload else None,
            patch_sha256=payload.patch_sha256 if payload else None,
            manifest_sha256=payload.manifest_sha256 if payload else None,
        )
        if candidate.error is not None or tree is None:
            error = candidate.error or PlannerError("E_PATCH", "the variant has no tree")
            details = [detail for detail in error.details[:3] if detail not in error.message]
            message = "; ".join((error.message, *details))[:4000]
            return replace(row, state="broken", error={"code": error.code, "message": message})
        return replace(
            row,
            state="harvested",
            error=None,
            branch=refnames.short_name(refnames.variant_ref(self._run.run, self._turn, row.number)),
            base=self._run.base,
            commit=candidate.commit,
            tree=tree.tree,
            patch_id=ids.get(tree.tree),
            files=tree.files,
            added=tree.added,
            removed=tree.removed,
            modules=names[tree.tree],
        )

    @property
    def _run(self) -> TournamentRun:
        return self._view.run

    @property
    def _task(self) -> str:
        return self._view.run.task_id or ""


def _patch(candidate: _Candidate) -> bytes:
    assert candidate.payload is not None
    return candidate.payload.patch()


def _missing_commit(oid: str) -> PlannerError:
    return PlannerError(
        "E_UNKNOWN_REF",
        f"the variant's commit '{oid[:12]}' is not in this repository",
        hint="fetch it from where the variant was made",
    )


def _with_tree(
    candidate: _Candidate, result: PatchedTree | PlannerError | None, commit: str | None
) -> _Candidate:
    if isinstance(result, PlannerError):
        return replace(candidate, error=result)
    return candidate if result is None else replace(candidate, tree=result, commit=commit)


def _checked_modules(candidate: _Candidate, names: Mapping[str, tuple[str, ...]]) -> _Candidate:
    if candidate.tree is None or names[candidate.tree.tree]:
        return candidate
    error = PlannerError(
        "E_VARIANT_NO_MODULES",
        f"variant {candidate.row.number} has no 'module.json', and the tournament needs modules",
        hint="ask for modules in the prompt",
    )
    return replace(candidate, tree=None, commit=None, error=error)


def _with_branch(run: str, candidate: _Candidate, taken: set[str]) -> _Candidate:
    ref = refnames.variant_ref(run, candidate.row.turn, candidate.row.number)
    if ref not in taken:
        return candidate
    error = PlannerError(
        "E_BLOCKED",
        f"the branch '{refnames.short_name(ref)}' exists with another commit",
        hint="rename it with 'git branch -m', then harvest again",
    )
    return replace(candidate, tree=None, commit=None, error=error)


def _is_same(old: Variant | None, new: Variant) -> bool:
    """Return whether a row has the result of a harvest already; what later stages added does not count."""
    if old is None:
        return False
    if old.state == "harvested":
        return old.commit == new.commit or new.state != "harvested"
    return old == new


def _twins(rows: Mapping[tuple[int, int], Variant], turn: int) -> dict[tuple[int, int], Variant]:
    """Return the rows whose tree is that of an earlier variant of the turn, and do not say so."""
    first: dict[str | None, int] = {}
    changed = {}
    for key, row in sorted(rows.items()):
        if key[0] != turn or row.state != "harvested":
            continue
        number = first.setdefault(row.tree, row.number)
        same_as = None if number == row.number else number
        if row.same_as != same_as:
            changed[key] = replace(row, same_as=same_as)
    return changed


def _event(row: Variant, task: str) -> EventDraft:
    detail = {"task": task, "turn": row.turn, "variant": row.number}
    if row.state == "broken":
        error = row.error or {}
        fault = {"error": error.get("code"), "message": error.get("message")}
        return EventDraft("GATES_WARN", "VARIANT_BROKEN", {**detail, **fault}, utc_now())
    message = (
        f"same as variant {row.same_as}" if row.same_as else f"{counted(row.files or 0, 'file')} changed"
    )
    facts = {"commit": row.commit, "tree": row.tree, "message": message}
    return EventDraft("GATES_WARN", "VARIANT_HARVESTED", {**detail, **facts}, utc_now())
