"""The review of a plan's options: what the critic is given, and what its answer must have. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from git_planner.errors import PlannerError
from git_planner.rules.discovery.research import has_substance, text_by_heading
from git_planner.rules.planning.prompt import fence

END = "END OF REVIEW"
MAX_ANSWER = 100_000
HEADINGS = (
    "Summary",
    "Option A review",
    "Option B review",
    "Option C review",
    "Recommended verification contract",
)
_OF = re.compile(r"^- Options: `[^`]+`, sha256 `([0-9a-f]{64})`$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CriticInput:
    """A text that a critic is given. `source` says where it was read, such as 'base 0123456789ab'."""

    label: str
    source: str
    text: str

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.text.encode("utf-8", "replace"))


def render_request(template: str, goal: str, inputs: Sequence[CriticInput], budget: int) -> str:
    """The whole prompt of a critic; nothing is cut silently.

    Args:
        template: the fixed text with $goal, $inputs, $materials, $headings and $end.
        goal: what the plan is for.
        materials: what it is given.
        budget: the largest size of all together, in bytes.

    Raises:
        PlannerError: E_TOO_LARGE, which says what is how large.
    """
    text = Template(template).safe_substitute(
        goal=goal,
        inputs="\n".join(f"- {item.label} ({item.source}, {item.size:,} bytes)" for item in inputs),
        materials="\n\n".join(
            f"### {item.label} ({item.source})\n\n{fence(item.text, '')}" for item in inputs
        ),
        headings="\n".join(f"## {heading}" for heading in HEADINGS),
        end=END,
    )
    size = len(text.encode("utf-8", "replace"))
    if size > budget:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the critic would be sent {size:,} bytes; at most {budget:,} are allowed",
            hint="shorten what is large, or raise 'critics: budget:' in '.git-planner.yml'",
            details=[f"{item.size:,} bytes: {item.label} ({item.source})" for item in inputs],
        )
    return text


def find_review_faults(answer: str) -> list[str]:
    """Judge a critic's answer: whole, not too long, and with something below every heading."""
    if len(answer) > MAX_ANSWER:
        return [f"the review has {len(answer):,} characters; at most {MAX_ANSWER:,} are kept"]
    found = text_by_heading(answer.rpartition(END)[0] or answer)
    wrong = [
        f"the heading '## {title}' is missing, or nothing stands below it"
        for title in HEADINGS
        if not has_substance(found.get(title.lower(), ""))
    ]
    if not answer.rstrip().endswith(END):
        wrong.append(f"the last line is not '{END}', so the review was cut off")
    return wrong


def render_review(
    plan: str,
    answer: str,
    *,
    critic: str,
    model: str | None,
    at: str,
    options: str,
    inputs: Sequence[CriticInput],
) -> str:
    """The file of a review.

    Args:
        plan: the plan's name.
        answer: an answer that `faults` accepts.
        critic: who wrote it, and `model` by which model, where that is known.
        at: when.
        options: the digest of the options' file it is about.
        inputs: what it was written from.
    """
    lines = [
        f"# Plan review: {plan}",
        "",
        f"- Critic: {critic}" + (f", model `{model}`" if model else ""),
        f"- At: {at}",
        f"- Options: `{inputs[0].label}`, sha256 `{options}`",
        f"- Read: {', '.join(f'`{item.label}` ({item.source})' for item in inputs)}",
        "",
    ]
    return "\n".join([*lines, answer.rstrip().removesuffix(END).rstrip(), ""])


def reviewed_digest(text: str) -> str | None:
    """The digest of the options that a review's file is about."""
    found = _OF.search(text)
    return found[1] if found else None


def text_digest(text: str) -> str:
    """The SHA-256 of a text as it is stored."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
