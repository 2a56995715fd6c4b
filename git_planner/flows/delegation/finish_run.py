"""Finish a run: commit or quarantine the agent's changes, update the task and delete its claim.

A run whose delegator died is finished in the same way: every step can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.delegation import agent_result
from git_planner.flows.iterations.agent_changes import (
    UNREADABLE,
    AgentChanges,
    AttemptSite,
    shorten,
    subject_line,
)
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.runs import store
from git_planner.flows.runs.inspect import agent_thread
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import read_claim
from git_planner.flows.tasks.edit import appended_handoff, read_tasks, task_message, task_of
from git_planner.gitio import agent_worktree, history, worktree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Edits, Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.delegation.outcome import RunEnding, TaskOutcome, decide_outcome
from git_planner.rules.documents import canonical_json
from git_planner.rules.iterations.stop import is_transient_code
from git_planner.rules.planning.directive import state_from
from git_planner.rules.plans import pages
from git_planner.rules.tasks import handoff, transitions
from git_planner.rules.tasks.task import Task, TaskQuestion, add_notes, task_number

_NOTES = 900


def finish_run(repo: Repository, run: Run, task: Task, ending: RunEnding) -> Run:
    """Finish a run, in an order that can be repeated after a kill.

    Args:
        repo: the repository.
        run: the run; all processes of its agent have ended.
        task: its task as it was claimed.
        ending: how it ended.

    Returns:
        The run as saved; the outcome 'stale' means that the task was moved by another process or person.

    Raises:
        PlannerError: E_NO_SPACE, E_GIT and what Store.transact raises.
    """
    finisher = _RunFinisher(repo, run, task, ending)
    finisher.save_changes()
    is_counted = finisher.update_task()
    finisher.remove_worktree()
    decision = finisher.decision
    return store.save_end(
        repo,
        run,
        outcome=decision.outcome if is_counted else "stale",
        reason=decision.reason,
        commit=finisher.commit,
        kept=finisher.kept,
        error=ending.error,
        thread=ending.thread or agent_thread(repo, run),
        argv=ending.argv,
    )


class _RunFinisher:
    """Finish one run: `decision` is the outcome for its task, `commit` the commit on its branch, `kept` the
    ref of quarantined changes.
    """

    def __init__(self, repo: Repository, run: Run, task: Task, ending: RunEnding) -> None:
        self.repo, self.run, self.task = repo, run, task
        self.result, unusable = agent_result.read_result(repo, run)
        self.summary = self.result.summary if self.result is not None else ending.summary
        self.decision = decide_outcome(ending.how, ending.message, self.result, unusable, reports=run.reports)
        if (
            ending.error is not None
            and self.decision.outcome == "agent_failed"
            and not is_transient_code(ending.error)
        ):
            self.decision = TaskOutcome("not_started", ending.message)
        self.place = agent_worktree.find_detached(Path(run.worktree), repo) if run.worktree else None
        self.commit: str | None = None
        self.kept: str | None = None
        self.directive_digest = ""

    def save_changes(self) -> None:
        """Commit or quarantine the changes in the worktree."""
        task = read_tasks(self.repo, self.run.plan).task(self.run.task)
        if not self._is_current_attempt(task):
            # A commit that names the task would count for the attempt that has started since.
            self.decision = TaskOutcome("stale", "the task was moved during the run")
        ref = f"{refnames.REFUSED}{self.run.iteration:04d}"
        quarantined = self.repo.maybe(ref)
        self.kept = ref if quarantined else None
        if quarantined is not None and self.decision.take:
            # An earlier delegator died after this step.
            reasons = history.trailers(self.repo.git, quarantined, "Planner-Reason")
            body = history.message(self.repo.git, quarantined).split("\n\n")[1:-1]
            outcome = "commit_refused" if reasons == ["commit_refused"] else "refused"
            self.decision = TaskOutcome(outcome, shorten("\n\n".join(body)))
        elif self.place is not None:
            self._save_worktree(self.place)
        elif self.decision.take:
            tip = self.repo.maybe(refnames.HEADS + self.run.branch)
            self.commit = tip if tip != self.run.start else None

    def update_task(self) -> bool:
        """Update the task and delete the claim in one transaction; False when the run is stale."""
        run = self.run
        ref, claim_ref = refnames.plan_ref(run.plan), refnames.claim_ref(run.plan, run.task)
        page_store, number = Pages(self.repo, run.plan), task_number(run.task)
        commit_message = task_message(run.plan, run.task, self.decision.outcome.replace("_", "-"))
        edits: dict[str, bytes | None] = {}
        counted: list[bool] = []

        def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
            edits.clear()
            plan_pages = page_store.read(snapshots[ref], pages.page_name(number))
            before = task_of(plan_pages, run.plan, run.task)
            counted[:] = [self._is_current_attempt(before) and before.status in ("in_progress", "agent_done")]
            if counted[0]:
                after, handoff_files = self._with_handoff(snapshots[ref], self._task_after(before))
                edits.update({**page_store.task_edits(plan_pages, [after]), **handoff_files})
            claim = read_claim(snapshots[claim_ref])
            steps: list[Step] = [Write(ref, edits, commit_message, masked=True)]
            return [*steps, Delete(claim_ref)] if claim is not None and claim.run == run.run else steps

        Store(self.repo).transact([ref, claim_ref], decide)
        page_store.mark_valid(edits)
        return counted[0]

    def remove_worktree(self) -> None:
        """Remove the worktree when its content is committed, or its agent did not start."""
        if self.place is None or self.place.top is None:
            return
        if self.decision.take or self.decision.outcome == "not_started":
            with suppress(PlannerError):
                if not worktree.dirty_paths(self.place):
                    worktree.remove(self.repo, self.place.top)

    def _is_current_attempt(self, task: Task) -> bool:
        """Return whether a task is still at the attempt of this run."""
        return (task.uid, task.run, task.attempt) == (self.run.uid, self.run.run, self.run.attempt)

    def _save_worktree(self, place: Repository) -> None:
        run, decision = self.run, self.decision
        with self.repo.git.batch() as batch:
            data = batch.read(f"{run.start}:{refnames.STATE_FILE}") or b""
        state = state_from(canonical_json.loads_trusted(data))
        self.directive_digest = state.directive_digest
        work = AttemptSite(self.repo, place, state, run.start, policy_at(self.repo, run.base))
        changes = AgentChanges(work)
        try:
            violations = changes.read()
        except PlannerError as error:
            if error.code not in UNREADABLE:
                raise
            if decision.take:
                self.decision = TaskOutcome("refused", f"what the agent left cannot be read: {error.message}")
            return
        if decision.take and not violations:
            policy = work.policy
            outside = (
                *changes.out_of_scope(policy.allow, policy.forbid),
                *changes.out_of_scope(self.task.write_scope),
            )
            violations = tuple(dict.fromkeys(outside))
        if decision.take and not violations:
            self._commit(changes)
        elif decision.take:
            is_unfit = changes.refusal_reason(violations) == "unfit"
            cause = "left what cannot be committed" if is_unfit else "changed what it may not change"
            reason = shorten(f"{cause}: {', '.join(violations)}")
            self._quarantine(changes, TaskOutcome("refused", reason), violations)
        elif changes.changed or violations:
            self._quarantine(changes, decision, violations or [decision.reason or decision.outcome])

    def _commit(self, changes: AgentChanges) -> None:
        if not changes.changed:
            changes.attach_head()
        elif self._has_own_commit(changes):
            self.commit = changes.tip
        else:
            self.commit = changes.commit(*self._commit_message())

    def _quarantine(self, changes: AgentChanges, decision: TaskOutcome, reasons: Sequence[str]) -> None:
        self.decision = decision
        self.kept, _ = changes.quarantine(self._commit_message(decision.outcome)[0], reasons)

    def _has_own_commit(self, changes: AgentChanges) -> bool:
        """Return whether the tip is already the commit of this run, made by a delegator that died then."""
        tip = changes.tip
        if tip is None or tip == changes.work.start or changes.tree != self.repo.resolve(tip, "tree"):
            return False
        return history.trailers(self.repo.git, tip, "Planner-Run") == [self.run.run]

    def _commit_message(self, reason: str | None = None) -> tuple[Message, str]:
        """Return the commit message. Only one of accepted changes has the task trailer that hooks read."""
        run, task = self.run, self.task
        trailers = [("Planner-Directive", self.directive_digest), ("Planner-Run", run.run)]
        if reason is None:
            trailers[:0] = [("Planner-Task", task.id), ("Planner-Plan", run.plan)]
        else:
            trailers.append(("Planner-Reason", reason))
        if run.danger:
            trailers.append(("Planner-Sandbox", str(run.sandbox)))
        trailers.append(("Assisted-by", f"{run.agent}:{run.model or 'default'}"))
        title = f"{task.id}: {task.title}" if reason is None else f"set aside, {reason}: {task.title}"
        return Message(subject_line(title), tuple(trailers)), "\n".join(
            "- " + action for action in task.actions
        )

    def _task_after(self, task: Task) -> Task:
        decision, run_name = self.decision, f"run {self.run.run}"
        notes = [f"{run_name}: {decision.outcome}{f', {self.summary}' if self.summary else ''}"]
        notes += [f"{run_name}: what it left is kept as '{self.kept}'"] if self.kept else []
        task = add_notes(task._replace(notes=task.notes[-_NOTES:]), *notes)
        if decision.status == "todo":
            return transitions.requeue_task(task, decision.reason)
        if decision.status == "needs_input":
            result = self.result
            assert result is not None
            question = result.question or result.summary
            return transitions.ask_question(
                task, TaskQuestion(result.at, self.run.agent, question, result.details, result.next)
            )
        reason = shorten(decision.reason) if decision.reason else None
        task = transitions.move_task(task, decision.status, reason=reason)._replace(reason=reason)
        return task._replace(commits=(*task.commits, self.commit)) if self.commit else task

    def _with_handoff(self, snapshot: Snapshot, task: Task) -> tuple[Task, Edits]:
        """Add the result to the task's handoff when it is more than a summary."""
        result = self.result
        if result is None or not (result.details or result.question or result.next):
            return task, {}
        path = handoff.handoff_path(refnames.plan_dir(self.run.plan), task)
        lines = [result.summary, *(f"- {detail}" for detail in result.details)]
        lines += [f"Question: {result.question}"] if result.question else []
        lines += [f"Recommended: {result.next}"] if result.next else []
        kind = f"Result '{result.status}' of attempt {self.run.attempt}"
        entry = handoff.render_entry(kind, result.at, self.run.agent, lines)
        return task._replace(handoff=path), {path: appended_handoff(snapshot.read(path), task, entry)}
