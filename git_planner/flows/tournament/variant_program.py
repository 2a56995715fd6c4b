"""Program of a local variant: it runs the agent in a worktree, and commits what it left.

It lives on when the command that started it ends. What the agent did is paid for, so it is written down
before anything else happens; after a kill, the program goes on from there and runs no agent again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.agents import registry
from git_planner.agents.contract import Brief, Usage
from git_planner.agents.run_program import STDOUT
from git_planner.agents.templates import read_template
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations.agent_changes import UNREADABLE, AgentChanges, shorten, subject_line
from git_planner.flows.iterations.attempt import Report, report_from, run_implementer
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import HeartbeatWriter
from git_planner.flows.runs.inspect import find_run
from git_planner.flows.runs.stop import end_agent
from git_planner.flows.runs.store import Run
from git_planner.flows.tournament.run_store import RunStore, RunView
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.host import process_identity
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Policy
from git_planner.rules.tournament.variant_prompt import agent_row, render_variant_prompt, variant_directive

_LOCK, _REPORT = "variant.lock", "report.json"


@dataclass(frozen=True, slots=True)
class VariantSite:
    """Worktree of a variant's agent, and the base that it starts from."""

    repo: Repository
    place: Repository
    run: Run
    policy: Policy
    ours: bool = True

    @property
    def start(self) -> str:
        """The base of the tournament."""
        return self.run.start

    @property
    def ref(self) -> str:
        """The full ref of the variant's branch."""
        return refnames.HEADS + self.run.branch

    def kept(self, prefix: str) -> str:
        """Return the ref under a prefix that keeps changes which are not on the branch."""
        return f"{prefix}{self.run.branch}"


def run_variant(repo: Repository, run_id: str, progress: Progress) -> Run:
    """Run the agent of a variant, commit what it left, and end the run.

    Args:
        repo: the repository.
        run_id: the id of the run, which has been saved.
        progress: called with each progress message.

    Raises:
        PlannerError: E_RESULT if there is no such run; E_BUSY if another process has it.
    """
    with _locked(store.run_folder(repo, run_id)):
        run = find_run(repo, run_id)
        name = run.tournament
        if name is None or run.ended_at is not None:
            return run
        run = store.save_run(repo, replace(run, process=process_identity.identity(os.getpid())))
        view = RunStore(repo, name).read()
        policy = policy_at(repo, run.base)
        settings = read_settings(repo, policy=policy, plan=view.run.plan)
        run, place = _with_worktree(repo, run, settings)
        site = VariantSite(repo, place, run, policy)
        try:
            report = _paid_report(repo, run, progress) or _run_agent(site, view, settings, progress)
        except PlannerError as error:
            return store.save_end(repo, run, outcome="not_started", reason=error.message, error=error.code)
        return _settle(site, report)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / _LOCK, "ab") as held:
        if not atomic_file.lock_now(held):
            raise PlannerError("E_BUSY", f"another process works on the run '{folder.name}'")
        yield


def _with_worktree(repo: Repository, run: Run, settings: Settings) -> tuple[Run, Repository]:
    """Return the run with its branch and its worktree, which are made if they are not there."""
    ref = refnames.HEADS + run.branch

    def start(snapshots: Mapping[str, Snapshot]) -> list[Step]:
        return [] if snapshots[ref].tip is not None else [Move(ref, run.start)]

    Store(repo).transact([ref], start)
    place = agent_worktree.find_detached(Path(run.worktree), repo) if run.worktree else None
    if place is not None:
        return run, place
    path = settings.worktrees / f"bo4-{run.run}"
    # Saved before the worktree is created, so that it is found after a kill.
    run = store.save_run(repo, replace(run, worktree=str(path)))
    return run, worktree.add(repo, path, run.branch)


