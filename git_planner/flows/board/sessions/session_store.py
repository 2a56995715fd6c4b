"""Store of sessions: on the host in the folder of their run, and on their plan's branch for other clones.

The host file is written first. The branch has one file a session, `.plans/<plan>/sessions/<id>.json`, with
what others must know: begun, waiting for a person, suspended, ended.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from git_planner import atomic_file, documents, redact
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.runs.heartbeat import has_fresh_heartbeat, last_heartbeat
from git_planner.flows.runs.store import is_run_id, run_folder, write_document
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Step, Store, Write
from git_planner.host import process_identity
from git_planner.host.machine import host_name
from git_planner.host.process_identity import ProcessIdentity, Sight
from git_planner.host.terminals.terminal import Terminal, terminal_from
from git_planner.rules import refnames
from git_planner.rules.board.session import Session, check_session_name, session_from
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.plan import is_plan_name

FILE, REQUEST, FOLDER = "session.json", "request", "sessions"
_HOST_SCHEMA = "git-planner/host-session@1"
_MAX_BYTES = 64 * 1024
# Sessions of other hosts that are read from one plan; the newest.
_MOST = 500


@dataclass(frozen=True, slots=True)
class HostSession:
    """A session with what only this host knows: its process and its terminal.

    `process` is the one that starts it while it is reserved, afterwards the one that watches over its client.
    `drops_keys`: its client's login is stored, and needs no key of the environment. `is_remote`: it is known
    from its plan's branch alone. `is_told`: its plan's branch has it as it is. `asking_since`: since then its
    client has waited for an answer in its terminal.
    """

    session: Session
    process: ProcessIdentity | None = None
    terminal: Terminal | None = None
    interval: float = 10.0
    drops_keys: bool = True
    is_remote: bool = False
    is_told: bool = True
    asking_since: str | None = None

    @property
    def run(self) -> str:
        """Return the id of its run."""
        return self.session.session

    @property
    def task(self) -> str | None:
        """Return the task it works on; None for a planner."""
        return self.session.task

    def sight(self) -> Sight:
        """Return whether its process runs, has gone, or cannot be seen from here."""
        if self.process is not None:
            return process_identity.sight(self.process, self.session.host)
        return "far" if self.is_remote or self.session.host != host_name() else "gone"

    @property
    def asks(self) -> bool:
        """Return whether its client was seen to wait for an answer in its terminal, and may still do so."""
        return self.asking_since is not None and self.session.state == "running" and self.sight() == "alive"

    def moved(self, state: Any, **fields: Any) -> HostSession:
        """Return it with its session in another state, see `Session.moved`."""
        return replace(self, session=self.session.moved(state, **fields))

    def host_document(self) -> dict[str, Any]:
        """Return it as JSON, for the host."""
        return {
            "schema": _HOST_SCHEMA,
            "session": self.session.document(),
            "process": self.process.document() if self.process else None,
            "terminal": self.terminal.document() if self.terminal else None,
            "interval": self.interval,
            "drops_keys": self.drops_keys,
            "told": self.is_told,
            "asking_since": self.asking_since,
        }


def save_session(repo: Repository, session: HostSession, *, publish: bool = True) -> HostSession:
    """Write a session on the host, then, for other clones, on its plan's branch.

    Raises:
        PlannerError: what `Store.transact` raises; the host file is written by then.
    """
    session = replace(session, is_told=session.is_told and not publish)
    folder = run_folder(repo, session.run)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_document(folder / FILE, redact.mask_document(session.host_document()))
    return tell_session(repo, session) if publish else session


def tell_session(repo: Repository, session: HostSession) -> HostSession:
    """Write a session on its plan's branch, and note that it is there; a kill in between repeats it.

    Raises:
        PlannerError: what `Store.transact` raises.
    """
    _publish(repo, session.session)
    return save_session(repo, replace(session, is_told=True), publish=False)


def change_session(
    repo: Repository, session_id: str, change: Callable[[HostSession], HostSession], *, publish: bool = False
) -> HostSession:
    """Change a session of this host; one process at a time does.

    Raises:
        PlannerError: E_SESSION when it is not there; what `change` and `save_session` raise.
    """
    with sessions_lock(repo):
        session = load_session(repo, session_id)
        if session is None:
            raise PlannerError("E_SESSION", f"there is no session '{session_id[:80]}' here")
        return save_session(repo, change(session), publish=publish)


def load_session(repo: Repository, session_id: str) -> HostSession | None:
    """Read a session of this host; None if it is missing or unreadable."""
    if not is_run_id(session_id):
        return None
    with suppress(OSError):
        session = _read_document(atomic_file.read(run_folder(repo, session_id) / FILE, _MAX_BYTES))
        return session if session is not None and session.run == session_id else None
    return None


@lru_cache(maxsize=1024)
def _read_document(data: bytes) -> HostSession | None:
    """Return the session of a host file; None if it is none. One command reads the same files many times."""
    try:
        document = json.loads(data)
        documents.check("session", document["session"], FILE)
        process, terminal = document["process"], document["terminal"]
        return HostSession(
            session_from(document["session"]),
            process and process_identity.identity_from(process),
            terminal and terminal_from(terminal),
            interval=float(document["interval"]),
            drops_keys=document["drops_keys"] is True,
            is_told=document["told"] is True,
            asking_since=None if (since := document.get("asking_since")) is None else str(since)[:40],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    except PlannerError:
        # No session, as the schema says.
        return None


def host_sessions(repo: Repository) -> list[HostSession]:
    """Return the sessions of this host, oldest first."""
    top = repo.private("runs")
    places = sorted(top.glob(f"*/{FILE}")) if top.is_dir() else []
    return [session for path in places if (session := load_session(repo, path.parent.name)) is not None]


def all_sessions(repo: Repository, plan: str | None = None) -> list[HostSession]:
    """Return the sessions of this host and those that the plans' branches know of, oldest first.

    Args:
        repo: the repository.
        plan: only those of one plan.
    """
    here = {session.run: session for session in host_sessions(repo)}
    for session in published_sessions(repo, plan):
        here.setdefault(session.run, session)
    sessions = [session for session in here.values() if plan in (None, session.session.plan)]
    return sorted(sessions, key=lambda session: session.run)


def find_session(repo: Repository, name: str, plan: str | None = None) -> HostSession:
    """Return a session of this host by its name or id: an active one before the newest.

    Without a plan, it is that of the current plan if several plans have one of the name.

    Raises:
        PlannerError: E_SESSION when there is none, or none is meant more than another; E_NAME.
    """
    sessions = host_sessions(repo)
    chosen = [session for session in sessions if session.run == name]
    if not chosen and not is_run_id(name):
        checked = check_session_name(name)
        chosen = [
            session
            for session in sessions
            if session.session.name == checked and plan in (None, session.session.plan)
        ]
        chosen = _of_one_plan(repo, name, chosen) if plan is None and len(chosen) > 1 else chosen
    if not chosen:
        far = [session for session in all_sessions(repo, plan) if name in (session.session.name, session.run)]
        place = f"; it is on '{far[-1].session.host}'" if far else ""
        raise PlannerError(
            "E_SESSION",
            f"there is no session '{name[:80]}' on this host{place}",
            hint="git plan session list",
        )
    return max(chosen, key=lambda item: (item.session.is_active, item.session.state != "ended", item.run))


def _of_one_plan(repo: Repository, name: str, sessions: Sequence[HostSession]) -> list[HostSession]:
    """Return the sessions that a name without a plan means: of the only plan with it, or of the current one.

    Raises:
        PlannerError: E_SESSION when it could be meant of several others.
    """
    opened = [item for item in sessions if item.session.state != "ended"] or list(sessions)
    plans = sorted({item.session.plan for item in opened})
    current = read_settings(repo).plan
    if len(plans) > 1 and current not in plans and opened[0].session.state != "ended":
        raise PlannerError(
            "E_SESSION",
            f"several plans have a session '{name[:80]}': {', '.join(plans)}",
            hint="name one with '--plan PLAN'",
        )
    return [item for item in opened if item.session.plan == current] or opened


def is_fresh(repo: Repository, session: HostSession) -> bool:
    """Return whether the last heartbeat of a session is so recent that it must be alive."""
    return has_fresh_heartbeat(repo, session)


def last_beat(repo: Repository, session: HostSession) -> str | None:
    """Return the time of the last heartbeat of a session; None without one."""
    return last_heartbeat(repo, session)


def send_request(repo: Repository, session: HostSession, word: str) -> None:
    """Ask the process of a session to 'suspend' or to 'close' it."""
    atomic_file.write(run_folder(repo, session.run) / REQUEST, word.encode())


def read_request(repo: Repository, session_id: str) -> str | None:
    """Return what the process of a session is asked to do; None for nothing."""
    with suppress(OSError, UnicodeDecodeError):
        return atomic_file.read(run_folder(repo, session_id) / REQUEST, 64).decode().strip() or None
    return None


def clear_request(repo: Repository, session_id: str) -> None:
    """Forget what the process of a session was asked to do."""
    (run_folder(repo, session_id) / REQUEST).unlink(missing_ok=True)


@contextmanager
def sessions_lock(repo: Repository) -> Iterator[None]:
    """Let one process at a time start or heal sessions of this repository."""
    path = repo.private("sessions.lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def session_file(plan: str, session_id: str) -> str:
    """Return the path of a session's file on its plan's branch."""
    return f"{refnames.plan_dir(plan)}/{FOLDER}/{session_id}.json"


def prompt_file(repo: Repository, session_id: str) -> Path:
    """Return the file with the prompt that a session was started with."""
    return run_folder(repo, session_id) / "prompt.md"


def log_file(repo: Repository, session_id: str) -> Path:
    """Return the file with the output of a session that has no terminal, or could not open one."""
    return run_folder(repo, session_id) / "terminal.log"


def _publish(repo: Repository, session: Session) -> None:
    """Write a session on its plan's branch; a plan without a branch has nobody to tell."""
    ref = refnames.plan_ref(session.plan)
    path = session_file(session.plan, session.session)
    document = redact.mask_document(session.document())
    documents.check("session", document, path)
    data = canonical_json.dumps(document)
    trailers = (("Planner-Op", "session"), ("Planner-Args", session.session))
    message = Message(f"session {session.name}: {session.state}", trailers)

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        snapshot = snapshots[ref]
        if snapshot.tip is None or snapshot.read(path) == data:
            return []
        return [Write(ref, {path: data}, message, masked=True)]

    Store(repo).transact([ref], decide)


def published_sessions(repo: Repository, plan: str | None) -> Iterator[HostSession]:
    """Yield the valid sessions on the branches of plans; what is no session there is left out."""
    prefix = refnames.HEADS + refnames.PLAN
    names = [ref.removeprefix(prefix) for ref in history.list_refs(repo, prefix)]
    with repo.git.batch() as batch:
        for name in filter(is_plan_name, names):
            if plan not in (None, name):
                continue
            snapshot = Store(repo).snapshot(refnames.plan_ref(name), batch)
            folder = f"{refnames.plan_dir(name)}/{FOLDER}"
            for file in [file for file in snapshot.names(folder) if file.endswith(".json")][-_MOST:]:
                session = _parse(snapshot.read(f"{folder}/{file}"), file.removesuffix(".json"), name)
                if session is not None:
                    yield HostSession(session, is_remote=True)


def _parse(data: bytes | None, session_id: str, plan: str) -> Session | None:
    if data is None or len(data) > _MAX_BYTES:
        return None
    try:
        session = session_from(documents.read("session", data, FILE))
    except PlannerError:
        return None
    return session if (session.session, session.plan) == (session_id, plan) else None
