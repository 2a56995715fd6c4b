"""`git plan review`: find what is to be reviewed, and render it as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import review_iteration
from git_planner.flows.review.shown import shown
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.decide import Approval
from git_planner.rules.plans import plan as plans
from git_planner.rules.review.directive_review import DirectiveReview, directive_title, render_directive

Kind = Literal["directive", "plan", "spec", "guard"]
_REMOTE = "refs/remotes/origin/"
_CHANGES = "openspec/changes/"


@dataclass(frozen=True, slots=True)
class Review:
    """A review: what it is about, its title and its Markdown, and the source that it was made from."""

    kind: Kind
    name: str
    title: str
    body: str
    source: Any
    approval: Approval | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that it was made from, bounded and with secrets masked."""
        source = self.source
        return dict(source) if isinstance(source, Mapping) else shown(asdict(source))

    def document(self) -> dict[str, Any]:
        """Return the review as one JSON document."""
        approval = {"approval": self.approval.document()} if self.approval else {}
        return {
            **approval,
            "schema": "git-planner/review@1",
            "kind": self.kind,
            "name": self.name,
            "title": self.title,
            "body": self.body,
            "facts": self.facts,
        }


def review(repo: Repository, what: str | None) -> Review:
    """Render a directive, plan, spec or guard proposal for people; nothing is changed.

    Args:
        repo: the repository.
        what: a branch, the number of an iteration, 'bo4/RUN' for the prompt of a tournament, the name of a
            plan, or that of a spec's change (default: the checked-out branch, else the newest open
            directive).

    Raises:
        PlannerError: E_UNKNOWN_REF if it names none of them; what the readers of each raise.
    """
    name = _branch_name(what) if what is not None else _head_name(repo)
    if name is None:
        return _review_directive(repo, None)
    if name.startswith(refnames.PROPOSALS):
        return _review_guard(repo, name)
    if name.startswith(refnames.TOURNAMENT):
        return _review_tournament(repo, name)
    if plans.packet_slug(name):
        return _review_packet(repo, _branch_ref(repo, name))
    plan = name.removeprefix(refnames.PLAN)
    # A plan that is named by its branch is reported as missing by its reader.
    if plans.is_plan_name(plan) and (plan != name or repo.maybe(refnames.plan_ref(plan)) is not None):
        return _review_plan(repo, plan)
    return _review_spec(repo, name) or _review_directive(repo, name)


# Each kind imports its own readers: together they take longer to import than a review takes.
def _review_guard(repo: Repository, name: str) -> Review:
    from git_planner.flows.review.guard import review_guard
    from git_planner.rules.review.guard_review import guard_title, render_guard

    facts = review_guard(repo, name, _branch_ref(repo, name))
    return _made("guard", name, guard_title(facts), render_guard(facts), facts)


def _review_tournament(repo: Repository, name: str) -> Review:
    from git_planner.flows.approval.tournament_prompt import find_prompt
    from git_planner.flows.review.tournament import review_prompt
    from git_planner.rules.review.tournament_review import render_tournament, tournament_title

    subject, run = find_prompt(repo, refnames.run_of_branch(name))
    phase = "its agents were started" if run.stage("watch") else "its agents are still to be started"
    facts = review_prompt(repo, subject, phase=phase, author="")
    # It is approved as a directive is.
    return _made("directive", subject.name, tournament_title(facts), render_tournament(facts), facts)


def _review_packet(repo: Repository, ref: str) -> Review:
    from git_planner.flows.review.packet import review_packet

    return _directive(review_packet(repo, ref))


def _review_plan(repo: Repository, plan: str) -> Review:
    from git_planner.flows.review.plan import review_plan
    from git_planner.rules.review.plan_review import plan_title, render_plan

    facts = review_plan(repo, plan)
    return _made("plan", plan, plan_title(facts), render_plan(facts), facts)


def _review_spec(repo: Repository, name: str) -> Review | None:
    """Return the review of a spec's change; None if there is no change of that name."""
    slug = name.removeprefix(_CHANGES).rstrip("/")
    if slug != refnames.slug(slug, "") or slug.isdigit():
        return None
    from git_planner.flows.review.spec import has_change, review_spec
    from git_planner.rules.review.spec_review import render_spec, spec_title

    if not has_change(repo, slug):
        return None
    facts = review_spec(repo, slug)
    return _made("spec", slug, spec_title(facts), render_spec(facts), facts)


def _review_directive(repo: Repository, name: str | None) -> Review:
    reader = LedgerReader(repo)
    iterations = list_iterations(repo, reader=reader)
    chosen = _newest_open(iterations) if name is None else _named_iteration(repo, name, iterations)
    if chosen is None:
        return _review_newest_packet(repo)
    return _directive(review_iteration(repo, chosen, iterations, reader))


def _review_newest_packet(repo: Repository) -> Review:
    from git_planner.flows.plans.list_plans import packet_branches

    packets = packet_branches(repo)
    if packets:
        return _review_packet(repo, refnames.HEADS + packets[0])
    raise PlannerError(
        "E_UNKNOWN_REF",
        "no directive waits for a review",
        hint="name a plan, a spec or a branch: 'git plan review NAME'",
    )


def _named_iteration(repo: Repository, name: str, iterations: Sequence[Iteration]) -> Iteration:
    from git_planner.flows.iterations.status import look_up_iteration

    try:
        return look_up_iteration(repo, name, iterations)
    except PlannerError as error:
        if error.code != "E_UNKNOWN_REF":
            raise
        raise PlannerError(
            "E_UNKNOWN_REF",
            f"'{name[:80]}' names no directive, plan, spec or guard proposal here",
            hint="list them with 'git plan list' and 'git iterate list'",
        ) from None


def _newest_open(iterations: Sequence[Iteration]) -> Iteration | None:
    """Return the newest iteration without a result that a planner made."""
    return next(
        (
            iteration
            for iteration in reversed(iterations)
            if iteration.state is not None
            and iteration.phase != "recorded"
            and not is_task_iteration(iteration)
        ),
        None,
    )


def _head_name(repo: Repository) -> str | None:
    """Return the checked-out branch if it can be reviewed."""
    head = repo.head_branch()
    if head is None or refnames.is_best(head):
        return None
    return head if head.startswith(refnames.PLAN) or refnames.parse_iteration(head) else None


def _branch_name(what: str) -> str:
    return refnames.short_name(what).removeprefix("refs/remotes/").removeprefix("origin/")


def _branch_ref(repo: Repository, name: str) -> str:
    """Return the full name of a branch, of this clone or as fetched from origin."""
    local = refnames.HEADS + name
    return _REMOTE + name if repo.maybe(local) is None and repo.maybe(_REMOTE + name) else local


def _directive(facts: DirectiveReview) -> Review:
    return _made("directive", facts.branch, directive_title(facts), render_directive(facts), facts)


def _made(kind: Kind, name: str, title: str, body: str, facts: Any) -> Review:
    return Review(kind, name, redact.mask_text(title), redact.mask_text(body), facts)
