"""Advancing a plan by what git holds: quickly for a branch that has just moved, or by all branches.

Hooks come here at every commit that names a task, so little is loaded. What a hook misses, be it killed,
skipped or not there, the next one or `git plan sync` makes up for: the quick way knows up to where each
branch has been looked at, and takes the whole way wherever more than a few new commits came on top of that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.gitio.git import Batch
from git_planner.gitio.history import Logged, log
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks.follow_history import (
    History,
    HistoryBranch,
    HistoryCommit,
    advance_task,
    build_history,
    read_commit,
)
from git_planner.rules.tasks.task import Task, task_from, task_id_for, task_number

# From a task and what stands of it to the task with what else is known, and that in words.
Prove = Callable[[Task, History], tuple[Task, str | None]]
# More new commits at once than this are not looked at quickly.
_FEW = 50
_USUAL_TRUNKS = ("main", "master")


class Change(NamedTuple):
    """One task that moved: as it was, as it is, and why in words."""

    before: Task
    after: Task
    why: str


class Advanced(NamedTuple):
    """What came of a plan: the tasks that changed, and the ids that commits name and the plan lacks.

    `held` are tasks that a run has claimed, or a living process; what becomes of them is theirs to say.
    """

    plan: str
    changes: tuple[Change, ...] = ()
    unknown: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


class _Outcome:
    """What a decision came to; the store may ask for it several times."""

    def __init__(self) -> None:
        self.edits: dict[str, bytes | None] = {}
        self.changes: list[Change] = []
        self.unknown: list[str] = []
        self.held: list[str] = []
        self.unsure = False

    def result(self, plan: str) -> Advanced:
        return Advanced(plan, tuple(self.changes), tuple(self.unknown), tuple(self.held))


def plan_setting(repo: Repository) -> str:
    """The plan that a person works on: config.settings without the rest, which takes longer than a commit."""
    return os.environ.get("GIT_PLANNER_PLAN") or repo.config("planner.plan") or "default"


def advance_branch(repo: Repository, ref: str) -> list[Advanced]:
    """Advance the plans that a branch which has just moved is about.

    Args:
        repo: the repository.
        ref: its full name.

    Returns:
        What came of each plan; unknown are only those ids that the branch's new commits name.

    Raises:
        PlannerError: E_CHECKED_OUT when the plan is checked out with changes of its own; E_CONFLICT, E_JSON,
            E_SCHEMA, E_GIT.
    """
    with repo.git.batch() as batch:
        tip = batch.info(ref)
        if tip is None:
            return []
        state = batch.read(f"{tip[0]}:{refnames.STATE_FILE}")
        iteration = iteration_of(state) if refnames.parse_iteration(ref) else None
        plan = iteration[0] if iteration else plan_setting(repo)
        if batch.info(refnames.plan_ref(plan)) is None:
            return []
        fresh = _fresh(repo, plan, ref, tip[0])
        if fresh is None or (state is not None and iteration is None):
            newest = [_commit(each) for each in log(repo.git, [f"{tip[0]}^!"])]
            return [_as_named(advance_plan(repo, plan), newest)]
        quick = _quickly(Pages(repo, plan), [each for each in fresh if each.plan in (None, plan)], batch)
    others = sorted({each.plan for each in fresh if each.tasks and each.plan not in (None, plan)})
    found = [
        _as_named(advance_plan(repo, each), fresh)
        for each in others
        if each is not None and _is_plan(each) and repo.maybe(refnames.plan_ref(each)) is not None
    ]
    if quick is None:
        return [*found, _as_named(advance_plan(repo, plan), fresh)]
    _keep_tips(repo, plan, {**_tips(repo, plan), ref: tip[0]})
    return [*found, quick]


def advance_plan(
    repo: Repository, plan: str, *, prove: Prove | None = None, dry_run: bool = False
) -> Advanced:
    """Advance a plan by all branches of the repository.

    Args:
        repo: the repository.
        plan: the plan's name.
        prove: adds to a task what is known besides, such as evidence from records.
        dry_run: only say what would change.

    Raises:
        PlannerError: E_NO_PLAN, and as `advance_branch`.
    """
    ref, own = refnames.plan_ref(plan), Pages(repo, plan)
    with repo.git.batch() as batch:
        # The plan first: a commit that it lists by now is on the branches that are read after it.
        found = own.read(Store(repo).snapshot(ref, batch))
    if pages.FIRST_PAGE not in found:
        from git_planner.flows.plans.page_store import missing_plan

        raise missing_plan(plan)
    branches = read_branches(repo, found[pages.FIRST_PAGE])
    seen = read_history(repo, plan, found, branches)
    outcome = _Outcome()
    deciding = _Deciding(own, seen, outcome, prove)

    def decide(at: Mapping[str, Snapshot]) -> list[Step]:
        fresh = own.read(at[ref])
        return deciding.steps(fresh, _concerned(fresh, seen), at)

    if dry_run:
        deciding.steps(found, _concerned(found, seen), {})
    else:
        Store(repo).transact([ref, *_claims(repo, plan)], decide)
        own.accepted(outcome.edits)
        _keep_tips(repo, plan, {each.ref: each.tip for each in branches if not each.remote})
    return outcome.result(plan)


def read_branches(repo: Repository, about: Mapping[str, Any]) -> list[HistoryBranch]:
    """The branches that work can be on: all but those of plans and tournaments, others' as last seen, too.

    Args:
        repo: the repository.
        about: the plan's first page.
    """
    form = ("--format=%(objectname) %(objecttype) %(refname)", refnames.HEADS, "refs/remotes/")
    # A listing may miss a branch that another process replaces at that moment, and its work would count as
    # gone; two in a row do not.
    lines = [line for _ in range(2) for line in repo.git.line("for-each-ref", *form).splitlines()]
    tips: dict[str, str] = {}
    for line in lines:
        oid, kind, ref = line.split(" ", 2)
        short = ref.split("/", 2 if ref.startswith(refnames.HEADS) else 3)[-1]
        if (
            kind == "commit"
            and not short.startswith((refnames.PLAN, refnames.TOURNAMENT))
            and short != "HEAD"
        ):
            tips[ref] = oid
    iterations = [ref for ref in tips if refnames.parse_iteration(ref)]
    states = Store(repo).read_all(iterations, ".advisor") if iterations else {}
    trunk = _trunk(repo, about, tips)
    found = []
    for ref, oid in tips.items():
        plan, base = iteration_of(states.get(ref, {}).get("state.json")) or (None, None)
        remote = not ref.startswith(refnames.HEADS)
        found.append(HistoryBranch(ref, oid, plan, base, trunk=ref == trunk, remote=remote))
    return found


def read_history(
    repo: Repository, plan: str, found: Mapping[str, Mapping[str, Any]], branches: Sequence[HistoryBranch]
) -> History:
    """What the branches hold of a plan's work.

    Args:
        repo: the repository.
        plan: the plan's name.
        found: all its pages.
        branches: what `read_branches` gave afterwards.
    """
    base = repo.maybe(found[pages.FIRST_PAGE]["base"])
    before = [f"^{base}"] if base else []
    commits = [_commit(each) for each in log(repo.git, [*(each.tip for each in branches), *before])]
    known = {each.oid for each in commits}
    listed = {oid for page in found.values() for task in page["tasks"] for oid in task["commits"]}
    lost = _lost(repo, sorted(listed - known), before)
    return build_history(commits, branches, plan, plan_setting(repo), lost)


def iteration_of(state: bytes | None) -> tuple[str, str] | None:
    """The plan and the base that an iteration's state names; None when that is no state."""
    with suppress(PlannerError, KeyError, TypeError):
        document = canonical_json.loads_trusted(state or b"")
        plan, base = document["plan"], document["base"]
        if isinstance(plan, str) and isinstance(base, str) and _is_plan(plan):
            return plan, base
    return None


