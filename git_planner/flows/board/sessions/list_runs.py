"""List runs: those of tasks, and the sessions of planners, which have no task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.list_sessions import SessionView, view_session
from git_planner.flows.runs.inspect import RunReports, inspect_runs
from git_planner.gitio.repository import Repository
from git_planner.rules.board.session import PLANNER

# Ended sessions of planners that are listed.
_MOST_ENDED = 3


@dataclass(frozen=True, slots=True)
class RunList:
    """Reports of runs, and sessions of planners."""

    reports: RunReports
    planners: tuple[SessionView, ...] = ()

    @property
    def exit(self) -> int:
        """Return exit status 1 when a run or a planner is stalled or dead."""
        is_bad = any(view.seen in ("stalled", "dead") for view in self.planners)
        return NO if is_bad else self.reports.exit or DONE

    def document(self) -> Mapping[str, Any]:
        """Return them as one JSON document."""
        return {**self.reports.document(), "planners": [view.document() for view in self.planners]}


def list_all_runs(repo: Repository, plan: str | None, run_id: str | None) -> RunList:
    """Report on one run or planner, or on all that are open and the last ones that ended.

    Args:
        repo: the repository.
        plan: only those of one plan; all when None.
        run_id: only this one.

    Raises:
        PlannerError: E_RESULT when there is no such run here.
    """
    if run_id is not None:
        session = session_store.load_session(repo, run_id)
        if session is not None and session.session.kind == PLANNER:
            return RunList(RunReports(()), (view_session(repo, session),))
        return RunList(inspect_runs(repo, plan, run_id))
    planners = [
        session
        for session in session_store.host_sessions(repo)
        if session.session.kind == PLANNER and plan in (None, session.session.plan)
    ]
    ended = [session for session in planners if session.session.state == "ended"][-_MOST_ENDED:]
    shown = [session for session in planners if session.session.state != "ended" or session in ended]
    return RunList(inspect_runs(repo, plan, None), tuple(view_session(repo, session) for session in shown))


def refuse_planner(repo: Repository, run_id: str) -> None:
    """Refuse to end or requeue the run of a planner's session, which has no task.

    Raises:
        PlannerError: E_SESSION.
    """
    session = session_store.load_session(repo, run_id)
    if session is not None and session.session.kind == PLANNER:
        name = f"{PLANNER} --plan {session.session.plan}"
        raise PlannerError(
            "E_SESSION",
            f"run '{run_id}' is the session of a planner",
            hint=f"git plan session close {name}",
        )
