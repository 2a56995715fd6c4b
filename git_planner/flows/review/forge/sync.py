"""`git plan review sync`: what reviewers said becomes remarks, notes and answers on the plan's branch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.approval import reviewed_branch
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.flows.forge.choose import find_address, find_client
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.plans.remarks import parse_remark
from git_planner.flows.review.forge.trailers import trailer_remarks
from git_planner.flows.review.review import Review
from git_planner.flows.review.review import review as render
from git_planner.flows.review.subjects import find_subject
from git_planner.flows.tasks.edit import appended_handoff
from git_planner.gitio import history, remote
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Edits, Message, Snapshot, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import request_branch
from git_planner.rules.documents import canonical_json
from git_planner.rules.forge.pull_request import ForgeComment, PullRequest, is_own_text
from git_planner.rules.plans.remarks import (
    MAX_REMARKS,
    Remark,
    clean_remark,
    remark_path,
    remarks_folder,
    sort_remarks,
    task_note,
)
from git_planner.rules.policy.review_rule import ReviewRule
from git_planner.rules.tasks import handoff, transitions
from git_planner.rules.tasks.task import QuestionAnswer, Task, add_notes, task_from, task_number


@dataclass(frozen=True, slots=True)
class SyncedReview:
    """Result of a sync of one review.

    `remarks` are new here; `known` counts those that were here already, `unheard` what people said who do
    not count as reviewers. `answered` and `noted` are the tasks that got an answer or a note. `request` is
    the pull request, if the site was asked and has one; `problem` says why the site was not asked.
    """

    review: Review
    plan: str
    remarks: Sequence[Remark]
    known: int
    unheard: int
    answered: Sequence[str]
    noted: Sequence[str]
    request: PullRequest | None
    problem: str

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        request = self.request
        return {
            "schema": "git-planner/synced-review@1",
            "kind": self.review.kind,
            "name": self.review.name,
            "plan": self.plan,
            "remarks": [remark.document() for remark in self.remarks],
            "known": self.known,
            "unheard": self.unheard,
            "answered": list(self.answered),
            "noted": list(self.noted),
            "request": request and {"number": request.number, "url": request.url, "state": request.state},
            "problem": self.problem,
        }


def sync_review(repo: Repository, what: str | None, progress: Progress) -> SyncedReview:
    """Bring what reviewers said about one thing; done again, it adds nothing.

    Args:
        repo: the repository.
        what: what is reviewed, see `review`.
        progress: called with each progress message.

    Raises:
        PlannerError: what `review` raises; E_REMOTE; E_FORGE and E_DEADLINE if the site fails, after what
            commits say has been kept.
    """
    review = render(repo, what)
    target = _find_target(repo, review)
    about = f"{review.kind} {review.name}"
    remarks = _remarks_of_commits(repo, target, about, progress)
    request, comments, problem = None, list[ForgeComment](), ""
    failure: PlannerError | None = None
    try:
        request, comments, problem = _ask_site(repo, target)
    except PlannerError as error:
        failure = error
    heard = [comment for comment in comments if comment.is_reviewer and not is_own_text(comment.text)]
    remarks += [_remark_of(comment, about) for comment in heard]
    now = repo.now()
    remarks = [
        remark if remark.at else remark._replace(at=now)
        for remark in remarks
        if remark.text or remark.decision != "comment"
    ]
    kept = _keep(repo, target, sort_remarks({remark.id: remark for remark in remarks}.values()))
    if failure is not None:
        raise failure
    return SyncedReview(
        review=review,
        plan=target.plan,
        remarks=tuple(kept.remarks),
        known=len(remarks) - len(kept.remarks),
        unheard=sum(not comment.is_reviewer for comment in comments),
        answered=tuple(kept.answered),
        noted=tuple(kept.noted),
        request=request,
        problem=problem,
    )


@dataclass(frozen=True, slots=True)
class _SyncTarget:
    """The place where remarks are read and kept: the rule, the plan that keeps them, the request's branch.

    `base` is the commit that is reviewed against, None if there is none; `named` is what the commit says.
    """

    rule: ReviewRule
    plan: str
    head: str
    base: str | None
    start: str
    named: str


def _find_target(repo: Repository, review: Review) -> _SyncTarget:
    """Return where the remarks on a review are read and kept; those on a guard proposal: in the current plan.

    Raises:
        PlannerError: as `find_subject`; E_NO_POLICY, E_POLICY.
    """
    if review.kind == "guard":
        plan, commit = needed_plan(repo, None), str(review.facts["commit"])
        policy = with_trusted_rule(repo, find_base(repo, plan, None).policy, "directive")
        rule, base = policy.review, str(review.facts["base"])
        return _SyncTarget(rule, plan, review.name, base, base, f"guard {commit}")
    policy, subject = find_subject(repo, review)
    start, named = subject.base or policy.base, f"{subject.kind} {subject.digest}"
    return _SyncTarget(policy.review, subject.plan, request_branch(subject), subject.base, start, named)


def _ask_site(repo: Repository, target: _SyncTarget) -> tuple[PullRequest | None, list[ForgeComment], str]:
    address = find_address(repo, target.rule.remote)
    if address is None:
        return None, [], f"'{target.rule.remote}' is on no hosting site that is known"
    client = find_client(repo, address)
    if client is None:
        return None, [], f"no client is installed and logged in at '{address.host}'"
    request = client.find(target.head)
    return request, client.comments(request) if request else [], ""


def _remarks_of_commits(
    repo: Repository, target: _SyncTarget, about: str, progress: Progress
) -> list[Remark]:
    """Return the remarks in the remote's commits of the proposing branch and of the reviewed one."""
    rule, start = target.rule, target.start
    tip = reviewed_branch.refresh(repo, rule.remote, target.plan, progress)
    head = refnames.HEADS + target.head
    proposed = remote.listing(repo, rule.remote, head).get(head)
    if proposed is not None and not history.is_complete(repo.git, proposed):
        remote.fetch_commits(repo, rule.remote, [head], progress)
    remarks: list[Remark] = []
    if proposed is not None:
        known = (f"^{tip}", f"^{start}") if tip and about.startswith("guard ") else (f"^{tip or start}",)
        remarks += trailer_remarks(repo, (proposed, *known), about, rule)
    if tip is not None and repo.maybe(start) is not None:
        plan = f"plan {target.plan}"
        remarks += trailer_remarks(repo, (tip, f"^{start}"), plan, rule)
    return remarks


