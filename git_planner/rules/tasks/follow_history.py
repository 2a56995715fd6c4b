"""Task statuses from the Git history: commits that name tasks, which of them are still in effect, and the
status that follows. Pure and deterministic: the same history always yields the same plan.

Which tasks a commit names is in rules/tasks/named_tasks.py. Its plan is that of its `Planner-Plan` trailer,
else that of the iteration it belongs to, else the plan that lists it, else the current plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.tasks.named_tasks import named_tasks, quoted_plan, squashed_tasks
from git_planner.rules.tasks.task import Task, TaskEvidence, task_number
from git_planner.rules.tasks.transitions import move_task

# Limit of commits per task, as in its schema.
MAX_COMMITS = 10_000
# The schema's limit of evidence per task; the oldest is dropped.
MAX_EVIDENCE = 1_000
# Compiled on use: hooks load this module at every commit that names a task.
_REVERTS = r"(?m)^This reverts commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)\b"
# A pull request: the commit that brought it to the base branch, and the one that reverts it there, by the
# buttons of GitHub ("Reverts owner/repo#12") and GitLab ("This reverts merge request !7").
_REQUEST = (
    r"(?m)\A(?:.*\(#([0-9]{1,9})\)$|Merge pull request #([0-9]{1,9}) )|^See merge request \S*!([0-9]{1,9})$"
)
_REVERTED_REQUEST = r"(?m)^(?:Reverts \S+#|This reverts merge request \S*!)([0-9]{1,9})\b"
_WORKED: frozenset[str] = frozenset(("agent_done", "review_ready", "done"))


class HistoryCommit(NamedTuple):
    """A commit: the numbers of the tasks it names, the plan its trailer names (None: no trailer), and the
    commits its message says it reverts. `origin` is equal for the rewrites of one commit; empty if unknown.
    `request` is the number of the pull request that it brought, `reverted_request` of the one it reverts.
    """

    oid: str
    tree: str
    parents: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()
    plan: str | None = None
    reverts: tuple[str, ...] = ()
    origin: str = ""
    request: int = 0
    reverted_request: int = 0


class PlanShares(NamedTuple):
    """Commits that belong to a plan, or to another one, although their messages do not say so.

    `own` and `others` hold the commits that the plan and other plans list, and their origins. `starts` are
    the tips of the branches when the plan became the current one: what they reach was made before.
    """

    own: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()


NO_SHARES = PlanShares()


class HistoryBranch(NamedTuple):
    """A branch: its full ref and tip; for the branch of an iteration also the `plan` and `base` commit.

    `trunk`: the base branch, into which work is merged. `remote`: a remote-tracking branch.
    """

    ref: str
    tip: str
    plan: str | None = None
    base: str | None = None
    trunk: bool = False
    remote: bool = False


class History(NamedTuple):
    """The commits that are relevant to one plan.

    `work`: commits in effect by task number, oldest first. `commits`: all commits reachable from a branch.
    `reverted`: reverted commit -> the commit that reverts it. `landed`: commits reachable from the base
    branch. `lost`: commits no longer reachable from any branch. `carried`: commit that is not on the base
    branch -> the commit there that brought its change, such as a squash merge. Unknown commits, such as those
    of another clone, count as in effect.
    """

    work: Mapping[int, tuple[HistoryCommit, ...]]
    commits: Mapping[str, HistoryCommit]
    reverted: Mapping[str, str] = MappingProxyType({})
    landed: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    carried: Mapping[str, str] = MappingProxyType({})

    def is_in_effect(self, oid: str) -> bool:
        """Return whether a commit is neither reverted nor lost."""
        return oid not in self.reverted if oid in self.commits else oid not in self.lost


def read_commit(
    oid: str, tree: str, parents: str, *, subject: str, tasks: str, plan: str, body: str, author: str = ""
) -> HistoryCommit:
    """Parse a commit from the fields of 'git log'.

    Args:
        oid, tree: object ids.
        parents: object ids of the parents, separated by spaces.
        subject: the first line of its message.
        tasks, plan: the values of its `Planner-Task` and `Planner-Plan` trailers, one per line.
        body: the message after the subject.
        author: the author's address and date.
    """
    names, plans = named_tasks(subject, tasks.splitlines()), plan.split()
    # A merge of two histories has the quoted commits themselves.
    quoted = squashed_tasks(subject, body) if len(parents) <= len(oid) else ()
    if quoted:
        names, plans = (*names, *quoted), plans or [*filter(None, (quoted_plan(body),))]
    reverts = re.findall(_REVERTS, body) if "This reverts" in body else ()
    request = re.search(_REQUEST, f"{subject}\n{body}") if "#" in subject or "See merge" in body else None
    reverted = re.search(_REVERTED_REQUEST, body) if subject.startswith('Revert "') else None
    return HistoryCommit(
        oid,
        tree,
        tuple(parents.split()),
        tuple(dict.fromkeys(_task_numbers(names))),
        plans[-1] if plans else None,
        tuple(reverts),
        f"{author} {subject}" if author and names else "",
        int(next(filter(None, request.groups()))) if request else 0,
        int(reverted[1]) if reverted else 0,
    )


def _task_numbers(names: Iterable[str]) -> Iterator[int]:
    for name in names:
        try:
            yield task_number(name)
        except PlannerError:
            # Out of range; the commit-msg hook reports it.
            continue


def build_history(
    commits: Sequence[HistoryCommit],
    branches: Sequence[HistoryBranch],
    plan: str,
    current: str,
    lost: Iterable[str] = (),
    *,
    shares: PlanShares = NO_SHARES,
) -> History:
    """Find the commits of a plan's tasks that are in effect.

    Args:
        commits: all commits reachable from the branches since the plan was created, children first.
        branches: the branches only, no other refs.
        plan: the plan's name.
        current: the plan of commits without a trailer and outside of iterations.
        lost: see History.
        shares: the commits that the plan and other plans have.
    """
    reached = _reached(commits, [branch.tip for branch in branches])
    inherited = _reached(commits, [branch.base for branch in branches])
    earlier = _reached(commits, shares.starts)
    reverts = _reverts(commits, reached)
    trunk = sum(1 << place for place, branch in enumerate(branches) if branch.trunk)
    local = sum(1 << place for place, branch in enumerate(branches) if not branch.remote)
    known = {commit.oid: commit for commit in commits if reached[commit.oid]}

    def is_own(commit: HistoryCommit) -> bool:
        stated = _stated_plan(commit, branches, reached, inherited)
        if stated is not None:
            return stated == plan
        return _belongs(commit, plan, current, shares, earlier=bool(earlier[commit.oid]))

    reverted, local_work, remote_work = {}, dict[int, list[HistoryCommit]](), dict[int, list[HistoryCommit]]()
    for commit in known.values():
        bits = reached[commit.oid]
        # Once merged, only a revert on the base branch counts.
        deciding = bits & trunk or bits & local or bits
        reverting, by = reverts.get(commit.oid, (0, ""))
        if not deciding & ~reverting:
            reverted[commit.oid] = by
        elif commit.tasks and is_own(commit):
            work = local_work if reached[commit.oid] & local else remote_work
            for number in commit.tasks:
                work.setdefault(number, []).append(commit)
    return History(
        # Remote commits count only for tasks without local ones, or a local rewrite would have no effect.
        {number: tuple(reversed(work)) for number, work in (remote_work | local_work).items()},
        known,
        reverted,
        frozenset(oid for oid in known if reached[oid] & trunk),
        frozenset(lost) - known.keys(),
    )


def advance_task(task: Task, history: History) -> tuple[Task, str | None]:
    """Update a task from the history. Idempotent.

    Returns:
        The task, and the reason for its change; None if unchanged.
    """
    if task.status in ("deferred", "cancelled"):
        return task, None
    kept = tuple(oid for oid in task.commits if history.is_in_effect(oid))
    carried = {history.carried[oid]: oid for oid in possibly_carried(task, history) if oid in history.carried}
    named = (commit.oid for commit in history.work.get(task.number, ()))
    new = tuple(oid for oid in dict.fromkeys((*named, *carried)) if oid not in task.commits)
    gone = tuple(oid for oid in task.commits if oid not in kept)
    after = task._replace(commits=(*kept, *new)[:MAX_COMMITS])
    reasons = []
    if new:
        reasons.append(f"{_short_oids(new)} {'works' if len(new) == 1 else 'work'} on it")
    reasons += [_why_gone(oid, history) for oid in gone]
    reasons += [f"{landed[:12]} has the change of {oid[:12]}" for landed, oid in carried.items()]
    if task.status in ("todo", "in_progress", "blocked"):
        if new:
            after = move_task(after, "agent_done")
    elif task.status in _WORKED and gone and not new and _is_all_gone(gone, kept, history):
        after = move_task(after, "todo", reason="; ".join(reasons)[:2000])
    after, reason = _apply_evidence(_carry_evidence(after, history), history)
    reasons += [reason] if reason else []
    return after, ("; ".join(reasons) or None) if after != task else None


def possibly_carried(task: Task, history: History) -> tuple[str, ...]:
    """Return the commits of a task whose change may be on the base branch under another commit's name.

    That is its last commit once no branch has it, and the verified commit of a done task once that is so, or
    once the base branch has another commit that names the task.
    """
    if task.status not in _WORKED:
        return ()
    last = {oid for oid in task.commits[-1:] if oid in history.lost}
    proof = _last_proof(task)
    if task.status == "done" and proof is not None and proof.commit not in history.landed:
        is_named = any(commit.oid in history.landed for commit in history.work.get(task.number, ()))
        last |= {proof.commit} if proof.commit and (is_named or proof.commit in history.lost) else set()
    return tuple(sorted(last))


def _last_proof(task: Task) -> TaskEvidence | None:
    """Return the last evidence of the present attempt that passed."""
    own = (evidence for evidence in reversed(task.evidence) if evidence.attempt == task.attempt)
    return next((evidence for evidence in own if evidence.ok), None)


def _carry_evidence(task: Task, history: History) -> Task:
    """Add evidence for the commit that brought the verified change of a done task to the base branch."""
    proof = _last_proof(task)
    if task.status != "done" or proof is None or proof.commit is None or proof.kind != "verified":
        return task
    landed = history.carried.get(proof.commit)
    if landed is None or landed not in task_tips(task, history) or not task.proven:
        return task
    note = f"the change that was verified at {proof.commit[:12]}"
    carried = proof._replace(commit=landed, tree=history.commits[landed].tree, note=note)
    return task._replace(evidence=(*task.evidence, carried)[-MAX_EVIDENCE:])


def _is_all_gone(gone: Sequence[str], kept: Sequence[str], history: History) -> bool:
    """Return whether no commit is in effect, or all of those on the base branch were reverted there."""
    if not kept:
        return True
    reverted_on_base = any(oid in history.reverted and oid in history.landed for oid in gone)
    return reverted_on_base and not any(oid in history.landed for oid in kept)


def _apply_evidence(task: Task, history: History) -> tuple[Task, str | None]:
    """Move a done task back if its evidence no longer matches its commits, and forward if it does again."""
    if task.status not in ("agent_done", "done") or not task.commits:
        return task, None
    proof = find_proof(task, history)
    if task.status == "done" and proof is None:
        own = [evidence for evidence in task.evidence if evidence.attempt == task.attempt]
        commit = own[-1].commit if own else None
        reason = (
            f"verified at {commit[:12]}, but its commits now have another tree"
            if commit
            else "no evidence for its present commits"
        )
        return move_task(task, "agent_done", reason=reason), reason
    if task.status == "agent_done" and proof is not None and task.proven:
        return move_task(task, "done"), f"its tree equals the one verified at {proof[:12]}"
    return task, None


def find_proof(task: Task, history: History) -> str | None:
    """Return the evidence that a task is done now: the verified commit or 'manual'; None if there is none."""
    if not task.proven:
        return None
    tips = task_tips(task, history)
    trees = {history.commits[oid].tree for oid in tips if oid in history.commits}
    for evidence in reversed(task.evidence):
        if evidence.attempt != task.attempt or not evidence.ok:
            continue
        if evidence.kind == "manual":
            # A manual sign-off covers the commits that were there when it was given.
            return "manual" if task.status == "done" else None
        if evidence.commit in tips or (evidence.tree is not None and evidence.tree in trees):
            return evidence.commit
    return None


def task_tips(task: Task, history: History) -> tuple[str, ...]:
    """Return a task's commits in effect that are no ancestors of its other ones, in order."""
    own = [oid for oid in task.commits if history.is_in_effect(oid)]
    below: set[str] = set()
    for oid in own:
        if oid not in below:
            below |= _ancestors(oid, history.commits)
    return tuple(oid for oid in own if oid not in below)


