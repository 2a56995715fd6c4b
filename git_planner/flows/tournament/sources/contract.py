"""Contract of the sources of variants: start a task, poll it, fetch what each variant has become."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from git_planner.rules.tournament.source import Payload, PollResult, TaskRequest


class VariantSource(Protocol):
    """A source of variants.

    A fault that a later call may not have is raised with one of the codes `PASSING` of the cloud client.
    """

    def start(self, request: TaskRequest) -> str:
        """Ask for variants of a prompt, and return the id of the task."""

    def poll(self, task: str) -> PollResult:
        """Return the state of a task and of its variants."""

    def fetch(self, task: str, number: int) -> Payload:
        """Return what a variant that is ready has become."""


@runtime_checkable
class TaskFinder(Protocol):
    """A source whose tasks can be found by their prompt."""

    def find(self, prompt: str, since: float) -> list[str]:
        """Return the ids of tasks with a prompt that have changed since a time."""
