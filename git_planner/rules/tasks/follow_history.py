"""How tasks follow from what git holds: which commits name them, which of these still stand, and what that
makes of a task. Pure; the same history gives the same plan, however often it is asked.

A commit names tasks by 'task_007: …' at the start of its subject (any spelling: TASK-7) or by `Planner-Task`
trailers. Its plan is that of its `Planner-Plan` trailer, else that of the iteration it was made in, else the
current one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.tasks.task import Task, task_number
from git_planner.rules.tasks.transitions import move_task

# No more of a task's commits are kept; its schema refuses more.
MAX_COMMITS = 10_000
# Compiled when they are needed: hooks load this at every commit that names a task.
_SUBJECT = r"(?:(?:fixup|squash|amend)! )*(task[_-][0-9]+)\s*:"
_TASK = r"task[_-][0-9]+"
_REVERTS = r"(?m)^This reverts commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)\b"
# What 'git merge --squash' writes: the messages of the commits that were squashed, indented.
_SQUASHED = "Squashed commit of the following:"
_INDENTED = r"(?m)^ {4}(?! )(.*)$"
_TRAILER = r"(?i)planner-task:(.*)"
_WORKED: frozenset[str] = frozenset(("agent_done", "review_ready", "done"))


class HistoryCommit(NamedTuple):
    """A commit as far as it matters here: the numbers of the tasks it names, the plan it says they are of
    (None: it says nothing), and the commits it says it reverts.
    """

    oid: str
    tree: str
    parents: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()
    plan: str | None = None
    reverts: tuple[str, ...] = ()


class HistoryBranch(NamedTuple):
    """A branch: its full ref and tip. `plan` and `base` are those of the iteration it is, if it is one.

    `trunk`: it is the base branch, where work ends. `remote`: another repository's, as it was last seen.
    """

    ref: str
    tip: str
    plan: str | None = None
    base: str | None = None
    trunk: bool = False
    remote: bool = False


class History(NamedTuple):
    """What is known of the commits that matter to one plan.

    `work`: the commits that work on a task and stand, by the task's number, oldest first. `commits` are all
    that a branch reaches. `undone`: commits that were reverted -> by which. `landed`: those that the base
    branch reaches. `lost` are commits that no branch reaches any more. Of all others nothing is known here,
    such as of what was made in another clone; they count as standing.
    """

    work: Mapping[int, tuple[HistoryCommit, ...]]
    commits: Mapping[str, HistoryCommit]
    undone: Mapping[str, str] = MappingProxyType({})
    landed: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()

    def stands(self, oid: str) -> bool:
        """Whether the work in a commit is still there."""
        return oid not in self.undone if oid in self.commits else oid not in self.lost


def named_tasks(subject: str, trailers: Iterable[str] = ()) -> tuple[str, ...]:
    """The tasks that a message names, as they are spelled, each once.

    Args:
        subject: its first line.
        trailers: the values of its `Planner-Task` trailers.
    """
    first = re.match(_SUBJECT, subject, re.IGNORECASE)
    words = [first[1]] if first else []
    for value in trailers:
        words += [word for word in re.split(r"[\s,;]+", value) if re.fullmatch(_TASK, word, re.IGNORECASE)]
    return tuple(dict.fromkeys(words))


def read_commit(
    oid: str, tree: str, parents: str, *, subject: str, tasks: str, plan: str, body: str
) -> HistoryCommit:
    """A commit from what git tells of it.

    Args:
        oid, tree: object ids.
        parents: those of its parents, joined by spaces.
        subject: the first line of its message.
        tasks, plan: the values of its `Planner-Task` and `Planner-Plan` trailers, one a line.
        body: what follows the subject.
    """
    words = named_tasks(subject, tasks.splitlines())
    if subject == _SQUASHED:
        lines = [line.strip() for line in re.findall(_INDENTED, body)]
        trailers = [found[1] for line in lines if (found := re.match(_TRAILER, line))]
        words = tuple(dict.fromkeys(word for line in lines for word in named_tasks(line, trailers)))
    plans = plan.split()
    reverts = re.findall(_REVERTS, body) if "This reverts" in body else ()
    return HistoryCommit(
        oid,
        tree,
        tuple(parents.split()),
        tuple(dict.fromkeys(_numbers(words))),
        plans[-1] if plans else None,
        tuple(reverts),
    )


def _numbers(words: Iterable[str]) -> Iterator[int]:
    for word in words:
        try:
            yield task_number(word)
        except PlannerError:
            # No plan has a task of that number; commit-msg says so.
            continue


def build_history(
    commits: Sequence[HistoryCommit],
    branches: Sequence[HistoryBranch],
    plan: str,
    current: str,
    lost: Iterable[str] = (),
) -> History:
    """Work out what stands.

    Args:
        commits: all that the branches reach since the plan began, children before their parents.
        branches: the branches, and nothing else that keeps a commit.
        plan: the plan asked about.
        current: the plan of the commits that say nothing, outside of iterations.
        lost: see History.
    """
    reached = _reached(commits, [each.tip for each in branches])
    inherited = _reached(commits, [each.base for each in branches])
    dead = _dead(commits, reached)
    trunk = sum(1 << place for place, each in enumerate(branches) if each.trunk)
    local = sum(1 << place for place, each in enumerate(branches) if not each.remote)
    known = {each.oid: each for each in commits if reached[each.oid]}
    undone, local_work, remote_work = {}, dict[int, list[HistoryCommit]](), dict[int, list[HistoryCommit]]()
    for each in known.values():
        bits = reached[each.oid]
        # Where it has reached the base branch, the base branch says whether it stands.
        judges = bits & trunk or bits & local or bits
        killed, by = dead.get(each.oid, (0, ""))
        if not judges & ~killed:
            undone[each.oid] = by
        elif each.tasks and _plan_of(each, branches, reached, inherited, current) == plan:
            where = local_work if reached[each.oid] & local else remote_work
            for number in each.tasks:
                where.setdefault(number, []).append(each)
    return History(
        # What others have on their branches counts where nothing is here: else a rewrite here would not.
        {number: tuple(reversed(found)) for number, found in (remote_work | local_work).items()},
        known,
        undone,
        frozenset(oid for oid in known if reached[oid] & trunk),
        frozenset(lost) - known.keys(),
    )


def advance_task(task: Task, seen: History) -> tuple[Task, str | None]:
    """What a task becomes by the history; asked again, it stays.

    Returns:
        The task, and in words why it changed; None when it did not.
    """
    if task.status in ("deferred", "cancelled"):
        return task, None
    kept = tuple(oid for oid in task.commits if seen.stands(oid))
    new = tuple(each.oid for each in seen.work.get(task.number, ()) if each.oid not in task.commits)
    gone = tuple(oid for oid in task.commits if oid not in kept)
    after = task._replace(commits=(*kept, *new)[:MAX_COMMITS])
    told = []
    if new:
        told.append(f"{_shown(new)} {'works' if len(new) == 1 else 'work'} on it")
    told += [_why_gone(oid, seen) for oid in gone]
    if task.status in ("todo", "in_progress", "blocked"):
        if new:
            after = move_task(after, "agent_done")
    elif task.status in _WORKED and gone and not new and _all_undone(gone, kept, seen):
        after = move_task(after, "todo", reason="; ".join(told)[:2000])
    after, judged = _by_evidence(after, seen)
    told += [judged] if judged else []
    return after, ("; ".join(told) or None) if after != task else None


def _all_undone(gone: Sequence[str], kept: Sequence[str], seen: History) -> bool:
    """Whether nothing is left of the work, or all that had reached the base branch was reverted there."""
    if not kept:
        return True
    taken_back = any(oid in seen.undone and oid in seen.landed for oid in gone)
    return taken_back and not any(oid in seen.landed for oid in kept)


def _by_evidence(task: Task, seen: History) -> tuple[Task, str | None]:
    """A done task needs evidence for what stands now, and one whose evidence fits again is done again."""
    if task.status not in ("agent_done", "done") or not task.commits:
        return task, None
    fits = find_proof(task, seen)
    if task.status == "done" and fits is None:
        last = next((each for each in reversed(task.evidence) if each.attempt == task.attempt), None)
        commit = last.commit if last else None
        reason = (
            f"what was verified was {commit[:12]}; what is there now has another tree"
            if commit
            else "nothing shows that what is there now is done"
        )
        return move_task(task, "agent_done", reason=reason), reason
    if task.status == "agent_done" and fits is not None and task.proven:
        return move_task(task, "done"), f"its tree is the one that was verified at {fits[:12]}"
    return task, None


def find_proof(task: Task, seen: History) -> str | None:
    """What shows that a task is done as it stands: the verified commit or 'manual'; None: nothing does."""
    if not task.proven:
        return None
    tips = task_tips(task, seen)
    trees = {seen.commits[oid].tree for oid in tips if oid in seen.commits}
    for each in reversed(task.evidence):
        if each.attempt != task.attempt or not each.ok:
            continue
        if each.kind == "manual":
            # Somebody looked; that he looked at this commit is his word, too.
            return "manual" if task.status == "done" else None
        if each.commit in tips or (each.tree is not None and each.tree in trees):
            return each.commit
    return None


def task_tips(task: Task, seen: History) -> tuple[str, ...]:
    """Those of a task's standing commits that none of its others builds on, in their order."""
    own = [oid for oid in task.commits if seen.stands(oid)]
    below: set[str] = set()
    for oid in own:
        if oid not in below:
            below |= _ancestors(oid, seen.commits)
    return tuple(oid for oid in own if oid not in below)


