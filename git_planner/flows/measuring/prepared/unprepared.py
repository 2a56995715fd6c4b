"""The error of a step that gave nothing to measure with."""

from __future__ import annotations

from git_planner.errors import PlannerError
from git_planner.rules.measuring.verdict import Refusal


class UnpreparedError(PlannerError):
    """A step of the policy gave no outputs for a tree. `refusal` says whose fault that is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            "E_PREPARE", refusal.sentence, hint="see 'git help gitplanner-policy', key 'prepare'"
        )
        self.refusal = refusal
