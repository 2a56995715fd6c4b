"""Run one delegated task: worktree, prompt, agent process, heartbeat and end."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from git_planner.agents.contract import Brief, SuspendedTurn
from git_planner.agents.templates import read_template
from git_planner.errors import MACHINE_FAILURES, PlannerError
from git_planner.flows.delegation import agent_result
from git_planner.flows.delegation.start_run import AgentSetup, StartedRun
from git_planner.flows.delegation.suspend_run import suspend_run
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.iterations import process_lock
from git_planner.flows.planning.iteration_start import worktree_path
from git_planner.flows.runs import store
from git_planner.flows.runs.git_plan_program import git_plan_program
from git_planner.flows.runs.heartbeat import HeartbeatWriter
from git_planner.flows.runs.store import OUT, RESULT, Run
from git_planner.flows.tasks.edit import read_handoff, read_tasks
from git_planner.gitio import worktree
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress, Step, ticker
from git_planner.rules import refnames
from git_planner.rules.delegation import task_prompt
from git_planner.rules.delegation.outcome import RunEnding
from git_planner.rules.policy.policy import Policy
from git_planner.rules.tasks.task import Task

_MAX_DETAILS = 5


class Worker:
    """Run delegated tasks, several at once. Only the agents run in parallel.

    `stop` ends every agent; a thread holds `lock` while it reads or changes the repository.

    Args:
        repo: the repository.
        setup: agent, sandbox and limits.
        progress: called with each progress message.
    """

    def __init__(self, repo: Repository, setup: AgentSetup, progress: Progress) -> None:
        self.repo, self.setup, self.progress = repo, setup, progress
        self.stop, self.lock = threading.Event(), threading.Lock()

    def run_task(self, started: StartedRun) -> Run:
        """Let an agent work on a started task, or go on with a suspended one, and finish or suspend its run.

        Raises:
            PlannerError: what the agent raised, when every other task would fail, too; as `finish_run`.
        """
        deadline, repo = time.monotonic() + started.run.seconds, self.repo
        with process_lock.lock_iteration(repo, started.run.iteration):
            with self.lock:
                run, path = self._with_worktree(started)
                brief = self._brief(started, run, path, deadline)
            try:
                ending, error = self._run_agent(run, brief)
            except SuspendedTurn as turn:
                return suspend_run(repo, run, turn.thread)
            with self.lock:
                finished = self._finish(run, started.task, ending)
        if error is not None and finished.outcome == "not_started":
            raise error
        return finished

    def _with_worktree(self, started: StartedRun) -> tuple[Run, Path]:
        """Return the run with its worktree; that of a suspended run is still there."""
        run = started.run
        if run.worktree is not None and Path(run.worktree).is_dir():
            return run, Path(run.worktree)
        path = worktree_path(self.setup.settings, self.repo, started.state)
        # Saved before the worktree is created, so that it is found after a kill.
        run = store.save_run(self.repo, replace(run, worktree=str(path)))
        worktree.add(self.repo, path, run.branch)
        return run, path

    def _run_agent(self, run: Run, brief: Brief) -> tuple[RunEnding, PlannerError | None]:
        self.progress(f"{run.task}: {run.agent} works in '{brief.worktree}', run {run.run}")
        try:
            with agent_turn(self.repo, refnames.HEADS + run.branch, self.progress):
                implementation = self.setup.implementer.implement(
                    brief, lambda message: self.progress(Step(f"{run.task}: {message}"))
                )
        except KeyboardInterrupt:
            cause = "its session was closed" if run.session else "the delegator was interrupted"
            return RunEnding("interrupted", cause), None
        except PlannerError as error:
            message = "\n".join([error.message, *error.details[-_MAX_DETAILS:]])
            is_late = error.code == "E_DEADLINE"
            return RunEnding("deadline" if is_late else "failed", message, error.code), error
        return RunEnding(
            "ended", thread=implementation.thread, argv=implementation.command, summary=implementation.summary
        ), None

    def _finish(self, run: Run, task: Task, ending: RunEnding) -> Run:
        """Finish a run; where the machine fails, name the command that takes the finished work over."""
        # A client need not wait for what its end needs.
        from git_planner.flows.delegation.finish_run import finish_run

        try:
            return finish_run(self.repo, run, task, ending)
        except PlannerError as error:
            if error.code not in ("E_SIGN", *MACHINE_FAILURES):
                raise
            hint = "mend it, then 'git plan delegate' commits the work; no agent is run again for it"
            raise PlannerError(error.code, error.message, hint=hint, details=error.details) from None

    def _brief(self, started: StartedRun, run: Run, path: Path, deadline: float) -> Brief:
        folder, settings = store.run_folder(self.repo, run.run), self.setup.settings
        out_folder = folder / OUT
        out_folder.mkdir(mode=0o700, exist_ok=True)
        return Brief(
            directive=started.state.directive,
            prompt=self._prompt(started, run),
            worktree=path,
            folder=folder,
            index=started.task.number - 1,
            seconds=max(0.5, deadline - time.monotonic()),
            model=settings.implementer_model,
            effort=settings.implementer_effort,
            patches=settings.patches,
            env={
                "GIT_PLANNER_PLAN": run.plan,
                "GIT_PLANNER_TASK": run.task,
                "GIT_PLANNER_RUN": run.run,
                "GIT_PLANNER_PROGRAM": git_plan_program(),
                agent_result.RESULT_VARIABLE: str(out_folder / RESULT),
            },
            writable=(out_folder, *self.setup.writable),
            sandbox=self.setup.sandbox,
            on_tick=ticker(self.progress, also=HeartbeatWriter(folder, run, self.stop.is_set)),
        )

    def _prompt(self, started: StartedRun, run: Run) -> str:
        plan_tasks, task, policy = read_tasks(self.repo, run.plan), started.task, started.base.policy
        setting = task_prompt.TaskContext(
            plan=run.plan,
            goal=str(plan_tasks.about.get("goal", "")),
            run=run.run,
            policy=_policy_limits(policy),
            before=[plan_tasks.task(task_id) for task_id in task.dependencies],
            handoff=read_handoff(self.repo, run.plan, task) if task.handoff else "",
            reports=run.reports,
            program=shlex.quote(git_plan_program()),
        )
        return task_prompt.render_task_prompt(read_template("task"), task, setting, policy.prompt_budget)


def _policy_limits(policy: Policy) -> Sequence[str]:
    limits = (
        ("Only these may change", policy.allow),
        ("These must not change", policy.forbid),
        ("These are guarded; any change of them makes the result invalid", policy.guarded),
    )
    return [f"{title}: {', '.join(paths)}" for title, paths in limits if paths]
