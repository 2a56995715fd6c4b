"""`git iterate best`: the rolling best of a plan, its tags, and publishing both together with the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.agents.contract import Tell
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.sharing import reconcile_best
from git_planner.gitio import history, remote
from git_planner.gitio.remote import LostRace, Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step, Store, Tag
from git_planner.rules import refnames
from git_planner.rules.records.record import Record, pick_best

PUSH_ATTEMPTS = 5
Did = Literal["created", "fetched", "forwarded", "unchanged", "ahead"]


@dataclass(frozen=True, slots=True)
class EnsuredBest:
    """The rolling best after `best ensure`. `did` says what happened to it."""

    branch: str
    commit: str
    did: Did

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/best-ensured@1",
            "branch": self.branch,
            "commit": self.commit,
            "did": self.did,
        }


@dataclass(frozen=True, slots=True)
class BestTag:
    """The tag of a plan's best record. `made` says whether it was missing."""

    tag: str
    commit: str
    record: Record
    made: bool

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/best-tagged@1",
            "tag": self.tag,
            "commit": self.commit,
            "record": self.record.id,
            "made": self.made,
        }


@dataclass(frozen=True, slots=True)
class PushedBest:
    """What was (or with `dry_run` would be) published. `moved`: ref -> object id; `notes` are for people."""

    remote: str
    moved: Mapping[str, str]
    notes: tuple[str, ...]
    dry_run: bool

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/best-pushed@1",
            "remote": self.remote,
            "moved": dict(self.moved),
            "notes": list(self.notes),
            "dry_run": self.dry_run,
        }


def ensure_best(repo: Repository, plan: str | None, tell: Tell) -> EnsuredBest:
    """Create the rolling best, or bring it up to date: from the remote, and to its base, only ever forward.

    Raises:
        PlannerError: E_CONFLICT when it and the remote's have gone different ways; E_REMOTE; what finding the
            base raises.
    """
    name = current_plan(repo, plan)
    ref = refnames.best_ref(name)
    where = read_settings(repo).remote
    theirs = _fetched(repo, where, ref, tell) if _has_remote(repo, where) else None
    start = None if theirs or repo.maybe(ref) else find_base(repo, name, None).oid
    base = _source(repo, theirs or repo.maybe(ref) or start)
    did: Did = "unchanged"

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal did
        goal, did = _goal(repo, ref, seen[ref].tip, theirs, start)
        if base is not None and goal != base and history.is_ancestor(repo.git, goal, base):
            goal, did = base, ("created" if seen[ref].tip is None else "forwarded")
        return [Move(ref, goal)] if goal != seen[ref].tip else []

    commit = Store(repo).transact([ref], decide)[ref]
    assert commit is not None
    return EnsuredBest(ref.removeprefix(refnames.HEADS), commit, did)


def tag_best(repo: Repository, plan: str | None) -> BestTag:
    """Tag the commit of the best record if its tag is missing; name and value come from the record alone.

    Raises:
        PlannerError: E_NO_RECORD; E_TAG when a tag of that name is on another commit.
    """
    name = current_plan(repo, plan)
    top = best_iteration_record(repo, name)
    ref = _tag_of(top)
    if top is None or ref is None:
        raise PlannerError(
            "E_NO_RECORD", f"plan '{name}' has no best record of an iteration", hint="git iterate"
        )
    repo.resolve(top.commit)

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        if seen[ref].tip is None:
            return [Tag(ref, top.commit, f"new best: {top.summary}")]
        if repo.maybe(ref) != top.commit:
            raise PlannerError(
                "E_TAG",
                f"'{ref.removeprefix('refs/tags/')}' is on another commit than the best record's",
                hint="look at both with 'git show'",
            )
        return []

    existed = repo.maybe(ref) is not None
    Store(repo).transact([ref], decide)
    return BestTag(ref.removeprefix("refs/tags/"), top.commit, top, not existed)


def push_best(
    repo: Repository,
    plan: str | None,
    tell: Tell,
    *,
    tags_only: bool = False,
    branches: bool = False,
    dry_run: bool = False,
) -> PushedBest:
    """Publish the rolling best, its tags and the ledger in one atomic push, each ref under a lease.

    A lost race is made good: what the other side has is fetched, ledgers are united, the better of two bests
    stands, and the push is tried again.

    Args:
        repo: the repository.
        plan: the plan; the current one when None.
        tell: progress.
        tags_only: nothing but the tags of bests.
        branches: the branches of the plan's iterations, too.
        dry_run: only say what would move; nothing changes on either side.

    Raises:
        PlannerError: E_REMOTE; E_CONFLICT when others kept being faster, or no record says who is better.
    """
    name = current_plan(repo, plan)
    where = read_settings(repo).remote
    remote.url(repo, where)
    notes: list[str] = []
    for attempt in range(PUSH_ATTEMPTS):
        there = remote.listing(repo, where, "refs/heads/*", "refs/tags/best/*")
        tips: dict[str, str] = {}
        if not tags_only:
            tips, said = reconcile_best.merge_remote(repo, where, name, there, tell, dry_run=dry_run)
            notes += said
        updates = _updates(repo, name, there, tips, tags_only=tags_only)
        if branches:
            more, left = _branches(repo, name, where, there)
            updates += more
            notes += left
        notes += [f"'{ref}' is another tag on '{where}' and stays so" for ref in _clashes(repo, there)]
        ended = remote.push(repo, where, updates, tell, dry_run=dry_run)
        if not isinstance(ended, LostRace):
            return PushedBest(where, ended.moved, tuple(dict.fromkeys(notes)), dry_run)
        tell(f"somebody was faster on '{where}' (attempt {attempt + 1} of {PUSH_ATTEMPTS})")
    raise PlannerError(
        "E_CONFLICT", f"'{where}' kept moving while it was being pushed to", hint="run the same command again"
    )