def _ancestors(oid: str, commits: Mapping[str, HistoryCommit]) -> set[str]:
    ancestors: set[str] = set()
    pending = list(commits[oid].parents) if oid in commits else []
    while pending:
        parent = pending.pop()
        if parent not in ancestors and parent in commits:
            ancestors.add(parent)
            pending += commits[parent].parents
    return ancestors


def _reached(commits: Sequence[HistoryCommit], tips: Sequence[str | None]) -> dict[str, int]:
    """Return for each commit a bit mask of the tips that reach it."""
    reached = {commit.oid: 0 for commit in commits}
    for place, tip in enumerate(tips):
        if tip in reached:
            reached[tip] |= 1 << place
    for commit in commits:
        bits = reached[commit.oid]
        for parent in commit.parents:
            if bits and parent in reached:
                reached[parent] |= bits
    return reached


def _reverts(commits: Sequence[HistoryCommit], reached: Mapping[str, int]) -> dict[str, tuple[int, str]]:
    """Return for each reverted commit a bit mask of the branches that revert it, and the latest revert."""
    reverts: dict[str, tuple[int, str]] = {}
    newer: set[str] = set()
    known = {commit.oid: commit for commit in commits}
    for place, commit in enumerate(commits):
        newer.add(commit.oid)
        standing = reached[commit.oid] & ~reverts.get(commit.oid, (0, ""))[0]
        older = (other for other in commits[place + 1 :] if reached[other.oid] & standing)
        for target in _reverted_commits(commit, older, known):
            # A commit cannot revert a later one, even if its message says so.
            if target not in newer and reached.get(target, 0) & standing:
                before, by = reverts.get(target, (0, ""))
                reverts[target] = (before | standing, by or commit.oid)
    return reverts


