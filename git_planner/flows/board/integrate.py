"""Bring the branches of finished tasks together on the base branch, one after the other.

Each task's change is merged with the tip that the one before it left, the guarded files taken from there,
and its verify commands are run on the result. Only then the branch moves, in one step. After an interruption
the next run finds what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner import redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.delegation.sync import sync
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.edit import PlanTasks, read_tasks
from git_planner.flows.tasks.follow_branch import read_branches, read_history
from git_planner.flows.tasks.verify import failure_reason, record_evidence, run_commands
from git_planner.gitio import export, history
from git_planner.gitio.objects import commit_tree, merge_trees
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.tasks.dependency_graph import dependency_order
from git_planner.rules.tasks.task import Task, TaskEvidence

Outcome = Literal["integrated", "present", "conflict", "failed", "skipped"]
# Statuses of tasks whose work can be brought back.
_FINISHED = ("agent_done", "review_ready", "done")
_MOST_PATHS = 20


@dataclass(frozen=True, slots=True)
class Integration:
    """Outcome of one task's branch. `commit` is its change on the base branch."""

    task: str
    outcome: Outcome
    commit: str | None = None
    reason: str | None = None
    paths: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "task": self.task,
            "outcome": self.outcome,
            "commit": self.commit,
            "reason": self.reason,
            "paths": list(self.paths),
        }


@dataclass(frozen=True, slots=True)
class Integrations:
    """Outcomes of all branches; `branch` is the one they were brought to."""

    plan: str
    branch: str
    results: tuple[Integration, ...]

    @property
    def exit(self) -> int:
        """Exit status 1 when a branch could not be brought back."""
        refused = any(result.outcome in ("conflict", "failed", "skipped") for result in self.results)
        return NO if refused else DONE

    def document(self) -> dict[str, Any]:
        """Return them as one JSON document."""
        return {
            "schema": "git-planner/integrated@1",
            "plan": self.plan,
            "branch": self.branch,
            "tasks": [result.document() for result in self.results],
        }


def integrate(
    repo: Repository,
    names: Sequence[str],
    progress: Progress,
    *,
    plan: str | None = None,
    into: str | None = None,
    merge: bool = False,
) -> Integrations:
    """Bring finished tasks to the base branch.

    Args:
        repo: the repository.
        names: the tasks; all finished ones when empty.
        progress: called with each progress message.
        plan: the plan's name.
        into: the short name of the branch (default: the policy's base branch).
        merge: make merge commits, which keep the branches' own commits; else one commit a task.

    Raises:
        PlannerError: E_UNKNOWN_REF for the branch; E_TRANSITION for a named task that is not finished;
            E_CHECKED_OUT when the branch is checked out with changes.
    """
    plan = needed_plan(repo, plan)
    sync(repo, plan, progress=progress)
    plan_tasks = read_tasks(repo, plan)
    branch = into or _base_branch(repo)
    if repo.maybe(refnames.HEADS + branch) is None:
        raise PlannerError(
            "E_UNKNOWN_REF", f"there is no branch '{branch}'", hint="name one with '--into BRANCH'"
        )
    chosen = _chosen(plan_tasks, names)
    run = _Integrator(repo, plan, branch, progress, merge=merge)
    results: list[Integration] = []
    for task in chosen:
        refused = {result.task for result in results if result.outcome not in ("integrated", "present")}
        missing = [name for name in task.dependencies if name in refused]
        if missing:
            results.append(Integration(task.id, "skipped", reason=f"it builds on {', '.join(missing)}"))
        else:
            results.append(run.bring(task))
        progress(f"{task.id}: {results[-1].outcome}")
    sync(repo, plan, progress=progress)
    return Integrations(plan, branch, tuple(results))


