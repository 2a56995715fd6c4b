"""One delegated task in the hands of an agent: its worktree, its prompt, its heartbeat, and its end."""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from git_planner.agents.contract import Brief, Tell
from git_planner.agents.prompts import text
from git_planner.errors import PlannerError
from git_planner.flows.delegation import agent_result
from git_planner.flows.delegation.finish_run import Ending, conclude
from git_planner.flows.delegation.start_run import Begun, Terms
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.iterate import worktree_path
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import HeartbeatWriter
from git_planner.flows.runs.store import OUT, RESULT, Run
from git_planner.flows.tasks.edit import read_handoff, read_tasks
from git_planner.gitio import worktree
from git_planner.gitio.repository import Repository
from git_planner.rules.delegation import task_prompt
from git_planner.rules.policy.policy import Policy

_LAST = 5


class Carrier:
    """Carries tasks out, several at once. Only the agents run side by side.

    `stop` makes every agent end; `lock` is held by whoever of the threads reads or changes the repository.

    Args:
        repo: the repository.
        terms: how tasks are delegated.
        tell: progress.
    """

    def __init__(self, repo: Repository, terms: Terms, tell: Tell) -> None:
        self.repo, self.terms, self.tell = repo, terms, tell
        self.stop, self.lock = threading.Event(), threading.Lock()

    def carry(self, begun: Begun) -> Run:
        """Have an agent work on a task that was begun, and bring its run to an end.

        Raises:
            PlannerError: what the agent raised, when no other task would fare better; what the end raises.
        """
        until, repo = time.monotonic() + begun.run.seconds, self.repo
        with process_lock.lock_iteration(repo, begun.run.iteration):
            with self.lock:
                path = worktree_path(self.terms.settings, repo, begun.state)
                # Noted before it is made, so that it is found after a kill.
                run = store.save_run(repo, replace(begun.run, worktree=str(path)))
                worktree.add(repo, path, run.branch)
                brief = self._brief(begun, run, path, until)
            ending, error = self._worked(run, brief)
            with self.lock:
                done = conclude(repo, run, begun.task, ending)
        if error is not None and done.outcome == "not_started":
            raise error
        return done

    def _worked(self, run: Run, brief: Brief) -> tuple[Ending, PlannerError | None]:
        self.tell(f"{run.task}: {run.agent} works in '{brief.worktree}', run {run.run}")
        try:
            done = self.terms.implementer.implement(brief, lambda said: self.tell(f"{run.task}: {said}"))
        except KeyboardInterrupt:
            return Ending("interrupted", "the delegator was interrupted"), None
        except PlannerError as error:
            said = "\n".join([error.message, *error.details[-_LAST:]])
            late = error.code == "E_DEADLINE"
            return Ending("deadline" if late else "failed", said, error.code), error
        return Ending("ended", thread=done.thread, argv=done.command, summary=done.summary), None

    def _brief(self, begun: Begun, run: Run, path: Path, until: float) -> Brief:
        folder, settings = store.run_folder(self.repo, run.run), self.terms.settings
        out = folder / OUT
        out.mkdir(mode=0o700, exist_ok=True)
        return Brief(
            directive=begun.state.directive,
            prompt=self._prompt(begun, run),
            worktree=path,
            folder=folder,
            index=begun.task.number - 1,
            seconds=max(0.5, until - time.monotonic()),
            model=settings.implementer_model,
            effort=settings.implementer_effort,
            patches=settings.patches,
            env={
                "GIT_PLANNER_PLAN": run.plan,
                "GIT_PLANNER_TASK": run.task,
                "GIT_PLANNER_RUN": run.run,
                "GIT_PLANNER_PROGRAM": _program(),
                agent_result.VARIABLE: str(out / RESULT),
            },
            writable=(out,),
            sandbox=self.terms.sandbox,
            on_tick=HeartbeatWriter(folder, run, self.stop.is_set),
        )

    def _prompt(self, begun: Begun, run: Run) -> str:
        found, task, policy = read_tasks(self.repo, run.plan), begun.task, begun.base.policy
        setting = task_prompt.TaskContext(
            plan=run.plan,
            goal=str(found.about.get("goal", "")),
            run=run.run,
            policy=_limits(policy),
            before=[found.task(each) for each in task.dependencies],
            handoff=read_handoff(self.repo, run.plan, task) if task.handoff else "",
            reports=run.reports,
            program=shlex.quote(_program()),
        )
        return task_prompt.render_task_prompt(text("task"), task, setting, policy.prompt_budget)


def _program() -> str:
    """Our own `git-plan` by its path: the shell that an agent gets need not have our PATH."""
    beside = Path(sys.executable).with_name("git-plan")
    return str(beside) if beside.exists() else shutil.which("git-plan") or "git-plan"


def _limits(policy: Policy) -> Sequence[str]:
    limits = (
        ("Only these may change", policy.allow),
        ("These must not change", policy.forbid),
        ("These are guarded; any change of them makes the result invalid", policy.guarded),
    )
    return [f"{title}: {', '.join(paths)}" for title, paths in limits if paths]
