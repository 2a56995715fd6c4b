"""Sharing plans through a remote: `git plan push`, `git plan pull` and `git planner remote setup`.

What a remote has is never overwritten, and what is here neither: tips that went different ways become one
merge commit. Only branches that were asked for are pushed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.agents.contract import Tell
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.records import ledger
from git_planner.flows.sharing.merge_tips import united
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.remote import Pushed, Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.rules import refnames
from git_planner.rules.plans.plan import is_plan_name

TRIES = 12
Did = Literal["created", "followed", "merged", "unchanged", "ahead", "absent"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one plan here. `tip`: the commit it is at; `told`: what gave way in a merge."""

    plan: str
    did: Did
    tip: str | None
    told: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {"plan": self.plan, "did": self.did, "tip": self.tip, "told": list(self.told)}


@dataclass(frozen=True, slots=True)
class Shared:
    """What a pull or a push did. `moved`: ref -> object id it names now on the remote."""

    remote: str
    plans: tuple[Taken, ...]
    moved: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/shared@1",
            "remote": self.remote,
            "plans": [each.document() for each in self.plans],
            "moved": dict(self.moved),
        }


def pull(repo: Repository, where: str | None, plan: str | None, tell: Tell, *, every: bool = False) -> Shared:
    """Take in what a remote has of plans: by following it, or by one merge commit each. All of them or none.

    Args:
        repo: the repository.
        where: the remote's name; the one of the settings when None.
        plan: the plan; the current one when None.
        tell: progress.
        every: all plans of the remote instead.

    Raises:
        PlannerError: E_REMOTE; E_NO_PLAN when the remote has no such plan; E_JSON, E_SCHEMA when what it has
            is broken; E_MERGE for what a person has to settle; E_CHECKED_OUT, E_CONFLICT.
    """
    source = where or read_settings(repo).remote
    there = remote.listing(repo, source, refnames.HEADS + refnames.PLAN + "*")
    if every:
        wanted = sorted(name for name in map(_plan_of, there) if name)
    else:
        wanted = [current_plan(repo, plan)]
        if refnames.plan_ref(wanted[0]) not in there:
            raise PlannerError(
                "E_NO_PLAN",
                f"'{source}' has no plan '{wanted[0]}'",
                hint=f"share yours with 'git plan push {source} --plan {wanted[0]}'",
            )
    return Shared(source, _take_in(repo, source, wanted, there, tell), {})


def push(
    repo: Repository,
    where: str | None,
    plan: str | None,
    tell: Tell,
    *,
    every: bool = False,
    work: bool = False,
) -> Shared:
    """Publish plans in one atomic push, each under a lease. Whoever was faster is merged with first.

    Args:
        repo: the repository.
        where: the remote's name; the one of the settings when None.
        plan: the plan; the current one when None.
        tell: progress.
        every: all plans that are here instead.
        work: the branches of their tasks and iterations, too, where the remote has none or an older one.

    Raises:
        PlannerError: as `pull`; E_NO_PLAN when it is not here; E_CONFLICT when others kept being faster.
    """
    source = where or read_settings(repo).remote
    here = history.refs(repo.git, refnames.HEADS)
    wanted = sorted(name for name in map(_plan_of, here) if name) if every else [current_plan(repo, plan)]
    here = _heads(repo, wanted)
    for name in wanted:
        if refnames.plan_ref(name) not in here:
            raise missing_plan(name, repo)
    done: dict[str, Taken] = {}
    for attempt in range(TRIES):
        there = remote.listing(repo, source, refnames.HEADS + "*")
        known = [name for name in wanted if refnames.plan_ref(name) in there]
        for each in _take_in(repo, source, known, there, tell):
            if each.did == "merged" or each.plan not in done:
                done[each.plan] = each
        here = _heads(repo, wanted)
        refs = [refnames.plan_ref(name) for name in wanted]
        refs += [ref for name in wanted for ref in _work(repo, name, here, there)] if work else []
        updates = [
            Update(ref, here[ref], there.get(ref))
            for ref in dict.fromkeys(refs)
            if here[ref] != there.get(ref)
        ]
        ended = remote.push(repo, source, updates, tell)
        if isinstance(ended, Pushed):
            plans = [
                done.get(name) or Taken(name, "absent", here[refnames.plan_ref(name)]) for name in wanted
            ]
            return Shared(source, tuple(plans), ended.moved)
        tell(f"somebody was faster on '{source}' (attempt {attempt + 1} of {TRIES})")
        time.sleep(random.uniform(0.0, min(0.05 * 2**attempt, 1.0)))
    raise PlannerError(
        "E_CONFLICT",
        f"'{source}' kept moving while it was being pushed to; it has nothing of ours that is new",
        hint="run the same command again",
    )


