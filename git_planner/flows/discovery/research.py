"""`git plan research`: commit a checkpoint, ask a researcher, then commit its findings or its failure."""

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
from git_planner.agents.contract import Researcher, WritingRequest, WrittenText
from git_planner.agents.templates import read_template
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.discovery.plan_folder import RESEARCH, PlanFolder, open_plan_folder
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.discovery import research as rules

MAX_EARLIER = 20_000


@dataclass(frozen=True, slots=True)
class ResearchOptions:
    """Options of a research; None means the default of plan, policy or settings. `seconds`: one deadline."""

    plan: str | None = None
    goal: str | None = None
    researcher: str | None = None
    model: str | None = None
    hint: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ResearchResult:
    """Findings as written: their branch (full ref), commit, and the folder of the attempts."""

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
            "branch": refnames.short_name(self.ref),
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


def research(repo: Repository, options: ResearchOptions, progress: Progress) -> ResearchResult:
    """Ask a researcher to examine the base and to write findings for the planner.

    A checkpoint is committed first. The findings replace it, or the failure does.

    Args:
        repo: the repository; its worktrees are neither read nor changed.
        options: the options.
        progress: called with each progress message.

    Raises:
        PlannerError: what `open_campaign` and the researcher raise; E_CONFLICT. E_ANSWER when every answer
            was empty of findings.
    """
    plan_folder = open_plan_folder(repo, PlanOptions(plan=options.plan, goal_text=options.goal))
    base = plan_folder.campaign.base
    settings = read_settings(
        repo,
        policy=base.policy,
        researcher=options.researcher,
        researcher_model=options.model,
        researcher_timeout=options.seconds,
    )
    agent = registry.make_researcher(settings.researcher, base.policy, settings, repo)
    now = repo.now()
    goal = redact.mask_text(plan_folder.campaign.document["goal"])
    run = rules.ResearchRun(refnames.new_id(now), goal, base.oid, base.ref, agent.name, now)
    earlier = plan_folder.read_documents(RESEARCH)[RESEARCH]
    folder = repo.private("runs", f"research-{run.id}")
    _write_research(
        plan_folder, run, "checkpoint", lambda text: rules.write_checkpoint(text, plan_folder.plan, run)
    )
    progress(f"{refnames.PLAN}{plan_folder.plan}: checkpoint of {run.id} in '{RESEARCH}'")
    sheet = WritingRequest(
        kind="research",
        prompt=_research_prompt(plan_folder, options.hint, earlier),
        check=partial(
            rules.find_answer_faults, paths=repo.git.names("ls-tree", "-r", "-z", "--name-only", base.oid)
        ),
        working_dir=folder,
        folder=folder,
        seconds=settings.researcher_timeout,
        model=settings.researcher_model,
    )
    with _recording_failures(plan_folder, run), agent_turn(repo, None, progress):
        written = _ask_researcher(repo, agent, sheet, base.oid, progress)
    author = f"{agent.name} ({written.model})" if written.model else agent.name
    answer = redact.mask_text(written.text)
    commit = _write_research(
        plan_folder,
        run,
        "findings",
        lambda text: rules.write_findings(text, plan_folder.plan, run, answer, by=author, at=repo.now()),
        model=written.model,
    )
    return ResearchResult(
        plan_folder.plan, plan_folder.ref, plan_folder.path(RESEARCH), commit, run, written, folder
    )


def _ask_researcher(
    repo: Repository, agent: Researcher, sheet: WritingRequest, base: str, progress: Progress
) -> WrittenText:
    with export.exported(repo, base) as place:
        return agent.write(replace(sheet, working_dir=place / "tree"), progress)


def _research_prompt(plan_folder: PlanFolder, hint: str | None, earlier: str | None) -> str:
    document = plan_folder.campaign.document
    constraints = [*document["constraints"], *document["acceptance"]]
    earlier_end = earlier[-MAX_EARLIER:] if earlier and rules.has_findings(earlier) else ""
    return redact.mask_text(
        Template(read_template("research")).safe_substitute(
            goal=document["goal"],
            most=f"{rules.MAX_ANSWER:,}",
            constraints="\n".join(f"- {constraint}" for constraint in constraints)
            or "- Nothing beyond the goal.",
            hint=f"\n## What else you should know\n\n{hint}\n" if hint else "",
            earlier=f"\n## The end of earlier research, to build on\n\n{earlier_end}\n"
            if earlier_end
            else "",
        )
    )


@contextmanager
def _recording_failures(plan_folder: PlanFolder, run: rules.ResearchRun) -> Iterator[None]:
    """Replace the checkpoint by a failure, and raise the error again."""
    try:
        yield
    except (PlannerError, KeyboardInterrupt) as error:
        lines = ["E_INTERRUPTED: interrupted"]
        if isinstance(error, PlannerError):
            lines = [f"{error.code}: {error.message}", *error.details]
        masked = [redact.mask_text(line) for line in lines]
        _write_research(
            plan_folder,
            run,
            "failure",
            lambda text: rules.write_failure(text, plan_folder.plan, run, masked, at=plan_folder.repo.now()),
        )
        raise


def _write_research(
    plan_folder: PlanFolder, run: rules.ResearchRun, stage: str, change: Any, model: str | None = None
) -> str:
    trailers = [("Planner-Op", "research"), ("Planner-Args", f"{stage} {run.id} {run.researcher}")]
    trailers += [("Planner-Model", model)] if model else []
    message = Message(f"plan {plan_folder.plan}: {stage} of research", tuple(trailers))
    return plan_folder.write(
        lambda snapshot: {RESEARCH: change(plan_folder.text_in(snapshot, RESEARCH))}, message
    )
