"""Verify a task: run its verify commands on its commit, or accept a manual sign-off.

Every command runs in a clean checkout of the commit with the guarded files of the trusted base, so that no
command sees the files of an earlier one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.errors import DEADLINE, DONE, NO, PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.measuring.prepared.measured_folder import fresh_folder
from git_planner.flows.measuring.reports.waiting import watch_tests
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.tasks.edit import change_task, task_of
from git_planner.flows.tasks.follow_branch import read_branches, read_history
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.progress import Progress, Step
from git_planner.rules import refnames
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.plans import pages
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.records.row import REASONS
from git_planner.rules.tasks.follow_history import MAX_EVIDENCE, History, find_proof, task_tips
from git_planner.rules.tasks.task import Task, TaskEvidence, VerifyRun, task_id_for, task_number
from git_planner.rules.tasks.transitions import TRANSITIONS, move_task

# Default deadline of a command, when neither the policy nor the user sets one.
DEFAULT_SECONDS = 600.0
_TAIL_BYTES, _TAIL_LINES = 16 * 1024, 10


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a verification: the updated task, the evidence, and the folder of its output, if any."""

    plan: str
    task: Task
    evidence: TaskEvidence
    logs: Path | None = None

    @property
    def output(self) -> tuple[str, ...]:
        """Return the last lines that the failed command printed; empty when none failed."""
        failed = next((number for number, run in enumerate(self.evidence.runs, 1) if run.status != 0), None)
        if failed is None or self.logs is None:
            return ()
        return tuple(_last_lines(self.logs / f"{failed}.{stream}" for stream in ("stdout", "stderr")))

    @property
    def exit(self) -> int:
        """Exit status: 0 passed, 1 failed, 124 a command reached its deadline."""
        if self.evidence.ok:
            return DONE
        is_late = any(run.status is None for run in self.evidence.runs)
        return DEADLINE if is_late else NO

    def document(self) -> dict[str, Any]:
        """Return the verification as a JSON document."""
        task = self.task.document()
        return {
            "schema": "git-planner/task-verified@1",
            "plan": self.plan,
            "task": task,
            "evidence": self.task._replace(evidence=(self.evidence,)).document()["evidence"][0],
            "logs": str(self.logs) if self.logs else None,
            "output": list(self.output),
        }


def verify_task(
    repo: Repository,
    plan: str,
    task_id: str,
    *,
    commit: str | None = None,
    seconds: float | None = None,
    note: str | None = None,
    progress: Progress,
) -> Verification:
    """Run a task's verify commands and record the evidence, or record a manual sign-off.

    Evidence for the task's current commits makes the task done; failed evidence makes it undone.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task, by any spelling of its id.
        commit: the commit to verify (default: the task's last commit, else the tip of its branch).
        seconds: the deadline of each command (default: the policy's deadline for correctness).
        note: a manual sign-off; no command is run then.
        progress: called with each progress message.

    Raises:
        PlannerError: E_EVIDENCE without a verify command or a commit, E_MISSING_TOOL, E_EXPORT; what reading
            and writing the plan and finding the trusted base raise.
    """
    name = task_id_for(task_number(task_id))
    with repo.git.batch() as batch:
        plan_pages = Pages(repo, plan).read(Store(repo).snapshot(refnames.plan_ref(plan), batch))
    if pages.FIRST_PAGE not in plan_pages:
        raise missing_plan(plan, repo)
    task = task_of(plan_pages, plan, name, repo)
    work_history = read_history(repo, plan, plan_pages, read_branches(repo, plan_pages[pages.FIRST_PAGE]))
    oid = _commit_to_verify(repo, task, work_history, commit)
    logs = None
    if note is not None:
        tree = repo.resolve(oid, "tree") if oid else None
        by = _verifier(repo)
        evidence = TaskEvidence("manual", repo.now(), by, task.attempt, oid, tree, ok=True, note=note)
    else:
        commands = _verify_commands(task)
        if oid is None:
            raise PlannerError(
                "E_EVIDENCE",
                f"'{name}' has no commit to verify",
                hint=f"name one: 'git plan task verify {name} --commit REF'",
            )
        logs = repo.private("verifications", refnames.new_id(repo.now()))
        evidence = run_commands(
            repo,
            trusted_base.find_subject(repo, oid, plan),
            commands,
            task.attempt,
            seconds=seconds,
            logs=logs,
            progress=progress,
        )
    updated = record_evidence(repo, plan, name, evidence, work_history=work_history, listed=task.commits)
    return Verification(plan, updated, evidence, logs)


def run_commands(
    repo: Repository,
    subject: Subject,
    commands: Collection[tuple[str, ...]],
    attempt: int,
    *,
    seconds: float | None,
    logs: Path,
    progress: Progress,
) -> TaskEvidence:
    """Run verify commands on a commit, each in a checkout of its own; the plan is not changed.

    Args:
        repo: the repository.
        subject: the commit with its trusted base and policy, from `trusted_base.examine`.
        commands: the commands.
        attempt: the attempt of the task.
        seconds: the deadline of each (default: the policy's deadline for correctness).
        logs: a folder for their output, with secrets masked; created when missing.
        progress: called with each progress message.

    Raises:
        PlannerError: E_MISSING_TOOL, E_EXPORT, E_NO_SPACE, E_IDENTITY, E_PREPARE.
    """
    policy = subject.policy
    tree, notes = _compose_tree(repo, subject)
    logs.mkdir(parents=True, exist_ok=True)
    runner = CommandRunner(repo, policy, logs)
    runs = []
    for number, argv in enumerate(commands, 1):
        progress(Step(f"{number} of {len(commands)}: {' '.join(argv)}"))
        with fresh_folder(runner, tree, subject.base, progress) as place:
            result = runner.run(
                f"{number}",
                argv,
                place,
                seconds=seconds or _default_deadline(policy),
                watch=watch_tests(logs, str(number), progress),
            )
        is_late = result.refusal is not None and result.refusal.reason == "timeout"
        if result.done is None or (result.refusal is not None and not is_late):
            reason = result.refusal.sentence if result.refusal else f"'{argv[0]}' was not started"
            raise PlannerError("E_MISSING_TOOL", reason, hint="git planner doctor")
        status = None if is_late else result.done.status
        runs.append(
            VerifyRun(tuple(argv), status, round(result.done.seconds, 3), _output_digest(logs, number))
        )
    return TaskEvidence(
        "verified",
        repo.now(),
        _verifier(repo),
        attempt,
        subject.commit,
        repo.resolve(subject.commit, "tree"),
        ok=all(run.status == 0 for run in runs),
        runs=tuple(runs),
        note="; ".join(notes) or None,
    )


