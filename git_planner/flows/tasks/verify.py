"""Showing that a task is done: its verify commands, run on its commit as measurements are, or a word.

The commit is written out afresh for each command, with the guarded files of the trusted base over it; nothing
that one command leaves behind is there for the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.errors import DEADLINE, DONE, NO, PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.tasks.edit import change_task, task_of
from git_planner.flows.tasks.follow_branch import read_branches, read_history
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.plans import pages
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.records.record import REASONS
from git_planner.rules.tasks.follow_history import History, find_proof, task_tips
from git_planner.rules.tasks.task import Task, TaskEvidence, VerifyRun, task_id_for, task_number
from git_planner.rules.tasks.transitions import TRANSITIONS, move_task

Tell = Callable[[str], None]
# As long as a command may take where neither the policy nor the person says anything.
SECONDS = 600.0
# No more evidence is kept than the schema has room for; the oldest goes.
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it: the task as it is now, the evidence, and where its output is (None: there is none)."""

    plan: str
    task: Task
    evidence: TaskEvidence
    logs: Path | None = None

    @property
    def exit(self) -> int:
        """0 it speaks for the task, 1 against it, 124 a command ran out of time."""
        if self.evidence.ok:
            return DONE
        late = any(each.status is None for each in self.evidence.runs)
        return DEADLINE if late else NO

    def document(self) -> dict[str, Any]:
        """The answer as a JSON document."""
        task = self.task.document()
        return {
            "schema": "git-planner/task-verified@1",
            "plan": self.plan,
            "task": task,
            "evidence": self.task._replace(evidence=(self.evidence,)).document()["evidence"][0],
            "logs": str(self.logs) if self.logs else None,
        }


def verify_task(
    repo: Repository,
    plan: str,
    task_id: str,
    *,
    commit: str | None = None,
    seconds: float | None = None,
    note: str | None = None,
    tell: Tell,
) -> Verification:
    """Run a task's verify commands and keep what they show, or keep a person's word.

    With evidence for what stands of its work the task is done; without, it is not.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task, by any spelling of its id.
        commit: any name of the commit to look at; the last one of the task, else its branch, when None.
        seconds: the deadline of each command; the policy's for correctness when None.
        note: a person's word; no command is run then.
        tell: progress.

    Raises:
        PlannerError: E_EVIDENCE when there is no command or no commit to run it on, E_MISSING_TOOL when a
            command cannot be run here, E_EXPORT; and what reading the plan, finding the trusted base and
            writing the plan raise.
    """
    name = task_id_for(task_number(task_id))
    with repo.git.batch() as batch:
        found = Pages(repo, plan).read(Store(repo).snapshot(refnames.plan_ref(plan), batch))
    if pages.FIRST_PAGE not in found:
        raise missing_plan(plan)
    task = task_of(found, plan, name)
    seen = read_history(repo, plan, found, read_branches(repo, found[pages.FIRST_PAGE]))
    at = _commit_of(repo, task, seen, commit)
    logs = None
    if note is not None:
        tree = repo.resolve(at, "tree") if at else None
        evidence = TaskEvidence("manual", repo.now(), _who(repo), task.attempt, at, tree, ok=True, note=note)
    else:
        commands = _commands(task)
        if at is None:
            raise PlannerError(
                "E_EVIDENCE",
                f"no commit is known that works on '{name}'",
                hint=f"name one: 'git plan task verify {name} --commit REF'",
            )
        logs = repo.private("verifications", refnames.new_id(repo.now()))
        evidence = run_commands(
            repo,
            trusted_base.find_subject(repo, at, plan),
            commands,
            task.attempt,
            seconds=seconds,
            logs=logs,
            tell=tell,
        )
    kept = keep(repo, plan, name, evidence, seen=seen, listed=task.commits)
    return Verification(plan, kept, evidence, logs)


def run_commands(
    repo: Repository,
    subject: Subject,
    commands: Collection[tuple[str, ...]],
    attempt: int,
    *,
    seconds: float | None,
    logs: Path,
    tell: Tell,
) -> TaskEvidence:
    """Run verify commands on a commit, each in a tree of its own; nothing is written into the plan.

    Args:
        repo: the repository.
        subject: the commit with its trusted base and policy, from `trust.examine`.
        commands: the commands.
        attempt: the attempt of the task that this is about.
        seconds: the deadline of each; the policy's for correctness when None.
        logs: a folder for what they print, with secrets masked; made when missing.
        tell: progress.

    Raises:
        PlannerError: E_MISSING_TOOL, E_EXPORT, E_NO_SPACE, E_IDENTITY.
    """
    policy = subject.policy
    tree, notes = _composed(repo, subject)
    logs.mkdir(parents=True, exist_ok=True)
    runner = CommandRunner(repo, policy, logs)
    runs = []
    for number, argv in enumerate(commands, 1):
        tell(f"{number} of {len(commands)}: {' '.join(argv)}")
        with export.exported(repo, tree) as place:
            ran = runner.run(f"{number}", argv, place, seconds=seconds or _deadline(policy))
        late = ran.refusal is not None and ran.refusal.reason == "timeout"
        if ran.done is None or (ran.refusal is not None and not late):
            why = ran.refusal.sentence if ran.refusal else f"'{argv[0]}' was not started"
            raise PlannerError("E_MISSING_TOOL", why, hint="nothing was kept; see 'git planner doctor'")
        status = None if late else ran.done.status
        runs.append(VerifyRun(tuple(argv), status, round(ran.done.seconds, 3), _digest(logs, number)))
    return TaskEvidence(
        "verified",
        repo.now(),
        _who(repo),
        attempt,
        subject.commit,
        repo.resolve(subject.commit, "tree"),
        ok=all(each.status == 0 for each in runs),
        runs=tuple(runs),
        note="; ".join(notes) or None,
    )


