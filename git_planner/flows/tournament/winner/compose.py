"""`git bo4 compose`: make the winner's commit, and let a composition win only if it is proven better.

A composition goes through the gates and a measurement of its own. Unless it is better than the best single
variant, that one wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import git_planner
from git_planner import documents
from git_planner.config.policy_file import policy_at
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, check_stage, ended
from git_planner.flows.tournament.winner.candidate import CheckedCandidate, check_candidate
from git_planner.flows.tournament.winner.composed_tree import ComposedTree, ModuleSource, compose_tree
from git_planner.flows.tournament.winner.meta import COMPOSITION, NamedFile
from git_planner.flows.tournament.winner.report import ship_report
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.host.clock import utc_now
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Metric
from git_planner.rules.timestamps import seconds_between
from git_planner.rules.tournament import event
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.run import Stage
from git_planner.rules.tournament.variant import Variant
from git_planner.rules.tournament.winner import compose as rules
from git_planner.rules.tournament.winner.ship_text import winner_readme, winner_report

WINNER = "winner"
README, REPORT, COMPOSED = f"{WINNER}/README.md", f"{WINNER}/report.json", f"{WINNER}/compose.json"


@dataclass(frozen=True, slots=True)
class ComposeResult:
    """The winner as stored: `commit` is None if no variant is better than the base."""

    view: RunView
    commit: str | None
    rationale: str

    @property
    def exit(self) -> int:
        """Exit status: 1 if there is no winner."""
        return NO if self.commit is None else DONE

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/compose-result@1",
            "run": self.view.run.run,
            "branch": None
            if self.commit is None
            else refnames.short_name(refnames.winner_ref(self.view.run.run)),
            "commit": self.commit,
            "rationale": self.rationale,
            "selection": self.view.run.selection,
            "compose_sha256": self.view.run.compose_sha256,
        }


@dataclass(frozen=True, slots=True)
class _Winner:
    """A chosen commit, with its composition, gates and figures."""

    composition: Mapping[str, Any]
    commit: str
    rationale: str
    variant: int | None
    gates: Mapping[str, Any] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The composition to make, and what the overrides changed. `best` is the best single variant."""

    composition: Mapping[str, Any]
    applied: rules.AppliedOverrides | None
    best: Variant | None
    inputs: str
    overrides_path: str | None


def compose_winner(
    repo: Repository, name: str, progress: Progress, *, overrides: NamedFile | None = None
) -> ComposeResult:
    """Make the winner's commit on `bo4/<run>/winner`, and store report and selection; the same inputs once.

    Args:
        repo: the repository; no worktree is touched.
        name: the name of the run.
        progress: called with each progress message.
        overrides: a file with changes of the composition: its name and bytes.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if nothing has been chosen in this turn; E_COMPOSE,
            E_COMPOSE_OVERRIDES, E_REQUIRE_UNSAT, E_DUP_PROVIDER, E_PORT_VERSION_AMBIG, E_PREFER_UNSAT for
            a composition that does not fit together; what gates and measurements raise.
    """
    store = RunStore(repo, name)
    view = store.read()
    check_stage(view, "meta")
    data = view.read(COMPOSITION)
    if data is None:
        stage = view.run.stage("meta")
        return ComposeResult(view, None, "" if stage is None else stage.message)
    plan = _plan(view, documents.read("compose", data, COMPOSITION), overrides)
    if view.run.is_done("compose", plan.inputs) and _is_in_place(repo, view):
        selection = view.run.selection or {}
        return ComposeResult(view, selection.get("commit"), str(selection.get("rationale", "")))
    ref = refnames.winner_ref(view.run.run)
    # Before anything is measured.
    _check_own(repo, view, ref, repo.maybe(ref))
    stage = begun(view.run, plan.inputs)
    store.end_stage("compose", stage)
    try:
        winner, events = _Composer(repo, view, plan, progress).run()
    except PlannerError as error:
        store.end_stage("compose", ended(stage, "failed", f"{error.code}: {error.message}"))
        raise
    return _store_winner(store, view, (winner, events), stage)


def _is_in_place(repo: Repository, view: RunView) -> bool:
    """Return whether selection and branch are as the stage left them: a later choice clears the selection."""
    stage = view.run.stage("compose")
    commit = None if stage is None else stage.facts.get("commit")
    if commit is None:
        return True
    places = ((view.run.selection or {}).get("commit"), repo.maybe(refnames.winner_ref(view.run.run)))
    return places == (commit, commit)


def best_single(view: RunView) -> Variant | None:
    """Return the variant that the measurement chose in this turn; None if it chose none."""
    best = view.run.judged_best
    return None if best is None else view.variant(best)


