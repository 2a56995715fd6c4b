"""`git bo4 ship`: run the shipping gates on the winner, and write the text of its pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_planner import documents, redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.tournament.events import require_valid
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, check_stage, ended
from git_planner.flows.tournament.winner.candidate import SHIPPING, gate_commit
from git_planner.flows.tournament.winner.compose import COMPOSED
from git_planner.flows.tournament.winner.report import ship_report
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.gate import GateReport
from git_planner.rules.tournament.run import Stage
from git_planner.rules.tournament.winner.ship_text import render_ship_text, ship_title

TEXT = "winner/pull-request.md"


@dataclass(frozen=True, slots=True)
class ShipResult:
    """The winner with the results of its gates, and the text of its pull request; empty if they failed."""

    run: str
    commit: str
    gates: GateReport
    title: str
    body: str

    @property
    def exit(self) -> int:
        """Exit status: 1 if the gates failed."""
        return DONE if self.gates.passed else NO

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/shipped@1",
            "run": self.run,
            "commit": self.commit,
            "passed": self.gates.passed,
            "gates": self.gates.document(),
            "title": self.title,
            "body": self.body,
        }


def ship_winner(
    repo: Repository, name: str, progress: Progress, *, strict_events: bool = False
) -> ShipResult:
    """Run the shipping gates on the winner, and store the text of its pull request; the same inputs once.

    Args:
        repo: the repository; no worktree is touched.
        name: the name of the run.
        progress: called with each progress message.
        strict_events: refuse a stream of events that is not valid.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if this turn has no winner, or its branch was moved;
            E_EVENT_SCHEMA; what running gates raises.
    """
    store = RunStore(repo, name)
    view = store.read()
    if strict_events:
        require_valid(name, view.events)
    commit = winner_commit(repo, view)
    report = gate_commit(repo, view, commit, progress)
    inputs = canonical_json.digest([commit, report.key, view.run.compose_sha256])
    stage = view.run.stage("ship")
    is_stored = SHIPPING in ((view.run.selection or {}).get("gates") or {})
    if stage is None or stage.inputs != inputs or stage.outcome == "begun" or not is_stored:
        message = "the gates passed" if report.passed else _failure_text(report)
        done = ended(
            begun(view.run, inputs),
            "done" if report.passed else "failed",
            message,
            commit=commit,
        )
        view = _store(store, report, done)
    if strict_events:
        require_valid(name, store.read().events)
    if not report.passed:
        return ShipResult(name, commit, report, "", "")
    title, body = ship_texts(repo, view)
    return ShipResult(name, commit, report, title, body)


def winner_commit(repo: Repository, view: RunView) -> str:
    """Return the commit of this turn's winner.

    Raises:
        PlannerError: E_STAGE if there is none, or its branch is elsewhere.
    """
    check_stage(view, "compose")
    name, selection = view.run.run, view.run.selection or {}
    if not selection.get("commit") or selection.get("turn") != view.run.turn.turn:
        raise PlannerError(
            "E_STAGE",
            f"the tournament '{name}' has no winner in turn {view.run.turn.turn}",
            hint=f"git bo4 status {name}",
        )
    commit = str(selection["commit"])
    ref = refnames.winner_ref(name)
    if repo.maybe(ref) != commit:
        raise PlannerError(
            "E_STAGE",
            f"'{refnames.short_name(ref)}' is not at {commit[:12]}, which was chosen",
            hint=f"git bo4 compose {name}",
        )
    return commit


def ship_texts(repo: Repository, view: RunView) -> tuple[str, str]:
    """Return title and description of the pull request of a run's winner, with secrets masked."""
    data = view.read(COMPOSED)
    if data is None:
        raise PlannerError(
            "E_STAGE", f"'{COMPOSED}' of the run is missing", hint=f"git bo4 compose {view.run.run}"
        )
    composition = documents.read("compose", data, COMPOSED)
    report = ship_report(view, composition, policy_at(repo, view.run.base).metric)
    return redact.mask_text(ship_title(report)), redact.mask_text(render_ship_text(report))


def _store(store: RunStore, report: GateReport, done: Stage) -> RunView:
    """Store the stage with the gates of the winner and their events, and then the text."""
    events: Sequence[EventDraft] = gate_rule.report_events(report, turn=done.turn)

    def decide(view: RunView) -> RunChange | None:
        selection = view.run.selection or {}
        if view.run.turn.turn != done.turn or selection.get("commit") != report.commit:
            return None
        gates = {**(selection.get("gates") or {}), SHIPPING: report.document()}
        run = replace(view.run, selection={**selection, "gates": gates}).with_stage("ship", done)
        text = ship_texts(store.repo, replace(view, run=run))[1].encode() if report.passed else None
        return RunChange(run, files={TEXT: text}, events=events, mode="shipping")

    return store.change(decide, "ship")


def _failure_text(report: GateReport) -> str:
    failure = report.failure
    return (
        "no gate has passed" if failure is None else f"'{failure.name}' {failure.verdict}: {failure.message}"
    )
