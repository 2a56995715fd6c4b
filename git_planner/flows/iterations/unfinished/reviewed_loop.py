"""`git iterate --loop --wait-review`: plan ahead, ask for approvals, and run what people have approved."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import ask_remote
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.flows.iterations.iterate import IterateOptions, IterationResult, plan_attempt
from git_planner.flows.iterations.review_queue import WaitingDirective, waiting_directives
from git_planner.flows.iterations.unfinished.abandon import abandon_iteration
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.remarks import read_remarks
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

# Errors of a remote or a hosting site, after which it is asked again.
_AGAIN = ("E_REMOTE", "E_FORGE", "E_DEADLINE", "E_CONFLICT")


@dataclass(frozen=True, slots=True)
class ReviewWait:
    """The steps by which a loop asks for approvals.

    `open` asks people to review a directive, by its branch; done again, it changes nothing. `sync` brings
    what they said. `seconds` is the longest wait for one approval; `pause` and `longest` are the first and
    the longest pause between two questions to the remote.
    """

    open: Callable[[str], None]
    sync: Callable[[str], None]
    seconds: float = 7 * 86_400.0
    pause: float = 2.0
    longest: float = 60.0


@dataclass(slots=True)
class ReviewedAttempts:
    """The attempts of a loop that waits: each runs the oldest directive that is approved.

    What waits is in git alone, so that a loop that was killed goes on where it was.
    """

    wait: ReviewWait
    _opened: set[str] = field(default_factory=set)

    def __call__(self, repo: Repository, options: IterateOptions, progress: Progress) -> IterationResult:
        """Plan ahead, and wait until a directive is approved; run it.

        Raises:
            PlannerError: E_REVIEW if no directive is approved in time; E_USAGE if none needs an approval;
                what planning and iterating raise.
        """
        plan = needed_plan(repo, options.plan)
        policy = with_trusted_rule(repo, find_base(repo, plan, options.from_ref).policy, "directive")
        until, pause = time.monotonic() + self.wait.seconds, self.wait.pause
        while True:
            ask_remote(repo, policy, plan, "directive", progress)
            queue = waiting_directives(repo, plan)
            approved = next((waiting for waiting in queue if waiting.approval.ok), None)
            if approved is not None:
                result = self._run(repo, approved, options, progress)
                if result is not None:
                    return result
                continue
            open_ones = [waiting for waiting in queue if not self._is_given_up(repo, plan, waiting, progress)]
            if len(open_ones) < policy.review.queue and self._plan_another(
                repo, options, progress, is_last=not open_ones
            ):
                continue
            if time.monotonic() >= until:
                raise _late(plan, open_ones, self.wait.seconds)
            progress(f"{len(open_ones)} directives wait for an approval")
            time.sleep(min(pause * random.uniform(0.8, 1.2), max(0.0, until - time.monotonic())))
            pause = min(pause * 1.5, self.wait.longest)

    def _run(
        self, repo: Repository, approved: WaitingDirective, options: IterateOptions, progress: Progress
    ) -> IterationResult | None:
        """Run an approved directive; return None if another process has done so meanwhile."""
        progress(f"{approved.branch} is approved")
        return resume_iteration(repo, approved.iteration.number, options, progress).result

    def _plan_another(
        self, repo: Repository, options: IterateOptions, progress: Progress, *, is_last: bool
    ) -> bool:
        """Plan a directive; return False if no patch is left for one, but others wait (not `is_last`)."""
        try:
            planned, _ = plan_attempt(repo, options, progress)
        except PlannerError as error:
            if is_last or error.code != "E_PATCHES_EXHAUSTED":
                raise
            progress(f"nothing more is planned: {error.message}")
            return False
        policy = with_trusted_rule(repo, policy_at(repo, planned.state.base), "directive")
        if not policy.review.directives:
            raise PlannerError(
                "E_USAGE",
                "the policy requires no approval that '--wait-review' could wait for",
                hint="leave it out, or set 'review' in the policy",
            )
        self._open(planned.state.branch, progress)
        return True

    def _open(self, branch: str, progress: Progress) -> None:
        """Ask for a review once in this process: a process that was killed may not have come to it."""
        if branch not in self._opened:
            _try(lambda: self.wait.open(branch), progress)
            self._opened.add(branch)

    def _is_given_up(
        self, repo: Repository, plan: str, waiting: WaitingDirective, progress: Progress
    ) -> bool:
        """Give a directive up if a reviewer requested changes, which the next one is planned with."""
        self._open(waiting.branch, progress)
        _try(lambda: self.wait.sync(waiting.branch), progress)
        decisions = {
            remark.author: remark.decision
            for remark in read_remarks(repo, plan)
            if remark.about == f"directive {waiting.branch}" and remark.decision != "comment"
        }
        who = [author for author, decision in decisions.items() if decision == "changes_requested"]
        if who:
            why = f"changes requested by {', '.join(who)}"
            progress(f"{waiting.branch}: {why}")
            abandon_iteration(repo, waiting.iteration.number, why, progress)
        return bool(who)


def _try(step: Callable[[], None], progress: Progress) -> None:
    try:
        step()
    except PlannerError as error:
        if error.code not in _AGAIN:
            raise
        progress(f"{error.message} ({error.code}); trying again later")


def _late(plan: str, waiting: list[WaitingDirective], seconds: float) -> PlannerError:
    return PlannerError(
        "E_REVIEW",
        f"no directive of plan '{plan}' was approved within {seconds:g} seconds",
        hint="the same command goes on waiting",
        details=[directive.branch for directive in waiting],
    )