def _plan(view: RunView, composition: Mapping[str, Any], overrides: NamedFile | None) -> _Plan:
    applied = None
    if overrides is not None:
        changes = documents.read("compose-overrides", overrides[1], overrides[0])
        composition, applied = rules.apply_overrides(composition, changes)
    best = best_single(view)
    numbers = sorted({module.variant for module in rules.modules_of(composition) if module.variant})
    commits = [[number, view.variant(number).commit] for number in numbers]
    inputs = canonical_json.digest(
        [rules.digest(composition), view.run.base, commits, None if best is None else best.commit]
    )
    return _Plan(composition, applied, best, inputs, None if overrides is None else overrides[0])


@dataclass
class _Composer:
    repo: Repository
    view: RunView
    plan: _Plan
    progress: Progress

    def run(self) -> tuple[_Winner | None, list[EventDraft]]:
        """Return the winner, None if nothing is better than the base, and the events that tell it."""
        events = self._override_events()
        single = rules.whole_variant(self.plan.composition)
        if single is not None:
            stage = self.view.run.stage("meta")
            return self._single(self.view.variant(single), "" if stage is None else stage.message), events
        composed = self._composed()
        rules.resolve_ports(self.plan.composition, composed.manifests)
        best = self.plan.best
        if best is not None and composed.tree == best.tree:
            return self._single(best, f"the composition is {best.name} itself", composed), events
        commit = self._commit(composed.tree)
        checked = check_candidate(self.repo, self.view, commit, best, self.progress)
        events += gate_rule.report_events(checked.gates, turn=self.view.run.turn.turn)
        winner = self._decide(commit, composed, checked)
        return winner, events

    def _decide(self, commit: str, composed: ComposedTree, checked: CheckedCandidate) -> _Winner | None:
        if checked.wins:
            return _Winner(
                self.plan.composition,
                commit,
                checked.reason,
                None,
                checked.gates.document(),
                checked.figures,
                composed.left_out,
            )
        self.progress(checked.reason)
        if self.plan.best is None:
            return None
        return self._single(self.plan.best, f"{self.plan.best.name} wins: {checked.reason}")

    def _single(self, variant: Variant, rationale: str, composed: ComposedTree | None = None) -> _Winner:
        if variant.commit is None:
            raise PlannerError(
                "E_NO_VARIANT",
                f"{variant.name} has no commit: it is {variant.state}",
                hint=f"git bo4 meta {self.view.run.run}",
            )
        return _Winner(
            self.plan.composition if composed else rules.composition_of_variant(variant.number),
            variant.commit,
            rationale,
            variant.number,
            variant.gates,
            dict(variant.confirmation or variant.screening or {}),
        )

    def _composed(self) -> ComposedTree:
        sources = []
        for module in rules.modules_of(self.plan.composition):
            if module.variant is None:
                raise PlannerError(
                    "E_COMPOSE",
                    f"the composition names no variant for '{module.module}'",
                    hint="add one with '--overrides'",
                )
            variant = self.view.variant(module.variant)
            if variant.commit is None or not variant.passes:
                raise PlannerError(
                    "E_COMPOSE",
                    f"'{module.module}' cannot be taken from {variant.name}, "
                    + ("which has no commit" if variant.commit is None else "which has not passed its gates"),
                    hint=f"git bo4 status {self.view.run.run}",
                )
            sources.append(ModuleSource(module.module, variant.number, variant.commit))
        patterns = policy_at(self.repo, self.view.run.base).modules
        composed = compose_tree(self.repo, self.view.run.base, sources, patterns)
        for number, paths in composed.left_out.items():
            more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
            self.progress(f"v{number}: outside of all modules, left out: {', '.join(paths[:5])}{more}")
        return composed

    def _commit(self, tree: str) -> str:
        """Make the commit of a composed tree; the same composition makes the same commit."""
        run = self.view.run
        modules = rules.modules_of(self.plan.composition)
        trailers = [
            ("Planner-Op", "bo4-compose"),
            ("Planner-Run", refnames.short_name(refnames.run_ref(run.run))),
            ("Planner-Compose", rules.digest(self.plan.composition)),
            *(("Planner-Module", f"{module.module}@var{module.variant}") for module in modules),
        ]
        message = Message(f"{run.run}: composed of {len(modules)} modules", tuple(trailers))
        return commit_tree(self.repo.git, tree, (run.base,), message.text(), date=run.created_at)

    def _override_events(self) -> list[EventDraft]:
        if self.plan.applied is None:
            return []
        detail = {**self.plan.applied.document(), "overrides_path": self.plan.overrides_path}
        return [EventDraft("COMPOSE_OVERRIDES_APPLIED", None, detail, utc_now())]


