"""`git plan critique`: let a critic review the options of a plan before one is chosen."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import redact
from git_planner.agents import registry
from git_planner.agents.contract import Critic, WritingRequest, WrittenText
from git_planner.agents.templates import read_template
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.discovery.options import read_options
from git_planner.flows.discovery.plan_folder import (
    CONTEXT,
    MAX_BYTES,
    OPTIONS,
    RESEARCH,
    PlanFolder,
    decode_text,
    open_plan_folder,
    review_name,
)
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.owned_folder import temporary_folder
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.discovery import research as findings
from git_planner.rules.discovery import review as rules
from git_planner.rules.policy import model_rule
from git_planner.rules.policy.policy import CriticSettings

_REPOSITORY_PATH = re.compile(r"(?![./:])(?!(?:.*/)?\.{1,2}(?:/|$))[^\0-\x1f\x7f]+|\.[^./][^\0-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class CritiqueOptions:
    """Options of a critique; None means the default of the policy or the settings.

    `extra` are files for the critic besides the plan's documents: from the base commit, or from the disk if
    the commit does not have them. `seconds`: one deadline.
    """

    plan: str | None = None
    critic: str | None = None
    model: str | None = None
    extra: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """A review as written: its branch (full ref), file, commit and inputs."""

    plan: str
    ref: str
    path: str
    commit: str
    critic: str
    inputs: tuple[rules.CriticInput, ...]
    written: WrittenText
    folder: Path

    def document(self) -> dict[str, Any]:
        """The review as one JSON object."""
        return {
            "schema": "git-planner/reviewed@1",
            "plan": self.plan,
            "branch": refnames.short_name(self.ref),
            "path": self.path,
            "commit": self.commit,
            "critic": self.critic,
            "model": self.written.model,
            "attempts": self.written.attempts,
            "seconds": round(self.written.seconds, 3),
            "inputs": [
                {"label": material.label, "source": material.source, "bytes": material.size}
                for material in self.inputs
            ],
            "text": self.written.text,
            "folder": str(self.folder),
        }


def critique(repo: Repository, options: CritiqueOptions, progress: Progress) -> ReviewResult:
    """Ask a critic to review the options of a plan, and write the review.

    Raises:
        PlannerError: what `open_campaign` and the critic raise; E_MISSING_INPUT and E_OPTIONS for its
            inputs; E_TOO_LARGE; E_MODEL for a requested or answering model that the policy does not admit;
            E_CONFLICT.
    """
    plan_folder = open_plan_folder(repo, PlanOptions(plan=options.plan))
    policy = plan_folder.campaign.base.policy
    settings = read_settings(repo, policy=policy, critic=options.critic)
    critic_settings = policy.critics.of(settings.critic)
    model = options.model or critic_settings.model
    check_model(settings.critic, critic_settings, model)
    agent = registry.make_critic(settings.critic, policy, settings, repo)
    texts = plan_folder.read_documents(OPTIONS, RESEARCH, CONTEXT)
    read_options(texts[OPTIONS], plan_folder.plan)
    inputs = _review_inputs(plan_folder, texts, options.extra)
    prompt = rules.render_request(
        read_template("critique"), _masked_goal(plan_folder), inputs, policy.critics.budget
    )
    labels = ", ".join(material.label for material in inputs)
    progress(f"{agent.name} is given {labels}: {len(prompt.encode()):,} bytes in all")
    folder = repo.private("runs", f"review-{refnames.new_id(repo.now())}")
    with temporary_folder() as empty:
        sheet = WritingRequest(
            kind="review",
            prompt=prompt,
            check=rules.find_review_faults,
            # An empty folder: the prompt has all inputs, and a critic needs no other files.
            working_dir=empty,
            folder=folder,
            seconds=options.seconds or critic_settings.timeout,
            model=model,
        )
        with agent_turn(repo, None, progress):
            written = agent.write(sheet, progress)
    if written.model != model:
        check_model(agent.name, critic_settings, written.model, answered=True)
    commit = _write_review(plan_folder, agent, rules.text_digest(texts[OPTIONS] or ""), inputs, written)
    path = plan_folder.path(review_name(agent.name))
    return ReviewResult(
        plan_folder.plan, plan_folder.ref, path, commit, agent.name, tuple(inputs), written, folder
    )


def check_model(
    critic: str, critic_settings: CriticSettings, model: str | None, *, answered: bool = False
) -> None:
    """Refuse a model that the policy does not admit for this critic.

    Raises:
        PlannerError: E_MODEL.
    """
    if critic_settings.models is None or model is None:
        return
    reason = model_rule.refusal_reason(critic_settings.models, model)
    if reason is not None:
        prefix = "the answer came from another model, and " if answered else ""
        raise PlannerError(
            "E_MODEL",
            f"{prefix}{reason}; the policy admits for '{critic}': {critic_settings.models.describe()}",
            hint="name another with '--model', or change 'critics' in '.git-planner.yml'",
        )


def _masked_goal(plan_folder: PlanFolder) -> str:
    return redact.mask_text(plan_folder.campaign.document["goal"])


def _review_inputs(
    plan_folder: PlanFolder, texts: Mapping[str, str | None], extra: Sequence[str]
) -> list[rules.CriticInput]:
    """Return the inputs of the critic: options, then research, context and extra files that exist."""
    branch = refnames.PLAN + plan_folder.plan
    materials = [rules.CriticInput(OPTIONS, branch, redact.mask_text(texts[OPTIONS] or ""))]
    for name in (RESEARCH, CONTEXT):
        text = texts[name]
        if text is not None and (name != RESEARCH or findings.has_findings(text)):
            materials.append(rules.CriticInput(name, branch, redact.mask_text(text)))
    return materials + [_extra_input(plan_folder, name) for name in extra]


def _extra_input(plan_folder: PlanFolder, name: str) -> rules.CriticInput:
    base = plan_folder.campaign.base.oid
    with plan_folder.repo.git.batch() as batch:
        # './x' and '../x' are relative to the working directory; git refuses them, or reads other files.
        info = batch.info(f"{base}:{name}") if _REPOSITORY_PATH.fullmatch(name) else None
        if info is not None and info[1] == "blob":
            _check_size(name, info[2])
            text = decode_text(batch.read(info[0]) or b"", name)
            return rules.CriticInput(name, f"base {base[:12]}", redact.mask_text(text))
    try:
        path = Path(name)
        file_stat = path.stat()
        if not stat.S_ISREG(file_stat.st_mode):
            raise _missing_input(name, "is not a file")
        _check_size(name, file_stat.st_size)
        return rules.CriticInput(name, "working tree", redact.mask_text(decode_text(path.read_bytes(), name)))
    except (OSError, ValueError):
        raise _missing_input(name, f"is neither in the base {base[:12]} nor on the disk") from None


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise PlannerError("E_TOO_LARGE", f"'{name}' has {size:,} bytes; at most {MAX_BYTES:,} are read")


def _missing_input(name: str, reason: str) -> PlannerError:
    return PlannerError(
        "E_MISSING_INPUT", f"'{name}' {reason}", hint="name an existing file, from the top of the repository"
    )


def _write_review(
    plan_folder: PlanFolder,
    agent: Critic,
    options: str,
    inputs: Sequence[rules.CriticInput],
    written: WrittenText,
) -> str:
    name, at = review_name(agent.name), plan_folder.repo.now()
    text = rules.render_review(
        plan_folder.plan,
        redact.mask_text(written.text),
        critic=agent.name,
        model=written.model,
        at=at,
        options=options,
        inputs=inputs,
    )
    trailers = [("Planner-Op", "critique"), ("Planner-Args", f"{agent.name} {options}")]
    trailers += [("Planner-Model", written.model)] if written.model else []
    message = Message(f"plan {plan_folder.plan}: review by {agent.name}", tuple(trailers))
    return plan_folder.write(lambda _: {name: text}, message)
