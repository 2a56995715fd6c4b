"""The review of a plan's options: the prompt of the critic, and the checks of its answer. Pure."""

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
_OPTIONS_LINE = re.compile(r"^- Options: `[^`]+`, sha256 `([0-9a-f]{64})`$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CriticInput:
    """A text for the critic. `source` says where it was read, such as 'base 0123456789ab'."""

    label: str
    source: str
    text: str

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.text.encode("utf-8", "replace"))


def render_request(template: str, goal: str, inputs: Sequence[CriticInput], budget: int) -> str:
    """Render the complete prompt of a critic; nothing is cut silently.

    Args:
        template: the fixed text with $goal, $inputs, $materials, $headings and $end.
        goal: the plan's goal.
        inputs: the texts for the critic.
        budget: the largest size of the prompt, in bytes.

    Raises:
        PlannerError: E_TOO_LARGE, with the size of each input.
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
            hint="shorten the largest input, or raise 'critics: budget:' in '.git-planner.yml'",
            details=[f"{item.size:,} bytes: {item.label} ({item.source})" for item in inputs],
        )
    return text


def find_review_faults(answer: str) -> list[str]:
    """Check a critic's answer: complete, not too long, and with text below every heading."""
    if len(answer) > MAX_ANSWER:
        return [f"the review has {len(answer):,} characters; at most {MAX_ANSWER:,} are kept"]
    texts = text_by_heading(answer.rpartition(END)[0] or answer)
    faults = [
        f"the heading '## {title}' is missing or has no text"
        for title in HEADINGS
        if not has_substance(texts.get(title.lower(), ""))
    ]
    if not answer.rstrip().endswith(END):
        faults.append(f"the last line is not '{END}', so the review was cut off")
    return faults


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
    """Render the file of a review.

    Args:
        plan: the plan's name.
        answer: an answer that `find_review_faults` accepts.
        critic: the name of the critic.
        model: the model of the critic, if known.
        at: UTC time.
        options: the digest of the reviewed options file.
        inputs: the texts that the critic was given.
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
    """Return the digest of the options file that a review is about; None if it has none."""
    match = _OPTIONS_LINE.search(text)
    return match[1] if match else None


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text as stored."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