def _fresh(repo: Repository, plan: str, ref: str, tip: str) -> list[HistoryCommit] | None:
    """The new commits of a branch, oldest first; None when it takes more than them to know what is."""
    old = _tips(repo, plan).get(ref)
    if old is None:
        return None
    with suppress(PlannerError):
        found = log(repo.git, [f"{old}...{tip}"], sides=True)
        commits = [_commit(each) for each in reversed(found)]
        odd = any(each.side != ">" for each in found) or len(found) > _FEW
        if not odd and not any(each.reverts or len(each.parents) > 1 for each in commits):
            return commits
    return None


def _as_named(found: Advanced, commits: Sequence[HistoryCommit]) -> Advanced:
    """What came of a plan, without the ids that only commits of long ago name."""
    mine = {task_id_for(one) for each in commits if each.plan in (None, found.plan) for one in each.tasks}
    return found._replace(unknown=tuple(each for each in found.unknown if each in mine))


def _quickly(own: Pages, fresh: Sequence[HistoryCommit], batch: Batch) -> Advanced | None:
    """Add new commits to the tasks that they name; None when that does not tell what becomes of them."""
    work: dict[int, tuple[HistoryCommit, ...]] = {}
    for each in fresh:
        for number in each.tasks:
            work[number] = (*work.get(number, ()), each)
    if not work:
        return Advanced(own.plan)
    seen, outcome = History(work, {each.oid: each for each in fresh}), _Outcome()
    ref = refnames.plan_ref(own.plan)
    deciding = _Deciding(own, seen, outcome, quick=True)

    def decide(at: Mapping[str, Snapshot]) -> list[Step]:
        found: dict[str, dict[str, Any]] = {}
        for page in sorted({pages.page_name(number) for number in work}):
            found |= own.read(at[ref], page)
        return deciding.steps(found, work.keys(), at)

    claims = (refnames.claim_ref(own.plan, task_id_for(number)) for number in work)
    moved = Store(own.repo, batch=batch).transact([ref, *claims], decide)
    own.accepted(outcome.edits, Snapshot(ref, moved[ref], batch))
    return None if outcome.unsure else outcome.result(own.plan)