def _ancestors(oid: str, commits: Mapping[str, HistoryCommit]) -> set[str]:
    found: set[str] = set()
    left = list(commits[oid].parents) if oid in commits else []
    while left:
        here = left.pop()
        if here not in found and here in commits:
            found.add(here)
            left += commits[here].parents
    return found


def _reached(commits: Sequence[HistoryCommit], tips: Sequence[str | None]) -> dict[str, int]:
    """For each commit, one bit for each of the tips that reaches it."""
    found = {each.oid: 0 for each in commits}
    for place, tip in enumerate(tips):
        if tip in found:
            found[tip] |= 1 << place
    for each in commits:
        bits = found[each.oid]
        for parent in each.parents:
            if bits and parent in found:
                found[parent] |= bits
    return found


def _dead(commits: Sequence[HistoryCommit], reached: Mapping[str, int]) -> dict[str, tuple[int, str]]:
    """For each reverted commit, a bit for each branch on which a standing revert of it is, and the latest."""
    found: dict[str, tuple[int, str]] = {}
    passed: set[str] = set()
    for each in commits:
        passed.add(each.oid)
        standing = reached[each.oid] & ~found.get(each.oid, (0, ""))[0]
        for target in each.reverts:
            # A commit cannot take back what comes after it, whatever it says.
            if target not in passed and reached.get(target, 0) & standing:
                before, by = found.get(target, (0, ""))
                found[target] = (before | standing, by or each.oid)
    return found


def _plan_of(
    commit: HistoryCommit,
    branches: Sequence[HistoryBranch],
    reached: Mapping[str, int],
    inherited: Mapping[str, int],
    current: str,
) -> str:
    if commit.plan is not None:
        return commit.plan
    own = reached[commit.oid] & ~inherited[commit.oid]
    for place, each in enumerate(branches):
        if each.plan is not None and own >> place & 1:
            return each.plan
    return current


def _why_gone(oid: str, seen: History) -> str:
    if oid in seen.undone:
        return f"{oid[:12]} was reverted by {seen.undone[oid][:12]}"
    return f"{oid[:12]} is on no branch any more"


def _shown(oids: Sequence[str]) -> str:
    most = 3
    more = f" and {len(oids) - most} more" if len(oids) > most else ""
    return ", ".join(oid[:12] for oid in oids[:most]) + more