def record_evidence(
    repo: Repository,
    plan: str,
    task_id: str,
    evidence: TaskEvidence,
    *,
    work_history: History,
    listed: Collection[str],
) -> Task:
    """Record evidence on a task, and set its status if the evidence covers its current commits.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task's id.
        evidence: the evidence; the task may have been put back since its attempt.
        work_history: the history of the task's commits.
        listed: the commits that the task listed when the history was read.

    Returns:
        The changed task.

    Raises:
        PlannerError: as `change_task`.
    """

    def alter(task: Task) -> Task:
        after = task._replace(evidence=(*task.evidence, evidence)[-MAX_EVIDENCE:])
        if evidence.attempt != task.attempt or not set(task.commits) <= set(listed):
            # Put back or worked on in the meantime: 'git plan sync' or the next verification decides.
            return after
        if not task.commits and evidence.commit is not None:
            after = after._replace(commits=(evidence.commit,))
        is_current = evidence.kind == "manual" or _covers_current_work(after, evidence, work_history)
        if evidence.ok and is_current and "done" in TRANSITIONS[task.status]:
            return move_task(after, "done")
        if not evidence.ok and is_current and task.status in ("done", "agent_done"):
            return move_task(after, "agent_done", reason=failure_reason(evidence))
        return after

    return change_task(repo, plan, task_id, alter, op="verify")


def failure_reason(evidence: TaskEvidence) -> str:
    """Return which command of failed evidence failed, and how."""
    failed = next((run for run in evidence.runs if run.status != 0), None)
    if failed is None:
        return "no command failed"
    ending = "did not end in time" if failed.status is None else f"ended with status {failed.status}"
    return f"'{' '.join(failed.run)[:200]}' {ending} at {(evidence.commit or '')[:12]}"


def _covers_current_work(task: Task, evidence: TaskEvidence, work_history: History) -> bool:
    """Return whether evidence covers a task's current commits."""
    # It does if the same evidence, passed, would prove the task done.
    assumed = task._replace(status="agent_done", evidence=(evidence._replace(ok=True),))
    return find_proof(assumed, work_history) is not None


def _commit_to_verify(repo: Repository, task: Task, work_history: History, name: str | None) -> str | None:
    if name is not None:
        return repo.resolve(name)
    for oid in reversed(task_tips(task, work_history)):
        if repo.maybe(oid) is not None:
            return oid
    return repo.maybe(refnames.HEADS + task.branch) if task.branch else None


def _verify_commands(task: Task) -> tuple[tuple[str, ...], ...]:
    update = f"git plan task update {task.id}"
    if not task.verify:
        raise PlannerError(
            "E_EVIDENCE",
            f"'{task.id}' has no verify command",
            hint=f"add one with '{update} --verify COMMAND', or sign it off: "
            f"'git plan task verify {task.id} --note TEXT'",
        )
    for argv in task.verify:
        marker = next((marker for word in argv if (marker := find_placeholder(word))), None)
        if marker is not None:
            raise PlannerError(
                "E_EVIDENCE",
                f"a verify command of '{task.id}' has the placeholder '{marker}'",
                hint=f"replace it with '{update} --clear verify --verify COMMAND'",
            )
    return task.verify


def _compose_tree(repo: Repository, subject: Subject) -> tuple[str, list[str]]:
    """Compose the tree to verify, and notes about it for the evidence."""
    guard = pathspecs(subject.policy.protected)
    composed = export.compose(repo, subject.commit, subject.base, guard, (trusted_base.STATE_FOLDER_SPEC,))
    if composed.submodules:
        names = ", ".join(f"'{trusted_base.utf8_path(path)}'" for path in composed.submodules[:5])
        raise PlannerError("E_EXPORT", f"{REASONS['submodule']}: {names}")
    notes = list(subject.notes)
    changes = trusted_base.check_changes(repo, subject)
    if changes.refusal is not None and changes.refusal.reason == "guard":
        names = ", ".join(changes.violations[:5])
        notes.append(f"guarded paths were those of {subject.base[:12]}, not the commit's own ({names})")
    return composed.tree, notes


def _default_deadline(policy: Policy) -> float:
    return policy.correctness.timeout if policy.correctness else DEFAULT_SECONDS


def _output_digest(logs: Path, number: int) -> str:
    """Return the SHA-256 of a command's stored output: stdout, then stderr."""
    state = hashlib.sha256()
    for kind in ("stdout", "stderr"):
        state.update((logs / f"{number}.{kind}").read_bytes())
    return state.hexdigest()


def _last_lines(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the last lines of each file; their secrets are masked already."""
    for path in paths:
        with suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
            yield from [line[:500] for line in lines if line.strip()][-_TAIL_LINES:]


def _verifier(repo: Repository) -> str:
    return repo.ident()[:200]
