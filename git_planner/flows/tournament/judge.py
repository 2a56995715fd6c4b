"""`git bo4 judge`: measure the variants that passed their gates, and choose the best one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.measuring.benches.bench import on_one_worker
from git_planner.flows.measuring.benches.engine_choice import chosen_engine
from git_planner.flows.measuring.benches.open_bench import open_bench
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, check_stage, ended
from git_planner.flows.tournament.tree_measurer import TreeMeasurer, load_rows, save_rows
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.progress import Progress
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.tournament import judging
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.judging import Choice, Contender
from git_planner.rules.tournament.variant import Variant

_BASE = 0


def judge(repo: Repository, name: str, progress: Progress) -> RunView:
    """Measure the variants of the current turn that passed their gates, and choose the best one.

    The result is in the stage's facts: `winner` is the number of the best variant, None if none is better
    than the base, and `rationale` says why.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if the gates have not run; E_MEASURE if the base has no valid
            result; what measuring raises.
    """
    store = RunStore(repo, name)
    view = store.read()
    check_stage(view, "gate")
    settings = read_settings(repo)
    variants = [variant for variant in view.current if _is_contender(variant)]
    contents = [[variant.number, variant.tree, variant.lines] for variant in variants]
    inputs: str | None = None
    if chosen_engine(settings) is not None:
        # Which worker an engine takes is no reason to measure again what was measured on another one.
        inputs = canonical_json.digest(["engine", instrument_digest_at(repo, view.run.base), contents])
        if view.run.is_done("judge", inputs):
            return view
    with open_bench(repo, settings, progress) as bench:

        def judge_all() -> RunView:
            measurer = TreeMeasurer(repo, view.run, progress, bench)
            own = inputs or canonical_json.digest([measurer.digest, contents])
            return view if view.run.is_done("judge", own) else _judge(store, measurer, variants, own)

        return on_one_worker(judge_all, progress)


def _judge(store: RunStore, measurer: TreeMeasurer, variants: Sequence[Variant], inputs: str) -> RunView:
    """Measure the variants, and store the choice in the run."""
    stage = begun(measurer.run, inputs)
    store.end_stage("judge", stage)
    judging_ = _Judging(measurer, variants)
    choice = judging_.choose()
    event = EventDraft("GATES_WARN", "JUDGED", {"message": choice.rationale}, utc_now())
    return store.end_stage(
        "judge",
        ended(stage, "done", choice.rationale, winner=choice.winner, rationale=choice.rationale),
        RunChange(variants=judging_.variants(), events=[event]),
    )


def _is_contender(variant: Variant) -> bool:
    return variant.passes and variant.same_as is None and variant.commit is not None


class _Judging:
    """Judging of the variants of one turn; `trees` are those to measure, by number."""

    def __init__(self, measurer: TreeMeasurer, variants: Sequence[Variant]) -> None:
        self.measurer, self.progress = measurer, measurer.progress
        self.judged = {
            variant.number: replace(variant, screening=None, confirmation=None) for variant in variants
        }
        self.trees: dict[int, str] = {}

    def variants(self) -> list[Variant]:
        """Return the variants with their figures."""
        return list(self.judged.values())

    def choose(self) -> Choice:
        """Measure, and choose the best variant."""
        for number, variant in self.judged.items():
            assert variant.commit is not None
            tree = self.measurer.candidate_tree(variant.commit)
            if isinstance(tree, Refusal):
                self._refuse(number, tree.reason, tree.sentence)
            elif tree == self.measurer.base_tree:
                self._refuse(number, "no_change", "its tree is that of the base")
            else:
                self.trees[number] = tree
        metric = self.measurer.metric
        if metric is None:
            self._test_all()
            return Choice(None, "the policy has no metric, so a person or a coverage file chooses")
        return self._choose_exact(metric) if metric.kind == "deterministic" else self._choose_noisy(metric)

    def _refuse(self, number: int, reason: str, text: str) -> None:
        self.trees.pop(number, None)
        self._note(number, {"reason": reason, "text": text})

    def _note(self, number: int, figures: dict[str, Any]) -> None:
        self.judged[number] = replace(self.judged[number], screening=figures)

    def _test_all(self) -> None:
        """Run the tests of all variants; those that fail are out."""
        for number, tree in list(self.trees.items()):
            self.progress(f"v{number}: running the tests")
            refusal = self.measurer.tests_refusal(tree)
            if refusal is not None:
                self._refuse(number, refusal.reason, refusal.sentence)

    def _choose_exact(self, metric: Metric) -> Choice:
        base = self._base_value(self.measurer.value(metric, self.measurer.base_tree))
        contenders = []
        for number, tree in list(self.trees.items()):
            self.progress(f"v{number}: measuring {metric.name}")
            value = self.measurer.value(metric, tree)
            if isinstance(value, Refusal):
                self._refuse(number, value.reason, value.sentence)
                continue
            gain = judging.screening_gain([base], [value], metric.better)
            contenders.append(Contender(number, gain, self.judged[number].lines))
            self._note(
                number,
                {"metric": metric.name, "unit": metric.unit, "values": [value], "base": [base], "gain": gain},
            )
        return judging.choose_exact(contenders, metric.min_gain or 0.0)

    def _choose_noisy(self, metric: Metric) -> Choice:
        self._test_all()
        ranked = judging.rank(self._screen(metric))
        over_base = bool(ranked) and self._confirm(ranked[0].number, None)
        over_next = next_over_base = None
        if judging.needs_runner_up(over_base, ranked):
            over_next = self._confirm(ranked[0].number, ranked[1].number)
            if not over_next and ranked[1].lines < ranked[0].lines:
                next_over_base = self._confirm(ranked[1].number, None)
        return judging.choose_confirmed(
            ranked,
            better_than_base=over_base,
            better_than_next=over_next,
            next_better_than_base=next_over_base,
        )

    def _confirm(self, number: int, rival: int | None) -> bool:
        """Compare a finalist with the base, or with another variant, in runs of their own."""
        against = "base" if rival is None else f"v{rival}"
        rival_tree = self.measurer.base_tree if rival is None else self.trees[rival]
        verdict = self.measurer.compare(self.trees[number], rival_tree, f"v{number} against {against}")
        variant = self.judged[number]
        figures = {**verdict.figures, "text": verdict.text, "better": verdict.is_better}
        self.judged[number] = replace(
            variant, confirmation={**(variant.confirmation or {}), against: figures}
        )
        return verdict.is_better

    def _screen(self, metric: Metric) -> list[Contender]:
        """Measure base and variants once in each block, in random order; whole blocks are kept."""
        place = self.measurer.place(f"screen-{canonical_json.digest(sorted(self.trees.items()))[:16]}")
        values: dict[int, list[float]] = {int(name): list(row) for name, row in load_rows(place)}
        for block in range(metric.pairs.screen if self.trees else 0):
            if all(len(values.get(number, ())) > block for number in (_BASE, *self.trees)):
                continue
            self.progress(f"screening: block {block + 1} of {metric.pairs.screen}")
            for number in _shuffled([_BASE, *self.trees]):
                value = self.measurer.sample(metric, self.trees.get(number, self.measurer.base_tree))
                if number == _BASE:
                    value = self._base_value(value)
                if isinstance(value, Refusal):
                    self._refuse(number, value.reason, value.sentence)
                else:
                    values[number] = [*values.get(number, [])[:block], value]
            save_rows(place, [[str(number), row] for number, row in values.items()])
        contenders = []
        for number in self.trees:
            gain = judging.screening_gain(values[_BASE], values[number], metric.better)
            contenders.append(Contender(number, gain, self.judged[number].lines))
            figures = {"values": values[number], "base": values[_BASE], "gain": gain}
            self._note(number, {"metric": metric.name, "unit": metric.unit, **figures})
        return contenders

    def _base_value(self, value: float | Refusal) -> float:
        if isinstance(value, Refusal):
            raise PlannerError("E_MEASURE", f"the base cannot be measured: {value.sentence}")
        return value


def _shuffled(numbers: Sequence[int]) -> list[int]:
    """Return numbers in an order that no candidate can foresee."""
    return secrets.SystemRandom().sample(list(numbers), len(numbers))
