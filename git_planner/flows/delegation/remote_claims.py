"""Task claims on a remote shared by several clones: acquired there first, released after the push.

The order makes every task start only once: acquire the claim, fetch and merge the plan, start the task if it
is still ready; at the end push the branch and the plan, and only then release the claim.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.sharing import push_pull
from git_planner.flows.tasks.claim_refs import Claim, claimed_task_error, read_claim
from git_planner.flows.tasks.claims import Claimant, ClaimExtension, claim_commit, claim_task, new_claim
from git_planner.flows.tasks.edit import PlanTasks, read_tasks
from git_planner.gitio import remote
from git_planner.gitio.remote import Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import Task

_RETRIES = {"E_CONFLICT": 10, "E_REMOTE": 4}
_MAX_TRIES = 1 + max(_RETRIES.values())


class RemoteClaims:
    """Claims on the tasks of one plan, on one remote.

    Args:
        repo: the repository.
        plan: the plan's name.
        remote_name: the remote's name.
        progress: called with each progress message.
    """

    def __init__(self, repo: Repository, plan: str, remote_name: str, progress: Progress) -> None:
        self.repo, self.plan, self.remote_name, self._progress = repo, plan, remote_name, progress

    def sync_plan(self) -> None:
        """Merge and push the plan, so that clone and remote agree.

        Raises:
            PlannerError: E_REMOTE, E_MERGE; E_CONFLICT when every retry lost a race.
        """
        self._retry(lambda: push_pull.push(self.repo, self.remote_name, self.plan, lambda _: None))

    def read_claims(self) -> dict[str, tuple[str, Claim | None]]:
        """Read the remote claims by task: commit and claim; None for an unreadable claim."""
        prefix = f"{refnames.CLAIMS}{self.plan}/"
        remote_refs = remote.listing(self.repo, self.remote_name, prefix + "*")
        missing = [ref for ref, oid in remote_refs.items() if self.repo.maybe(oid) is None]
        if missing:
            try:
                remote.fetch_commits(self.repo, self.remote_name, missing, lambda _: None)
            except PlannerError as error:
                # One of them was released meanwhile; an unreadable claim counts as held.
                if error.code != "E_REMOTE":
                    raise
        return {ref.removeprefix(prefix): (oid, self._read(ref, oid)) for ref, oid in remote_refs.items()}

    def held_tasks(self) -> frozenset[str]:
        """Return the ids of the tasks that are claimed on the remote."""
        claims = self.read_claims().items()
        return frozenset(task for task, (_, claim) in claims if claim is None or claim.in_force())

    def claimed_error(self, task_id: str) -> PlannerError:
        """Return the error for a task that is claimed on the remote, naming the holder."""
        _, claim = self.read_claims().get(task_id, ("", None))
        if claim is not None:
            return claimed_task_error(claim, self.remote_name)
        return PlannerError(
            "E_BUSY", f"'{task_id}' is claimed on '{self.remote_name}'", hint="git plan task ready"
        )

    def lapsed_runs(self, plan_tasks: PlanTasks) -> list[tuple[str, str]]:
        """Return the tasks, with their runs, whose delegators on other machines died."""
        running = [task for task in plan_tasks.tasks if task.status == "in_progress" and task.run is not None]
        running = [task for task in running if not store.run_folder(self.repo, str(task.run)).is_dir()]
        remote_claims = self.read_claims() if running else {}
        return [
            (task.id, str(task.run))
            for task in running
            if (claim := remote_claims.get(task.id, ("", None))[1]) is not None
            and claim.run == task.run
            and not claim.in_force()
        ]

    def acquire(self, claim: Claim, remember: Callable[[str], object] = str) -> tuple[Claim, str] | None:
        """Acquire the claim on a task, then fetch and merge the plan; None when the task is claimed.

        Args:
            claim: the claim.
            remember: called with the claim's commit before it is pushed.

        Raises:
            PlannerError: E_REMOTE, and what merging the plan raises.
        """
        ref = refnames.claim_ref(self.plan, claim.task)
        earlier_oid, earlier_claim = self.read_claims().get(claim.task, (None, None))
        if earlier_oid is not None and (earlier_claim is None or earlier_claim.in_force()):
            return None
        oid = claim_commit(self.repo, claim, earlier_oid)
        remember(oid)
        if not remote.claim_on(self.repo, self.remote_name, ref, oid, earlier_oid):
            return None
        try:
            push_pull.pull(self.repo, self.remote_name, self.plan, lambda _: None)
        except PlannerError:
            self.release(claim.task, oid)
            raise
        return claim, oid

    def claim_task(self, task_id: str, claimant: Claimant) -> tuple[Task, Claim]:
        """Claim a task for a person: on the remote first, then in this clone; then push the plan.

        Raises:
            PlannerError: E_BUSY when it is claimed, here or on the remote; E_REMOTE; as `claims.claim_task`.
        """
        self.sync_plan()
        task = read_tasks(self.repo, self.plan).task(task_id)
        free_task = transitions.requeue_task(task) if task.status == "in_progress" else task
        # Remembered first, so that after a kill the next push releases it.
        acquired = self.acquire(
            new_claim(free_task, self.plan, claimant, refnames.random_token(20)),
            partial(self._remember, task.id),
        )
        if acquired is None:
            raise self.claimed_error(task.id)
        try:
            claimed = claim_task(
                self.repo, self.plan, task.id, claimant, ClaimExtension((), lambda _seen, _task: (), acquired)
            )
        except PlannerError:
            self.release(task.id, acquired[1])
            raise
        self.sync_plan()
        return claimed

    def release_ended(self) -> list[str]:
        """Release the remote claims of people whose claims in this clone have ended; return the tasks.

        Raises:
            PlannerError: E_REMOTE.
        """
        released = []
        for path in sorted(self._acquired_path("").glob("task_*")):
            try:
                oid = atomic_file.read(path, 1000).decode("ascii")
            except (OSError, ValueError):
                # Written by no run of this program; nothing is known to have been claimed by it.
                continue
            if self.repo.maybe(refnames.claim_ref(self.plan, path.name)) != oid:
                self.release(path.name, oid)
                path.unlink(missing_ok=True)
                released.append(path.name)
        return released

    def _remember(self, task: str, oid: str) -> None:
        path = self._acquired_path(task)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(path, oid.encode())

    def _acquired_path(self, task: str) -> Path:
        return self.repo.private("claimed", self.remote_name.replace("/", "%"), self.plan, task)

    def release(self, task: str, oid: str) -> None:
        """Release a claim of this clone.

        Raises:
            PlannerError: E_REMOTE.
        """
        remote.give_back(self.repo, self.remote_name, refnames.claim_ref(self.plan, task), oid)

    def publish_run(self, run: Run) -> Run:
        """Push the branch and the plan of a run, then release its claim.

        If the remote cannot be reached, the next delegator retries; until then the claim stays in force.
        """
        if run.claim is None:
            return run
        try:
            self._retry(lambda: self._publish_branch(run))
            self.sync_plan()
            self._retry(lambda: self.release(run.task, str(run.claim)))
        except PlannerError as error:
            if error.code not in ("E_REMOTE", "E_CONFLICT", "E_MERGE"):
                raise
            self._progress(f"{run.task}: not yet published to '{self.remote_name}': {error.message}")
            return run
        return store.save_run(self.repo, replace(run, claim=None))

    def _retry(self, operation: Callable[[], object]) -> None:
        """Retry a remote operation that lost a race or met a lock."""
        for attempt in range(_MAX_TRIES):
            try:
                operation()
            except PlannerError as error:
                if attempt >= _RETRIES.get(error.code, 0):
                    raise
                time.sleep(random.uniform(0.0, 0.1 * 2 ** min(attempt, 3)))
            else:
                return

    def _publish_branch(self, run: Run) -> None:
        if run.commit is not None:
            update = Update(refnames.HEADS + run.branch, run.commit, None)
            remote.push(self.repo, self.remote_name, [update], lambda _: None)

    def _read(self, ref: str, oid: str) -> Claim | None:
        if self.repo.maybe(oid) is None:
            return None
        with self.repo.git.batch() as batch:
            return read_claim(Snapshot(ref, oid, batch))
