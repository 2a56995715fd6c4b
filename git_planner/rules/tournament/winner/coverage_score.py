"""Choose modules that cover all goals of a tournament: a greedy choice by score, with backtracking. Pure.

Each step takes the bundle with the highest gain among those that cover a goal not yet covered: a module with
the providers of the ports that it requires, depth first, in the order of their names. A bundle that covers
nothing new is never taken, whatever its gain. If the steps end with a goal uncovered, the last step takes the
next best bundle, and so on: the choice fails only if no selection covers all goals.

A selection has at most one variant of a module and one provider of a port, and no modules that require each
other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.tournament.winner.coverage import Coverage, ModuleOffer, ScoreWeights

# Offers that are tried as a part of some bundle before the search gives up.
MAX_STEPS = 200_000


@dataclass(frozen=True, slots=True)
class Drivers:
    """The features of a bundle that its gain is computed from, and the names of its modules."""

    coverage_contribution: Fraction
    coverage_goals: tuple[str, ...]
    evidence_strength: Fraction
    risk: Fraction
    delta_cost: Fraction
    hygiene: Fraction
    bundle: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the drivers as the detail of an event has them."""
        return {
            "coverage_contribution": float(self.coverage_contribution),
            "coverage_goals": list(self.coverage_goals),
            "evidence_strength": float(self.evidence_strength),
            "risk": float(self.risk),
            "delta_cost": float(self.delta_cost),
            "hygiene": float(self.hygiene),
            "bundle": list(self.bundle),
        }


@dataclass(frozen=True, slots=True)
class Pick:
    """One step of the choice: the module, the offers of its bundle (the module first), and its gain."""

    offer: ModuleOffer
    bundle: tuple[ModuleOffer, ...]
    gain: Fraction
    drivers: Drivers

    def document(self, profile: str) -> dict[str, Any]:
        """Return the pick as the detail of a META_PICK event."""
        return {
            "module": self.offer.name,
            "gain": float(self.gain),
            "drivers": self.drivers.document(),
            "profile": profile,
        }


class _ModuleSelection(NamedTuple):
    """Offers chosen together: by module, with the owner of each port; the first of a bundle comes first."""

    modules: Mapping[str, ModuleOffer]
    owners: Mapping[str, ModuleOffer]

    def with_offer(self, offer: ModuleOffer) -> _ModuleSelection | None:
        """Return the selection with one more offer; None if its module or a port of it is taken."""
        if offer.module in self.modules or any(port in self.owners for port in offer.ports):
            return None
        return _ModuleSelection(
            {**self.modules, offer.module: offer},
            {**self.owners, **dict.fromkeys(offer.ports, offer)},
        )


class _PortNeed(NamedTuple):
    """A required port, and the modules that led to it, outermost first."""

    port: str
    path: tuple[str, ...]


class _PartialBundle(NamedTuple):
    selection: _ModuleSelection
    needs: tuple[_PortNeed, ...]


