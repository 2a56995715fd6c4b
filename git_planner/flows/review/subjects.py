"""Find what of a review needs an approval, and the policy that says so."""

from __future__ import annotations

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.planning.manual import find_packet, packet_subject, read_answer
from git_planner.flows.review.review import Review
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject, state_subject
from git_planner.rules.plans import plan as plans
from git_planner.rules.policy.policy import Policy


def find_subject(repo: Repository, review: Review) -> tuple[Policy, ReviewSubject]:
    """Return what is to be approved by a review, and the policy of its base.

    Raises:
        PlannerError: E_USAGE if there is nothing to approve yet; E_NO_POLICY, E_POLICY.
    """
    if review.kind == "directive":
        subject = _directive_subject(repo, review)
        return policy_at(repo, str(subject.base)), subject
    raise PlannerError(
        "E_USAGE",
        f"a {review.kind} has no approval of its own",
        hint=f"merge its branch on the hosting site: see 'git plan review {review.name}'",
    )


def _directive_subject(repo: Repository, review: Review) -> ReviewSubject:
    if not plans.packet_slug(review.name):
        from git_planner.flows.iterations.status import look_up_iteration
        from git_planner.flows.planning.list_iterations import list_iterations

        iteration = look_up_iteration(repo, review.name, list_iterations(repo))
        assert iteration.state is not None
        return state_subject(iteration.state, iteration.start or iteration.state.base)
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