def keep(
    repo: Repository,
    plan: str,
    task_id: str,
    evidence: TaskEvidence,
    *,
    seen: History,
    listed: Collection[str],
) -> Task:
    """Put evidence on a task, and move the task where the evidence is about what stands of its work.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task's id.
        evidence: for the attempt that it names; the task may have been put back since.
        seen: what is known of the task's commits.
        listed: the commits that the task listed when that was read.

    Returns:
        The task as it is now.

    Raises:
        PlannerError: as `change_task`.
    """

    def alter(task: Task) -> Task:
        after = task._replace(evidence=(*task.evidence, evidence)[-_MOST:])
        if evidence.attempt != task.attempt or not set(task.commits) <= set(listed):
            # It was put back, or worked on, in the meantime: 'git plan sync' or the next look decides.
            return after
        if not task.commits and evidence.commit is not None:
            after = after._replace(commits=(evidence.commit,))
        fits = evidence.kind == "manual" or _fits(after, evidence, seen)
        if evidence.ok and fits and "done" in TRANSITIONS[task.status]:
            return move_task(after, "done")
        if not evidence.ok and fits and task.status in ("done", "agent_done"):
            return move_task(after, "agent_done", reason=why(evidence))
        return after

    return change_task(repo, plan, task_id, alter, op="verify")


def why(evidence: TaskEvidence) -> str:
    """Why evidence speaks against a task, in words."""
    bad = next((each for each in evidence.runs if each.status != 0), None)
    if bad is None:
        return "nothing speaks against it"
    ended = "did not end in time" if bad.status is None else f"ended with status {bad.status}"
    return f"'{' '.join(bad.run)[:200]}' {ended} at {(evidence.commit or '')[:12]}"


def _fits(task: Task, evidence: TaskEvidence, seen: History) -> bool:
    """Whether evidence is about what stands of a task's work now."""
    # Whatever its answer, it is about that work if a good answer would have shown that the work is done.
    good = task._replace(status="agent_done", evidence=(evidence._replace(ok=True),))
    return find_proof(good, seen) is not None


def _commit_of(repo: Repository, task: Task, seen: History, name: str | None) -> str | None:
    if name is not None:
        return repo.resolve(name)
    for oid in reversed(task_tips(task, seen)):
        if repo.maybe(oid) is not None:
            return oid
    return repo.maybe(refnames.HEADS + task.branch) if task.branch else None


def _commands(task: Task) -> tuple[tuple[str, ...], ...]:
    update = f"git plan task update {task.id}"
    if not task.verify:
        raise PlannerError(
            "E_EVIDENCE",
            f"'{task.id}' has no verify command",
            hint=f"add one with '{update} --verify COMMAND', or give your word: "
            f"'git plan task verify {task.id} --note TEXT'",
        )
    for argv in task.verify:
        held = next((each for word in argv if (each := find_placeholder(word))), None)
        if held is not None:
            raise PlannerError(
                "E_EVIDENCE",
                f"a verify command of '{task.id}' still has to be written: '{held}'",
                hint=f"write it with '{update} --clear verify --verify COMMAND'",
            )
    return task.verify


def _composed(repo: Repository, subject: Subject) -> tuple[str, list[str]]:
    """The tree that is looked at, and what a reader of the evidence should know about it."""
    guard = pathspecs(subject.policy.protected)
    composed = export.compose(repo, subject.commit, subject.base, guard, (trusted_base.STATE_FOLDER_SPEC,))
    if composed.submodules:
        listed = ", ".join(f"'{trusted_base.utf8_path(path)}'" for path in composed.submodules[:5])
        raise PlannerError("E_EXPORT", f"{REASONS['submodule']}: {listed}")
    notes = list(subject.notes)
    changes = trusted_base.check_changes(repo, subject)
    if changes.refusal is not None and changes.refusal.reason == "guard":
        what = ", ".join(changes.violations[:5])
        notes.append(f"guarded paths were those of {subject.base[:12]}, not the commit's own ({what})")
    return composed.tree, notes


def _deadline(policy: Policy) -> float:
    return policy.correctness.timeout if policy.correctness else SECONDS


def _digest(logs: Path, number: int) -> str:
    """SHA-256 of what a command printed, as it is kept: stdout, then stderr."""
    state = hashlib.sha256()
    for kind in ("stdout", "stderr"):
        state.update((logs / f"{number}.{kind}").read_bytes())
    return state.hexdigest()


def _who(repo: Repository) -> str:
    return repo.ident()[:200]
