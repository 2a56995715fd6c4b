"""Sessions: a planner or a worker whose client runs in a terminal. Pure.

A session is a run with a name and a terminal. `STATES` and `TRANSITIONS` are its life, `RECOVERY` what
becomes of one whose process has gone. docs/sessions.md prints both tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from git_planner.errors import PlannerError

SCHEMA = "git-planner/session@1"
SessionKind = Literal["planner", "worker"]
SessionState = Literal["reserved", "starting", "running", "needs_input", "suspended", "ending", "ended"]
SessionSandbox = Literal["read-only", "workspace-write", "danger-full-access"]
Sight = Literal["alive", "gone", "far"]
RecoveryStep = Literal["leave", "end", "suspend", "finish"]

STATES: tuple[SessionState, ...] = get_args(SessionState)
TRANSITIONS: Mapping[SessionState, tuple[SessionState, ...]] = {
    "reserved": ("starting", "ended"),
    "starting": ("running", "needs_input", "suspended", "ending", "ended"),
    "running": ("needs_input", "suspended", "ending", "ended"),
    "needs_input": ("ended",),
    "suspended": ("starting", "needs_input", "ended"),
    "ending": ("needs_input", "suspended", "ended"),
    "ended": (),
}
# A session in these states has, or is about to have, a process.
ACTIVE: tuple[SessionState, ...] = ("reserved", "starting", "running", "ending")
# (state, its process, whether its agent left a result) -> what the next command does.
RECOVERY: Mapping[tuple[SessionState, Sight, bool], RecoveryStep] = {
    **{(state, "alive", result): "leave" for state in STATES for result in (False, True)},
    **{(state, "far", result): "leave" for state in STATES for result in (False, True)},
    ("reserved", "gone", False): "end",
    ("reserved", "gone", True): "end",
    ("starting", "gone", False): "suspend",
    ("starting", "gone", True): "finish",
    ("running", "gone", False): "suspend",
    ("running", "gone", True): "finish",
    ("needs_input", "gone", False): "leave",
    ("needs_input", "gone", True): "leave",
    ("suspended", "gone", False): "leave",
    ("suspended", "gone", True): "finish",
    ("ending", "gone", False): "finish",
    ("ending", "gone", True): "finish",
    ("ended", "gone", False): "leave",
    ("ended", "gone", True): "leave",
}

PLANNER = "planner"
_WORKER = "worker-"
_NAME = re.compile(r"planner|worker-task_[0-9]{3,9}")


@dataclass(frozen=True, slots=True)
class Session:
    """One session, with the fields of the document that its plan's branch holds.

    `session` is its id, also that of its run; `continues` the earlier session whose thread it goes on with.
    `thread` is the client's own id of the conversation. `sandbox` and `approval` are the client's rights.
    """

    session: str
    name: str
    kind: SessionKind
    plan: str
    state: SessionState
    client: str
    backend: str
    host: str
    reserved_at: str
    task: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox: SessionSandbox | None = None
    approval: str | None = None
    branch: str | None = None
    base: str | None = None
    continues: str | None = None
    thread: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    outcome: str | None = None
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the session as JSON."""
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    @property
    def is_active(self) -> bool:
        """Return whether it has a process, or is about to have one."""
        return self.state in ACTIVE

    @property
    def is_unconfined(self) -> bool:
        """Return whether its client may do anything, as its person may."""
        return self.sandbox == "danger-full-access"

    def moved(self, state: SessionState, **fields: Any) -> Session:
        """Return the session in another state.

        Raises:
            PlannerError: E_TRANSITION for a state that may not follow.
        """
        if state != self.state and state not in TRANSITIONS[self.state]:
            raise PlannerError(
                "E_TRANSITION",
                f"the session '{self.name}' is {self.state} and cannot become {state}",
                hint="git plan session list",
            )
        return replace(self, state=state, **fields)


def session_from(document: Mapping[str, Any]) -> Session:
    """Build a session from a document that has passed its schema."""
    return Session(**{name: document[name] for name in Session.__dataclass_fields__ if name in document})


def worker_name(task: str) -> str:
    """Return the name of the session that works on a task."""
    return _WORKER + task


def check_session_name(name: str) -> str:
    """Return the name of a session unchanged; '-' counts as '_' in a task's id, and a bare id is a worker's.

    Raises:
        PlannerError: E_NAME.
    """
    spelled = name.strip().lower()
    if re.fullmatch(r"(worker-)?task[-_]?[0-9]{1,9}", spelled):
        spelled = worker_name(f"task_{int(re.sub(r'[^0-9]', '', spelled)):03d}")
    if not _NAME.fullmatch(spelled):
        raise PlannerError(
            "E_NAME",
            f"{name[:80]!r} is no session: sessions are called 'planner' or 'worker-task_001'",
            hint="git plan session list",
        )
    return spelled


def recovery_step(state: SessionState, process: Sight, *, has_result: bool) -> RecoveryStep:
    """Return what becomes of a session.

    Args:
        state: its state as it was written last.
        process: whether its process runs, has gone, or cannot be seen from here.
        has_result: whether its agent has left a valid result.
    """
    return RECOVERY[state, process, has_result]