def _remark_of(comment: ForgeComment, about: str) -> Remark:
    # Masked before it is cut: half a secret would not be recognised.
    text = redact.mask_text(comment.text[:200_000])
    return clean_remark(
        Remark(
            id=comment.id,
            about=about,
            author=comment.author,
            at=comment.at,
            decision=comment.decision,
            text=text,
            place=comment.place,
            url=comment.url,
        )
    )


@dataclass(slots=True)
class _Kept:
    """Additions of a decision: new remarks, tasks that got an answer, tasks that got a note."""

    remarks: list[Remark] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)


def _keep(repo: Repository, target: _SyncTarget, remarks: Sequence[Remark]) -> _Kept:
    """Write the remarks that the plan's branch does not have, and what they say to tasks, in one commit."""
    plan, kept = target.plan, _Kept()
    page_store, edits = Pages(repo, plan), dict[str, bytes | None]()

    def change(snapshot: Snapshot) -> Edits:
        kept.remarks, kept.answered, kept.noted = [], [], []
        edits.clear()
        room = MAX_REMARKS - len(snapshot.names(remarks_folder(plan)))
        for remark in remarks:
            path = remark_path(plan, remark)
            content = canonical_json.dumps(remark.document())
            before = snapshot.read(path)
            if before is None and len(kept.remarks) < room:
                kept.remarks.append(remark)
                edits[path] = content
            elif before is not None and before != content and _is_edited(before, remark):
                edits[path] = content
        edits.update(_tell_tasks(page_store, snapshot, kept))
        return edits

    message = Message(
        f"plan {plan}: what reviewers said",
        (("Planner-Op", "review-sync"), ("Planner-Args", target.named)),
    )
    Store(repo).edit(refnames.plan_ref(plan), change, message, base=target.base)
    page_store.mark_valid(edits)
    return kept


def _is_edited(before: bytes, remark: Remark) -> bool:
    """Return whether a person has changed the words of a remark that is kept already."""
    with suppress(PlannerError):
        return parse_remark(before, remark.id).text != remark.text
    return True


def _tell_tasks(page_store: Pages, snapshot: Snapshot, kept: _Kept) -> Edits:
    """Return the edits that answer the open questions of tasks, or add notes to them."""
    numbers = {task_number(remark.task): remark.task for remark in kept.remarks if remark.task}
    if not numbers or snapshot.tip is None:
        return {}
    plan_pages = page_store.read(snapshot)
    tasks = {
        task_number(document["id"]): task_from(document)
        for page in plan_pages.values()
        for document in page["tasks"]
        if task_number(document["id"]) in numbers
    }
    folder, files = refnames.plan_dir(page_store.plan), dict[str, bytes | None]()
    for remark in kept.remarks:
        task = tasks.get(task_number(remark.task)) if remark.task else None
        if task is None or not remark.text:
            continue
        path = handoff.handoff_path(folder, task)
        is_answer = task.open_question is not None
        entry = handoff.render_entry(
            "Answer" if is_answer else "Note", remark.at, remark.author, [remark.text]
        )
        present = files.get(path) or snapshot.read(path)
        files[path] = appended_handoff(present, task, entry)
        tasks[task.number] = _tell(task, remark)._replace(handoff=path)
        (kept.answered if is_answer else kept.noted).append(task.id)
    changed = [task for task in tasks.values() if task.id in (*kept.answered, *kept.noted)]
    return {**files, **page_store.task_edits(plan_pages, changed)} if changed else {}


def _tell(task: Task, remark: Remark) -> Task:
    if task.open_question is not None:
        return transitions.answer_question(task, QuestionAnswer(remark.at, remark.author, remark.text))
    return add_notes(task, task_note(remark))
