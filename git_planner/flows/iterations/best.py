"""`git iterate best`: create the rolling best of a plan, tag it, and push both with the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.best_place import check_best, move_best
from git_planner.flows.plans.current_plan import current_plan, needed_plan
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import record_commit
from git_planner.flows.sharing import reconcile_best
from git_planner.gitio import history, remote
from git_planner.gitio.remote import LostRace, Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Step, Store, Tag
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import Record

PUSH_ATTEMPTS = 5
Did = Literal["created", "fetched", "forwarded", "unchanged", "ahead"]


@dataclass(frozen=True, slots=True)
class EnsuredBest:
    """Result of `best ensure`. `did` says what happened to the rolling best."""

    branch: str
    commit: str
    did: Did

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/best-ensured@1",
            "branch": self.branch,
            "commit": self.commit,
            "did": self.did,
        }


@dataclass(frozen=True, slots=True)
class BestTag:
    """Tag of a plan's best record. `made` is True if it was created now."""

    tag: str
    commit: str
    record: Record
    made: bool

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/best-tagged@1",
            "tag": self.tag,
            "commit": self.commit,
            "record": self.record.id,
            "made": self.made,
        }


@dataclass(frozen=True, slots=True)
class PushedBest:
    """Refs that were (with `dry_run`: would be) pushed. `moved`: ref -> object id; `notes` are for people."""

    remote: str
    moved: Mapping[str, str]
    notes: tuple[str, ...]
    dry_run: bool

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/best-pushed@1",
            "remote": self.remote,
            "moved": dict(self.moved),
            "notes": list(self.notes),
            "dry_run": self.dry_run,
        }


def ensure_best(repo: Repository, plan: str | None, progress: Progress) -> EnsuredBest:
    """Create the rolling best, or fast-forward it to the remote's and to its base.

    A best of the remote that was not measured here is measured first.

    Raises:
        PlannerError: E_BEST_MOVED; E_CONFLICT when it and the remote's have diverged; E_REMOTE; what
            `find_base` raises.
    """
    name = needed_plan(repo, plan)
    check_best(repo, name)
    ref, copy = refnames.best_ref(name), refnames.best_copy(name)
    server = read_settings(repo).remote
    remote_tip = _fetch_best(repo, server, ref, progress) if _has_remote(repo, server) else None
    objection = _measured_objection(repo, name, remote_tip, progress) if remote_tip else None
    if objection is not None:
        progress(f"'{refnames.short_name(ref)}' of '{server}' {objection} and is not followed")
        remote_tip = None
    start = None if remote_tip or repo.maybe(ref) else find_base(repo, name, None).oid
    base = _base_branch_tip(repo, remote_tip or repo.maybe(ref) or start)
    did: Did = "unchanged"

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal did
        goal, did = _choose_target(repo, ref, snapshots[ref].tip, remote_tip, start)
        if base is not None and goal != base and history.is_ancestor(repo.git, goal, base):
            goal, did = base, ("created" if snapshots[ref].tip is None else "forwarded")
        in_place = goal == snapshots[ref].tip == snapshots[copy].tip
        return [] if in_place else [move_best(name, goal)]

    commit = Store(repo).transact([ref, copy], decide)[ref]
    assert commit is not None
    return EnsuredBest(refnames.short_name(ref), commit, did)


def tag_best(repo: Repository, plan: str | None) -> BestTag:
    """Tag the commit of the best record if its tag is missing.

    Raises:
        PlannerError: E_NO_RECORD; E_TAG when a tag of that name is on another commit.
    """
    name = current_plan(repo, plan)
    top = best_iteration_record(repo, name)
    ref = _tag_name(top)
    if top is None or ref is None:
        raise PlannerError(
            "E_NO_RECORD", f"plan '{name}' has no best record of an iteration", hint="git iterate"
        )
    repo.resolve(top.commit)

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        if snapshots[ref].tip is None:
            return [Tag(ref, top.commit, f"new best: {top.summary}")]
        if repo.maybe(ref) != top.commit:
            raise PlannerError(
                "E_TAG",
                f"'{refnames.short_name(ref)}' is on another commit than the best record's",
                hint="look at both with 'git show'",
            )
        return []

    existed = repo.maybe(ref) is not None
    Store(repo).transact([ref], decide)
    return BestTag(refnames.short_name(ref), top.commit, top, not existed)


