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
    "E_AGENT": (USAGE, "an agent that is not known by that name"),
    "E_AGENT_EMPTY": (UNREACHED, "an agent ended well but said nothing"),
    "E_AGENT_FAILED": (UNREACHED, "an agent's program ended with a failure"),
    "E_ANSWER": (NO, "an agent's answer that cannot be used"),
    "E_BASE": (USAGE, "it is not clear which branch is the base"),
    "E_BUSY": (REFUSED, "somebody else is working on it right now"),
    "E_CHECKED_OUT": (REFUSED, "a branch to be moved is checked out with changes of its own"),
    "E_CODEX_AUTH": (UNREACHED, "codex has no login, or the service refuses it"),
    "E_CODEX_CONFIG": (USAGE, "codex does not accept its configuration or command line"),
    "E_CODEX_EMPTY": (UNREACHED, "codex ended its turn without an answer"),
    "E_CODEX_FAILED": (UNREACHED, "codex failed in a way that is not known here"),
    "E_CODEX_INCOMPLETE": (UNREACHED, "the model stopped in the middle of its answer"),
    "E_CODEX_NETWORK": (UNREACHED, "codex could not connect to the service"),
    "E_CODEX_QUOTA": (UNREACHED, "the account has nothing left to spend, or has reached its usage limit"),
    "E_CODEX_RATE": (UNREACHED, "the service asks for fewer requests"),
    "E_CODEX_REQUEST": (UNREACHED, "the service refuses the request as it is"),
    "E_CODEX_SERVER": (UNREACHED, "the service failed"),
    "E_CODEX_STREAM": (UNREACHED, "the connection broke while the model was answering"),
    "E_CONFLICT": (CONFLICT, "the state kept changing while it was being written"),
    "E_DEADLINE": (DEADLINE, "the time allowed for the step ran out"),
    "E_DIRTY": (REFUSED, "the working tree holds changes that would get in the way"),
    "E_EVIDENCE": (REFUSED, "a task that nothing shows to be done"),
    "E_EXPORT": (UNREACHED, "a commit holds what cannot be written to a disk"),
    "E_GEMINI_AUTH": (UNREACHED, "gemini has no login, or the service refuses it"),
    "E_GEMINI_BLOCKED": (UNREACHED, "the service blocked the prompt or the answer of gemini"),
    "E_GEMINI_CONFIG": (USAGE, "gemini does not accept its settings or command line"),
    "E_GEMINI_EMPTY": (UNREACHED, "gemini ended well but without an answer"),
    "E_GEMINI_FAILED": (UNREACHED, "gemini failed in a way that is not known here"),
    "E_GEMINI_NETWORK": (UNREACHED, "gemini could not connect to the service"),
    "E_GEMINI_QUOTA": (UNREACHED, "the account's quota is used up, or the service asks for fewer requests"),
    "E_GEMINI_REQUEST": (UNREACHED, "the service refuses gemini's request as it is, or has no such model"),
    "E_GEMINI_SERVER": (UNREACHED, "the service that gemini asks failed"),
    "E_GEMINI_STREAM": (UNREACHED, "the answer to gemini broke off, or was garbled"),
    "E_GIT": (UNREACHED, "git failed; its own words follow"),
    "E_GUARD": (REFUSED, "a change of a guarded path"),
    "E_HOOKS": (REFUSED, "hooks that cannot be installed, or cannot run"),
    "E_IDENTITY": (USAGE, "git does not know who commits"),
    "E_INTERNAL": (UNREACHED, "a defect in git-planner"),
    "E_INTERRUPTED": (INTERRUPTED, "interrupted by a person"),
    "E_JSON": (NO, "a text is not the JSON that is read here"),
    "E_MEASURE": (UNREACHED, "a run of a benchmark that gave no value"),
    "E_MERGE": (REFUSED, "changes that do not merge"),
    "E_MIN_GAIN": (USAGE, "a smallest gain that is less than twice the noise"),
    "E_MISSING_EXTRA": (UNREACHED, "an optional package is not installed"),
    "E_MISSING_FOLDER": (UNREACHED, "a folder that is needed is gone"),
    "E_MISSING_INPUT": (NO, "a text that the step works from is not there, or cannot be read"),
    "E_MISSING_TOOL": (UNREACHED, "a program that is needed is not installed"),
    "E_MODEL": (REFUSED, "a model that the policy does not admit"),
    "E_NAME": (USAGE, "a name that git or a shell would misread"),
    "E_NOT_A_REPOSITORY": (USAGE, "no git repository here"),
    "E_NO_BASE": (UNREACHED, "the commit that a candidate is judged against is not here"),
    "E_NO_CHANGE": (NO, "nothing is there that could be proposed"),
    "E_NO_PLAN": (NO, "no plan is known by that name"),
    "E_NO_POLICY": (USAGE, "the commit has no policy file"),
    "E_NO_RECORD": (NO, "no record is known by that name"),
    "E_NO_SPACE": (UNREACHED, "the disk is full"),
    "E_OPTIONS": (NO, "a plan's options that are not filled in, or do not fit together"),
    "E_PATCH": (NO, "a patch that does not apply"),
    "E_PATCHES_EXHAUSTED": (NO, "all patches of the folder have been used"),
    "E_POLICY": (USAGE, "the policy file cannot be used"),
    "E_REMOTE": (UNREACHED, "another repository could not be reached, read or written"),
    "E_RESULT": (REFUSED, "a result that does not belong to the run, or cannot be used"),
    "E_SCHEMA": (NO, "a document that its schema does not accept"),
    "E_SPEC": (NO, "a change whose spec is missing or does not hold"),
    "E_STALE_BASE": (REFUSED, "the base has moved since the packet was made"),
    "E_STATE": (REFUSED, "an iteration's state is not the one it began with"),
    "E_TAG": (REFUSED, "a tag of that name is on another commit"),
    "E_TOO_LARGE": (USAGE, "more is to be sent than is allowed"),
    "E_TRANSITION": (REFUSED, "a task's status does not allow it"),
    "E_UNBORN": (USAGE, "the repository has no commit yet"),
    "E_UNFINISHED": (REFUSED, "a change with tasks that are still to be done"),
    "E_UNKNOWN_REF": (USAGE, "a name that no branch, tag or commit has"),
    "E_UNKNOWN_TASK": (USAGE, "a name that no task of the plan has"),
    "E_UNWRITABLE": (UNREACHED, "a file or folder that cannot be written, or not be reached"),
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
