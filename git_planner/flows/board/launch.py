"""`git planner`: check, set up what is missing, resume or start the planner's session.

The first time in a repository it writes nothing before the person has agreed to the list of `read_intent`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.agents.templates import check_template_engine
from git_planner.config.policy_file import parse_policy
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.close_sessions import resume_sessions
from git_planner.flows.board.sessions.reconcile import heal_sessions
from git_planner.flows.board.sessions.session_client import session_client_of
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.board.sessions.start_session import StartOptions, start_planner
from git_planner.flows.setup.init import initialise, policy_template
from git_planner.gitio.repository import Repository
from git_planner.host.terminals.choose import choose_backend
from git_planner.progress import Progress
from git_planner.rules.refnames import POLICY_FILE

_AGREED = "launched"


@dataclass(frozen=True, slots=True)
class Intent:
    """Intent of a launch: what it writes and starts, one sentence each; `agreed`: the person has seen it."""

    writes: tuple[str, ...]
    starts: tuple[str, ...]
    agreed: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "schema": "git-planner/launch-intent@1",
            "writes": list(self.writes),
            "starts": list(self.starts),
            "agreed": self.agreed,
        }


@dataclass(frozen=True, slots=True)
class Launched:
    """The sessions that run after a launch; the first is the planner's."""

    planner: HostSession
    resumed: tuple[HostSession, ...]


def read_intent(repo: Repository, *, new_session: bool = False) -> Intent:
    """Return what a launch is about to do here.

    Raises:
        PlannerError: E_USAGE without a worktree; E_MISSING_TOOL, E_MISSING_EXTRA for the terminal.
    """
    if repo.top is None:
        raise PlannerError(
            "E_USAGE", "a planner works in a worktree, and this repository has none", hint="use a clone"
        )
    settings = read_settings(repo)
    backend = choose_backend(settings.terminal, os.environ, settings.tmux_socket)
    sessions = session_store.host_sessions(repo)
    starts = [
        f"go on with the session '{item.session.name}'"
        for item in sessions
        if item.session.state == "suspended" and not (new_session and item.session.kind == "planner")
    ]
    runs = any(item.session.kind == "planner" and item.session.is_active for item in sessions)
    if not runs and not any("'planner'" in line for line in starts):
        socket = f", socket '{settings.tmux_socket}'" if backend.name == "tmux" else ""
        place = f"in {backend.name}{socket}"
        starts.insert(0, f"start {settings.session_client} as the planner of '{settings.plan}', {place}")
    return Intent(tuple(_writes(repo)), tuple(starts), repo.private(_AGREED).exists())


def launch(repo: Repository, progress: Progress, *, new_session: bool = False) -> Launched:
    """Set up what is missing, resume what is suspended, and start the planner if none runs.

    Args:
        repo: the repository; a linked worktree counts as its repository.
        progress: called with each progress message.
        new_session: begin a new conversation with the planner's client.

    Raises:
        PlannerError: as `start_planner`; E_NO_POLICY when the policy could not be committed.
    """
    check_template_engine()
    for _ in _writes(repo):
        _check_client(repo)
        _set_up(repo, progress)
        break
    repo.touch_private(_AGREED)
    heal_sessions(repo, progress)
    resumed = () if new_session else resume_sessions(repo, progress)
    planner = start_planner(repo, StartOptions(new_thread=new_session), progress)
    return Launched(planner, tuple(item for item in resumed if item.run != planner.run))


def _writes(repo: Repository) -> Iterator[str]:
    """Yield what is missing here, as what would be written."""
    assert repo.top is not None
    if repo.git.run("cat-file", "-e", f"HEAD:{POLICY_FILE}").status == 0:
        return
    if not (repo.top / POLICY_FILE).exists():
        yield f"write a starter policy, '{POLICY_FILE}'"
    yield f"commit '{POLICY_FILE}' on '{repo.head_branch() or 'HEAD'}', and nothing else"
    yield "install the hooks, which act on plan/*, iter/* and bo4/* only"


def _check_client(repo: Repository) -> None:
    """Check the program of the planner's client before anything is written.

    Raises:
        PlannerError: E_AGENT, E_MISSING_TOOL; E_POLICY for a policy that is not committed yet.
    """
    assert repo.top is not None
    path = repo.top / POLICY_FILE
    policy = parse_policy(path.read_bytes() if path.is_file() else policy_template(None), POLICY_FILE)
    settings = read_settings(repo)
    session_client_of(repo, settings.session_client, policy, settings)


def _set_up(repo: Repository, progress: Progress) -> None:
    initialise(repo, ordinary=False)
    git = repo.git
    git.bytes("add", "-f", "--", f":(top,literal){POLICY_FILE}")
    git.bytes(
        "commit",
        "-q",
        "--only",
        "-m",
        "chore: the policy of git-planner",
        "--",
        f":(top,literal){POLICY_FILE}",
    )
    progress(f"committed '{POLICY_FILE}': edit what is guarded, tested and measured there")