def push_best(
    repo: Repository,
    plan: str | None,
    progress: Progress,
    *,
    tags_only: bool = False,
    branches: bool = False,
    dry_run: bool = False,
) -> PushedBest:
    """Publish the rolling best, its tags and the ledger in one atomic push, each ref under a lease.

    After a lost race the remote's refs are fetched, the ledgers are merged, the better best is kept, and
    the push is retried.

    Args:
        repo: the repository.
        plan: the plan; the current one when None.
        progress: called with each progress message.
        tags_only: push only the tags of bests.
        branches: also push the branches of the plan's iterations.
        dry_run: only report what would be pushed.

    Raises:
        PlannerError: E_BEST_MOVED; E_REMOTE; E_CONFLICT after too many lost races, or if no record decides
            between bests.
    """
    name = current_plan(repo, plan)
    best_ref = refnames.best_ref(name)
    if not tags_only:
        check_best(repo, name)
    server = read_settings(repo).remote
    remote.url(repo, server)
    notes: list[str] = []
    for attempt in range(PUSH_ATTEMPTS):
        theirs = remote.listing(repo, server, refnames.HEADS + "*", refnames.BEST_TAG + "*")
        tips: dict[str, str] = {}
        leaves_best = False
        if not tags_only:
            tips, messages, leaves_best = reconcile_best.merge_remote(
                repo, server, name, theirs, progress, dry_run=dry_run
            )
            notes += messages
        updates = _updates(repo, name, theirs, tips, tags_only=tags_only)
        updates = [update for update in updates if not (leaves_best and update.ref == best_ref)]
        if branches:
            branch_updates, left_notes = _branch_updates(repo, name, server, theirs)
            updates += branch_updates
            notes += left_notes
        notes += [
            f"'{ref}' differs on '{server}' and is left alone" for ref in _conflicting_tags(repo, theirs)
        ]
        outcome = remote.push(repo, server, updates, progress, dry_run=dry_run)
        if not isinstance(outcome, LostRace):
            return PushedBest(server, outcome.moved, tuple(dict.fromkeys(notes)), dry_run)
        progress(f"'{server}' was updated concurrently (attempt {attempt + 1} of {PUSH_ATTEMPTS})")
    raise PlannerError(
        "E_CONFLICT",
        f"'{server}' was updated concurrently during every attempt",
        hint="run the same command again",
    )


def best_iteration_record(repo: Repository, plan: str) -> Record | None:
    """Return the best record of an iteration under the current instrument; None without one."""
    rows = [
        record
        for record in read_ledger(repo, plan)
        if record.kind == "attempt" and record.iteration is not None
    ]
    valid = [record for record in rows if record.valid]
    return pick_best(rows, instrument=valid[-1].instrument) if valid else None


def _choose_target(
    repo: Repository, ref: str, local: str | None, remote_tip: str | None, start: str | None
) -> tuple[str, Did]:
    if local is None:
        if remote_tip is not None:
            return remote_tip, "fetched"
        assert start is not None
        return start, "created"
    if remote_tip is None or remote_tip == local:
        return local, "unchanged"
    if history.is_ancestor(repo.git, local, remote_tip):
        return remote_tip, "fetched"
    if history.is_ancestor(repo.git, remote_tip, local):
        return local, "ahead"
    raise PlannerError(
        "E_CONFLICT",
        f"'{refnames.short_name(ref)}' and the remote's have diverged",
        hint="git iterate best push",
    )


