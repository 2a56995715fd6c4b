"""Stage 'gate' of a tournament: every variant through the gates, several at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.measuring.benches.engine_choice import EngineChoice, chosen_engine
from git_planner.flows.tournament.events import require_valid
from git_planner.flows.tournament.gates.engine_gates import gate_on_engine
from git_planner.flows.tournament.gates.run_gates import GateOptions, PreparedGates, prepare_gates, subject_of
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, ended
from git_planner.gitio.repository import Repository, open_repository
from git_planner.progress import Progress
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.event import Mode
from git_planner.rules.tournament.gate import GateReport
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.variant import Variant

SHIPPING = "shipping"
_STORE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class GatedVariants:
    """The result of the stage: the reports of the variants of the current turn, by number."""

    run: str
    gate_set: str
    reports: Mapping[int, GateReport]
    skipped: Mapping[int, str]

    @property
    def exit(self) -> int:
        """Exit status: 1 if no variant passes."""
        return DONE if any(report.passed for report in self.reports.values()) else NO

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "schema": "git-planner/gates@1",
            "run": self.run,
            "set": self.gate_set,
            "passed": sorted(number for number, report in self.reports.items() if report.passed),
            "variants": {str(number): report.document() for number, report in self.reports.items()},
            "not_gated": {str(number): state for number, state in self.skipped.items()},
        }


def gate_variants(
    repo: Repository,
    run: str,
    progress: Progress,
    *,
    gate_set: str = "conceptual",
    jobs: int | None = None,
    force: bool = False,
    strict_events: bool = False,
) -> GatedVariants:
    """Run a set of gates on every harvested variant of the current turn, on the engine of the settings.

    Results are stored as they come. A variant whose tree, gates and environment
    have a result is not run again.

    Args:
        repo: the repository.
        run: the name of the run.
        progress: called with each progress message.
        gate_set: 'conceptual' or 'shipping'.
        jobs: number of variants at a time (default: that of leases for heavy work on this host).
        force: run gates again that have a result.
        strict_events: refuse a stream of events that is not valid.

    Raises:
        PlannerError: E_UNKNOWN_RUN, E_EVENT_SCHEMA, E_NO_POLICY, E_POLICY; what running gates and opening
            the engine raises.
    """
    store = RunStore(repo, run)
    view = store.read()
    if strict_events:
        require_valid(run, view.events)
    variants = [variant for variant in view.current if variant.commit is not None]
    skipped = {variant.number: variant.state for variant in view.current if variant.commit is None}
    known = {} if force else _known_reports(view)
    options = GateOptions(progress)
    prepared = [
        prepare_gates(repo, subject_of(repo, _commit_here(repo, run, variant), view.run.base), gate_set)
        for variant in variants
    ]
    inputs = canonical_json.digest([gate_set, [gates.key for gates in prepared]])
    stage = begun(view.run, inputs, gate_set=gate_set)
    is_stage = gate_set != SHIPPING
    if is_stage and not view.run.is_done("gate", inputs):
        store.end_stage("gate", stage)
    reports_store = _ReportStore(store, view, gate_set, force=force)
    work = _GateWork(repo, reports_store, options, jobs or _jobs(repo), known)
    pairs = list(zip(variants, prepared, strict=True))
    engine = chosen_engine(read_settings(repo))
    reports = work.run(pairs) if engine is None else work.run_on(engine, view.run, gate_set, pairs)
    result = GatedVariants(run, gate_set, reports, skipped)
    if is_stage and not store.read().run.is_done("gate", inputs):
        passed = sum(report.passed for report in reports.values())
        message = f"{passed} of {len(reports)} variants passed"
        store.end_stage("gate", ended(stage, "done", message))
    if strict_events:
        require_valid(run, store.read().events)
    return result


def _commit_here(repo: Repository, run: str, variant: Variant) -> str:
    """Return the commit of a variant.

    Raises:
        PlannerError: E_UNKNOWN_REF if it is not in this repository.
    """
    commit = str(variant.commit)
    if repo.maybe(commit) is None:
        raise PlannerError(
            "E_UNKNOWN_REF",
            f"the commit {commit[:12]} of {variant.name} is not here",
            hint=f"git bo4 harvest {run}",
            details=[f"or fetch its branch '{variant.branch}' from the clone that has it"],
        )
    return commit


class _GateWork:
    """The gates of several variants, run and stored."""

    def __init__(
        self,
        repo: Repository,
        store: _ReportStore,
        options: GateOptions,
        jobs: int,
        known: dict[str, GateReport],
    ) -> None:
        self.repo, self.store, self.options, self.jobs, self.known = repo, store, options, jobs, known
        self.lock, self.stopped = threading.Lock(), threading.Event()

    def run_on(
        self,
        engine: EngineChoice,
        run: TournamentRun,
        gate_set: str,
        work: Sequence[tuple[Variant, PreparedGates]],
    ) -> dict[int, GateReport]:
        """Run the gates of variants on an engine, and store them; those of one key once."""
        groups = _by_key(work)
        waiting = {}
        for key, variants in groups.items():
            if key in self.known:
                self.store.keep(self.known[key], variants)
            else:
                waiting[key] = variants[0]
        reports = gate_on_engine(
            self.repo,
            engine,
            run,
            waiting,
            gate_set=gate_set,
            workers=self.jobs,
            progress=self.options.progress,
        )
        try:
            for key, report in reports:
                self.store.keep(report, groups[key])
        finally:
            self.store.flush()
        return self.store.sorted_reports()

    def run(self, work: Sequence[tuple[Variant, PreparedGates]]) -> dict[int, GateReport]:
        """Run and store the gates of variants; those of one key once."""
        groups = _by_key(work)
        gates = {prepared.key: prepared for _, prepared in reversed(work)}
        calls = [self._call(gates[key], variants) for key, variants in groups.items()]
        try:
            if min(self.jobs, len(calls)) <= 1:
                for call in calls:
                    call(self.repo, self.options)
            else:
                self._run_together(calls)
        finally:
            self.store.flush()
        return self.store.sorted_reports()

    def _call(
        self, prepared: PreparedGates, variants: list[Variant]
    ) -> Callable[[Repository, GateOptions], None]:
        def call(repo: Repository, options: GateOptions) -> None:
            report = self.known.get(prepared.key) or prepared.run(repo, options)
            with self.lock:
                self.store.keep(report, variants)

        return call

    def _run_together(self, calls: Sequence[Callable[[Repository, GateOptions], None]]) -> None:
        options = replace(self.options, on_tick=self._check_stop)

        def in_thread(call: Callable[[Repository, GateOptions], None]) -> None:
            # The processes of git that a repository holds are of one thread.
            if not self.stopped.is_set():
                call(open_repository(self.repo.top or self.repo.common), options)

        with ThreadPoolExecutor(min(self.jobs, len(calls))) as pool:
            futures = [pool.submit(in_thread, call) for call in calls]
            try:
                for future in futures:
                    future.result()
            finally:
                # After an interrupt or an error the gates that still run end soon.
                self.stopped.set()

    def _check_stop(self) -> None:
        if self.stopped.is_set():
            raise KeyboardInterrupt


class _ReportStore:
    """Writer of reports into the rows of variants.

    Reports that come within a second of each other are stored together, as each change reads all rows; a
    killed process loses a second of results at most.
    """

    def __init__(self, store: RunStore, view: RunView, gate_set: str, *, force: bool) -> None:
        self.store, self.view, self.gate_set, self.force = store, view, gate_set, force
        self.reports: dict[int, GateReport] = {}
        self.waiting: dict[tuple[int, int], GateReport] = {}
        self.stored_at = time.monotonic()

    def sorted_reports(self) -> dict[int, GateReport]:
        """Return all reports by the numbers of their variants."""
        return dict(sorted(self.reports.items()))

    def keep(self, report: GateReport, variants: Sequence[Variant]) -> None:
        """Store a report for all variants with its tree, with its events."""
        for variant in variants:
            own = replace(report, commit=str(variant.commit))
            self.reports[variant.number] = own
            if self._is_new(self.view.variants.get(variant.key), own):
                self.waiting[variant.key] = own
        if time.monotonic() - self.stored_at > _STORE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Store all reports that wait for it."""
        waiting, self.waiting = self.waiting, {}
        if waiting:
            self.store.change(lambda view: self._change(view, waiting), "gate")
        self.stored_at = time.monotonic()

    def _change(self, view: RunView, waiting: Mapping[tuple[int, int], GateReport]) -> RunChange | None:
        changed, events = [], []
        for key, report in waiting.items():
            variant = view.variants.get(key)
            if variant is not None and self._is_new(variant, report):
                changed.append(replace(variant, gates=_stored(variant, report)))
                events += gate_rule.report_events(report, turn=key[0], variant=key[1])
        mode: Mode = "shipping" if self.gate_set == SHIPPING else "conceptual"
        return RunChange(variants=changed, events=events, mode=mode) if changed else None

    def _is_new(self, variant: Variant | None, report: GateReport) -> bool:
        """Return whether a row lacks a report; another process may have changed it."""
        if variant is None or variant.commit != report.commit:
            return False
        stored = _report_of(variant, report.gate_set)
        is_same = stored.get("key") == report.key and stored.get("commit") == report.commit
        return not is_same or (self.force and _stored(variant, report) != variant.gates)