class _Integrator:
    """Bring one task after the other to a branch."""

    def __init__(self, repo: Repository, plan: str, branch: str, progress: Progress, *, merge: bool) -> None:
        self.repo, self.plan, self.branch = repo, plan, branch
        self.ref, self.progress, self.merge = refnames.HEADS + branch, progress, merge

    def bring(self, task: Task) -> Integration:
        """Merge, verify and move; say why not otherwise."""
        source = task.commits[-1] if task.commits else None
        if source is None or self.repo.maybe(source) is None:
            return Integration(task.id, "skipped", reason="its commit is not here")
        tip = self.repo.resolve(self.ref)
        anchor = history.merge_base(self.repo.git, tip, source)
        if anchor is None:
            return Integration(task.id, "conflict", reason=f"it has no common history with '{self.branch}'")
        tree, conflicts = merge_trees(self.repo, tip, self._change(source, anchor))
        if conflicts:
            reason = f"it does not merge with '{self.branch}'"
            return Integration(task.id, "conflict", reason=reason, paths=tuple(conflicts[:_MOST_PATHS]))
        is_present = anchor == source or tree == self.repo.resolve(tip, "tree")
        commit = tip if is_present else self._commit(task, source, tip, tree)
        # What is there already lacks its evidence only if an earlier run was interrupted.
        evidence = self._verify(task, commit) if task.verify and task.status != "done" else None
        if evidence is not None and not evidence.ok:
            return Integration(task.id, "failed", reason=failure_reason(evidence))
        if not is_present:
            self._move(tip, commit)
        if evidence is not None:
            self._record(task, evidence)
        note = None if task.verify or task.status == "done" else self._unverified(task)
        return Integration(task.id, "present" if is_present else "integrated", commit=commit, reason=note)

    def _unverified(self, task: Task) -> str:
        """Return why a task is not done although its change is on the branch."""
        command = f"git plan task verify {task.id} --plan {self.plan} --note TEXT"
        return f"it has no verify command, so a person signs it off: {command}"

    def _commit(self, task: Task, source: str, tip: str, tree: str) -> str:
        parents = (tip, source) if self.merge else (tip,)
        return commit_tree(self.repo.git, tree, parents, self._message(task, source))

    def _change(self, source: str, anchor: str) -> str:
        """Return a commit with the task's change alone: no state of the iteration, no guarded path."""
        specs = pathspecs(policy_at(self.repo, anchor).protected)
        code = export.compose(self.repo, source, anchor, specs, [trusted_base.STATE_FOLDER_SPEC]).tree
        return commit_tree(self.repo.git, code, (anchor,), "the change alone\n")

    def _verify(self, task: Task, commit: str) -> TaskEvidence:
        logs = self.repo.private("verifications", refnames.new_id(self.repo.now()))
        subject = trusted_base.find_subject(self.repo, commit, self.plan)
        return run_commands(
            self.repo, subject, task.verify, task.attempt, seconds=None, logs=logs, progress=self.progress
        )

    def _move(self, tip: str, commit: str) -> None:
        """Move the branch, and the worktree that has it checked out; refused when the branch has moved."""

        def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
            if snapshots[self.ref].tip != tip:
                raise PlannerError(
                    "E_CONFLICT", f"'{self.branch}' was moved meanwhile", hint="run the same command again"
                )
            return [Move(self.ref, commit)]

        Store(self.repo).transact([self.ref], decide)

    def _record(self, task: Task, evidence: TaskEvidence) -> None:
        """Record the evidence, which makes the task done."""
        sync(self.repo, self.plan, progress=self.progress)
        with self.repo.git.batch() as batch:
            snapshot = Store(self.repo).snapshot(refnames.plan_ref(self.plan), batch)
            plan_pages = Pages(self.repo, self.plan).read(snapshot)
        first = next(iter(plan_pages.values()))
        work = read_history(self.repo, self.plan, plan_pages, read_branches(self.repo, first))
        listed = read_tasks(self.repo, self.plan).task(task.id).commits
        record_evidence(self.repo, self.plan, task.id, evidence, work_history=work, listed=listed)

    def _message(self, task: Task, source: str) -> str:
        def values(key: str) -> list[str]:
            return history.trailers(self.repo.git, source, key)

        trailers = (
            ("Planner-Task", task.id),
            ("Planner-Plan", self.plan),
            *(("Planner-Run", value) for value in values("Planner-Run")),
            *(("Assisted-by", value) for value in values("Assisted-by")),
        )
        return redact.mask_text(Message(f"{task.id}: {task.title}"[:200], trailers).text())


def _chosen(plan_tasks: PlanTasks, names: Sequence[str]) -> list[Task]:
    """Return the tasks to bring back, each after those that it builds on."""
    if names:
        chosen = [plan_tasks.task(name) for name in names]
        for task in chosen:
            if task.status not in _FINISHED:
                raise PlannerError(
                    "E_TRANSITION",
                    f"'{task.id}' is {task.status}: only finished work is brought back",
                    hint=f"git plan task show {task.id} --plan {plan_tasks.plan}",
                )
    else:
        chosen = [task for task in plan_tasks.tasks if task.status in _FINISHED and task.commits]
    wanted = {task.id: task for task in chosen}
    order = dependency_order({task.id: task.dependencies for task in plan_tasks.tasks})
    return [wanted[name] for name in order if name in wanted]


def _base_branch(repo: Repository) -> str:
    found = GuardChecker(repo).base_branch
    if found is not None:
        return found[0]
    return policy_at(repo, repo.resolve("HEAD")).base
