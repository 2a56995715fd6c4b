"""`git bo4 review`: let a critic score the variants without knowing whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_planner import documents, redact
from git_planner.agents import registry
from git_planner.agents.contract import Critic, WritingRequest
from git_planner.agents.templates import read_template
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.discovery.critique import check_model
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, check_stage
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import temporary_folder
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.extract_json import extract_json
from git_planner.rules.policy.policy import CriticSettings
from git_planner.rules.tournament.variant import Variant
from git_planner.rules.tournament.winner import review as rules

KEYS = (("reviews",),)


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """Options of a review; None: the default of the policy or the settings. `seconds`: for each order."""

    critic: str | None = None
    model: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class VariantReviews:
    """The scores of the variants by number, as stored; `reviewer` and `model` made them."""

    run: str
    reviewer: str
    model: str | None
    scores: Mapping[int, Mapping[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/reviews@1",
            "run": self.run,
            "reviewer": self.reviewer,
            "model": self.model,
            "scores": {f"v{number}": dict(score) for number, score in self.scores.items()},
            "agreed_best": rules.agreed_best(self.scores),
        }


def review_variants(
    repo: Repository, name: str, options: ReviewOptions, progress: Progress
) -> VariantReviews:
    """Ask a critic twice for the scores of the variants that passed their gates; the same variants once.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if the gates have not run; E_NO_VARIANT; E_TOO_LARGE; E_AGENT,
            E_MODEL; what the critic raises.
    """
    store = RunStore(repo, name)
    view = store.read()
    check_stage(view, "gate")
    variants = [row for row in view.current if row.commit and row.passes and row.same_as is None]
    if not variants:
        raise PlannerError(
            "E_NO_VARIANT", "no variant has passed its gates", hint=f"git bo4 status {view.run.run}"
        )
    if len(variants) > rules.MAX_VARIANTS:
        raise PlannerError(
            "E_TOO_LARGE",
            f"{len(variants)} variants passed; a reviewer compares at most {rules.MAX_VARIANTS}",
            hint="go on without a review",
        )
    policy = policy_at(repo, view.run.base)
    settings = read_settings(repo, policy=policy, critic=options.critic)
    own = policy.critics.of(settings.critic)
    model = options.model or own.model
    check_model(settings.critic, own, model)
    agent = registry.make_critic(settings.critic, policy, settings, repo)
    inputs = _inputs(view, variants, agent.name, model)
    if all((variant.score or {}).get("inputs") == inputs for variant in variants):
        scores = {variant.number: dict(variant.score or {}) for variant in variants}
        return VariantReviews(name, agent.name, model, scores)
    reviewer = _Reviewer(repo, agent, own, model, options.seconds or own.timeout, progress)
    orders = rules.review_orders([variant.number for variant in variants], f"{view.run.uid}:{inputs}")
    shown = _blind_variants(repo, view, variants, policy.critics.budget)
    answers = (
        reviewer.ask(view.prompt, shown, orders[0], policy.critics.budget),
        reviewer.ask(view.prompt, shown, orders[1], policy.critics.budget),
    )
    merged = rules.merge_reviews(answers, orders)
    origin = {"inputs": inputs, "reviewer": agent.name, "model": model}
    scores = {number: {**score.document(), **origin} for number, score in merged.items()}
    _tell_disagreements(scores, progress)
    _store(store, view, variants, scores)
    return VariantReviews(name, agent.name, model, scores)


@dataclass(frozen=True, slots=True)
class _Reviewer:
    repo: Repository
    agent: Critic
    settings: CriticSettings
    model: str | None
    seconds: float
    progress: Progress

    def ask(
        self,
        prompt: str,
        variants: Sequence[rules.ReviewedVariant],
        labels: Mapping[str, int],
        budget: int,
    ) -> Mapping[str, Any]:
        """Return the valid answer to one order."""
        text = rules.render_review_request(read_template("variant-review"), prompt, variants, labels, budget)
        self.progress(f"{self.agent.name} reviews {len(labels)} variants: {len(text.encode()):,} bytes")
        folder = self.repo.private("runs", f"review-{refnames.new_id(self.repo.now())}")
        with temporary_folder() as empty:
            request = WritingRequest(
                kind="review",
                prompt=text,
                check=lambda answer: _answer_faults(answer, labels),
                working_dir=empty,
                folder=folder,
                seconds=self.seconds,
                model=self.model,
            )
            with agent_turn(self.repo, None, self.progress):
                written = self.agent.write(request, self.progress)
        if written.model != self.model:
            check_model(self.agent.name, self.settings, written.model, answered=True)
        return extract_json(written.text, "the review", keys=KEYS)


def _answer_faults(answer: str, labels: Mapping[str, int]) -> list[str]:
    """Check an answer: bounded, one JSON object, valid by its schema, and one review of each label."""
    if len(answer) > rules.MAX_ANSWER:
        return [f"the review has {len(answer):,} characters; at most {rules.MAX_ANSWER:,} are read"]
    try:
        document = extract_json(answer, "the review", keys=KEYS)
    except PlannerError as error:
        return [error.message]
    return documents.validate("variant-review", document) or rules.label_faults(document, labels)


def _inputs(view: RunView, variants: Sequence[Variant], critic: str, model: str | None) -> str:
    trees = [[variant.number, variant.tree] for variant in variants]
    return canonical_json.digest([view.run.turn.prompt_sha256, view.run.base, trees, critic, model])


def _blind_variants(
    repo: Repository, view: RunView, variants: Sequence[Variant], budget: int
) -> list[rules.ReviewedVariant]:
    names = {
        str(value)
        for variant in view.current
        for key, value in variant.agent.items()
        if key in ("agent", "model") and value
    }
    shown = []
    for variant in variants:
        diff = repo.git.short_output(
            "diff-tree",
            "-p",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            view.run.base,
            str(variant.commit),
            most=budget,
        )
        if diff is None:
            raise PlannerError(
                "E_TOO_LARGE",
                f"the diff of {variant.name} is larger than the reviewer's budget of {budget:,} bytes",
                hint="raise 'critics: budget:' in '.git-planner.yml', or go on without a review",
            )
        text = redact.mask_text(diff.decode("utf-8", "replace"))
        shown.append(rules.ReviewedVariant(variant.number, rules.blind(text, names)))
    return shown


def _tell_disagreements(scores: Mapping[int, Mapping[str, Any]], progress: Progress) -> None:
    for number, score in scores.items():
        if not score["agrees"]:
            first, second = score["orders"]
            progress(f"v{number}: the scores of both orders disagree: {first:g} and {second:g}")


def _store(
    store: RunStore, view: RunView, variants: Sequence[Variant], scores: Mapping[int, Mapping[str, Any]]
) -> None:
    commits = {variant.key: variant.commit for variant in variants}

    def decide(now: RunView) -> RunChange | None:
        rows = [
            replace(row, score=scores[row.number])
            for key, row in now.variants.items()
            if key in commits and row.commit == commits[key] and row.turn == view.run.turn.turn
        ]
        return RunChange(variants=rows) if rows else None

    store.change(decide, "review")
