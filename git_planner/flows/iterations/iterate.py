"""`git iterate`: plan, implement, commit and record one change, or a loop of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner.agents import patches, registry
from git_planner.agents.contract import Brief, Implementer, Usage
from git_planner.agents.prompts import apply_prompt
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import Settings, read_settings
from git_planner.engines.contract import WorkerLostError
from git_planner.errors import DONE, MACHINE_FAILURES, NO, PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.iterations import in_place as inplace
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.agent_changes import AttemptSite, content_limits
from git_planner.flows.iterations.attempt import Attempt, report_from, run_implementer, settle_attempt
from git_planner.flows.iterations.review_queue import check_queue
from git_planner.flows.measuring.benches.bench import Bench
from git_planner.flows.planning import manual
from git_planner.flows.planning.ask_planner import PlannedIteration, make_iteration
from git_planner.flows.planning.campaign import Goal, PlanOptions, open_campaign
from git_planner.flows.planning.iteration_start import check_worktree_folder, worktree_path
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import ensure_base
from git_planner.flows.runs import attempt_file
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.content.inert_git import inert
from git_planner.gitio.content.survey import Limits
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import state_subject
from git_planner.rules.iterations import stop
from git_planner.rules.iterations.stop import LoopProgress
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.policy import Policy
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import Record

MANUAL = "manual"
# Options that an interrupted iteration remembers.
CHOICE = ("implementer", "implementer_model", "implementer_effort")


@dataclass(frozen=True, slots=True)
class IterateOptions:
    """Options of one iteration; None means the value of the settings or the policy.

    For the planner 'manual', `from_ref` is the packet's branch with the answer. `from_red` accepts a base
    whose tests fail. `bench` is where it is measured (None: this host).
    """

    planner: str | None = None
    implementer: str | None = None
    plan: str | None = None
    goal: Goal | None = None
    threshold: float | None = None
    slug: str | None = None
    from_ref: str | None = None
    model: str | None = None
    implementer_model: str | None = None
    implementer_effort: str | None = None
    in_place: bool = False
    from_red: bool = False
    bench: Bench | None = None


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """Options of a loop; None means the policy's stop rule. `wall` in seconds."""

    iteration: IterateOptions
    count: int | None = None
    wall: float | None = None
    tokens: int | None = None
    invalid: int | None = None
    plateau: int | None = None


