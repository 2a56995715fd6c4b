"""`git planner quickstart`: how sessions work, with the names and commands of this repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.tasks.edit import read_briefs
from git_planner.gitio.repository import Repository
from git_planner.host.terminals.choose import named_backend
from git_planner.rules.refnames import POLICY_FILE


@dataclass(frozen=True, slots=True)
class Guide:
    """State of this repository, and the commands of the planner's workflow."""

    has_policy: bool
    backend: str
    missing: tuple[str, ...]
    client: str
    plan: str
    task: str
    planner: str | None
    workers: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            "schema": "git-planner/quickstart@1",
            **fields,
            "missing": list(self.missing),
            "workers": list(self.workers),
            "steps": list(self.lines()),
        }

    def lines(self) -> Iterator[str]:
        """Yield it as text."""
        yield f"policy:   {'committed' if self.has_policy else f'no {POLICY_FILE} is committed yet'}"
        yield f"terminal: {self.backend}{''.join(f'; {line}' for line in self.missing)}"
        yield f"client:   {self.client}"
        yield f"plan:     {self.plan}"
        yield f"planner:  {self.planner or 'no session'}"
        yield f"workers:  {', '.join(self.workers) or 'none'}"
        yield ""
        yield "You talk to the planner only; workers ask the planner, and the planner asks you."
        yield ""
        for step, command in (
            ("start or resume the planner, and show it", "git planner"),
            ("add a task", "git plan task add TITLE --write-scope PATH --verify COMMAND"),
            ("see which tasks are ready", "git plan task ready"),
            ("start a worker on a task", f"git plan worker spawn {self.task}"),
            ("see all sessions", "git plan session list"),
            ("watch one", f"git plan session attach {self.workers[0] if self.workers else self.task}"),
            ("see what waits for you", "git plan inbox"),
            (
                "answer a question",
                f"git plan task answer {self.task} TEXT, then: git plan task resume {self.task}",
            ),
            ("bring finished work to the base branch", "git plan worker integrate"),
            ("stop for today, go on tomorrow", "git plan suspend, then: git plan resume"),
            ("end everything", "git plan shutdown"),
        ):
            yield f"{step}:"
            yield f"  {command}"


def explain(repo: Repository) -> Guide:
    """Read what the guide of this repository says."""
    settings = read_settings(repo)
    backend = named_backend(settings.terminal, os.environ)
    sessions = [item.session for item in session_store.host_sessions(repo) if item.session.is_active]
    try:
        plan, tasks = read_briefs(repo, None)
    except PlannerError as error:
        if error.code != "E_NO_PLAN":
            raise
        plan, tasks = settings.plan, []
    open_tasks = [task.id for task in tasks if task.status == "todo"] or [task.id for task in tasks]
    planner = next((item.name for item in sessions if item.kind == "planner"), None)
    return Guide(
        has_policy=repo.git.run("cat-file", "-e", f"HEAD:{POLICY_FILE}").status == 0,
        backend=backend.name,
        missing=backend.missing(),
        client=settings.session_client,
        plan=plan,
        task=open_tasks[0] if open_tasks else "task_001",
        planner=planner,
        workers=tuple(item.name for item in sessions if item.kind == "worker"),
    )