class _Deciding(NamedTuple):
    """What becomes of tasks by a history, written into an outcome."""

    own: Pages
    seen: History
    outcome: _Outcome
    prove: Prove | None = None
    quick: bool = False

    def steps(
        self, found: Mapping[str, Mapping[str, Any]], numbers: Iterable[int], at: Mapping[str, Snapshot]
    ) -> list[Step]:
        """The steps for some tasks, by their numbers, on snapshots of the plan and of claims."""
        own, outcome, ended = self.own, self.outcome, list[Step]()
        outcome.changes, outcome.unknown, outcome.held, outcome.unsure = [], [], [], False
        known = {task_number(each["id"]): each for page in found.values() for each in page["tasks"]}
        for number in sorted(numbers):
            if number not in known:
                outcome.unknown.append(task_id_for(number))
                continue
            change = self._change(task_from(known[number]))
            if change is None:
                continue
            ref = refnames.claim_ref(own.plan, change.after.id)
            claim = at.get(ref)
            if change.after.status != change.before.status and claim is not None and claim.tip is not None:
                if _by_process(claim):
                    outcome.held.append(change.after.id)
                    continue
                ended.append(Delete(ref))
            outcome.changes.append(change)
        outcome.edits = self._edits(found)
        return [Write(refnames.plan_ref(own.plan), outcome.edits, _message(own.plan, outcome)), *ended]

    def _edits(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes | None]:
        changes = self.outcome.changes
        if self.prove is not None:
            return self.own.with_tasks(found, [each.after for each in changes])
        return self.own.with_followed(found, [(each.before, each.after) for each in changes])

    def _change(self, before: Task) -> Change | None:
        if self.quick and before.proven:
            # Whether the evidence still fits takes all of its commits.
            self.outcome.unsure = True
            return None
        after, why = advance_task(before, self.seen)
        told = [why] if why else []
        if self.prove is not None:
            proven, how = self.prove(after, self.seen)
            if how is not None:
                after, why = advance_task(proven, self.seen)
                told += [how, *([why] if why else [])]
        return Change(before, after, "; ".join(told)) if told else None


