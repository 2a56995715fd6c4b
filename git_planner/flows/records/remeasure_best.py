"""Re-measure the rolling best after the base branch has changed the instrument or the policy.

After a reviewed change of the guard reaches the base branch, results come from a new instrument. The best
is merged with the new base, and both are measured. If the merge is better, the rolling best moves to it;
otherwise it restarts from the base's content. It only fast-forwards, and values of two instruments are never
compared.

If only other parts of the policy have changed (scope, agents, stop and so on), the best is merged in the same
way. Values are comparable then, so the best stays where it is if the base's other changes make it worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, on_one_worker
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.plans.best_place import check_best, move_best
from git_planner.flows.records.recorder import Recorder, RecordResult
from git_planner.gitio import history
from git_planner.gitio.objects import commit_tree, merge_trees
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames

# Errors that a person has to resolve, and that must not block measuring a candidate.
_SETTLED_BY_HAND = ("E_BEST_MOVED", "E_MERGE", "E_STATE", "E_CHECKED_OUT")


@dataclass(frozen=True, slots=True)
class OutdatedBest:
    """Rolling best with an older instrument or policy.

    `base` is the base branch's commit to merge; `comparable`: the instrument is the same.
    """

    plan: str
    best: str
    base: str
    comparable: bool

    @property
    def branch(self) -> str:
        """Return the rolling best's short name."""
        return refnames.short_name(refnames.best_ref(self.plan))


def find_outdated_best(repo: Repository, plan: str, base: str | None) -> OutdatedBest | None:
    """Find out whether a plan's rolling best has to be measured again.

    Args:
        repo: the repository.
        plan: the plan's name.
        base: the trusted commit with the new instrument (default: the base branch's tip).

    Returns:
        The outdated best; None without a best, or if its instrument and policy are current or newer.
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


def remeasure_best(
    repo: Repository, plan: str, base: str | None, progress: Progress, bench: Bench | None = None
) -> RecordResult | None:
    """Merge the rolling best with the base branch and measure it, if it is outdated.

    Args:
        repo: the repository.
        plan: the plan's name.
        base: as for `find_outdated_best`.
        progress: called with each progress message.
        bench: where it is measured (default: this host).

    Returns:
        The best's new record; None if it is current.

    Raises:
        PlannerError: E_BEST_MOVED; E_MERGE when it does not merge with the base; what measuring and
            writing raise.
    """
    check_best(repo, plan)
    outdated = find_outdated_best(repo, plan, base)
    if outdated is None:
        return None
    cause = "has an older policy" if outdated.comparable else "was measured by another instrument"
    progress(f"'{outdated.branch}' {cause}: it is measured again, on {outdated.base[:12]}")
    forward = history.is_ancestor(repo.git, outdated.best, outdated.base)
    commit = outdated.base if forward else _merge_base_branch(repo, outdated)
    subject = _base_subject(repo, outdated) if forward else trusted_base.find_subject(repo, commit, plan)
    reason = "with a new policy" if outdated.comparable else "by a new instrument"
    subject = replace(subject, notes=(*subject.notes, f"'{outdated.branch}' measured again {reason}"))
    result = on_one_worker(
        lambda: Recorder(repo, subject, progress, {}, force=False, advance=not forward, bench=bench).record(),
        progress,
    )
    progress(f"'{outdated.branch}': {result.record.summary}")
    if result.record.verdict == "unmeasured":
        progress(f"'{outdated.branch}' stays where it is until it can be measured")
    elif result.record.verdict == "worse" and outdated.comparable and not forward:
        progress(
            f"'{outdated.branch}' stays where it is, with its older policy; merge the base branch by hand"
        )
    elif result.record.verdict != "improved" or not result.advanced:
        leads = result.record.verdict in (
            ("improved", "within_noise") if outdated.comparable else ("improved",)
        )
        _move_best(
            repo, outdated, commit if forward or leads else _restart_from_base(repo, outdated), progress
        )
    return result


def with_current_best(
    repo: Repository, subject: Subject, progress: Progress, bench: Bench | None = None
) -> Subject:
    """Re-measure the best before a candidate is measured; add a note to the candidate.

    Args:
        repo: the repository.
        subject: the candidate; its base has the current instrument.
        progress: called with each progress message.
        bench: where it is measured (default: this host).
    """
    if repo.maybe(refnames.best_ref(subject.plan)) in (None, subject.base, subject.commit):
        return subject
    try:
        result = remeasure_best(repo, subject.plan, subject.base, progress, bench)
    except PlannerError as error:
        if error.code not in _SETTLED_BY_HAND:
            raise
        progress(f"{error.message} ({error.code})")
        note = f"the best was not measured again: {error.message}"
        return replace(subject, notes=(*subject.notes, note))
    if result is None:
        return subject
    note = f"the best was measured again by this instrument: {result.record.id}, {result.record.summary}"
    return replace(subject, notes=(*subject.notes, note))


def _base_subject(repo: Repository, outdated: OutdatedBest) -> Subject:
    policy = policy_at(repo, outdated.base)
    return Subject(
        outdated.base, None, None, False, outdated.base, policy, outdated.plan, ("the trusted base",)
    )


def _merge_base_branch(repo: Repository, outdated: OutdatedBest) -> str:
    tree, conflicts = merge_trees(repo, outdated.best, outdated.base)
    if not conflicts and GuardChecker(repo).differences(outdated.base, tree):
        conflicts = ("guarded files would not be as the base branch has them",)
    if conflicts:
        raise PlannerError(
            "E_MERGE",
            f"'{outdated.branch}' does not merge with the base branch, whose guard has changed",
            hint=f"merge the base branch into it with 'git merge', then run 'git record {outdated.branch}'",
            details=conflicts[:20],
        )
    return _make_commit(repo, outdated, tree, "the guard of the base branch is taken over")


def _restart_from_base(repo: Repository, outdated: OutdatedBest) -> str:
    """Commit the base's content on top of the best, so that the rolling best restarts from it."""
    return _make_commit(
        repo, outdated, repo.resolve(outdated.base, "tree"), "begins again as the base branch has it"
    )


def _make_commit(repo: Repository, outdated: OutdatedBest, tree: str, subject: str) -> str:
    # The base's date makes concurrent merges produce the same commit.
    date = repo.git.line("log", "-1", "--no-show-signature", "--format=@%ct +0000", outdated.base)
    trailers = (("Planner-Op", "renew"), ("Planner-Args", f"{outdated.best} {outdated.base}"))
    message = Message(f"{outdated.branch}: {subject}", trailers)
    return commit_tree(repo.git, tree, (outdated.best, outdated.base), message.text(), date=date)


def _move_best(repo: Repository, outdated: OutdatedBest, commit: str, progress: Progress) -> None:
    ref, moved = refnames.best_ref(outdated.plan), False

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal moved
        # A concurrent update has newer information.
        moved = snapshots[ref].tip == outdated.best
        return [move_best(outdated.plan, commit)] if moved else []

    Store(repo).transact([ref], decide)
    if moved:
        progress(f"'{outdated.branch}' is {commit[:12]} now")