@dataclass(frozen=True, slots=True)
class IterationResult:
    """Result of one iteration. `kept` is the ref of quarantined changes; `seconds` includes planning."""

    state: IterationState
    record: Record
    advanced: bool
    tag: str | None
    kept: str | None
    worktree: Path | None
    tokens: int
    seconds: float
    exit: int

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/iteration@1",
            "iteration": self.state.iteration,
            "branch": self.state.branch,
            "plan": self.state.plan,
            "objective": self.state.directive.objective,
            "record": self.record.document(),
            "advanced": self.advanced,
            "tag": self.tag,
            "kept": self.kept,
            "worktree": str(self.worktree) if self.worktree else None,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Result of a loop. `failures` are the messages of attempts that ended without a record."""

    plan: str
    attempts: tuple[IterationResult, ...]
    failures: tuple[str, ...]
    best_before: float | None
    best_after: float | None
    stopped: str
    tokens: int
    seconds: float

    @property
    def exit(self) -> int:
        """Return 0 if an attempt has a valid record or none was made; 1 otherwise."""
        tried = bool(self.attempts or self.failures)
        return NO if tried and not any(result.record.valid for result in self.attempts) else DONE

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/loop@1",
            "plan": self.plan,
            "attempts": [result.document() for result in self.attempts],
            "failures": list(self.failures),
            "best_before": self.best_before,
            "best_after": self.best_after,
            "stopped": self.stopped,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
        }


# Makes one attempt of a loop.
Attempts = Callable[[Repository, IterateOptions, Progress], IterationResult]


def iterate(repo: Repository, options: IterateOptions, progress: Progress) -> IterationResult:
    """Run one iteration, from a new number to a record.

    Args:
        repo: the repository; unless `in_place`, none of its worktrees is touched.
        options: planner, implementer and start.
        progress: called with each progress message.

    Raises:
        PlannerError: as `plan_attempt`; E_REVIEW if the directive needs an approval; permanent errors of the
            implementer; E_INTERRUPTED, when the iteration can be resumed.
    """
    planned, implementer = plan_attempt(repo, options, progress)
    with interruptible(planned.state):
        return run_attempt(repo, planned.state, planned.commit, options, progress, implementer=implementer)


def plan_attempt(
    repo: Repository, options: IterateOptions, progress: Progress
) -> tuple[PlannedIteration, Implementer]:
    """Plan one iteration after checking that it can be carried out; return it with its implementer.

    Raises:
        PlannerError: E_SIGN if commits cannot be signed; E_MEASURE if the base has no valid result; errors of
            planning, which use up only a number; E_DIRTY in place; E_USAGE without a place for worktrees;
            E_REVIEW if too many directives wait.
    """
    repo.ident()
    own_settings = read_settings(repo)
    agent_worktree.check_signing(repo, own_settings.sign_timeout)
    if options.in_place:
        inplace.check_worktree(repo)
    else:
        check_worktree_folder(own_settings, repo)
    if options.from_ref is None:
        remeasure_best.remeasure_best(repo, needed_plan(repo, options.plan), None, progress, options.bench)
    campaign = open_campaign(repo, _plan_options(options, None))
    for note in campaign.base.notes:
        progress(note)
    policy = campaign.base.policy
    settings = _settings(repo, policy, options)
    implementer = registry.make_implementer(settings.implementer, policy, settings, repo)
    if settings.planner != MANUAL:
        check_queue(repo, policy, campaign.plan)
        # A missing program is told before the base is measured.
        registry.make_planner(settings.planner, policy, settings, repo)
    # In a bare repository the policy's folder is seen only once there is a worktree.
    if settings.patches is not None or policy.agents.patches is None:
        _check_patches(repo, settings, campaign.plan)
    ensure_base(
        repo,
        campaign.plan,
        campaign.base.oid,
        from_red=options.from_red,
        progress=progress,
        bench=options.bench,
    )
    if settings.planner == MANUAL:
        planned = manual.apply_answer(repo, options.from_ref, progress, slug=options.slug)
    else:
        planned = make_iteration(repo, _plan_options(options, settings), progress)
    return planned, implementer


def loop(
    repo: Repository, options: LoopOptions, progress: Progress, attempt: Attempts | None = None
) -> LoopResult:
    """Iterate until a stop rule applies. An attempt without a valid record does not end the loop.

    Args:
        repo: the repository.
        options: the iterations and the limits.
        progress: called with each progress message.
        attempt: makes the next attempt (default: `iterate`).

    Raises:
        PlannerError: as `iterate`, for permanent errors.
    """
    began = time.monotonic()
    campaign = open_campaign(repo, _plan_options(options.iteration, None))
    if _settings(repo, campaign.base.policy, options.iteration).planner == MANUAL:
        raise PlannerError(
            "E_USAGE",
            "a loop cannot wait for pasted answers",
            hint="leave out '--loop', or name another planner with '--planner'",
        )
    flags = {name: getattr(options, name) for name in ("count", "wall", "tokens", "invalid", "plateau")}
    rules = stop.merge_stop_rules(campaign.base.policy.stop, flags)
    before = _best_value(repo, campaign.plan)
    totals, results, failures = LoopProgress(), list[IterationResult](), list[str]()
    while (stopped := stop.stop_reason(rules, totals)) is None:
        progress(f"attempt {totals.attempts + 1}")
        result: IterationResult | None = None
        try:
            result = (attempt or iterate)(repo, options.iteration, progress)
        except PlannerError as error:
            if error.code == "E_PATCHES_EXHAUSTED":
                totals = replace(totals, exhausted=True)
                continue
            # Without workers that answer, no later attempt would be measured either.
            if isinstance(error, WorkerLostError) or not stop.is_transient_code(error.code):
                raise
            failures.append(error.message)
            progress(f"attempt {totals.attempts + 1} failed: {error.message} ({error.code})")
        totals = totals.after(
            seconds=time.monotonic() - began,
            tokens=result.tokens if result else 0,
            valid=result is not None and result.record.valid,
            improved=result is not None and result.record.verdict == "improved",
            threshold_met=result is not None and result.record.threshold_met,
        )
        if result is not None:
            progress(f"attempt {totals.attempts}: {result.record.verdict}: {result.record.summary}")
            results[-1:] = [_remove_worktree(repo, result) for result in results[-1:]]
            results.append(result)
    progress(f"stopped: {stopped}")
    after = _best_value(repo, campaign.plan)
    seconds = time.monotonic() - began
    return LoopResult(
        campaign.plan, tuple(results), tuple(failures), before, after, stopped, totals.tokens, seconds
    )


def run_attempt(
    repo: Repository,
    state: IterationState,
    start: str,
    options: IterateOptions,
    progress: Progress,
    *,
    implementer: Implementer | None = None,
    resumed: bool = False,
    finished: Repository | None = None,
) -> IterationResult:
    """Implement, commit and record an iteration whose branch stands at its state commit.

    Args:
        start: the state commit.
        implementer: the implementer (default: the one in options or settings).
        resumed: whether an earlier process has started it.
        finished: the worktree of an implementer that has ended, see `attempt_file`; no other one is run.
    """
    began = time.monotonic()
    policy = policy_at(repo, state.base)
    if finished is None:
        check_approval(repo, state, start, progress)
    if options.in_place:
        # The agent works where git finds hooks with a relative path.
        repo = inert(repo)
    settings = _settings(repo, policy, options)
    choice = {name: getattr(options, name) for name in CHOICE}
    limits = content_limits(policy) if options.in_place else None
    report = report_from(attempt_file.load(repo, state.iteration)[1] or {}) if finished else None
    with (
        process_lock.lock_iteration(repo, state.iteration),
        nullcontext(finished) if finished else _worktree(repo, state, settings, limits, progress) as place,
    ):
        work = AttemptSite(
            repo,
            place,
            state,
            start,
            policy,
            ours=not options.in_place,
            resumed=resumed,
            from_red=options.from_red,
            bench=options.bench,
        )
        if report is None:
            implementer = implementer or registry.make_implementer(
                settings.implementer, policy, settings, repo
            )
            attempt_file.save(repo, state.iteration, choice, None)
            report = run_implementer(work, implementer, _brief(repo, work, settings), progress)
            # From here on, the work is done and paid for.
            attempt_file.save(repo, state.iteration, choice, report.document())
        attempt = settle_attempt(work, report, progress)
        attempt_file.save(repo, state.iteration, choice, None)
    return _result(state, attempt, None if options.in_place else place.top, began)


def check_approval(repo: Repository, state: IterationState, start: str, progress: Progress) -> None:
    """Refuse to carry out an iteration whose directive needs an approval and has none.

    Raises:
        PlannerError: E_REVIEW.
    """
    policy, then = policy_at(repo, state.base), f"git iterate resume {state.iteration}"
    require(repo, policy, state_subject(state, start), progress, then=then)


@contextmanager
def _worktree(
    repo: Repository, state: IterationState, settings: Settings, limits: Limits | None, progress: Progress
) -> Iterator[Repository]:
    """Provide the worktree of an attempt: with limits for what is left, the person's own."""
    if limits is not None:
        rescue = f"{refnames.INTERRUPTED}{state.iteration:04d}"
        with inplace.checked_out(repo, state.branch, rescue, limits, progress) as place:
            yield place
    else:
        yield worktree.add(repo, worktree_path(settings, repo, state), state.branch)


