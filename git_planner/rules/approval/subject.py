"""Subjects of approvals: a directive, a plan or a spec, and the document that approves it. Pure.

Approvals are files on the plan's branch. Those below 'approved/' count by having been merged on the remote,
and nothing but a merge there brings them; those below 'signed/' count by the signature of their commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.review_rule import ReviewKind
from git_planner.rules.tasks.task import Task

APPROVAL_SCHEMA = "git-planner/approval@1"
APPROVED, SIGNED = "approved", "signed"
MAX_APPROVAL_BYTES = 4 * 1024 * 1024
# Items of a plan besides its tasks.
GOAL, OPTIONS = "goal", "options"
# A task is what it asks for; its number, order, status, attempts and results are not.
_TASK_FIELDS = (
    "title",
    "intent",
    "actions",
    "read_scope",
    "write_scope",
    "acceptance",
    "verify",
    "risks",
    "references",
)


@dataclass(frozen=True, slots=True)
class ReviewSubject:
    """The thing that is to be approved.

    `name` is what people call it: a branch, a plan, a spec's change. `digest` is that of a directive, of a
    spec's files or, for a plan, of its `items`: name -> digest, of its goal, its options and its tasks.
    `base` is the commit that a directive runs on. `document` is the directive. `commit` is one whose author
    wrote it, if this repository has one.
    """

    kind: ReviewKind
    plan: str
    name: str
    digest: str
    base: str | None = None
    items: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    commit: str | None = None


def directive_subject(
    plan: str, branch: str, document: Mapping[str, Any], base: str, *, commit: str | None = None
) -> ReviewSubject:
    """Return the subject of a complete, valid directive."""
    digest = canonical_json.digest(document)
    return ReviewSubject("directive", plan, branch, digest, base, document=document, commit=commit)


def state_subject(state: IterationState, start: str) -> ReviewSubject:
    """Return the subject of an iteration that `start`, its first commit, has begun."""
    return directive_subject(state.plan, state.branch, state.directive.document(), state.base, commit=start)


def is_tournament(name: str) -> bool:
    """Return whether a directive of this name is the prompt of a tournament."""
    return name.startswith(refnames.TOURNAMENT)


def tournament_subject(
    plan: str, run: str, document: Mapping[str, Any], base: str, *, commit: str | None = None
) -> ReviewSubject:
    """Return the subject of a tournament's prompt; it is approved as a directive is.

    Args:
        plan: the plan of the tournament.
        run: its name.
        document: the valid document of its turn, a 'tournament-prompt'.
        base: the commit that its variants start from.
        commit: one whose author wrote the prompt, if this repository has one.
    """
    return directive_subject(plan, refnames.TOURNAMENT + run, document, base, commit=commit)


def plan_subject(plan: str, items: Mapping[str, str], *, name: str | None = None) -> ReviewSubject:
    """Return the subject of a plan, or of some items of it, which messages call by a name."""
    digest = canonical_json.digest(dict(items))
    return ReviewSubject("plan", plan, name or refnames.PLAN + plan, digest, items=dict(items))


def spec_subject(plan: str, change: str, content: Any) -> ReviewSubject:
    """Return the subject of a spec's change from its parsed content, from which tasks are compiled."""
    return ReviewSubject("spec", plan, change, canonical_json.digest(content))


def task_digest(task: Task) -> str:
    """Return the digest of what a task asks for."""
    return task_document_digest(task.document())


def task_document_digest(document: Mapping[str, Any]) -> str:
    """Return the digest of what the task of a valid document asks for."""
    return canonical_json.digest({name: document.get(name) for name in _TASK_FIELDS})


def goal_digest(plan: Mapping[str, Any]) -> str:
    """Return the digest of the goal of a plan's document, with its constraints and criteria."""
    return canonical_json.digest({name: plan[name] for name in ("goal", "constraints", "acceptance")})


def text_digest(text: str | bytes) -> str:
    """Return the digest of a text, such as a plan's options or a tournament's prompt."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def approvals_folder(plan: str, how: str) -> str:
    """Return the folder of a plan's branch that holds its approvals of one way."""
    return f"{refnames.plan_dir(plan)}/{how}"


def approved_path(subject: ReviewSubject) -> str:
    """Return the path of an approval by merge on the plan's branch."""
    return f"{approvals_folder(subject.plan, APPROVED)}/{subject.kind}-{subject.digest}.json"


def signed_path(subject: ReviewSubject, address: str) -> str:
    """Return the path of the approval that a person signs on the plan's branch."""
    who = refnames.slug(address.rstrip(">"), "x")
    return f"{approvals_folder(subject.plan, SIGNED)}/{subject.kind}-{subject.digest}-{who}.json"


def approval_document(subject: ReviewSubject, author: str, at: str, note: str = "") -> dict[str, Any]:
    """Return the document that approves a subject.

    Args:
        subject: what is approved.
        author: who writes it, as 'Name <address>'.
        at: the time in UTC.
        note: remarks of the author.
    """
    return {
        "schema": APPROVAL_SCHEMA,
        "kind": subject.kind,
        "plan": subject.plan,
        "name": subject.name,
        "digest": subject.digest,
        "base": subject.base,
        "items": dict(subject.items),
        "document": subject.document,
        "author": author,
        "at": at,
        "note": note,
    }


def request_branch(subject: ReviewSubject) -> str:
    """Return the short name of the branch that proposes an approval: what a pull request is opened from."""
    name = subject.name if subject.kind != "spec" else f"spec-{subject.name}"
    return f"{refnames.REVIEW}{refnames.slug(name.removeprefix(refnames.ITER).replace('/', '-'), 'x')}"