@dataclass(slots=True)
class _ModuleSearch:
    coverage: Coverage
    weights: ScoreWeights
    offers: Sequence[ModuleOffer]
    steps: int = 0
    hopeless: set[frozenset[str]] = field(default_factory=set)
    circles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    providers: dict[str, list[ModuleOffer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for offer in self.offers:
            for port in offer.ports:
                self.providers.setdefault(port, []).append(offer)

    def bundles(self, root: ModuleOffer, selection: _ModuleSelection) -> Iterator[_ModuleSelection]:
        """Yield the selections that an offer and providers of all that it requires make, depth first."""
        waiting = self._extended(selection, root, (), ())
        while waiting:
            partial = waiting.pop()
            if not partial.needs:
                yield partial.selection
                continue
            need, *rest = partial.needs
            owner = partial.selection.owners.get(need.port)
            if owner is None:
                # The last one is looked at first.
                for provider in reversed(self.providers.get(need.port, ())):
                    waiting += self._extended(partial.selection, provider, need.path, tuple(rest))
            elif owner.name in need.path:
                self.circles[need.path[0]] = (*need.path[need.path.index(owner.name) :], owner.name)
            else:
                waiting.append(_PartialBundle(partial.selection, tuple(rest)))

    def _extended(
        self,
        selection: _ModuleSelection,
        offer: ModuleOffer,
        path: tuple[str, ...],
        rest: tuple[_PortNeed, ...],
    ) -> list[_PartialBundle]:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise PlannerError(
                "E_COVERAGE",
                f"the offers can be combined in too many ways: more than {MAX_STEPS:,} were tried",
                hint="name fewer providers of the same ports in the coverage file",
            )
        extended = selection.with_offer(offer)
        if extended is None:
            return []
        needs = (_PortNeed(port, (*path, offer.name)) for port in offer.requires)
        return [_PartialBundle(extended, (*needs, *rest))]

    def picks(self, selection: _ModuleSelection, covered: frozenset[str]) -> list[Pick] | None:
        """Return the picks that cover all goals, best first; None if there are none."""
        if covered >= self.coverage.goals.keys():
            return []
        key = frozenset(offer.name for offer in selection.modules.values())
        if key in self.hopeless:
            return None
        for pick, chosen in self._moves(selection, covered):
            later = self.picks(chosen, covered.union(*(offer.covers for offer in pick.bundle)))
            if later is not None:
                return [pick, *later]
        self.hopeless.add(key)
        return None

    def _moves(
        self, selection: _ModuleSelection, covered: frozenset[str]
    ) -> Iterator[tuple[Pick, _ModuleSelection]]:
        """Yield the possible steps: the first bundle of each offer by rank, then all their other bundles.

        The module itself covers something new: it is no filler with a provider that would do alone.
        """
        others: list[Iterator[_ModuleSelection]] = []
        first: list[tuple[Pick, _ModuleSelection]] = []
        for offer in self.offers:
            if offer.covers - covered:
                bundles = self.bundles(offer, selection)
                chosen = next(bundles, None)
                if chosen is not None:
                    first.append((self._pick(offer, chosen, selection, covered), chosen))
                    others.append(bundles)
        yield from sorted(first, key=_rank)
        rest = [
            (self._pick(self._root(chosen, selection), chosen, selection, covered), chosen)
            for bundles in others
            for chosen in bundles
        ]
        yield from sorted(rest, key=_rank)

    @staticmethod
    def _root(chosen: _ModuleSelection, before: _ModuleSelection) -> ModuleOffer:
        return list(chosen.modules.values())[len(before.modules)]

    def _pick(
        self, offer: ModuleOffer, chosen: _ModuleSelection, before: _ModuleSelection, covered: frozenset[str]
    ) -> Pick:
        bundle = tuple(list(chosen.modules.values())[len(before.modules) :])
        drivers = _drivers(self.coverage, bundle, covered)
        return Pick(offer, bundle, _gain(drivers, self.weights), drivers)


def choose_modules(
    coverage: Coverage, weights: ScoreWeights, *, excluded: Mapping[int, str] | None = None
) -> list[Pick]:
    """Choose the modules that cover all goals.

    Args:
        coverage: the goals and offers.
        weights: the weights of the score.
        excluded: the variants that may not be chosen, with the reason, such as 'failed its gates'.

    Returns:
        The picks in the order in which they were chosen.

    Raises:
        PlannerError: E_COVERAGE, naming each goal that cannot be covered, if no selection covers all.
    """
    shut = excluded or {}
    offers = [offer for offer in coverage.offers if offer.variant is None or offer.variant not in shut]
    search = _ModuleSearch(coverage, weights, offers)
    picks = search.picks(_ModuleSelection({}, {}), frozenset())
    if picks is None:
        raise _uncovered_error(search, shut)
    return picks


def _drivers(coverage: Coverage, bundle: Sequence[ModuleOffer], covered: frozenset[str]) -> Drivers:
    new = {goal for offer in bundle for goal in offer.covers} - covered
    count = len(bundle)
    return Drivers(
        coverage_contribution=sum((coverage.goals[goal] for goal in new), Fraction()),
        coverage_goals=tuple(goal for goal in coverage.goals if goal in new),
        evidence_strength=sum((offer.evidence_strength for offer in bundle), Fraction()) / count,
        risk=sum((offer.risk for offer in bundle), Fraction()) / count,
        delta_cost=sum((offer.delta_cost for offer in bundle), Fraction()),
        hygiene=sum((offer.hygiene for offer in bundle), Fraction()) / count,
        bundle=tuple(offer.name for offer in bundle),
    )


def _gain(drivers: Drivers, weights: ScoreWeights) -> Fraction:
    return (
        drivers.coverage_contribution * weights.coverage_contribution
        + drivers.evidence_strength * weights.evidence_strength
        + drivers.risk * weights.risk
        + drivers.delta_cost * weights.delta_cost
        + drivers.hygiene * weights.hygiene
    )


def _rank(move: tuple[Pick, _ModuleSelection]) -> tuple[Any, ...]:
    """Return the sort key of a step: gain, evidence, then low risk and cost, then its name and bundle."""
    pick = move[0]
    drivers = pick.drivers
    names = tuple(offer.order for offer in pick.bundle)
    return -pick.gain, -drivers.evidence_strength, drivers.risk, drivers.delta_cost, pick.offer.order, names


def _uncovered_error(search: _ModuleSearch, excluded: Mapping[int, str]) -> PlannerError:
    """Return the error that says of each goal why no selection covers it."""
    nothing = _ModuleSelection({}, {})
    reasons = {
        goal: reason
        for goal in search.coverage.goals
        if (reason := _goal_reason(search, goal, nothing, excluded)) is not None
    }
    details = [f"'{goal[:80]}': {reason}" for goal, reason in reasons.items()]
    if not reasons:
        details = ["each goal can be covered alone, but their modules exclude each other"]
    names = ", ".join(f"'{goal[:80]}'" for goal in list(reasons)[:5])
    return PlannerError(
        "E_COVERAGE",
        f"no selection of modules covers {'all goals' if not reasons else f'the goals {names}'}"
        + (f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""),
        hint="correct the coverage file, or let another variant do what is missing",
        details=details[:50],
    )


def _goal_reason(
    search: _ModuleSearch, goal: str, nothing: _ModuleSelection, excluded: Mapping[int, str]
) -> str | None:
    """Return why no offer covers a goal even alone; None if one does."""
    covering = [offer for offer in search.coverage.offers if goal in offer.covers]
    if not covering:
        return "no module covers it"
    parts = []
    for offer in covering:
        if offer.variant is not None and offer.variant in excluded:
            parts.append(f"'{offer.name}' cannot be chosen: variant {excluded[offer.variant]}")
        elif next(search.bundles(offer, nothing), None) is not None:
            return None
        else:
            parts.append(f"'{offer.name}' {_bundle_reason(search, offer)}")
    return "; ".join(parts[:5])


def _bundle_reason(search: _ModuleSearch, offer: ModuleOffer) -> str:
    absent = [port for port in offer.requires if port not in search.providers]
    if absent:
        return f"requires {', '.join(absent)}, which no other module provides"
    circle = search.circles.get(offer.name)
    if circle:
        return f"requires itself: {' → '.join(circle)}"
    return f"requires {', '.join(offer.requires)}, and no combination of providers is possible"
