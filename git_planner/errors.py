"""One exception family, and the exit status of every error code.

Anything may import this module; it imports nothing of ours. Codes are stable: scripts match on them.
"""

from __future__ import annotations

from collections.abc import Sequence

DONE = 0
NO = 1
USAGE = 2
REFUSED = 3
UNREACHED = 4
CONFLICT = 5
DEADLINE = 124
INTERRUPTED = 130

EXIT_MEANING = {
    DONE: "done",
    NO: "the answer is no: invalid record, gate failed, difference found",
    USAGE: "usage",
    REFUSED: "refused by a guard or a stale base",
    UNREACHED: "could not measure or reach something (missing tool, crash, network)",
    CONFLICT: "conflict: the state changed under us and retries ran out",
    DEADLINE: "deadline",
    INTERRUPTED: "interrupted",
}

# code -> (exit status, what it means to a person). Keep sorted; docs/errors.md is checked against it.
CODES: dict[str, tuple[int, str]] = {
    "E_CHECKED_OUT": (REFUSED, "a branch to be moved is checked out with changes of its own"),
    "E_CONFLICT": (CONFLICT, "the state kept changing while it was being written"),
    "E_DEADLINE": (DEADLINE, "the time allowed for the step ran out"),
    "E_GIT": (UNREACHED, "git failed; its own words follow"),
    "E_IDENTITY": (USAGE, "git does not know who commits"),
    "E_INTERNAL": (UNREACHED, "a defect in git-planner"),
    "E_INTERRUPTED": (INTERRUPTED, "interrupted by a person"),
    "E_JSON": (NO, "a text is not the JSON that is read here"),
    "E_MISSING_TOOL": (UNREACHED, "a program that is needed is not installed"),
    "E_NAME": (USAGE, "a name that git or a shell would misread"),
    "E_NOT_A_REPOSITORY": (USAGE, "no git repository here"),
    "E_NO_SPACE": (UNREACHED, "the disk is full"),
    "E_UNBORN": (USAGE, "the repository has no commit yet"),
    "E_UNKNOWN_REF": (USAGE, "a name that no branch, tag or commit has"),
    "E_USAGE": (USAGE, "the command line does not fit"),
}


class PlannerError(Exception):
    """What went wrong, where, and what to do next.

    Args:
        code: a key of CODES.
        message: one sentence, lower case, no full stop, the subject in single quotes.
        hint: what to do next, naming one command; never a complete destructive one.
        details: further lines, such as one for each violated rule.
    """

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, details: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    @property
    def exit(self) -> int:
        """The exit status class of this error."""
        return CODES[self.code][0]

    def document(self) -> dict[str, object]:
        """The error as a JSON document, as --json prints it."""
        return {
            "schema": "git-planner/error@1",
            "code": self.code,
            "exit": self.exit,
            "message": self.message,
            "hint": self.hint,
            "details": list(self.details),
        }
