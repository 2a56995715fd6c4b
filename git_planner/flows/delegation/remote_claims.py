"""Claims on a remote that several clones share: won there first, given back when the plan has told the end.

The order is what makes each task start once: win the claim, take in the plan, begin here only what still
waits; at the end push the branch and the plan, and only then give the claim back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from git_planner import atomic_file
from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.sharing import push_pull
from git_planner.flows.tasks.claims import (
    Begin,
    Claim,
    Claimant,
    claim_commit,
    claim_of,
    claim_on,
    claim_task,
)
from git_planner.flows.tasks.edit import Tasks, read_tasks
from git_planner.gitio import remote
from git_planner.gitio.remote import Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import refnames
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import Task

_PATIENCE = {"E_CONFLICT": 10, "E_REMOTE": 4}
_TRIES = 1 + max(_PATIENCE.values())


class RemoteClaims:
    """The claims on the tasks of one plan, on one remote.

    Args:
        repo: the repository.
        plan: the plan's name.
        where: the remote's name.
        tell: progress.
    """

    def __init__(self, repo: Repository, plan: str, where: str, tell: Tell) -> None:
        self.repo, self.plan, self.where, self._tell = repo, plan, where, tell

    def share(self) -> None:
        """Bring the plan here and there to the same state.

        Raises:
            PlannerError: E_REMOTE, E_MERGE; E_CONFLICT when others kept being faster.
        """
        self._patiently(lambda: push_pull.push(self.repo, self.where, self.plan, lambda _: None))

    def all(self) -> dict[str, tuple[str, Claim | None]]:
        """The claims there, by task: commit and claim; None for one that cannot be read at the moment."""
        prefix = f"{refnames.CLAIMS}{self.plan}/"
        there = remote.listing(self.repo, self.where, prefix + "*")
        missing = [ref for ref, oid in there.items() if self.repo.maybe(oid) is None]
        if missing:
            try:
                remote.fetch_commits(self.repo, self.where, missing, lambda _: None)
            except PlannerError as error:
                # One of them was given back meanwhile; what is not known counts as held.
                if error.code != "E_REMOTE":
                    raise
        return {ref.removeprefix(prefix): (oid, self._read(ref, oid)) for ref, oid in there.items()}

    def held(self) -> frozenset[str]:
        """The ids of the tasks that somebody holds there."""
        found = self.all().items()
        return frozenset(task for task, (_, claim) in found if claim is None or claim.in_force())

    def lapsed(self, found: Tasks) -> list[tuple[str, str]]:
        """Tasks, with their runs, that somebody elsewhere has begun and who is no more."""
        begun = [each for each in found.tasks if each.status == "in_progress" and each.run is not None]
        begun = [each for each in begun if not store.run_folder(self.repo, str(each.run)).is_dir()]
        there = self.all() if begun else {}
        return [
            (task.id, str(task.run))
            for task in begun
            if (claim := there.get(task.id, ("", None))[1]) is not None
            and claim.run == task.run
            and not claim.in_force()
        ]

    def win(self, claim: Claim, note: Callable[[str], object] = str) -> tuple[Claim, str] | None:
        """Win the claim on a task, and take in the plan as it is there; None when somebody else has it.

        Args:
            claim: the claim.
            note: called with its commit before it is made there.

        Raises:
            PlannerError: E_REMOTE, and what taking in the plan raises.
        """
        ref = refnames.claim_ref(self.plan, claim.task)
        earlier, held = self.all().get(claim.task, (None, None))
        if earlier is not None and (held is None or held.in_force()):
            return None
        oid = claim_commit(self.repo, claim, earlier)
        note(oid)
        if not remote.claim_on(self.repo, self.where, ref, oid, earlier):
            return None
        try:
            push_pull.pull(self.repo, self.where, self.plan, lambda _: None)
        except PlannerError:
            self.give_back(claim.task, oid)
            raise
        return claim, oid

    def claim_task(self, task_id: str, who: Claimant) -> tuple[Task, Claim]:
        """Claim a task for a person: there first, then here. The plan is the same here and there afterwards.

        Raises:
            PlannerError: E_BUSY when somebody has it, here or there; else as `claims.claim_task`, E_REMOTE.
        """
        self.share()
        found = read_tasks(self.repo, self.plan).task(task_id)
        waiting = transitions.requeue_task(found) if found.status == "in_progress" else found
        # Noted first, so that after a kill the next push gives it back.
        won = self.win(
            claim_of(waiting, self.plan, who, refnames.random_token(20)), partial(self._note, found.id)
        )
        if won is None:
            raise PlannerError(
                "E_BUSY", f"'{found.id}' is claimed on '{self.where}'", hint="git plan task ready"
            )
        try:
            done = claim_task(self.repo, self.plan, found.id, who, Begin((), lambda _seen, _task: (), won))
        except PlannerError:
            self.give_back(found.id, won[1])
            raise
        self.share()
        return done

    def give_back_ended(self) -> list[str]:
        """Give back what people of this clone have claimed and hold no more; return the tasks.

        Raises:
            PlannerError: E_REMOTE.
        """
        given = []
        for place in sorted(self._won("").glob("task_*")):
            oid = place.read_text(encoding="utf-8")
            if self.repo.maybe(refnames.claim_ref(self.plan, place.name)) != oid:
                self.give_back(place.name, oid)
                place.unlink(missing_ok=True)
                given.append(place.name)
        return given

    def _note(self, task: str, oid: str) -> None:
        place = self._won(task)
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(place, oid.encode())

    def _won(self, task: str) -> Path:
        return self.repo.private("claimed", self.where.replace("/", "%"), self.plan, task)

    def give_back(self, task: str, oid: str) -> None:
        """Give a claim of ours back.

        Raises:
            PlannerError: E_REMOTE.
        """
        remote.give_back(self.repo, self.where, refnames.claim_ref(self.plan, task), oid)

    def finish(self, run: Run) -> Run:
        """Publish what a run has led to, then give its claim back.

        What cannot be reached is tried again by the next delegator; until then the claim stands.
        """
        if run.claim is None:
            return run
        try:
            self._patiently(lambda: self._publish_branch(run))
            self.share()
            self._patiently(lambda: self.give_back(run.task, str(run.claim)))
        except PlannerError as error:
            if error.code not in ("E_REMOTE", "E_CONFLICT", "E_MERGE"):
                raise
            self._tell(f"{run.task}: '{self.where}' does not know yet: {error.message}")
            return run
        return store.save_run(self.repo, replace(run, claim=None))

    def _patiently(self, do: Callable[[], object]) -> None:
        """Do something over there once more when others were in the way: they hold its locks for a moment."""
        for attempt in range(_TRIES):
            try:
                do()
            except PlannerError as error:
                if attempt >= _PATIENCE.get(error.code, 0):
                    raise
                time.sleep(random.uniform(0.0, 0.1 * 2 ** min(attempt, 3)))
            else:
                return

    def _publish_branch(self, run: Run) -> None:
        if run.commit is not None:
            update = Update(refnames.HEADS + run.branch, run.commit, None)
            remote.push(self.repo, self.where, [update], lambda _: None)

    def _read(self, ref: str, oid: str) -> Claim | None:
        if self.repo.maybe(oid) is None:
            return None
        with self.repo.git.batch() as batch:
            return claim_on(Snapshot(ref, oid, batch))