def _base_branch_tip(repo: Repository, commit: str | None) -> str | None:
    """Return the tip of the base branch that the policy at the best names; None if it does not exist."""
    if commit is None:
        return None
    with suppress(PlannerError):
        branch = policy_at(repo, commit).base
        return repo.maybe(refnames.HEADS + branch)
    return None


def _measured_objection(repo: Repository, plan: str, tip: str, progress: Progress) -> str | None:
    """Return why a remote's best is not followed; one that was not measured here is measured now."""
    if reconcile_best.is_disputed(tip, read_ledger(repo, plan)):
        return "is at a disputed record"
    local = repo.maybe(refnames.best_ref(plan))
    if local is not None and history.is_ancestor(repo.git, tip, local):
        return None
    objection = reconcile_best.find_objection(repo, plan, tip)
    if objection is None or not objection.is_unmeasured:
        return objection and objection.why
    progress(f"the best of the remote, {tip[:12]}, was not measured here: it is measured first")
    try:
        record = record_commit(repo, tip, plan=plan, advance=False, progress=progress).record
    except PlannerError as error:
        return f"cannot be measured here ({error.message})"
    again = reconcile_best.find_objection(repo, plan, tip)
    if again is None:
        return None
    return f"is {record.verdict.replace('_', ' ')}, measured here: {record.summary}"


def _has_remote(repo: Repository, server: str) -> bool:
    return repo.git.run("remote", "get-url", "--", server).status == 0


def _fetch_best(repo: Repository, server: str, ref: str, progress: Progress) -> str | None:
    theirs = remote.listing(repo, server, ref)
    if ref not in theirs:
        return None
    return reconcile_best.fetch_branches(repo, server, [ref], progress)[ref]


def _tag_name(record: Record | None) -> str | None:
    if record is None or record.value is None or record.iteration is None or record.slug is None:
        return None
    return refnames.best_tag(record.value, refnames.IterationName(record.iteration, record.slug))


def _updates(
    repo: Repository, plan: str, theirs: Mapping[str, str], tips: Mapping[str, str], *, tags_only: bool
) -> list[Update]:
    """Return updates for the tags, best and ledger that differ on the remote. `tips`: the reconciled refs."""
    ours = {
        **history.list_refs(
            repo, refnames.BEST_TAG, refnames.HEADS + refnames.ITER, refnames.HEADS + refnames.PLAN
        ),
        **tips,
    }
    refs = [ref for ref in ours if ref.startswith(refnames.BEST_TAG) and ref not in theirs]
    if not tags_only:
        refs += [ref for ref in (refnames.best_ref(plan), refnames.plan_ref(plan)) if ref in ours]
    return [Update(ref, ours[ref], theirs.get(ref)) for ref in refs if ours[ref] != theirs.get(ref)]


def _branch_updates(
    repo: Repository, plan: str, server: str, theirs: Mapping[str, str]
) -> tuple[list[Update], list[str]]:
    """Return updates for iteration branches missing or behind on the remote, and notes on the others.

    A lease on a fresh listing does not protect foreign commits, so only fast-forwards are pushed.
    """
    plan_refs = {refnames.HEADS + record.branch for record in read_ledger(repo, plan) if record.branch}
    ours = {
        ref: oid
        for ref, oid in history.list_refs(repo, refnames.HEADS + refnames.ITER).items()
        if ref in plan_refs and refnames.parse_iteration(ref) and oid != theirs.get(ref)
    }
    moved = [ref for ref, oid in ours.items() if history.is_fast_forward(repo.git, oid, theirs.get(ref))]
    notes = [
        f"'{refnames.short_name(ref)}' has other commits on '{server}' and is not pushed"
        for ref in ours
        if ref not in moved
    ]
    return [Update(ref, ours[ref], theirs.get(ref)) for ref in moved], notes


def _conflicting_tags(repo: Repository, theirs: Mapping[str, str]) -> list[str]:
    ours = history.list_refs(repo, refnames.BEST_TAG)
    return [refnames.short_name(ref) for ref, oid in ours.items() if theirs.get(ref, oid) != oid]
