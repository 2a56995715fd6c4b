"""`git plan research`: a checkpoint, then a researcher, then its findings or its failure; all committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from git_planner import redact
from git_planner.agents import registry
from git_planner.agents.contract import Researcher, Tell, WritingRequest, WrittenText
from git_planner.agents.prompts import read_template
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.discovery.plan_folder import RESEARCH, Desk, open_desk
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.rules import refnames
from git_planner.rules.discovery import research as rules

MOST_EARLIER = 20_000


@dataclass(frozen=True, slots=True)
class ResearchOptions:
    """What is asked for; None is the plan's, the policy's or the settings' own. `seconds`: one deadline."""

    plan: str | None = None
    goal: str | None = None
    researcher: str | None = None
    model: str | None = None
    hint: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Researched:
    """Findings that were kept: on which branch (full ref), in which commit, and where the attempts lie."""

    plan: str
    ref: str
    path: str
    commit: str
    run: rules.ResearchRun
    written: WrittenText
    folder: Path

    def document(self) -> dict[str, Any]:
        """The findings as one JSON object."""
        return {
            "schema": "git-planner/researched@1",
            "plan": self.plan,
            "branch": self.ref.removeprefix(refnames.HEADS),
            "path": self.path,
            "commit": self.commit,
            "run": self.run.id,
            "goal": self.run.goal,
            "base": self.run.base,
            "researcher": self.run.researcher,
            "model": self.written.model,
            "attempts": self.written.attempts,
            "seconds": round(self.written.seconds, 3),
            "text": self.written.text,
            "folder": str(self.folder),
        }


def research(repo: Repository, options: ResearchOptions, tell: Tell) -> Researched:
    """Have a researcher look at the base and write down what a planner must know.

    A checkpoint is committed before the researcher is asked. What it answers replaces the checkpoint when it
    goes beyond it; else the failure does.

    Args:
        repo: the repository; its worktrees are neither read nor changed.
        options: what is asked for.
        tell: progress.

    Raises:
        PlannerError: what `open_campaign` and the researcher raise; E_CONFLICT. E_ANSWER when no answer had
            any substance.
    """
    desk = open_desk(repo, PlanOptions(plan=options.plan, goal_text=options.goal))
    base = desk.campaign.base
    settings = read_settings(
        repo,
        policy=base.policy,
        researcher=options.researcher,
        researcher_model=options.model,
        researcher_timeout=options.seconds,
    )
    agent = registry.make_researcher(settings.researcher, base.policy, settings)
    now = repo.now()
    goal = redact.mask_text(desk.campaign.document["goal"])
    run = rules.ResearchRun(refnames.new_id(now), goal, base.oid, base.ref, agent.name, now)
    earlier = desk.now(RESEARCH)[RESEARCH]
    folder = repo.private("runs", f"research-{run.id}")
    _write(desk, run, "checkpoint", lambda text: rules.write_checkpoint(text, desk.plan, run))
    tell(f"{refnames.PLAN}{desk.plan}: checkpoint of {run.id} in '{RESEARCH}'")
    sheet = WritingRequest(
        kind="research",
        prompt=_prompt(desk, options.hint, earlier),
        check=partial(
            rules.find_answer_faults, paths=repo.git.names("ls-tree", "-r", "-z", "--name-only", base.oid)
        ),
        working_dir=folder,
        folder=folder,
        seconds=settings.researcher_timeout,
        model=settings.researcher_model,
    )
    with _failures_kept(desk, run):
        written = _asked(repo, agent, sheet, base.oid, tell)
    by = f"{agent.name} ({written.model})" if written.model else agent.name
    told = redact.mask_text(written.text)
    commit = _write(
        desk,
        run,
        "findings",
        lambda text: rules.write_findings(text, desk.plan, run, told, by=by, at=repo.now()),
        model=written.model,
    )
    return Researched(desk.plan, desk.ref, desk.path(RESEARCH), commit, run, written, folder)


def _asked(repo: Repository, agent: Researcher, sheet: WritingRequest, base: str, tell: Tell) -> WrittenText:
    with export.exported(repo, base) as place:
        return agent.write(replace(sheet, working_dir=place / "tree"), tell)


def _prompt(desk: Desk, hint: str | None, earlier: str | None) -> str:
    document = desk.campaign.document
    asked = [*document["constraints"], *document["acceptance"]]
    kept = earlier[-MOST_EARLIER:] if earlier and rules.has_findings(earlier) else ""
    return redact.mask_text(
        Template(read_template("research")).safe_substitute(
            goal=document["goal"],
            most=f"{rules.MAX_ANSWER:,}",
            constraints="\n".join(f"- {each}" for each in asked) or "- Nothing beyond the goal.",
            hint=f"\n## What else you should know\n\n{hint}\n" if hint else "",
            earlier=f"\n## The end of earlier research, to build on\n\n{kept}\n" if kept else "",
        )
    )


@contextmanager
def _failures_kept(desk: Desk, run: rules.ResearchRun) -> Iterator[None]:
    """Put a failure where the checkpoint is; the error itself goes on."""
    try:
        yield
    except (PlannerError, KeyboardInterrupt) as error:
        lines = ["E_INTERRUPTED: interrupted"]
        if isinstance(error, PlannerError):
            lines = [f"{error.code}: {error.message}", *error.details]
        told = [redact.mask_text(line) for line in lines]
        _write(
            desk,
            run,
            "failure",
            lambda text: rules.write_failure(text, desk.plan, run, told, at=desk.repo.now()),
        )
        raise


def _write(desk: Desk, run: rules.ResearchRun, what: str, change: Any, model: str | None = None) -> str:
    trailers = [("Planner-Op", "research"), ("Planner-Args", f"{what} {run.id} {run.researcher}")]
    trailers += [("Planner-Model", model)] if model else []
    message = Message(f"plan {desk.plan}: {what} of research", tuple(trailers))
    return desk.write(lambda seen: {RESEARCH: change(desk.text(seen, RESEARCH))}, message)