def _paid_report(repo: Repository, run: Run, progress: Progress) -> Report | None:
    """Return what an agent has done that was started before; None if none was started."""
    folder = store.run_folder(repo, run.run)
    with suppress(OSError, ValueError, RecursionError):
        report = report_from(json.loads(atomic_file.read(folder / _REPORT)))
        if report is not None:
            return report
    # Made when its program is started.
    if not (folder / STDOUT).exists():
        return None
    for pid in end_agent(repo, run):
        progress(f"{run.task}: ended the leftover process {pid} of its agent")
    failure = PlannerError("E_AGENT_FAILED", "its program was killed while its agent worked")
    return Report(run.agent, run.model, Usage(), 0.0, failure)


def _run_agent(site: VariantSite, view: RunView, settings: Settings, progress: Progress) -> Report:
    repo, run = site.repo, site.run
    implementer = registry.make_implementer(run.agent, site.policy, settings, repo)
    folder = store.run_folder(repo, run.run)
    assert site.place.top is not None
    source = view.run.source
    extras = source.get("prompts") or [""]
    assert run.variant is not None
    effort = agent_row(source, run.variant).get("effort")
    prompt = render_variant_prompt(
        read_template("variant"), view.prompt, extras[(run.variant - 1) % len(extras)], site.policy
    )
    brief = Brief(
        directive=variant_directive(view.prompt),
        prompt=prompt,
        worktree=site.place.top,
        folder=folder,
        index=run.variant - 1,
        seconds=run.seconds,
        model=run.model or settings.implementer_model,
        effort=effort or settings.implementer_effort,
        patches=settings.patches,
        env={"GIT_PLANNER_RUN": run.run, "GIT_PLANNER_VARIANT": str(run.variant)},
        on_tick=HeartbeatWriter(folder, run, lambda: False),
    )
    report = run_implementer(site, implementer, brief, progress)
    # From here on, the work is done and paid for.
    store.write_document(folder / _REPORT, report.document())
    return report


def _settle(site: VariantSite, report: Report) -> Run:
    """Commit what the agent left, or keep it aside; end the run. Can be repeated after a kill."""
    repo, run = site.repo, site.run
    changes = AgentChanges(site)
    fields: dict[str, Any] = {"confined_by": report.confined_by, "model": report.model or run.model}
    try:
        violations = changes.read()
    except PlannerError as error:
        if error.code not in UNREADABLE:
            raise
        return store.save_end(repo, run, outcome="refused", reason=error.message, error=error.code, **fields)
    failure = report.failure
    message, body = _message(site, report)
    if failure is not None or violations:
        outcome = "agent_failed" if failure is not None else "refused"
        code = failure.code if failure is not None else "E_GUARD"
        reason = failure.message if failure is not None else "; ".join(violations)
        kept = None
        if changes.changed or violations:
            kept, _ = changes.quarantine(message, violations or [reason])
        ended = store.save_end(
            repo, run, outcome=outcome, reason=shorten(reason), error=code, kept=kept, **fields
        )
    elif not changes.changed:
        ended = store.save_end(repo, run, outcome="no_change", reason="the agent changed nothing", **fields)
    else:
        commit = changes.tip if _is_settled(changes, run) else changes.commit(message, body)
        ended = store.save_end(repo, run, outcome="done", commit=commit, **fields)
    _remove_worktree(repo, site.place)
    return ended


def _is_settled(changes: AgentChanges, run: Run) -> bool:
    """Return whether the branch has the agent's content already, by its own commits or by ours."""
    return changes.tip != run.start and changes.tree == changes.work.repo.resolve(str(changes.tip), "tree")


def _remove_worktree(repo: Repository, place: Repository) -> None:
    with suppress(PlannerError):
        if place.top is not None and not worktree.dirty_paths(place):
            worktree.remove(repo, place.top)


def _message(site: VariantSite, report: Report) -> tuple[Message, str]:
    run = site.run
    trailers = (
        ("Planner-Tournament", str(run.tournament)),
        ("Planner-Run", run.run),
        ("Assisted-by", report.assisted_by),
    )
    return Message(subject_line(f"{run.task}: a variant"), trailers), ""