def _reverted_commits(
    commit: HistoryCommit, older: Iterable[HistoryCommit], known: Mapping[str, HistoryCommit]
) -> set[str]:
    """Return the commits that a commit reverts: those it names, and what the merges among them brought.

    Args:
        commit: the commit.
        older: the commits after it in the list, of which one may have brought the request that it reverts.
        known: all commits.
    """
    targets, number = set(commit.reverts), commit.reverted_request
    if number:
        targets |= set(next(([other.oid] for other in older if other.request == number), ()))
    for target in [oid for oid in targets if oid in known and len(known[oid].parents) > 1]:
        first = known[target].parents[0]
        targets |= _ancestors(target, known) - _ancestors(first, known) - {first}
    return targets


def _stated_plan(
    commit: HistoryCommit,
    branches: Sequence[HistoryBranch],
    reached: Mapping[str, int],
    inherited: Mapping[str, int],
) -> str | None:
    """Return the plan that a commit's trailer or its iteration names; None without either."""
    if commit.plan is not None:
        return commit.plan
    own = reached[commit.oid] & ~inherited[commit.oid]
    for place, branch in enumerate(branches):
        if branch.plan is not None and own >> place & 1:
            return branch.plan
    return None


def _belongs(commit: HistoryCommit, plan: str, current: str, shares: PlanShares, *, earlier: bool) -> bool:
    """Return whether a commit without a stated plan belongs to a plan that was current, or lists it."""
    names = {commit.oid, commit.origin} - {""}
    if names & shares.own:
        return True
    return plan == current and not earlier and not names & shares.others


def _why_gone(oid: str, history: History) -> str:
    if oid in history.reverted:
        return f"{oid[:12]} was reverted by {history.reverted[oid][:12]}"
    return f"{oid[:12]} is no longer on any branch"


def _short_oids(oids: Sequence[str]) -> str:
    most = 3
    more = f" and {len(oids) - most} more" if len(oids) > most else ""
    return ", ".join(oid[:12] for oid in oids[:most]) + more