def _by_process(seen: Snapshot) -> bool:
    """Whether a claim is that of a run, be its process dead: what it left has to be looked at first."""
    from git_planner.flows.tasks.claim_refs import claim_on

    claim = claim_on(seen)
    if claim is None:
        return False
    return claim.run is not None or (claim.process is not None and claim.in_force())


def _claims(repo: Repository, plan: str) -> list[str]:
    prefix = f"{refnames.CLAIMS}{plan}/"
    return [prefix + name for name in Store(repo).numbers(prefix)]


def _concerned(found: Mapping[str, Mapping[str, Any]], seen: History) -> set[int]:
    """The numbers of the tasks that commits are known of."""
    listed = {task_number(task["id"]) for page in found.values() for task in page["tasks"] if task["commits"]}
    return listed | seen.work.keys()


def _lost(repo: Repository, oids: Sequence[str], before: Sequence[str]) -> list[str]:
    """Commits that are here, on no branch, and no older than the plan."""
    with repo.git.batch() as batch:
        here = [oid for oid in oids if batch.info(oid) is not None]
    if not here:
        return []
    asked = "".join(f"{each}\n" for each in (*here, *before)).encode()
    later = set(repo.git.line("rev-list", "--stdin", stdin=asked).split())
    return [oid for oid in here if oid in later]


def _trunk(repo: Repository, about: Mapping[str, Any], tips: Mapping[str, str]) -> str | None:
    """The ref of the base branch: what the configuration says, what the plan began from, the usual names."""
    for name in (repo.config("planner.base"), about["base_ref"], *_USUAL_TRUNKS):
        if name and not name.startswith(refnames.ITER):
            for ref in (refnames.HEADS + name, f"refs/remotes/origin/{name}"):
                if ref in tips:
                    return ref
    return None


def _commit(each: Logged) -> HistoryCommit:
    return read_commit(
        each.oid,
        each.tree,
        each.parents,
        subject=each.subject,
        tasks=each.tasks,
        plan=each.plan,
        body=each.body,
    )


def _is_plan(name: str) -> bool:
    with suppress(PlannerError):
        return bool(refnames.check_plan_name(name))
    return False


def _message(plan: str, outcome: _Outcome) -> Message:
    moves = [f"{each.after.id} {each.after.status}" for each in outcome.changes]
    more = f" and {len(moves) - 3} more" if len(moves) > 3 else ""
    said = ", ".join(each.after.id for each in outcome.changes[:50])
    return Message(
        f"plan {plan}: advance {', '.join(moves[:3])}{more}",
        (("Planner-Op", "task-advance"), ("Planner-Args", said)),
    )


def _tips(repo: Repository, plan: str) -> dict[str, str]:
    """Up to where each branch has been looked at for a plan. Without it all of them are looked at again."""
    with suppress(OSError, ValueError):
        text = repo.private("cache", "advance", plan).read_text("utf-8", "surrogateescape")
        return {ref: oid for oid, ref in (line.split(" ", 1) for line in text.splitlines())}
    return {}


def _keep_tips(repo: Repository, plan: str, tips: Mapping[str, str]) -> None:
    path = repo.private("cache", "advance", plan)
    # A convenience: on a full or read-only disk the next hook looks at all branches.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{oid} {ref}\n" for ref, oid in tips.items())
        atomic_file.write(path, lines.encode("utf-8", "surrogateescape"))