@contextmanager
def interruptible(state: IterationState) -> Iterator[None]:
    """Turn Ctrl-C into an error with the command to resume; name that command where the machine failed."""
    number = state.iteration
    try:
        yield
    except PlannerError as error:
        if error.code == "E_SIGN":
            hint = f"mend it, then 'git iterate resume {number}' commits the work; no agent is run again"
        elif isinstance(error, WorkerLostError) or error.code in (*MACHINE_FAILURES, "E_REMOTE"):
            # The same command again would pay for another attempt.
            hint = f"mend that, then 'git iterate resume {number}' goes on with what there is"
        else:
            raise
        code = "E_WORKER_LOST" if isinstance(error, WorkerLostError) else error.code
        raise PlannerError(code, error.message, hint=hint, details=error.details) from None
    except KeyboardInterrupt:
        raise PlannerError(
            "E_INTERRUPTED",
            f"interrupted; iteration {number} is left as it is, and can be resumed",
            hint=f"git iterate resume {number}",
        ) from None


def _brief(repo: Repository, work: AttemptSite, settings: Settings) -> Brief:
    assert work.place.top is not None
    return Brief(
        directive=work.state.directive,
        prompt=apply_prompt(
            work.state.directive,
            allow=work.policy.allow,
            forbid=work.policy.forbid,
            guard=work.policy.guarded,
        ),
        worktree=work.place.top,
        folder=repo.private("runs", f"{work.state.iteration:04d}", "implement"),
        index=_attempt_index(repo, work.state),
        seconds=settings.implementer_timeout,
        model=settings.implementer_model,
        effort=settings.implementer_effort,
        patches=settings.patches,
    )


