"""The one exception class, the error codes and their exit statuses.

Imports no other module of the package. Codes are stable: scripts match on them.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

DONE = 0
NO = 1
USAGE = 2
REFUSED = 3
UNREACHED = 4
CONFLICT = 5
DEADLINE = 124
INTERRUPTED = 130
TERMINATED = 143

# Failures of this machine, after which the same work can go on.
MACHINE_FAILURES = ("E_NO_SPACE", "E_RESOURCES", "E_UNWRITABLE")

EXIT_MEANING = {
    DONE: "done",
    NO: "the answer is no: invalid record, gate failed, difference found",
    USAGE: "usage",
    REFUSED: "refused by a guard or a stale base",
    UNREACHED: "could not measure or reach something (missing tool, crash, network)",
    CONFLICT: "conflict: the repository kept changing and retries ran out",
    DEADLINE: "deadline",
    INTERRUPTED: "interrupted",
    TERMINATED: "interrupted by SIGTERM",
}

# code -> (exit status, description). Keep sorted; docs/errors.md is checked against it.
CODES: dict[str, tuple[int, str]] = {
    "E_AGENT": (USAGE, "no agent has that name"),
    "E_AGENT_EMPTY": (UNREACHED, "the agent exited successfully without an answer"),
    "E_AGENT_FAILED": (UNREACHED, "the agent's program failed"),
    "E_ANSWER": (NO, "the agent's answer cannot be used"),
    "E_BASE": (USAGE, "the base branch is ambiguous or does not exist"),
    "E_BEST_MOVED": (REFUSED, "the rolling best was moved, replaced or deleted by another program"),
    "E_BLOCKED": (REFUSED, "a branch or tag has a name that blocks the names of other branches or tags"),
    "E_BRANCH": (REFUSED, "another branch is checked out than the call expects"),
    "E_BRANCH_GONE": (REFUSED, "a branch with a plan was deleted, and would begin anew without its history"),
    "E_BROKEN_REF": (REFUSED, "a branch or tag names an object that does not exist"),
    "E_BUILD": (NO, "the build fails"),
    "E_BUSY": (REFUSED, "another process or person is working on it right now"),
    "E_CANON_DIGEST": (NO, "a locked file has changed"),
    "E_CANON_EXTRA": (NO, "a module or port is not in the canon lock"),
    "E_CANON_MISSING_ACCEPTANCE": (NO, "a locked acceptance test is missing"),
    "E_CANON_MISSING_INTERFACE": (NO, "a locked port is not provided any more"),
    "E_CANON_MISSING_INVARIANT": (NO, "a locked invariant is not listed any more"),
    "E_CANON_MISSING_INVARIANT_TEST": (NO, "the test of a locked invariant is missing"),
    "E_CANON_MISSING_MODULE": (NO, "a locked module is missing"),
    "E_CANON_MISSING_RESOURCE": (NO, "there is no canon lock, or no module"),
    "E_CANON_PARSE": (NO, "the canon lock or the manifest of a module cannot be read"),
    "E_CANON_PORT_MISMATCH": (NO, "a locked port is exported by another file or name"),
    "E_CANON_PORT_MISSING_FILE": (NO, "the file of a locked port is missing"),
    "E_CHECKED_OUT": (REFUSED, "the branch to be moved is checked out with uncommitted changes"),
    "E_CLOUD_ANSWER": (UNREACHED, "the answer of the cloud service cannot be used"),
    "E_CLOUD_TASK": (NO, "the cloud service does not have the task"),
    "E_CODEX_AUTH": (UNREACHED, "codex has no login, or the service rejects it"),
    "E_CODEX_CONFIG": (USAGE, "codex does not accept its configuration or command line"),
    "E_CODEX_EMPTY": (UNREACHED, "codex ended its turn without an answer"),
    "E_CODEX_FAILED": (UNREACHED, "codex failed for an unknown reason"),
    "E_CODEX_INCOMPLETE": (UNREACHED, "the model stopped in the middle of its answer"),
    "E_CODEX_NETWORK": (UNREACHED, "codex could not connect to the service"),
    "E_CODEX_QUOTA": (UNREACHED, "the account has no credit left, or has reached its usage limit"),
    "E_CODEX_RATE": (UNREACHED, "the service limits the request rate"),
    "E_CODEX_REQUEST": (UNREACHED, "the service rejects the request"),
    "E_CODEX_SERVER": (UNREACHED, "the service failed"),
    "E_CODEX_STREAM": (UNREACHED, "the connection broke while the model was answering"),
    "E_COMPOSE": (NO, "the modules of a composition do not fit together"),
    "E_COMPOSE_OVERRIDES": (NO, "the overrides of a composition cannot be applied"),
    "E_CONFIG": (UNREACHED, "the configuration file cannot be read"),
    "E_CONFLICT": (CONFLICT, "the repository kept changing while the result was being written"),
    "E_COVERAGE": (
        NO,
        "the coverage of a tournament contradicts itself, or its modules do not cover all goals",
    ),
    "E_DEADLINE": (DEADLINE, "the step exceeded its time limit"),
    "E_DIRTY": (REFUSED, "the working tree holds changes that are in the way"),
    "E_DUP_PROVIDER": (NO, "several modules of a composition provide a port, and none is preferred"),
    "E_EVENT_SCHEMA": (NO, "the event stream is not valid: a line is wrong, missing or rewritten"),
    "E_EVIDENCE": (REFUSED, "there is no evidence that the task is done"),
    "E_EXPORT": (UNREACHED, "the commit holds files that cannot be written to disk"),
    "E_FORGE": (UNREACHED, "the hosting site could not be asked, or its answer cannot be used"),
    "E_GATE": (NO, "a gate fails"),
    "E_GATE_SKIPPED": (NO, "a required gate was skipped, and skipped is not passed"),
    "E_GEMINI_AUTH": (UNREACHED, "gemini has no login, or the service rejects it"),
    "E_GEMINI_BLOCKED": (UNREACHED, "the service blocked gemini's prompt or answer"),
    "E_GEMINI_CONFIG": (USAGE, "gemini does not accept its settings or command line"),
    "E_GEMINI_EMPTY": (UNREACHED, "gemini exited successfully without an answer"),
    "E_GEMINI_FAILED": (UNREACHED, "gemini failed for an unknown reason"),
    "E_GEMINI_NETWORK": (UNREACHED, "gemini could not connect to the service"),
    "E_GEMINI_QUOTA": (UNREACHED, "the account's quota is used up, or the service limits the request rate"),
    "E_GEMINI_REQUEST": (UNREACHED, "the service rejects gemini's request, or has no such model"),
    "E_GEMINI_SERVER": (UNREACHED, "the service behind gemini failed"),
    "E_GEMINI_STREAM": (UNREACHED, "the connection broke during the answer, or the answer was garbled"),
    "E_GIT": (UNREACHED, "git failed; its message follows"),
    "E_GUARD": (REFUSED, "a guarded path would change"),
    "E_HOOKS": (REFUSED, "the hooks cannot be installed, or cannot run"),
    "E_IDENTITY": (USAGE, "git has no user name and e-mail to commit with"),
    "E_INTERNAL": (UNREACHED, "git-planner has a defect"),
    "E_INTERRUPTED": (INTERRUPTED, "the command was interrupted"),
    "E_JSON": (NO, "the text is not valid JSON"),
    "E_KEY": (REFUSED, "the idempotency key was used for another call"),
    "E_LEASE": (NO, "there is no lease of that name on this host, or the leases cannot be read"),
    "E_LINT": (NO, "the style check fails"),
    "E_MEASURE": (UNREACHED, "the benchmark produced no value"),
    "E_MERGE": (REFUSED, "the changes do not merge"),
    "E_META_WEIGHTS": (USAGE, "the weights of the score lack the profile, or are not numbers"),
    "E_MIN_GAIN": (USAGE, "min_gain is smaller than twice the noise"),
    "E_MISSING_EXTRA": (UNREACHED, "an optional package is not installed"),
    "E_MISSING_FOLDER": (UNREACHED, "a required folder does not exist"),
    "E_MISSING_INPUT": (NO, "an input text of the step is missing or unreadable"),
    "E_MISSING_TOOL": (UNREACHED, "a required program is not installed"),
    "E_MODEL": (REFUSED, "the policy does not admit the model"),
    "E_NAME": (USAGE, "the name is not valid: git or a shell would misread it"),
    "E_NOT_A_REPOSITORY": (USAGE, "the directory is not in a git repository"),
    "E_NO_BASE": (UNREACHED, "the base commit that a candidate is compared with is not in this repository"),
    "E_NO_CHANGE": (NO, "nothing was changed, so there is nothing to propose or record"),
    "E_NO_PLAN": (NO, "no plan has that name"),
    "E_NO_POLICY": (USAGE, "the commit has no policy file"),
    "E_NO_RECORD": (NO, "no record has that name"),
    "E_NO_SPACE": (UNREACHED, "the disk is full"),
    "E_NO_VARIANT": (NO, "no variant of the turn is ready, or can be chosen"),
    "E_OPTIONS": (NO, "the plan's options are incomplete or contradict each other"),
    "E_PATCH": (NO, "the patch does not apply"),
    "E_PATCHES_EXHAUSTED": (NO, "all patches of the folder have been used"),
    "E_PLOT": (NO, "the values cannot be drawn"),
    "E_POLICY": (USAGE, "the policy file cannot be used"),
    "E_PORT_VERSION_AMBIG": (NO, "a required port is provided in several major versions"),
    "E_PREFER_UNSAT": (NO, "the preferred provider of a port does not provide it"),
    "E_PREPARE": (UNREACHED, "a step of the policy made nothing to measure with"),
    "E_REGISTRATION": (REFUSED, "the client's file cannot be changed, or has another server of that name"),
    "E_REMOTE": (UNREACHED, "the remote repository could not be reached, read or written"),
    "E_REQUIRE_UNSAT": (NO, "no module of a composition provides a required port"),
    "E_RESOURCES": (UNREACHED, "the machine has no open files, processes or memory left"),
    "E_RESULT": (REFUSED, "the result does not belong to the run, or cannot be used"),
    "E_REVIEW": (REFUSED, "the policy wants an approval by people first"),
    "E_RUN_EXISTS": (REFUSED, "another tournament has that name"),
    "E_SANDBOX": (UNREACHED, "the policy requires a sandbox for agents, and none works here"),
    "E_SCHEMA": (NO, "the document does not match its schema"),
    "E_SCOPE": (NO, "paths outside the scope change"),
    "E_SESSION": (REFUSED, "there is no such session, or it cannot do that now"),
    "E_SIDEEFFECTS_DECLARATION": (NO, "a command has side effects that are not declared"),
    "E_SIDEEFFECTS_FORBIDDEN": (NO, "a command has side effects that are not allowed"),
    "E_SIGN": (UNREACHED, "the commit could not be signed"),
    "E_SPEC": (NO, "the change's spec is missing or not valid"),
    "E_STAGE": (REFUSED, "an earlier stage of the tournament is not done, or its result is stale"),
    "E_STALE_BASE": (REFUSED, "the base has moved since the packet was made"),
    "E_STATE": (REFUSED, "the iteration's state is not the one it started with"),
    "E_TAG": (REFUSED, "a tag of that name points to another commit"),
    "E_TERMINAL": (UNREACHED, "the terminal cannot be opened, does not answer, or is gone"),
    "E_TEST": (NO, "the tests fail, or nothing proves that they ran"),
    "E_TOO_LARGE": (USAGE, "the text to be sent exceeds the size limit"),
    "E_TRANSITION": (REFUSED, "the task's status does not allow this change"),
    "E_TYPES": (NO, "the type check fails"),
    "E_UNBORN": (USAGE, "the repository has no commit yet"),
    "E_UNFINISHED": (REFUSED, "the change still has unfinished tasks"),
    "E_UNKNOWN_REF": (USAGE, "no branch, tag or commit has that name"),
    "E_UNKNOWN_RUN": (USAGE, "there is no tournament of that name"),
    "E_UNKNOWN_TASK": (USAGE, "no task of the plan has that name"),
    "E_UNKNOWN_VARIANT": (USAGE, "the tournament has no variant of that number"),
    "E_UNWRITABLE": (UNREACHED, "a file or folder cannot be written or reached"),
    "E_USAGE": (USAGE, "the command line is not valid"),
    "E_VARIANT_NO_MODULES": (NO, "the variant has no module, and the tournament needs modules"),
    "E_WORKER_LOST": (UNREACHED, "workers died again and again while they ran a job"),
    "E_WORKTREE": (REFUSED, "the worktree's link is broken, or it belongs to another repository"),
}


class PlannerError(Exception):
    """An error with its code, message and hint, as the programs print it.

    Args:
        code: a key of CODES.
        message: one sentence, lower case, no full stop, the subject in single quotes.
        hint: what to do next, naming one command; never a complete destructive one.
        details: further lines, such as one per violated rule.
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
        """Return the exit status of the error code."""
        return CODES[self.code][0]

    def document(self) -> dict[str, object]:
        """Return the error as the JSON document that --json prints."""
        return {
            "schema": "git-planner/error@1",
            "code": self.code,
            "exit": self.exit,
            "message": self.message,
            "hint": self.hint,
            "details": list(self.details),
        }


def resource_error(error: BaseException, *, starting: str | None = None) -> PlannerError | None:
    """Return the error for a limit of this machine or of its user; None for all other causes.

    Args:
        error: what Python raised.
        starting: the program that could not be started, if that was the attempt.
    """
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    limit = _LIMITS.get(number) if number != errno.EAGAIN or starting is not None else None
    if limit is None:
        return None
    message = f"'{starting}' cannot be started: {limit[0]}" if starting else limit[0]
    return PlannerError("E_RESOURCES", message, hint=f"{limit[1]}, then run the same command again")


_MORE_FILES = ("too many files are open", "raise the limit of open files with 'ulimit -n'")
_LIMITS: dict[int | None, tuple[str, str]] = {
    errno.EMFILE: _MORE_FILES,
    errno.ENFILE: _MORE_FILES,
    errno.ENOMEM: ("there is not enough memory", "end other programs, or raise the limit with 'ulimit -v'"),
    errno.EAGAIN: ("too many processes are running", "end some, or raise the limit with 'ulimit -u'"),
}