def best_iteration_record(repo: Repository, plan: str) -> Record | None:
    """The best record of an iteration, among those of the instrument that is in use now; None without one."""
    rows = [
        record
        for record in read_ledger(repo, plan)
        if record.kind == "attempt" and record.iteration is not None
    ]
    valid = [record for record in rows if record.valid]
    return pick_best(rows, instrument=valid[-1].instrument) if valid else None


def _goal(
    repo: Repository, ref: str, ours: str | None, theirs: str | None, start: str | None
) -> tuple[str, Did]:
    if ours is None:
        if theirs is not None:
            return theirs, "fetched"
        assert start is not None
        return start, "created"
    if theirs is None or theirs == ours:
        return ours, "unchanged"
    if history.is_ancestor(repo.git, ours, theirs):
        return theirs, "fetched"
    if history.is_ancestor(repo.git, theirs, ours):
        return ours, "ahead"
    raise PlannerError(
        "E_CONFLICT",
        f"'{ref.removeprefix(refnames.HEADS)}' and the remote's have gone different ways",
        hint="settle it with 'git iterate best push'",
    )


def _source(repo: Repository, commit: str | None) -> str | None:
    """The tip of the base branch that the policy at the best names; None when it is not here."""
    if commit is None:
        return None
    with suppress(PlannerError):
        branch = policy_at(repo, commit).base
        return repo.maybe(refnames.HEADS + branch)
    return None


def _has_remote(repo: Repository, where: str) -> bool:
    return repo.git.run("remote", "get-url", "--", where).status == 0


def _fetched(repo: Repository, where: str, ref: str, tell: Tell) -> str | None:
    there = remote.listing(repo, where, ref)
    if ref not in there:
        return None
    return reconcile_best.fetch_branches(repo, where, [ref], tell)[ref]


def _tag_of(record: Record | None) -> str | None:
    if record is None or record.value is None or record.iteration is None or record.slug is None:
        return None
    return refnames.best_tag(record.value, refnames.Iteration(record.iteration, record.slug))


def _updates(
    repo: Repository, plan: str, there: Mapping[str, str], tips: Mapping[str, str], *, tags_only: bool
) -> list[Update]:
    """Tags, best and ledger as the remote has them not. `tips`: what was reconciled with the remote."""
    here = {
        **history.refs(
            repo.git, refnames.BEST_TAG, refnames.HEADS + refnames.ITER, refnames.HEADS + refnames.PLAN
        ),
        **tips,
    }
    wanted = [ref for ref in here if ref.startswith(refnames.BEST_TAG) and ref not in there]
    if not tags_only:
        wanted += [ref for ref in (refnames.best_ref(plan), refnames.plan_ref(plan)) if ref in here]
    return [Update(ref, here[ref], there.get(ref)) for ref in wanted if here[ref] != there.get(ref)]


def _branches(
    repo: Repository, plan: str, where: str, there: Mapping[str, str]
) -> tuple[list[Update], list[str]]:
    """Iterations' branches that a remote has not, or has an earlier commit of; and a note on each other one.

    A lease on what was listed a moment ago keeps nobody's commit: what is not ours to move is not pushed.
    """
    own = {refnames.HEADS + record.branch for record in read_ledger(repo, plan) if record.branch}
    here = {
        ref: oid
        for ref, oid in history.refs(repo.git, refnames.HEADS + refnames.ITER).items()
        if ref in own and refnames.parse_iteration(ref) and oid != there.get(ref)
    }
    moved = [ref for ref, oid in here.items() if history.loses_nothing(repo.git, oid, there.get(ref))]
    left = [
        f"'{ref.removeprefix(refnames.HEADS)}' has commits on '{where}' that ours has not, and stays so there"
        for ref in here
        if ref not in moved
    ]
    return [Update(ref, here[ref], there.get(ref)) for ref in moved], left


def _clashes(repo: Repository, there: Mapping[str, str]) -> list[str]:
    here = history.refs(repo.git, refnames.BEST_TAG)
    return [ref.removeprefix("refs/tags/") for ref, oid in here.items() if there.get(ref, oid) != oid]
