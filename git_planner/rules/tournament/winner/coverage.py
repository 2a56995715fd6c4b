"""Coverage of a tournament's goals by the modules of its variants, and the weights of the score. Pure.

Numbers are kept as exact fractions of what the documents say, so that equal scores are equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from git_planner.errors import PlannerError

DEFAULT_PROFILE = "conservative"
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class ModuleOffer:
    """One module of one variant, as coverage.json offers it. `variant` None: the only variant."""

    module: str
    variant: int | None
    covers: frozenset[str]
    ports: tuple[str, ...]
    requires: tuple[str, ...]
    risk: Fraction
    evidence_strength: Fraction
    delta_cost: Fraction
    hygiene: Fraction

    @property
    def name(self) -> str:
        """The module with its variant, as in coverage.json: 'diff.engine@var2'."""
        return self.module if self.variant is None else f"{self.module}@var{self.variant}"

    @property
    def order(self) -> tuple[str, int]:
        """The place among other offers: by module, then by the number of the variant."""
        return self.module, self.variant or 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """The goals with their weights, and the offers in their order."""

    goals: Mapping[str, Fraction]
    offers: tuple[ModuleOffer, ...]


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """The weights of one profile."""

    coverage_contribution: Fraction
    evidence_strength: Fraction
    risk: Fraction
    delta_cost: Fraction
    hygiene: Fraction


_FEATURES = ("coverage_contribution", "evidence_strength", "risk", "delta_cost", "hygiene")
_SHORT = {"coverage": "coverage_contribution", "evidence": "evidence_strength", "cost": "delta_cost"}


def _weights(*values: float) -> ScoreWeights:
    return ScoreWeights(*map(_exact, values))


def _exact(value: float) -> Fraction:
    """Return the decimal number that was written, rather than its nearest binary one."""
    return Fraction(repr(value))


PROFILES: Mapping[str, ScoreWeights] = {
    "conservative": _weights(1, 0.8, -1.2, -0.6, 0.4),
    "evidence-heavy": _weights(0.9, 1.5, -1, -0.4, 0.6),
    "fast": _weights(1.2, 0.4, -0.8, -0.3, 0.2),
}


def coverage_problems(document: Mapping[str, Any]) -> list[str]:
    """Check the rules of coverage.json that its schema cannot express.

    Args:
        document: a document that is valid by its schema.

    Returns:
        One sentence per problem, '<json pointer>: what is wrong'.
    """
    return [*_goal_problems(document), *_offer_problems(document)]


def _goal_problems(document: Mapping[str, Any]) -> Iterator[str]:
    goals = set(document["goals"])
    for goal in sorted(document.get("weights", {})):
        if goal not in goals:
            yield f"/weights: '{goal[:80]}' is not one of the goals"
    for place, offer in enumerate(document["provides"]):
        for goal in offer["covers"]:
            if goal not in goals:
                yield f"/provides/{place}/covers: '{goal[:80]}' is not one of the goals"


def _offer_problems(document: Mapping[str, Any]) -> Iterator[str]:
    variants = set(document.get("variants", ()))
    names: set[str] = set()
    for place, offer in enumerate(document["provides"]):
        at, name = f"/provides/{place}", offer["module"]
        variant = name.partition("@")[2]
        if name in names:
            yield f"{at}/module: '{name}' is offered twice"
        if variant and variants and variant not in variants:
            yield f"{at}/module: '{variant}' is not one of the variants"
        names.add(name)
        for port in offer.get("requires", ()):
            if port in offer.get("provides_ports", ()):
                yield f"{at}/requires: the module itself provides '{port}'"


def coverage_from(document: Mapping[str, Any]) -> Coverage:
    """Return the typed coverage of a document that is valid by its schema.

    Raises:
        PlannerError: E_COVERAGE, with one detail per problem.
    """
    problems = coverage_problems(document)
    if problems:
        raise PlannerError(
            "E_COVERAGE",
            f"the coverage contradicts itself: {problems[0]}",
            hint="correct the coverage file and run the same command again",
            details=problems[:50],
        )
    weights = document.get("weights", {})
    goals = {goal: _exact(weights.get(goal, 1)) for goal in document["goals"]}
    offers = (_offer_from(offer) for offer in document["provides"])
    return Coverage(goals, tuple(sorted(offers, key=lambda offer: offer.order)))


def _offer_from(document: Mapping[str, Any]) -> ModuleOffer:
    module, _, variant = document["module"].partition("@var")
    return ModuleOffer(
        module=module,
        variant=int(variant) if variant else None,
        covers=frozenset(document["covers"]),
        ports=tuple(sorted(document.get("provides_ports", ()))),
        requires=tuple(sorted(document.get("requires", ()))),
        risk=_exact(document.get("risk", _HALF)),
        evidence_strength=_exact(document.get("evidence_strength", _HALF)),
        delta_cost=_exact(document.get("delta_cost", 1)),
        hygiene=_exact(document.get("hygiene", _HALF)),
    )


def profile_weights(profile: str, document: Any = None) -> ScoreWeights:
    """Return the weights of a profile.

    Args:
        profile: the name of the profile.
        document: the parsed file of weights, if there is one: profiles by name, or one flat map.

    Raises:
        PlannerError: E_META_WEIGHTS.
    """
    if document is None:
        if profile in PROFILES:
            return PROFILES[profile]
        raise _weights_error(
            f"{profile[:80]!r} is not a profile", f"profiles: {', '.join(PROFILES)}, or one of '--weights'"
        )
    if not isinstance(document, dict):
        raise _weights_error("the file of weights is not an object", _WEIGHTS_HINT)
    if any(isinstance(value, dict) for value in document.values()):
        if not isinstance(document.get(profile), dict):
            raise _weights_error(f"the file of weights has no profile {profile[:80]!r}", _WEIGHTS_HINT)
        return _weights_from(document[profile], f"profile '{profile}' of the file of weights")
    return _weights_from(document, "the file of weights")


_WEIGHTS_HINT = f"it holds numbers for {', '.join(_FEATURES)}, flat or by profile"


def _weights_from(document: Mapping[str, Any], where: str) -> ScoreWeights:
    values: dict[str, Fraction] = {}
    for key, value in document.items():
        name = _SHORT.get(key, key)
        if name not in _FEATURES or name in values:
            raise _weights_error(f"{where} has an unknown or repeated key {key[:80]!r}", _WEIGHTS_HINT)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or abs(value) > 1e6:
            raise _weights_error(f"'{key[:80]}' in {where} is not a number up to a million", _WEIGHTS_HINT)
        values[name] = _exact(value)
    missing = [name for name in _FEATURES if name not in values]
    if missing:
        raise _weights_error(f"{where} lacks {', '.join(missing)}", _WEIGHTS_HINT)
    return ScoreWeights(**values)


def _weights_error(message: str, hint: str) -> PlannerError:
    return PlannerError("E_META_WEIGHTS", message, hint=hint)
