"""Taking the rolling best over to a base whose instrument has changed, and measuring it again there.

A change of the guard reaches the base branch by review. From then on results are another instrument's, and
the best has to be found anew: its code, merged with the new base, is measured beside that base. Where it
leads, the rolling best moves on to that merge; where it does not, the rolling best begins again as the base
has it. Either way it only goes forward, and no value of one instrument is held against one of another.

Where only other rules of the policy have changed (scope, agents, stop and so on), the best takes them over in
the same way; as values can be compared then, it stays where it is when the base's other news make it worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.records.recorder import Recorder, RecordResult, Tell
from git_planner.gitio import history
from git_planner.gitio.objects import commit_tree, merge_trees
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.rules import refnames

# What a person has to settle, and what keeps no candidate from being measured.
_SETTLED_BY_HAND = ("E_MERGE", "E_STATE", "E_CHECKED_OUT")


@dataclass(frozen=True, slots=True)
class OutdatedBest:
    """A rolling best that another instrument measured, or that has an older policy.

    `base` is the base branch's commit to take over; `comparable`: the instrument is the same.
    """

    plan: str
    best: str
    base: str
    comparable: bool

    @property
    def branch(self) -> str:
        """The rolling best's short name."""
        return refnames.best_ref(self.plan).removeprefix(refnames.HEADS)


def find_outdated_best(repo: Repository, plan: str, base: str | None) -> OutdatedBest | None:
    """Whether a plan's rolling best has to be measured again.

    Args:
        repo: the repository.
        plan: the plan's name.
        base: the trusted commit whose instrument is to count; the base branch as it stands when None.

    Returns:
        What to take over; None when there is no best, or when it has this instrument and policy, or newer.
    """
    best = repo.maybe(refnames.best_ref(plan))
    if best is None or best == base:
        return None
    checker = GuardChecker(repo)
    try:
        newer = checker.base_tips(best)[0] if base is None else next(checker.anchors(base), None)
        began = next(checker.anchors(best), None)
    except PlannerError as error:
        if error.code != "E_NO_BASE":
            raise
        return None
    if newer is None or began is None or not history.is_ancestor(repo.git, began, newer):
        return None
    if history.is_ancestor(repo.git, newer, best) or checker.rule_at(newer).policy is None:
        return None
    comparable = instrument_digest_at(repo, newer) == instrument_digest_at(repo, best)
    if comparable and checker.rule_at(newer).policy == checker.rule_at(best).policy:
        return None
    return OutdatedBest(plan, best, newer, comparable)


def remeasure_best(repo: Repository, plan: str, base: str | None, tell: Tell) -> RecordResult | None:
    """Take the rolling best over to the base branch and measure it there, if that is due.

    Args:
        repo: the repository.
        plan: the plan's name.
        base: as for `due`.
        tell: progress.

    Returns:
        The best's new record; None when nothing was due.

    Raises:
        PlannerError: E_MERGE when it does not merge with the base; what measuring and writing raise.
    """
    found = find_outdated_best(repo, plan, base)
    if found is None:
        return None
    why = "has an older policy" if found.comparable else "was measured by another instrument"
    tell(f"'{found.branch}' {why}: it is measured again, on {found.base[:12]}")
    forward = history.is_ancestor(repo.git, found.best, found.base)
    commit = found.base if forward else _merged(repo, found)
    subject = _base(repo, found) if forward else trusted_base.find_subject(repo, commit, plan)
    what = "with a new policy" if found.comparable else "by a new instrument"
    subject = replace(subject, notes=(*subject.notes, f"'{found.branch}' measured again {what}"))
    done = Recorder(repo, subject, tell, {}, force=False, advance=not forward).record()
    tell(f"'{found.branch}': {done.record.summary}")
    if done.record.verdict == "unmeasured":
        tell(f"'{found.branch}' stays where it is until it can be measured")
    elif done.record.verdict == "worse" and found.comparable and not forward:
        tell(f"'{found.branch}' stays where it is, with its older policy; merge the base branch by hand")
    elif done.record.verdict != "improved" or not done.advanced:
        leads = done.record.verdict in (("improved", "within_noise") if found.comparable else ("improved",))
        _move(repo, found, commit if forward or leads else _anew(repo, found), tell)
    return done


def with_current_best(repo: Repository, subject: Subject, tell: Tell) -> Subject:
    """Renew the best before a candidate is judged, and let the candidate's record say so.

    Args:
        repo: the repository.
        subject: the candidate; its base says which instrument counts.
        tell: progress.
    """
    if repo.maybe(refnames.best_ref(subject.plan)) in (None, subject.base, subject.commit):
        return subject
    try:
        done = remeasure_best(repo, subject.plan, subject.base, tell)
    except PlannerError as error:
        if error.code not in _SETTLED_BY_HAND:
            raise
        tell(f"{error.message} ({error.code})")
        note = f"the best was not measured again: {error.message}"
        return replace(subject, notes=(*subject.notes, note))
    if done is None:
        return subject
    note = f"the best was measured again by this instrument: {done.record.id}, {done.record.summary}"
    return replace(subject, notes=(*subject.notes, note))


def _base(repo: Repository, found: OutdatedBest) -> Subject:
    policy = policy_at(repo, found.base)
    return Subject(found.base, None, None, False, found.base, policy, found.plan, ("the trusted base",))


def _merged(repo: Repository, found: OutdatedBest) -> str:
    tree, conflicts = merge_trees(repo.git, found.best, found.base)
    if not conflicts and GuardChecker(repo).differences(found.base, tree):
        conflicts = ("guarded files would not be as the base branch has them",)
    if conflicts:
        raise PlannerError(
            "E_MERGE",
            f"'{found.branch}' does not merge with the base branch, whose guard has changed",
            hint=f"merge the base branch into '{found.branch}' by hand, with 'git merge'",
            details=conflicts[:20],
        )
    return _commit(repo, found, tree, "the guard of the base branch is taken over")


def _anew(repo: Repository, found: OutdatedBest) -> str:
    """The base's content after the best's commits: what does not lead any more is not built on."""
    return _commit(repo, found, repo.resolve(found.base, "tree"), "begins again as the base branch has it")


def _commit(repo: Repository, found: OutdatedBest, tree: str, words: str) -> str:
    # With the base's date, so that whoever takes it over at the same time makes the same commit.
    date = repo.git.line("log", "-1", "--no-show-signature", "--format=@%ct +0000", found.base)
    trailers = (("Planner-Op", "renew"), ("Planner-Args", f"{found.best} {found.base}"))
    message = Message(f"{found.branch}: {words}", trailers)
    return commit_tree(repo.git, tree, (found.best, found.base), message.text(), date=date)


def _move(repo: Repository, found: OutdatedBest, commit: str, tell: Tell) -> None:
    ref, moved = refnames.best_ref(found.plan), False

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal moved
        # Whoever moved it meanwhile knew more than we did.
        moved = seen[ref].tip == found.best
        return [Move(ref, commit)] if moved else []

    Store(repo).transact([ref], decide)
    if moved:
        tell(f"'{found.branch}' is {commit[:12]} now")