def _heads(repo: Repository, wanted: Sequence[str]) -> dict[str, str]:
    """Every branch here. A listing may miss one that is just replaced, so plans are asked for by name."""
    here = history.refs(repo.git, refnames.HEADS)
    for ref in map(refnames.plan_ref, wanted):
        oid = here.get(ref) or repo.maybe(ref)
        if oid is not None:
            here[ref] = oid
    return here


def _take_in(
    repo: Repository, source: str, wanted: Sequence[str], there: Mapping[str, str], tell: Tell
) -> tuple[Taken, ...]:
    """Bring plans here up to what a remote has, in one transaction."""
    tips = {refnames.plan_ref(name): there[refnames.plan_ref(name)] for name in wanted}
    missing = [ref for ref, oid in tips.items() if not history.whole(repo.git, oid)]
    if missing:
        remote.fetch_commits(repo, source, missing, tell)
        gone = [ref for ref in missing if not history.whole(repo.git, tips[ref])]
        if gone:
            raise PlannerError(
                "E_CONFLICT",
                f"'{gone[0].removeprefix(refnames.HEADS)}' was moved back on '{source}' while it was fetched",
                hint="run the same command again",
            )
    _judge(repo, source, tips)
    done: dict[str, Taken] = {}

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        done.clear()
        steps: list[Step] = []
        for name in wanted:
            ref = refnames.plan_ref(name)
            done[name] = _met(repo, source, name, seen[ref].tip, tips[ref])
            steps += [Move(ref, oid) for oid in (done[name].tip,) if oid and oid != seen[ref].tip]
        return steps

    if tips:
        Store(repo).transact(list(tips), decide)
    return tuple(done[name] for name in wanted)


def _met(repo: Repository, source: str, name: str, ours: str | None, theirs: str) -> Taken:
    """Where a plan's branch has to go to have what a remote has."""
    if ours is None or (ours != theirs and history.is_ancestor(repo.git, ours, theirs)):
        return Taken(name, "created" if ours is None else "followed", theirs)
    if history.is_ancestor(repo.git, theirs, ours):
        return Taken(name, "unchanged" if ours == theirs else "ahead", ours)
    found = united(repo, name, ours, theirs)
    trailers = (("Planner-Op", "pull"), ("Planner-Args", theirs))
    text = Message(f"merge {refnames.PLAN}{name} of {source}", trailers).text()
    return Taken(name, "merged", commit_tree(repo.git, found.tree, (ours, theirs), text), found.told)


def _judge(repo: Repository, source: str, tips: Mapping[str, str]) -> None:
    """Refuse what is no plan before anything is moved; pages that are known are not judged again."""
    with repo.git.batch() as batch:
        for ref, oid in tips.items():
            try:
                Pages(repo, str(_plan_of(ref))).read(Snapshot(ref, oid, batch))
            except PlannerError as error:
                raise PlannerError(
                    error.code,
                    f"what '{source}' has is broken: {error.message}",
                    hint=f"have it mended there; nothing was changed here ({oid[:12]})",
                    details=error.details,
                ) from None


def _work(repo: Repository, plan: str, here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    """Branches of a plan's tasks and iterations that the remote has not, or has an earlier commit of."""
    with repo.git.batch() as batch:
        seen = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        tasks = [each for page in Pages(repo, plan).read(seen).values() for each in page["tasks"]]
    branches = {str(each["branch"]).removeprefix(refnames.HEADS) for each in tasks if each["branch"]}
    branches |= {each.branch for each in ledger.read_ledger(repo, plan) if each.branch}
    for ref in sorted(refnames.HEADS + branch for branch in branches):
        if ref not in here or _plan_of(ref):
            continue
        known = there.get(ref)
        if known != here[ref] and history.loses_nothing(repo.git, here[ref], known):
            yield ref


def _plan_of(ref: str) -> str | None:
    """The plan that a branch is of; None for every other branch."""
    name = ref.removeprefix(refnames.HEADS + refnames.PLAN)
    return name if name != ref and "/" not in name and is_plan_name(name) else None