def _attempt_index(repo: Repository, state: IterationState) -> int:
    """Return the number of earlier iterations with a record, which a resumed iteration does not change."""
    rows = read_ledger(repo, state.plan)
    earlier = {
        record.iteration for record in rows if record.kind == "attempt" and record.iteration is not None
    }
    return sum(1 for number in earlier if number < state.iteration)


def _plan_options(options: IterateOptions, settings: Settings | None) -> PlanOptions:
    return PlanOptions(
        planner=settings.planner if settings else options.planner,
        plan=options.plan,
        goal=options.goal,
        threshold=options.threshold,
        slug=options.slug,
        from_ref=None if options.planner == MANUAL else options.from_ref,
        model=settings.planner_model if settings else options.model,
        seconds=settings.planner_timeout if settings else None,
    )


def _settings(repo: Repository, policy: Policy, options: IterateOptions) -> Settings:
    return read_settings(
        repo,
        policy=policy,
        plan=options.plan,
        planner=options.planner,
        implementer=options.implementer,
        planner_model=options.model,
        implementer_model=options.implementer_model,
        implementer_effort=options.implementer_effort,
    )


def _result(state: IterationState, finished: Attempt, place: Path | None, began: float) -> IterationResult:
    record = finished.recorded.record
    planned = state.planner.get("usage") or {"input": 0, "output": 0}
    used = Usage(planned["input"] + finished.usage.input, planned["output"] + finished.usage.output)
    return IterationResult(
        state=state,
        record=record,
        advanced=finished.recorded.advanced,
        tag=finished.recorded.tag,
        kept=finished.kept,
        worktree=place if place is not None and place.is_dir() else None,
        tokens=used.total,
        seconds=time.monotonic() - began + float(state.planner["seconds"]),
        exit=finished.recorded.exit,
    )


def _best_value(repo: Repository, plan: str) -> float | None:
    record = pick_best(read_ledger(repo, plan))
    return record.value if record else None


def _remove_worktree(repo: Repository, result: IterationResult) -> IterationResult:
    """Remove the clean worktree of an earlier attempt of the loop."""
    place = agent_worktree.at(result.worktree, repo) if result.worktree else None
    with suppress(PlannerError):
        if place is not None and place.top is not None and not worktree.dirty_paths(place):
            worktree.remove(repo, place.top)
            return replace(result, worktree=None)
    return result


def _check_patches(repo: Repository, settings: Settings, plan: str) -> None:
    """Refuse before planning if there is no folder of patches, or no patch is left."""
    if settings.implementer != "patches":
        return
    if settings.patches is None:
        raise patches.no_folder_error()
    folder = repo.place / settings.patches
    rows = read_ledger(repo, plan)
    tried = {record.iteration for record in rows if record.kind == "attempt" and record.iteration is not None}
    if len(tried) >= len(patches.list_patches(folder)):
        raise PlannerError(
            "E_PATCHES_EXHAUSTED",
            f"all patches in '{folder}' have been tried",
            hint="add another patch there",
        )
