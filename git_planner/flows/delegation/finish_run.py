"""The end of a run: what the agent left is committed or set aside; its task moves on, its claim ends.

The same for a run that ends now and for one whose delegator died: all of it can be done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from git_planner.flows.tasks.claim_refs import claim_on
from git_planner.flows.tasks.edit import message, read_tasks, task_of
from git_planner.gitio import agent_worktree, history, worktree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Edits, Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.delegation.outcome import RunEnd, TaskOutcome, decide_outcome
from git_planner.rules.documents import canonical_json
from git_planner.rules.iterations.stop import is_transient_code
from git_planner.rules.planning.directive import state_from
from git_planner.rules.plans import pages
from git_planner.rules.tasks import handoff, transitions
from git_planner.rules.tasks.task import Task, TaskQuestion, add_notes, task_number

_NOTES = 900


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: see rules.result. `said` are the agent's last words, or what happened, in a line."""

    how: RunEnd
    said: str = ""
    error: str | None = None
    thread: str | None = None
    argv: tuple[str, ...] = ()
    summary: str = ""


def conclude(repo: Repository, run: Run, task: Task, ending: Ending) -> Run:
    """Do what has to be done at the end of a run, in an order in which it can be done again after a kill.

    Args:
        repo: the repository.
        run: the run; nothing of its agent runs any more.
        task: its task as it was claimed.
        ending: how it ended.

    Returns:
        The run as it is kept; its outcome 'stale' says that the task has been moved by somebody else.

    Raises:
        PlannerError: E_NO_SPACE, E_GIT and what Store.transact raises.
    """
    end = _End(repo, run, task, ending)
    end.keep()
    counted = end.settle()
    end.tidy()
    found = end.found
    return store.save_end(
        repo,
        run,
        outcome=found.outcome if counted else "stale",
        reason=found.reason,
        commit=end.commit,
        kept=end.kept,
        error=ending.error,
        thread=ending.thread or agent_thread(repo, run),
        argv=ending.argv,
    )


