"""`git bo4 meta`: choose what the winner is made of, by coverage of the goals or by measurement alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file, documents
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, check_stage, ended
from git_planner.flows.tournament.winner.composed_tree import read_manifests
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.progress import Progress
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.variant import Variant
from git_planner.rules.tournament.winner import compose as rules
from git_planner.rules.tournament.winner.coverage import (
    DEFAULT_PROFILE,
    Coverage,
    ModuleOffer,
    coverage_from,
    profile_weights,
)
from git_planner.rules.tournament.winner.coverage_score import Pick, choose_modules
from git_planner.rules.tournament.winner.review import agreed_best

COVERAGE, COMPOSITION, REPORT = "meta/coverage.json", "meta/compose.json", "meta/report.json"
# Profile of a choice by measurement alone.
MEASURED = "measurement"
REVIEWED = "review"
NamedFile = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class MetaOptions:
    """Options of the choice.

    `coverage` and `weights` are files, name and bytes; without coverage the file that was given before in
    this turn counts, and in the first turn the one of the run. `variant`: only this one may be chosen.
    """

    coverage: NamedFile | None = None
    profile: str = DEFAULT_PROFILE
    weights: NamedFile | None = None
    variant: int | None = None


@dataclass(frozen=True, slots=True)
class MetaResult:
    """A choice: the composition, None if no variant is better than the base, and the reason in one line.

    `picks` are the steps of a choice by coverage, as their events have them.
    """

    view: RunView
    composition: Mapping[str, Any] | None
    rationale: str
    picks: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/meta-result@1",
            "run": self.view.run.run,
            "composition": self.composition,
            "compose_sha256": self.view.run.compose_sha256,
            "rationale": self.rationale,
            "picks": list(self.picks),
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    """Choice of a composition. `coverage` is the document that it was chosen by, `source` its name."""

    composition: Mapping[str, Any] | None
    rationale: str
    profile: str
    picks: tuple[Mapping[str, Any], ...] = ()
    coverage: Mapping[str, Any] | None = None
    source: str | None = None


def choose_composition(repo: Repository, name: str, options: MetaOptions, progress: Progress) -> MetaResult:
    """Choose the modules of the winner, and store the choice in the run; the same inputs choose once.

    With coverage, modules of variants that passed their gates are chosen by score. Without it, the variant
    that the measurement chose is taken as a whole.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if an earlier stage is not done; E_UNKNOWN_VARIANT; E_COVERAGE,
            E_META_WEIGHTS, E_SCHEMA and E_JSON for the files; E_NO_VARIANT if no variant passed its gates.
    """
    store = RunStore(repo, name)
    view = store.read()
    check_stage(view, "gate")
    named = _coverage_file(view, options)
    coverage = None if named is None else documents.read("coverage", named[1], named[0])
    weights = (
        None if options.weights is None else canonical_json.loads(options.weights[1], options.weights[0])
    )
    if coverage is None:
        check_stage(view, "judge")
    if options.variant is not None:
        view.variant(options.variant)
    inputs = _inputs(view, coverage, weights, options)
    if view.run.is_done("meta", inputs):
        return _stored(view)
    if coverage is None:
        choice = _choose_by_measurement(repo, view, options.variant)
    else:
        assert named is not None
        progress(f"choosing modules by '{named[0]}', profile '{options.profile}'")
        choice = replace(_choose_by_coverage(repo, view, coverage, weights, options), source=named[0])
    return _store(store, view, choice, inputs)


def _coverage_file(view: RunView, options: MetaOptions) -> NamedFile | None:
    if options.coverage is not None:
        return options.coverage
    # A coverage file is about the variants of one turn.
    stored = view.read(COVERAGE) if view.run.stage("meta") is not None else None
    if stored is not None:
        return COVERAGE, stored
    path = (view.run.coverage or {}).get("path")
    if path is None or view.run.turn.turn > 1:
        return None
    try:
        return path, atomic_file.read(Path(path), canonical_json.MAX_BYTES)
    except (OSError, ValueError) as error:
        raise PlannerError(
            "E_MISSING_INPUT",
            f"the coverage file '{path}' of the run cannot be read: {getattr(error, 'strerror', error)}",
            hint="name it with '--coverage'",
        ) from None


def _inputs(view: RunView, coverage: Mapping[str, Any] | None, weights: Any, options: MetaOptions) -> str:
    judge = view.run.stage("judge")
    return canonical_json.digest(
        {
            "coverage": coverage,
            "weights": weights,
            "profile": options.profile,
            "variant": options.variant,
            "variants": [
                [row.number, row.commit, row.state, row.passes, dict(row.score or {})] for row in view.current
            ],
            "judged": None if coverage is not None or judge is None else [judge.inputs, dict(judge.facts)],
        }
    )


def shut_variants(view: RunView, only: int | None = None) -> dict[int, str]:
    """Return the variants of the turn that may not be chosen, each with the reason."""
    reasons: dict[int, str] = {}
    for variant in view.current:
        if only is not None and variant.number != only:
            reasons[variant.number] = f"{variant.number} is not the one of '--variant'"
        elif variant.commit is None:
            reasons[variant.number] = f"{variant.number} has no commit: it is {variant.state}"
        elif not variant.passes:
            how = "has not passed" if variant.gates is None else "failed"
            reasons[variant.number] = f"{variant.number} {how} its gates"
    return reasons


def _choose_by_measurement(repo: Repository, view: RunView, only: int | None) -> _Choice:
    if only is not None:
        reason = shut_variants(view).get(only)
        if reason is not None:
            raise PlannerError(
                "E_NO_VARIANT", f"variant {reason}", hint=f"choose another: git bo4 status {view.run.run}"
            )
        words = f"v{only} was chosen with '--variant'"
        return _Choice(rules.composition_of_variant(only), words, MEASURED)
    stage = view.run.stage("judge")
    facts = {} if stage is None else stage.facts
    winner, rationale = view.run.judged_best, str(facts.get("rationale") or "no variant was chosen")
    if winner is None and policy_at(repo, view.run.base).metric is None:
        return _choose_by_review(view, rationale)
    composition = None if winner is None else rules.composition_of_variant(winner)
    return _Choice(composition, rationale, MEASURED)


def _choose_by_review(view: RunView, rationale: str) -> _Choice:
    """Choose the variant that a reviewer found best in both orders; only where nothing is measured."""
    shut = shut_variants(view)
    scores = {row.number: row.score for row in view.current if row.score and row.number not in shut}
    best = agreed_best(scores)
    if best is None:
        return _Choice(None, rationale, REVIEWED)
    words = f"v{best} has the highest score of the review in both orders; the policy has no metric"
    return _Choice(rules.composition_of_variant(best), words, REVIEWED)


def _choose_by_coverage(
    repo: Repository, view: RunView, document: Mapping[str, Any], weights: Any, options: MetaOptions
) -> _Choice:
    shut = shut_variants(view, options.variant)
    admitted = [variant for variant in view.current if variant.number not in shut]
    if not admitted:
        raise PlannerError(
            "E_NO_VARIANT",
            "no variant of the turn may be chosen",
            hint=f"git bo4 status {view.run.run}",
            details=[f"variant {reason}" for reason in shut.values()],
        )
    numbers = {variant.number for variant in view.current}
    coverage = coverage_from(document)
    unknown = {
        offer.variant: f"{offer.variant} is not in this turn"
        for offer in coverage.offers
        if offer.variant is not None and offer.variant not in numbers
    }
    coverage = _with_variants(coverage, admitted)
    picks = choose_modules(coverage, profile_weights(options.profile, weights), excluded={**shut, **unknown})
    composition = rules.composition_of_picks(picks, options.profile, _versions(repo, picks, admitted))
    names = ", ".join(offer.name for pick in picks for offer in pick.bundle)
    return _Choice(
        composition,
        f"{names} cover all {len(coverage.goals)} goals",
        options.profile,
        tuple(pick.document(options.profile) for pick in picks),
        document,
    )


def _with_variants(coverage: Coverage, admitted: list[Variant]) -> Coverage:
    """Return the coverage with a variant for each offer: of offers that name none, the only admitted one.

    Raises:
        PlannerError: E_COVERAGE if several variants are admitted.
    """
    unnamed = [offer for offer in coverage.offers if offer.variant is None]
    if not unnamed:
        return coverage
    if len(admitted) > 1:
        raise PlannerError(
            "E_COVERAGE",
            f"'{unnamed[0].module}' names no variant, and {len(admitted)} may be chosen",
            hint=f"write '{unnamed[0].module}@var{admitted[0].number}', or name one with '--variant'",
        )
    number = admitted[0].number

    def named(offer: ModuleOffer) -> ModuleOffer:
        return offer if offer.variant is not None else replace(offer, variant=number)

    return replace(coverage, offers=tuple(sorted(map(named, coverage.offers), key=lambda row: row.order)))


def _versions(
    repo: Repository, picks: list[Pick], admitted: list[Variant]
) -> dict[tuple[str, int | None], str]:
    """Return the versions of the chosen modules, from their manifests."""
    chosen = {offer.variant for pick in picks for offer in pick.bundle}
    versions: dict[tuple[str, int | None], str] = {}
    for variant in admitted:
        if variant.number in chosen and variant.commit is not None:
            for row in read_manifests(repo, variant.commit):
                if row.manifest is not None:
                    versions[row.module, variant.number] = row.manifest.version
    return versions


def _store(store: RunStore, view: RunView, choice: _Choice, inputs: str) -> MetaResult:
    """Write the choice into the run, unless another turn has begun meanwhile."""
    stage = begun(view.run, inputs)
    sha = None if choice.composition is None else rules.digest(choice.composition)
    stage = ended(
        stage,
        "done",
        choice.rationale,
        profile=choice.profile,
        compose_sha256=sha,
        picks=list(choice.picks),
    )
    files = _files(view, choice, sha, stage.at)
    events = _events(choice)

    def decide(now: RunView) -> RunChange | None:
        if now.run.turn.turn != stage.turn or now.run.is_done("meta", inputs):
            return None
        run = replace(now.run, compose_sha256=sha, selection=None).with_stage("meta", stage)
        return RunChange(run, files=files, events=events, mode="compose")

    after = store.change(decide, "meta")
    return MetaResult(after, choice.composition, choice.rationale, choice.picks)


def _files(view: RunView, choice: _Choice, sha: str | None, at: str) -> dict[str, bytes | None]:
    goals = [] if choice.coverage is None else list(choice.coverage["goals"])
    report = {
        "schema": "git-planner/meta-report@1",
        "task_id": view.run.task_id,
        "turn": view.run.turn.turn,
        "run_id": None if choice.composition is None else choice.composition["run_id"],
        "compose_sha256": sha,
        "generated_at": at,
        "coverage": {"source": choice.source, "goals": goals},
        "picks": list(choice.picks),
        "rationale": choice.rationale,
    }
    files: dict[str, bytes | None] = {REPORT: canonical_json.dumps(report)}
    for path, document in ((COMPOSITION, choice.composition), (COVERAGE, choice.coverage)):
        files[path] = None if document is None else canonical_json.dumps(document)
    return files


def _events(choice: _Choice) -> list[EventDraft]:
    now = utc_now()
    if choice.composition is None:
        return [EventDraft("GATES_WARN", "NO_WINNER", {"message": choice.rationale}, now)]
    if choice.picks:
        return [EventDraft("META_PICK", None, dict(pick), now) for pick in choice.picks]
    module = rules.modules_of(choice.composition)[0]
    detail = {"module": f"{module.module}@var{module.variant}", "profile": choice.profile}
    return [EventDraft("META_PICK", None, {**detail, "message": choice.rationale}, now)]


def _stored(view: RunView) -> MetaResult:
    stage = view.run.stage("meta")
    assert stage is not None
    data = view.read(COMPOSITION)
    composition = None if data is None else documents.read("compose", data, COMPOSITION)
    return MetaResult(view, composition, stage.message, tuple(stage.facts.get("picks", ())))
