"""`git bo4 new`: create a tournament's run from a prompt, a base and a source of variants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.approval.tournament_prompt import require_prompt
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.page_store import missing_plan
from git_planner.flows.plans.plan_document import read_plan
from git_planner.flows.tournament.run_store import RunStore, RunView, begun, ended, list_runs, read_runs
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.approval.subject import GOAL, goal_digest, plan_subject
from git_planner.rules.policy.policy import Policy
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.run import TournamentRun, TournamentTurn, run_inputs
from git_planner.rules.tournament.source import check_task_id

PROMPT = "prompt.md"
MAX_PROMPT = 400_000


@dataclass(frozen=True, slots=True)
class NewTournament:
    """Request for a new tournament.

    `source` says where variants come from: its kind, and the options of that kind. `base` is a branch, tag
    or commit (None: the plan's best, then the policy's base). `task` is the id of a task that the service
    has already. `run` is its name (None: made from date and prompt).
    """

    prompt: str
    source: Mapping[str, Any]
    attempts: int
    base: str | None = None
    plan: str | None = None
    run: str | None = None
    task: str | None = None
    environment: str | None = None
    needs_modules: bool = False
    coverage: Mapping[str, Any] | None = None
    cards: tuple[str, ...] = field(default=())


def new_run(repo: Repository, request: NewTournament) -> RunView:
    """Create a tournament; the same request again returns the run that it has created, unless that has ended.

    Raises:
        PlannerError: E_USAGE for a prompt that is empty or too long; E_RUN_EXISTS if the name is another
            run's; E_REVIEW if the plan's goal has no approval that it needs, or the prompt, whose run is
            there then; what `find_base` raises.
    """
    if request.task is not None:
        task = check_task_id(request.task)
        request = replace(request, task=task, source={**request.source, "task": task})
    words = request.prompt or (f"The task '{request.task}' of the service." if request.task else "")
    prompt = checked_prompt(words)
    plan = needed_plan(repo, request.plan)
    base = find_base(repo, plan, request.base)
    _require_plan(repo, plan, base.policy)
    now = utc_now()
    digest = sha256(prompt).hexdigest()
    inputs = run_inputs(base.oid, digest, request.source, request.attempts)
    earlier = _unfinished(repo, inputs) if request.run is None else None
    if earlier is not None:
        require_prompt(repo, earlier.run, earlier.prompt, _hush)
        return earlier
    name = _free_name(repo, now, request) if request.run is None else request.run
    run = TournamentRun(
        run=refnames.check_run_name(name),
        uid=refnames.random_token(20),
        created_at=now,
        plan=plan,
        base_ref=base.ref,
        base=base.oid,
        tree=repo.resolve(base.oid, "tree"),
        source=dict(request.source),
        attempts=request.attempts,
        turns=(TournamentTurn(1, digest, PROMPT, now, task=request.task),),
        environment=request.environment,
        needs_modules=request.needs_modules,
        coverage=request.coverage,
    )
    run = run.with_stage("new", ended(begun(run, inputs), "done"))
    created = EventDraft("GATES_START", "RUN_NEW", {"message": f"{request.attempts} variants"}, now)
    view = RunStore(repo, run.run).create(run, prompt, (created,), _list_line(run, request))
    require_prompt(repo, view.run, view.prompt, _hush)
    return view


def _require_plan(repo: Repository, plan: str, policy: Policy) -> None:
    """Refuse a tournament for a plan whose goal needs an approval and has none."""
    if with_trusted_rule(repo, policy, "plan").review.requires("plan"):
        document = read_plan(repo, plan)
        if document is None:
            raise missing_plan(plan, repo)
        subject = plan_subject(plan, {GOAL: goal_digest(document)})
        require(repo, policy, subject, _hush)


def _hush(_: str) -> None:
    """Show no progress: the remote is asked in a moment."""


def checked_prompt(text: str) -> bytes:
    """Return a prompt as it is stored, with secrets masked.

    Raises:
        PlannerError: E_USAGE.
    """
    prompt = redact.mask_text(text.strip() + "\n").encode("utf-8", "replace")
    if not text.strip() or len(prompt) > MAX_PROMPT:
        size = "it is empty" if not text.strip() else f"it has {len(prompt)} bytes"
        message = f"the prompt cannot be used: {size}"
        raise PlannerError("E_USAGE", message, hint=f"at most {MAX_PROMPT} bytes")
    return prompt


def _unfinished(repo: Repository, inputs: str) -> RunView | None:
    """Return the run of these inputs that has not ended; the newest, if there are several."""
    views = [view for view in read_runs(repo) if view.run.inputs == inputs and not view.run.is_done("apply")]
    return max(views, key=lambda view: view.run.created_at, default=None)


def _free_name(repo: Repository, now: str, request: NewTournament) -> str:
    """Return the name '<date>-<slug>' of a new run, with a number if there is a run of that name."""
    words = request.task or request.prompt.strip().partition("\n")[0]
    stem = f"{now[:10]}-{refnames.slug(words, 'task')}"
    taken = set(list_runs(repo))
    number = 1
    while (name := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return name


def _list_line(run: TournamentRun, request: NewTournament) -> bytes:
    """Return the line of the list of runs, with the keys that the older loop has."""
    line = {
        "task_id": run.task_id or run.run,
        "env": run.environment,
        "base": run.base_ref,
        "best_of": run.attempts,
        "prompt_file": f"{refnames.run_dir(run.run)}/{run.turn.prompt_path}",
        "cards": list(request.cards),
        "timestamp": run.created_at,
    }
    return json.dumps(line, sort_keys=True).encode() + b"\n"
