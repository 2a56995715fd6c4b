"""Sources of variants: the states of tasks and attempts, the words of services for them, and payloads. Pure.

A word of a service that is not listed here is reported as it is; the task is polled on until its deadline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from git_planner.errors import PlannerError
from git_planner.rules.refnames import MAX_VARIANT

SourceState = Literal["pending", "working", "ready", "failed", "cancelled", "unknown"]
FINAL: tuple[SourceState, ...] = ("ready", "failed", "cancelled")
_WORDS: dict[SourceState, tuple[str, ...]] = {
    "pending": ("pending", "queued", "created", "submitted", "scheduled", "waiting", "new"),
    "working": ("working", "in_progress", "running", "started", "starting", "processing", "active"),
    "ready": ("ready", "completed", "complete", "applied", "succeeded", "success", "done", "finished"),
    "failed": ("failed", "failure", "error", "errored", "timed_out", "timeout", "expired", "rejected"),
    "cancelled": ("cancelled", "canceled", "aborted", "stopped", "interrupted"),
}
_STATES = {word: state for state, words in _WORDS.items() for word in words}
_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
_MOST_WORD = 60


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A request for variants: the prompt, where it is carried out, and how often."""

    prompt: str
    environment: str | None
    branch: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class PolledVariant:
    """One attempt of a task: number from 1, state, the source's own word for that, and its own name.

    `agent` is the agent that makes it, if that is known, with model and effort; `note` is for people.
    """

    number: int
    state: SourceState
    reported: str = ""
    source_id: str | None = None
    agent: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PollResult:
    """The state of a task and of its attempts.

    `reported` is the service's own word. `known`: the service has the task. `notes` are faults of the answer
    that the reader passed over.
    """

    state: SourceState
    reported: str
    variants: tuple[PolledVariant, ...] = ()
    known: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """The result of one attempt: a patch against the base, or a commit; report and metadata as delivered."""

    patch: bytes | None
    commit: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def source_state(word: object) -> tuple[SourceState, str]:
    """Return the state that a service's word stands for, in any case, and the word as it may be shown."""
    if not isinstance(word, str) or not word.strip():
        return "unknown", "" if word is None else f"({type(word).__name__})"
    shown = " ".join(word.split())[:_MOST_WORD].strip()
    return _STATES.get(re.sub(r"[\s-]+", "_", shown.lower()), "unknown"), shown


def state_of_variants(variants: Sequence[PolledVariant]) -> SourceState:
    """Return the state of a task of which only the attempts are known."""
    states = {variant.state for variant in variants}
    if not states:
        return "unknown"
    for state in ("working", "pending", "unknown", "ready", "failed", "cancelled"):
        if state in states:
            return state
    return "unknown"


def variant_number(value: object) -> int | None:
    """Return the number of a variant that a service names; None for anything but 1 to MAX_VARIANT."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}", value):
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_VARIANT
    return value if is_number and isinstance(value, int) else None


def check_request(request: TaskRequest) -> None:
    """Check that a client takes no value of a request for an option.

    Raises:
        PlannerError: E_NAME.
    """
    for value in (request.environment, request.branch):
        if value is not None and (value.startswith("-") or "\0" in value or "\n" in value):
            raise PlannerError(
                "E_NAME",
                f"{value[:80]!r} is not the name of an environment or a branch",
                hint="git bo4 new -h",
            )


def check_task_id(text: str) -> str:
    """Return the id of a task, also from its URL; it never begins with a dash or holds a slash.

    Raises:
        PlannerError: E_NAME.
    """
    name = text.strip().partition("?")[0].rstrip("/").rpartition("/")[2] if "://" in text else text.strip()
    if not _TASK.fullmatch(name) or ".." in name:
        raise PlannerError(
            "E_NAME",
            f"{text[:80]!r} is not the id of a task",
            hint="copy the id from the service's list of tasks",
        )
    return name
