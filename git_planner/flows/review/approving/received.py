"""Approvals that a server requires of a push, as its hook 'pre-receive' reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from git_planner.config.policy_file import policy_or_none
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.flows.guard.check_range import CheckReport, check_received
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.ref_updates import RefUpdate, parse_ref_updates
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.decide import sentence
from git_planner.rules.approval.subject import (
    APPROVED,
    SIGNED,
    ReviewSubject,
    approvals_folder,
    plan_subject,
    task_digest,
)
from git_planner.rules.delegation.task_prompt import task_directive
from git_planner.rules.documents import canonical_json
from git_planner.rules.guard.guard import CheckFinding
from git_planner.rules.plans.plan import is_plan_name
from git_planner.rules.policy.policy import Policy

_FIX = "open a review with 'git plan review --open', and push again when it is approved"
_MAX_COMMITS, _MAX_PLANS = 10_000, 500


@dataclass(frozen=True, slots=True)
class _WorkCommit:
    """A pushed commit with its trailers: the digest of its directive, its task and its plan; '' without."""

    oid: str
    directive: str
    task: str
    plan: str


def check_received_push(repo: Repository, lines: str, *, most: int = _MAX_COMMITS) -> CheckReport:
    """Check the ref updates of a push: guard, documents, and approvals where the server's base requires them.

    Args:
        repo: the receiving repository.
        lines: 'old new ref', one per line.
        most: the largest number of commits that a push to the base may bring.

    Raises:
        PlannerError: as `check_received`.
    """
    report = check_received(repo, lines)
    base = GuardChecker(repo).base_branch
    policy = policy_or_none(repo, base[1][0]) if base is not None and base[1] else None
    if base is None or policy is None or policy.review.is_off:
        return report
    findings: list[CheckFinding] = []
    for move in parse_ref_updates(lines):
        if move.ref == refnames.HEADS + base[0] and move.new is not None:
            findings += _unapproved_work(repo, policy, move, most)
        elif is_plan_name(move.ref.removeprefix(refnames.HEADS + refnames.PLAN)):
            findings += _taken_back(repo, move)
    return replace(report, findings=(*report.findings, *findings))


def _taken_back(repo: Repository, move: RefUpdate) -> Iterator[CheckFinding]:
    """Yield a finding for a plan's branch that is removed or loses commits: approvals would go with them."""
    name = refnames.short_name(move.ref)
    if move.old is not None and move.new is None:
        yield CheckFinding(
            "error", "review", f"'{name}' would be removed, with its approvals", None, None, "keep it"
        )
    elif move.old is not None and not history.is_ancestor(repo.git, move.old, str(move.new)):
        message = f"'{name}' would lose commits; a plan under review only grows"
        yield CheckFinding("error", "review", message, None, move.new, "merge with 'git plan push'")


def _unapproved_work(repo: Repository, policy: Policy, move: RefUpdate, most: int) -> Iterator[CheckFinding]:
    """Yield a finding for each directive and task of the pushed commits that is not approved."""
    rule, tasks, directives = policy.review, set[tuple[str, str]](), dict[str, _WorkCommit]()
    seen = set[str]()
    for commit in _work_commits(repo, move, most + 1):
        seen.add(commit.oid)
        if commit.task:
            tasks.add((commit.plan, commit.task))
        if commit.directive:
            directives.setdefault(commit.directive, commit)
    if len(seen) > most:
        message = f"more than {most:,} commits, whose approvals cannot all be checked"
        yield CheckFinding("error", "review", message, None, move.new, "push them in parts")
        return
    for plan, name in sorted(tasks):
        problem, digest = _task_problem(repo, policy, plan, name)
        # What a task's directive says is the task's own.
        directives.pop(digest, None)
        if rule.plans and problem:
            yield CheckFinding("error", "review", problem, None, move.new, _FIX)
    for commit in directives.values() if rule.directives else ():
        problem = _directive_problem(repo, policy, commit)
        if problem:
            yield CheckFinding("error", "review", problem, None, commit.oid, _FIX)


def _work_commits(repo: Repository, move: RefUpdate, most: int) -> Iterator[_WorkCommit]:
    keys = ("Planner-Directive", "Planner-Task", "Planner-Plan")
    trailers = "%x00".join(f"%(trailers:key={key},valueonly,unfold)" for key in keys)
    excluded = [f"^{move.old}"] if move.old else []
    args = ("log", "-z", "--no-show-signature", "--no-color", f"--max-count={most}")
    raw = repo.git.bytes(*args, f"--format=%H%x00{trailers}", str(move.new), *excluded)
    fields = raw.decode(errors="replace").split("\0")
    for at in range(0, len(fields) - 3, 4):
        oid, directive, task, plan = (field.strip() for field in fields[at : at + 4])
        # A commit may name several; each of them counts.
        for name, digest in zip_longest(task.splitlines(), directive.splitlines() or [""], fillvalue=""):
            yield _WorkCommit(oid, digest, name, plan.partition("\n")[0])


def _task_problem(repo: Repository, policy: Policy, plan: str, name: str) -> tuple[str, str]:
    """Return why a task is not approved ('' if it is), and the digest of its directive."""
    try:
        task = read_tasks(repo, refnames.check_plan_name(plan or "default")).task(name)
    except PlannerError as error:
        return f"the task '{name[:80]}' of plan '{plan[:80]}' is not known here: {error.message}", ""
    plan = plan or "default"
    subject = plan_subject(plan, {task.uid: task_digest(task)}, name=task.id)
    approval = approval_of(repo, policy, subject, reviewed=refnames.plan_ref(plan))
    problem = "" if approval.ok else f"the task '{task.id}' of plan '{plan}' {sentence(approval)}"
    return problem, canonical_json.digest(task_directive(task).document())


def _directive_problem(repo: Repository, policy: Policy, commit: _WorkCommit) -> str:
    """Return why the directive of a commit is not approved on a plan's branch here; '' if it is."""
    digest, problem = commit.directive, ""
    for plan in _plans(repo, commit.plan):
        ref = refnames.plan_ref(plan)
        folders = [approvals_folder(plan, how) for how in (APPROVED, SIGNED)]
        paths = [
            path for folder in folders for path in list_approvals(repo, ref, folder, f"directive-{digest}")
        ]
        for path in paths:
            document = read_approval(repo, f"{ref}:{path}")
            if document is None:
                continue
            subject = ReviewSubject("directive", plan, document["name"], digest, document["base"])
            approval = approval_of(repo, policy, subject, reviewed=ref)
            if approval.ok:
                return ""
            problem = f"the directive '{document['name']}' {sentence(approval)}"
    return problem or f"the directive {digest[:12]} of a commit has no approval on a plan's branch here"


def _plans(repo: Repository, named: str) -> Sequence[str]:
    prefix = refnames.HEADS + refnames.PLAN
    names = [ref.removeprefix(prefix) for ref in history.list_refs(repo, prefix)]
    plans = [name for name in names if is_plan_name(name)]
    return [name for name in plans if name == named] if named else plans[:_MAX_PLANS]