def _by_key(work: Sequence[tuple[Variant, PreparedGates]]) -> dict[str, list[Variant]]:
    groups: dict[str, list[Variant]] = {}
    for variant, prepared in work:
        groups.setdefault(prepared.key, []).append(variant)
    return groups


def _stored(variant: Variant, report: GateReport) -> dict[str, Any]:
    """Return the gates of a variant with a report: the conceptual set decides, the other is beside it."""
    now = dict(variant.gates or {})
    if report.gate_set == SHIPPING:
        return {**now, SHIPPING: report.document()}
    shipping = {SHIPPING: now[SHIPPING]} if SHIPPING in now else {}
    return {**report.document(), **shipping}


def _report_of(variant: Variant, gate_set: str) -> Mapping[str, Any]:
    """Return the stored report of a set; empty if there is none."""
    gates = variant.gates or {}
    return (gates.get(SHIPPING) or {}) if gate_set == SHIPPING else gates


def _known_reports(view: RunView) -> dict[str, GateReport]:
    """Return the stored reports of a run by their keys."""
    reports = {}
    for variant in view.variants.values():
        gates = variant.gates or {}
        for document in (gates, gates.get(SHIPPING)):
            if isinstance(document, Mapping) and gate_rule.is_report(document):
                report = gate_rule.report_from(document)
                reports[report.key] = report
    return reports


def _jobs(repo: Repository) -> int:
    """Return the number of leases for heavy work on this host."""
    from git_planner.flows.runs.leases import read_limits
    from git_planner.host.leases.host_state import read_state

    return read_limits(read_settings(repo), read_state()).of("heavy")[0]