def _store_winner(
    store: RunStore,
    view: RunView,
    result: tuple[_Winner | None, list[EventDraft]],
    stage: Stage,
) -> ComposeResult:
    winner, events = result
    if winner is None:
        rationale = "no variant and no composition is better than the base"
        done = ended(stage, "done", rationale, winner=None)
        nothing = EventDraft("GATES_WARN", "NO_WINNER", {"message": rationale}, done.at)
        change = RunChange(events=[*events, nothing])
        return ComposeResult(store.end_stage("compose", done, change), None, rationale)
    _move_branch(store.repo, view, winner.commit)
    tree = store.repo.resolve(winner.commit, "tree")
    selection = _selection(view, winner, tree)
    sha = rules.digest(winner.composition)
    done = ended(stage, "done", winner.rationale, commit=winner.commit, compose_sha256=sha)
    metric = policy_at(store.repo, view.run.base).metric
    detail = {"commit": winner.commit, "tree": tree, "message": winner.rationale, "turn": stage.turn}
    events = [*events, EventDraft("GATES_WARN", "COMPOSED", detail, done.at)]

    def decide(now: RunView) -> RunChange | None:
        if now.run.turn.turn != stage.turn:
            return None
        run = replace(now.run, selection=selection, compose_sha256=sha).with_stage("compose", done)
        now = replace(now, run=run)
        return RunChange(run, files=_files(now, winner, metric, done.at), events=events, mode="compose")

    return ComposeResult(store.change(decide, "compose"), winner.commit, winner.rationale)


def _move_branch(repo: Repository, view: RunView, commit: str) -> None:
    ref = refnames.winner_ref(view.run.run)

    def decide(snapshots: Mapping[str, Snapshot]) -> list[Step]:
        tip = snapshots[ref].tip
        if tip == commit:
            return []
        _check_own(repo, view, ref, tip)
        return [Move(ref, commit)]

    Store(repo).transact([ref], decide)


def _check_own(repo: Repository, view: RunView, ref: str, tip: str | None) -> None:
    """Check that the winner's branch holds nothing but what the run has put there.

    Raises:
        PlannerError: E_CONFLICT naming the commit of somebody else.
    """
    own = {None, view.run.base, *(variant.commit for variant in view.variants.values())}
    if tip in own or tip is None:
        return
    details = [row.get("detail", {}) for row in event.read(view.events)]
    own |= {detail.get("commit") for detail in details if detail.get("code") == "COMPOSED"}
    if tip in own or _is_composed(repo, view, tip):
        return
    branch = refnames.short_name(ref)
    raise PlannerError(
        "E_CONFLICT",
        f"'{branch}' is at {tip[:12]}, a commit that this run has not made",
        hint=f"keep it under another name: git branch -m {branch} NAME, then git bo4 compose {view.run.run}",
    )


def _is_composed(repo: Repository, view: RunView, tip: str) -> bool:
    """Return whether a commit was composed by a command that was killed before it could record that."""
    form = "--format=%P%n%ct%n%(trailers:key=Planner-Run,valueonly)"
    lines = repo.git.line("log", "-1", "--no-show-signature", form, tip).splitlines()
    # An amended commit has another date.
    made = int(seconds_between("1970-01-01T00:00:00Z", view.run.created_at))
    run = refnames.short_name(refnames.run_ref(view.run.run))
    return lines[:3] == [view.run.base, str(made), run]


def _selection(view: RunView, winner: _Winner, tree: str) -> dict[str, Any]:
    modules = rules.modules_of(winner.composition)
    return {
        "turn": view.run.turn.turn,
        "kind": "composition" if winner.variant is None else "variant",
        "variant": winner.variant,
        "modules": {module.module: module.variant for module in modules},
        "rationale": winner.rationale[:2000],
        "commit": winner.commit,
        "tree": tree,
        "gates": winner.gates,
        "figures": dict(winner.figures),
        "left_out": {f"v{number}": list(paths[:50]) for number, paths in winner.left_out.items()},
        "recorded_at": utc_now(),
    }


def _files(view: RunView, winner: _Winner, metric: Metric | None, at: str) -> dict[str, bytes | None]:
    notes = [winner.rationale] + [
        f"{len(paths)} paths that v{number} changed outside of all modules were left out"
        for number, paths in winner.left_out.items()
    ]
    composer = f"git-bo4 {git_planner.__version__}"
    report = winner_report(winner.composition, composer=composer, generated_at=at, notes=notes)
    return {
        README: winner_readme(ship_report(view, winner.composition, metric)).encode(),
        REPORT: canonical_json.dumps(report),
        COMPOSED: canonical_json.dumps(winner.composition),
    }
