"""Find what of a review needs an approval, and the policy that says so."""

from __future__ import annotations

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.flows.discovery.plan_folder import OPTIONS
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.review.review import Review
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval import subject as subjects
from git_planner.rules.approval.decide import Approval
from git_planner.rules.approval.subject import ReviewSubject, state_subject
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.policy.policy import Policy


def find_subject(repo: Repository, review: Review) -> tuple[Policy, ReviewSubject]:
    """Return what is to be approved by a review, and the policy of its base with today's rule for reviews.

    Raises:
        PlannerError: E_USAGE if there is nothing to approve yet; E_NO_POLICY, E_POLICY.
    """
    policy, subject = _find_subject(repo, review)
    return with_trusted_rule(repo, policy, subject.kind), subject


def _find_subject(repo: Repository, review: Review) -> tuple[Policy, ReviewSubject]:
    if review.kind == "directive":
        subject = _directive_subject(repo, review)
        return policy_at(repo, str(subject.base)), subject
    if review.kind == "plan":
        return find_base(repo, review.name, None).policy, read_plan_subject(repo, review.name)
    if review.kind == "spec":
        from git_planner.flows.specs.compile import change_subject

        plan = plans.check_new_plan_name(review.name)
        return find_base(repo, plan, None).policy, change_subject(repo, review.name, plan, None)
    raise PlannerError(
        "E_USAGE",
        f"a {review.kind} proposal has no approval of its own",
        hint=f"merge its branch on the hosting site: see 'git plan review {review.name}'",
    )


def review_approval(repo: Repository, review: Review, *, ask: Progress | None = None) -> Approval | None:
    """Return the approval of what is reviewed, with its details; None if there is nothing to approve.

    Args:
        repo: the repository.
        review: the review.
        ask: ask the remote first, with this for progress messages.
    """
    if review.kind == "guard":
        return None
    try:
        # A large plan is not read where nothing asks for an approval.
        if review.kind == "plan":
            policy = with_trusted_rule(repo, find_base(repo, review.name, None).policy, "plan")
            if not policy.review.plans:
                return Approval("off")
        policy, subject = find_subject(repo, review)
    except PlannerError as error:
        if error.code in ("E_USAGE", "E_NO_POLICY", "E_UNKNOWN_REF", "E_SPEC"):
            return None
        raise
    return approval_of(repo, policy, subject, ask=ask, details=True)


def read_plan_subject(repo: Repository, plan: str) -> ReviewSubject:
    """Return what is to be approved of a plan: its goal, its options and its tasks.

    Raises:
        PlannerError: E_NO_PLAN, E_JSON, E_SCHEMA.
    """
    with repo.git.batch() as batch:
        snapshot = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        plan_pages = Pages(repo, plan).read(snapshot)
        if not plan_pages:
            raise missing_plan(plan, repo)
        options = snapshot.read(f"{refnames.plan_dir(plan)}/{OPTIONS}")
    first = plan_pages[pages.FIRST_PAGE]
    items = {subjects.GOAL: subjects.goal_digest(first)}
    if options is not None:
        items[subjects.OPTIONS] = subjects.text_digest(options)
    tasks = (document for page in plan_pages.values() for document in page["tasks"])
    items |= {str(document["uid"]): subjects.task_document_digest(document) for document in tasks}
    return subjects.plan_subject(plan, items)


def _directive_subject(repo: Repository, review: Review) -> ReviewSubject:
    if review.name.startswith(refnames.TOURNAMENT):
        from git_planner.flows.approval.tournament_prompt import find_prompt

        return find_prompt(repo, refnames.run_of_branch(review.name))[0]
    if not plans.packet_slug(review.name):
        from git_planner.flows.iterations.status import look_up_iteration
        from git_planner.flows.planning.list_iterations import list_iterations

        iteration = look_up_iteration(repo, review.name, list_iterations(repo))
        assert iteration.state is not None
        return state_subject(iteration.state, iteration.start or iteration.state.base)
    # The planners take long to import.
    from git_planner.flows.planning.manual import find_packet, packet_subject, read_answer

    pending = find_packet(repo, _packet_ref(repo, review.name))
    try:
        answer = read_answer(pending.answer or b"", review.name, pending.packet)
    except PlannerError as error:
        raise PlannerError(
            "E_USAGE",
            f"'{review.name}' has no answer that can be reviewed: {error.message}",
            hint=f"see 'git plan review {review.name}'",
        ) from None
    return packet_subject(pending, answer, pending.packet["base"])


def _packet_ref(repo: Repository, name: str) -> str:
    local, fetched = refnames.HEADS + name, f"refs/remotes/origin/{name}"
    return fetched if repo.maybe(local) is None and repo.maybe(fetched) is not None else local