class _End:
    """The end of one run: `found` is what becomes of its task, `commit` what goes to the branch, `kept` the
    ref of what does not.
    """

    def __init__(self, repo: Repository, run: Run, task: Task, ending: Ending) -> None:
        self.repo, self.run, self.task = repo, run, task
        self.result, unusable = agent_result.read(repo, run)
        self.words = self.result.summary if self.result is not None else ending.summary
        self.found = decide_outcome(ending.how, ending.said, self.result, unusable, reports=run.reports)
        if (
            ending.error is not None
            and self.found.outcome == "agent_failed"
            and not is_transient_code(ending.error)
        ):
            self.found = TaskOutcome("not_started", ending.said)
        self.place = agent_worktree.left_at(Path(run.worktree), repo) if run.worktree else None
        self.commit: str | None = None
        self.kept: str | None = None

    def keep(self) -> None:
        """Commit or set aside what lies in the worktree."""
        now = read_tasks(self.repo, self.run.plan).task(self.run.task)
        if not self._mine(now):
            # A commit that names the task would count for the attempt that others have begun since.
            self.found = TaskOutcome("stale", "somebody has moved the task meanwhile")
        ref = f"{refnames.REFUSED}{self.run.iteration:04d}"
        earlier = self.repo.maybe(ref)
        self.kept = ref if earlier else None
        if earlier is not None and self.found.take:
            # A delegator before us got as far as that, and no farther.
            said = history.trailers(self.repo.git, earlier, "Planner-Reason")
            body = history.message(self.repo.git, earlier).split("\n\n")[1:-1]
            outcome = "commit_refused" if said == ["commit_refused"] else "refused"
            self.found = TaskOutcome(outcome, shorten("\n\n".join(body)))
        elif self.place is not None:
            self._keep(self.place)
        elif self.found.take:
            tip = self.repo.maybe(refnames.HEADS + self.run.branch)
            self.commit = tip if tip != self.run.start else None

    def settle(self) -> bool:
        """Move the task on and end the claim, in one transaction; False when this run counts no more."""
        run = self.run
        ref, claim_ref = refnames.plan_ref(run.plan), refnames.claim_ref(run.plan, run.task)
        own, number = Pages(self.repo, run.plan), task_number(run.task)
        op = message(run.plan, run.task, self.found.outcome.replace("_", "-"))
        edits: dict[str, bytes | None] = {}
        counted: list[bool] = []

        def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
            edits.clear()
            read = own.read(seen[ref], pages.page_name(number))
            before = task_of(read, run.plan, run.task)
            counted[:] = [self._mine(before) and before.status in ("in_progress", "agent_done")]
            if counted[0]:
                after, more = self._talked(seen[ref], self._moved(before))
                edits.update({**own.with_tasks(read, [after]), **more})
            claim = claim_on(seen[claim_ref])
            steps: list[Step] = [Write(ref, edits, op)]
            return [*steps, Delete(claim_ref)] if claim is not None and claim.run == run.run else steps

        Store(self.repo).transact([ref, claim_ref], decide)
        own.accepted(edits)
        return counted[0]

    def tidy(self) -> None:
        """Take a worktree away whose content is committed, or in which nobody worked."""
        if self.place is None or self.place.top is None:
            return
        if self.found.take or self.found.outcome == "not_started":
            with suppress(PlannerError):
                if not worktree.dirty_paths(self.place):
                    worktree.remove(self.repo, self.place.top)

    def _mine(self, task: Task) -> bool:
        """Whether a task is still at the attempt of this run."""
        return (task.uid, task.run, task.attempt) == (self.run.uid, self.run.run, self.run.attempt)

    def _keep(self, place: Repository) -> None:
        run, found = self.run, self.found
        with self.repo.git.batch() as batch:
            data = batch.read(f"{run.start}:{refnames.STATE_FILE}") or b""
        state = state_from(canonical_json.loads_trusted(data))
        work = AttemptSite(self.repo, place, state, run.start, policy_at(self.repo, run.base))
        left = AgentChanges(work)
        try:
            violations = left.look()
        except PlannerError as error:
            if error.code not in UNREADABLE:
                raise
            if found.take:
                self.found = TaskOutcome("refused", f"what the agent left cannot be read: {error.message}")
            return
        if found.take and not violations:
            policy = work.policy
            outside = (*left.outside(policy.allow, policy.forbid), *left.outside(self.task.write_scope))
            violations = tuple(dict.fromkeys(outside))
        if found.take and not violations:
            self._commit(left)
        elif found.take:
            words = shorten("changed what it may not change: " + ", ".join(violations))
            self._set_aside(left, TaskOutcome("refused", words), violations)
        elif left.changed or violations:
            self._set_aside(left, found, violations or [found.reason or found.outcome])

    def _commit(self, left: AgentChanges) -> None:
        if not left.changed:
            left.put_on()
        elif self._carries(left):
            self.commit = left.tip
        else:
            result = left.commit(*self._message(left.work))
            if result.status == 0:
                self.commit = self.repo.resolve(left.work.ref)
                return
            said = (result.stdout + b"\n" + result.stderr).decode(errors="replace").strip()
            self._set_aside(left, TaskOutcome("commit_refused", shorten(said)), [said])

    def _set_aside(self, left: AgentChanges, found: TaskOutcome, said: Sequence[str]) -> None:
        self.found = found
        self.kept, _ = left.set_aside(self._message(left.work, found.outcome)[0], said)

    def _carries(self, left: AgentChanges) -> bool:
        """Whether the tip is our own commit of what lies there, made by a delegator that died then."""
        tip = left.tip
        if tip is None or tip == left.work.start or left.tree != self.repo.resolve(tip, "tree"):
            return False
        return history.trailers(self.repo.git, tip, "Planner-Run") == [self.run.run]

    def _message(self, work: AttemptSite, reason: str | None = None) -> tuple[Message, str]:
        """The message of the commit. Only one that may count names the task as hooks look for it."""
        run, task = self.run, self.task
        trailers = [("Planner-Directive", work.state.directive_digest), ("Planner-Run", run.run)]
        if reason is None:
            trailers.insert(0, ("Planner-Task", task.id))
        else:
            trailers.append(("Planner-Reason", reason))
        if run.danger:
            trailers.append(("Planner-Sandbox", str(run.sandbox)))
        trailers.append(("Assisted-by", f"{run.agent}:{run.model or 'default'}"))
        title = f"{task.id}: {task.title}" if reason is None else f"set aside, {reason}: {task.title}"
        return Message(subject_line(title), tuple(trailers)), "\n".join("- " + each for each in task.actions)

    def _moved(self, task: Task) -> Task:
        found, name = self.found, f"run {self.run.run}"
        notes = [f"{name}: {found.outcome}{f', {self.words}' if self.words else ''}"]
        notes += [f"{name}: what it left is kept as '{self.kept}'"] if self.kept else []
        task = add_notes(task._replace(notes=task.notes[-_NOTES:]), *notes)
        if found.status == "todo":
            return transitions.requeue_task(task, found.reason)
        if found.status == "needs_input":
            said = self.result
            assert said is not None
            question = said.question or said.summary
            return transitions.ask_question(
                task, TaskQuestion(said.at, self.run.agent, question, said.details, said.next)
            )
        reason = shorten(found.reason) if found.reason else None
        task = transitions.move_task(task, found.status, reason=reason)._replace(reason=reason)
        return task._replace(commits=(*task.commits, self.commit)) if self.commit else task

    def _talked(self, seen: Snapshot, task: Task) -> tuple[Task, Edits]:
        """What an agent has to say, beyond a line, stands in the task's handoff, too."""
        said = self.result
        if said is None or not (said.details or said.question or said.next):
            return task, {}
        path = task.handoff or f"{refnames.plan_dir(self.run.plan)}/handoffs/{task.id}.md"
        lines = [said.summary, *(f"- {each}" for each in said.details)]
        lines += [f"Question: {said.question}"] if said.question else []
        lines += [f"Recommended: {said.next}"] if said.next else []
        kind = f"Result '{said.status}' of attempt {self.run.attempt}"
        earlier = seen.read(path)
        text = handoff.new_handoff(task) if earlier is None else earlier.decode("utf-8", "replace")
        text = handoff.append_entry(text, handoff.render_entry(kind, said.at, self.run.agent, lines))
        return task._replace(handoff=path), {path: text.encode()}
