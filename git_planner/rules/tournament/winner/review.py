"""Review of variants by an agent that does not know whose they are: labels, prompt, scores. Pure.

The variants are shown twice, in opposite orders and under other labels. The scores of both orders are
averaged, and their disagreement is kept. No score outweighs a gate or a measurement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.planning.prompt import fence

RUBRIC: Mapping[str, float] = {
    "architecture_clarity": 0.4,
    "checklist_coverage": 0.3,
    "novelty": 0.2,
    "coherence": 0.1,
}
MAX_ANSWER = 100_000
MAX_VARIANTS = 26
# Difference of the overall scores of both orders from which they count as disagreeing.
DISAGREEMENT = 10.0
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SIGNATURE = re.compile(
    r"^[+ -]?\W{0,10}(?:co-authored-by|signed-off-by|assisted-by|generated[ -](?:by|with)|author)\b.*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ReviewedVariant:
    """A variant to review: its number and its diff."""

    number: int
    diff: str


@dataclass(frozen=True, slots=True)
class ReviewScore:
    """The scores of one variant, averaged over both orders; `orders` are the overall scores of each."""

    facets: Mapping[str, float]
    overall: float
    orders: tuple[float, float]

    @property
    def disagreement(self) -> float:
        """The difference of the overall scores of both orders."""
        return abs(self.orders[0] - self.orders[1])

    def document(self) -> dict[str, Any]:
        """Return the scores as JSON."""
        return {
            "facets": {name: round(value, 2) for name, value in self.facets.items()},
            "overall": round(self.overall, 2),
            "orders": [round(value, 2) for value in self.orders],
            "disagreement": round(self.disagreement, 2),
            "agrees": self.disagreement < DISAGREEMENT,
        }


def review_orders(numbers: Sequence[int], seed: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the labels of both orders: letter -> number of the variant.

    The order is that of a digest, so that a label tells nothing and the same run has the same labels. The
    second order is the first one backwards.
    """
    shuffled = sorted(numbers, key=lambda number: hashlib.sha256(f"{seed}:{number}".encode()).digest())
    first = dict(zip(_LETTERS, shuffled, strict=False))
    second = dict(zip(_LETTERS, reversed(shuffled), strict=False))
    return first, second


def blind(diff: str, names: Iterable[str]) -> str:
    """Return a diff without lines that sign it, and without the names of agents and models."""
    text = _SIGNATURE.sub("+[removed]", diff)
    known = sorted({name for name in names if len(name) > 2}, key=len, reverse=True)
    if not known:
        return text
    words = "|".join(re.escape(name) for name in known)
    return re.sub(rf"(?i)(?<![a-z0-9])(?:{words})(?![a-z0-9])", "[name]", text)


def render_review_request(
    template: str, prompt: str, variants: Sequence[ReviewedVariant], labels: Mapping[str, int], budget: int
) -> str:
    """Render the complete prompt of the reviewer for one order; nothing is cut silently.

    Args:
        template: the fixed text with $count, $prompt and $changes.
        prompt: the prompt of the tournament.
        variants: the variants, with blind diffs.
        labels: letter -> number of the variant, in order.
        budget: the largest size of the prompt, in bytes.

    Raises:
        PlannerError: E_TOO_LARGE, with the size of each diff.
    """
    diffs = {variant.number: variant.diff for variant in variants}
    text = Template(template).safe_substitute(
        count=len(labels),
        prompt=fence(prompt, ""),
        changes="\n\n".join(
            f"### {label}\n\n{fence(diffs[number], 'diff')}" for label, number in labels.items()
        ),
    )
    size = len(text.encode("utf-8", "replace"))
    if size > budget:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the reviewer would be sent {size:,} bytes; at most {budget:,} are allowed",
            hint="raise 'critics: budget:' in '.git-planner.yml', or go on without a review",
            details=[
                f"v{number}: {len(diff.encode('utf-8', 'replace')):,} bytes" for number, diff in diffs.items()
            ],
        )
    return text


def label_faults(document: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """Check that an answer, valid by its schema, has exactly one review of each label."""
    answered = [review["label"] for review in document["reviews"]]
    wanted = list(labels)
    faults = [f"/reviews: '{label}' is missing" for label in wanted if label not in answered]
    faults += [f"/reviews: '{label}' is not one of the labels" for label in answered if label not in wanted]
    faults += [
        f"/reviews: '{label}' is there twice" for label in sorted(set(answered)) if answered.count(label) > 1
    ]
    return faults


def overall_score(review: Mapping[str, Any]) -> float:
    """Return the weighted score of one review."""
    return sum(weight * float(review[name]) for name, weight in RUBRIC.items())


def merge_reviews(
    answers: tuple[Mapping[str, Any], Mapping[str, Any]],
    orders: tuple[Mapping[str, int], Mapping[str, int]],
) -> dict[int, ReviewScore]:
    """Return the scores of the variants from the answers to both orders."""
    first, second = (
        {labels[review["label"]]: review for review in answer["reviews"]}
        for answer, labels in zip(answers, orders, strict=True)
    )
    return {
        number: ReviewScore(
            {name: (float(first[number][name]) + float(second[number][name])) / 2 for name in RUBRIC},
            (overall_score(first[number]) + overall_score(second[number])) / 2,
            (overall_score(first[number]), overall_score(second[number])),
        )
        for number in sorted(first)
    }


def agreed_best(scores: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Return the variant that is the only best one in both orders; None if they differ.

    Args:
        scores: number -> the document of its scores.
    """
    best = []
    for place in (0, 1):
        values = {number: score["orders"][place] for number, score in scores.items()}
        most = max(values.values(), default=None)
        best.append([number for number, value in values.items() if value == most])
    return best[0][0] if best[0] == best[1] and len(best[0]) == 1 else None
