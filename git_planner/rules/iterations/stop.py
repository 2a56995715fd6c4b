"""When a loop of iterations ends, and which errors end it at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from git_planner.rules.policy.policy import Stop

# Failures of an agent that another try may mend. All else (a missing program, a refused login, a spent quota)
# it cannot.
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
# Errors of an attempt that a further attempt may well not meet again. All others end a loop at once: a login,
# a setting or a missing program does not mend itself, and a broken repository is not for a loop to go on in.
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
    """What a loop has done so far.

    `seconds` since it began; `tokens` input plus output of both roles; `invalid` attempts in a row without a
    valid result; `flat` valid attempts in a row, within this loop, that were no improvement.
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
        """The progress after one more attempt.

        Args:
            seconds: since the loop began.
            tokens: of this attempt alone.
            valid: whether it was measured; an attempt that failed before it got so far was not.
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
    """The stop rules of a loop: what a person asked for, over what the policy says.

    Args:
        flags: field of Stop -> value; None where the person said nothing.
    """
    return replace(policy, **{name: value for name, value in flags.items() if value is not None})


def stop_reason(stop: Stop, done: LoopProgress) -> str | None:
    """The sentence that says why a loop ends here; None when it goes on.

    The rules are asked between attempts: none of them cuts an attempt short.
    """
    if done.exhausted:
        return "the implementer has nothing left to try"
    if done.threshold_met:
        return "the threshold is met"
    limits: tuple[tuple[float | None, float, str], ...] = (
        (stop.count, done.attempts, "{0:.0f} of {1:.0f} attempts are done"),
        (stop.wall, done.seconds, "{0:.0f} of {1:.0f} seconds are used"),
        (stop.tokens, done.tokens, "{0:.0f} of {1:.0f} tokens are used"),
        (stop.invalid, done.invalid, "{0:.0f} attempts in a row gave no valid result"),
        (stop.plateau, done.flat, "{0:.0f} valid attempts in a row were no improvement"),
    )
    for limit, reached, sentence in limits:
        if limit is not None and reached >= limit:
            return sentence.format(reached, limit)
    return None


def is_transient_code(code: str) -> bool:
    """Whether an attempt that failed with this error code may be followed by another one."""
    return code in TRANSIENT_CODES
