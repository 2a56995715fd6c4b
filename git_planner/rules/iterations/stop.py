"""Stop rules of a loop of iterations, and the errors that stop it at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from git_planner.rules.policy.policy import Stop

# Transient agent failures, worth a retry. Others (a missing program, a refused login, a spent quota) are not.
TRANSIENT_AGENT_CODES = frozenset(
    {
        "E_AGENT_EMPTY",
        "E_AGENT_FAILED",
        "E_CODEX_EMPTY",
        "E_CODEX_FAILED",
        "E_CODEX_INCOMPLETE",
        "E_CODEX_NETWORK",
        "E_CODEX_RATE",
        "E_CODEX_SERVER",
        "E_CODEX_STREAM",
    }
)
# Transient errors of an attempt. All others end a loop at once: a login, a setting or a missing program does
# not fix itself, and a loop must not continue in a broken repository.
TRANSIENT_CODES = TRANSIENT_AGENT_CODES | {
    "E_ANSWER",
    "E_CONFLICT",
    "E_DEADLINE",
    "E_JSON",
    "E_PATCH",
    "E_SCHEMA",
}


@dataclass(frozen=True, slots=True)
class LoopProgress:
    """The progress of a loop.

    `seconds` since its start; `tokens`: input plus output of both roles; `invalid`: attempts in a row without
    a valid result; `flat`: valid attempts in a row, within this loop, without an improvement.
    """

    attempts: int = 0
    seconds: float = 0.0
    tokens: int = 0
    invalid: int = 0
    flat: int = 0
    threshold_met: bool = False
    exhausted: bool = False

    def after(
        self, *, seconds: float, tokens: int, valid: bool, improved: bool, threshold_met: bool
    ) -> LoopProgress:
        """Return the progress after one more attempt.

        Args:
            seconds: since the start of the loop.
            tokens: of this attempt alone.
            valid: whether it was measured; an attempt that failed earlier was not.
            improved: whether it is the new best.
            threshold_met: whether it reached the threshold of a loop that has one.
        """
        return replace(
            self,
            attempts=self.attempts + 1,
            seconds=seconds,
            tokens=self.tokens + tokens,
            invalid=0 if valid else self.invalid + 1,
            flat=0 if improved else self.flat + int(valid),
            threshold_met=self.threshold_met or threshold_met,
        )


def merge_stop_rules(policy: Stop, flags: Mapping[str, Any]) -> Stop:
    """Merge command-line options into the stop rules of the policy.

    Args:
        policy: the stop rules of the policy.
        flags: field of Stop -> value; None for an option that was not given.
    """
    return replace(policy, **{name: value for name, value in flags.items() if value is not None})


def stop_reason(stop: Stop, progress: LoopProgress) -> str | None:
    """Return why a loop ends now, as a sentence; None if it continues.

    The rules apply between attempts; none of them interrupts an attempt.
    """
    if progress.exhausted:
        return "the implementer has nothing left to try"
    if progress.threshold_met:
        return "the threshold is met"
    limits: tuple[tuple[float | None, float, str], ...] = (
        (stop.count, progress.attempts, "{0:.0f} of {1:.0f} attempts are done"),
        (stop.wall, progress.seconds, "{0:.0f} of {1:.0f} seconds are used"),
        (stop.tokens, progress.tokens, "{0:.0f} of {1:.0f} tokens are used"),
        (stop.invalid, progress.invalid, "{0:.0f} attempts in a row gave no valid result"),
        (stop.plateau, progress.flat, "{0:.0f} valid attempts in a row were no improvement"),
    )
    for limit, reached, sentence in limits:
        if limit is not None and reached >= limit:
            return sentence.format(reached, limit)
    return None


def is_transient_code(code: str) -> bool:
    """Return whether a loop may continue after an attempt that failed with this error code."""
    return code in TRANSIENT_CODES
