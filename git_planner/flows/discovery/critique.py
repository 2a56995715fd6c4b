"""`git plan critique`: a critic reviews the options of a plan before one of them is chosen."""

from __future__ import annotations

import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import redact
from git_planner.agents import registry
from git_planner.agents.contract import Critic, Tell, WritingRequest, WrittenText
from git_planner.agents.prompts import read_template
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.discovery.options import read_options
from git_planner.flows.discovery.plan_folder import (
    CONTEXT,
    MOST_BYTES,
    OPTIONS,
    RESEARCH,
    Desk,
    decoded,
    open_desk,
    review_name,
)
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.rules import refnames
from git_planner.rules.discovery import research as findings
from git_planner.rules.discovery import review as rules
from git_planner.rules.policy import model_rule
from git_planner.rules.policy.policy import CriticSettings

_FROM_TOP = re.compile(r"(?![./:])(?!(?:.*/)?\.{1,2}(?:/|$))[^\0-\x1f\x7f]+|\.[^./][^\0-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class CritiqueOptions:
    """What is asked for; None means the policy's or the settings' own.

    `extra` are files that the critic is given besides the plan's documents: from the base commit, or where it
    has none of that name, from the disk. `seconds`: one deadline.
    """

    plan: str | None = None
    critic: str | None = None
    model: str | None = None
    extra: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review that was kept: its branch (full ref), file and commit, and what it was made of."""

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
            "branch": self.ref.removeprefix(refnames.HEADS),
            "path": self.path,
            "commit": self.commit,
            "critic": self.critic,
            "model": self.written.model,
            "attempts": self.written.attempts,
            "seconds": round(self.written.seconds, 3),
            "inputs": [
                {"label": each.label, "source": each.source, "bytes": each.size} for each in self.inputs
            ],
            "text": self.written.text,
            "folder": str(self.folder),
        }


def critique(repo: Repository, options: CritiqueOptions, tell: Tell) -> Reviewed:
    """Have a critic review the options of a plan, and keep the review.

    Raises:
        PlannerError: what `open_campaign` and the critic raise; E_MISSING_INPUT and E_OPTIONS for what it
            would be given; E_TOO_LARGE; E_MODEL for a model that the policy does not admit, also when it was
            the one that answered; E_CONFLICT.
    """
    desk = open_desk(repo, PlanOptions(plan=options.plan))
    policy = desk.campaign.base.policy
    settings = read_settings(repo, policy=policy, critic=options.critic)
    agent = registry.make_critic(settings.critic, policy, settings)
    own = policy.critics.of(agent.name)
    model = options.model or own.model
    _admitted(agent, own, model)
    found = desk.now(OPTIONS, RESEARCH, CONTEXT)
    read_options(found[OPTIONS], desk.plan)
    inputs = _inputs(desk, found, options.extra)
    prompt = rules.render_request(read_template("critique"), _goal(desk), inputs, policy.critics.budget)
    given = ", ".join(each.label for each in inputs)
    tell(f"{agent.name} is given {given}: {len(prompt.encode()):,} bytes in all")
    folder = repo.private("runs", f"review-{refnames.new_id(repo.now())}")
    with tempfile.TemporaryDirectory(prefix="git-planner-") as empty:
        sheet = WritingRequest(
            kind="review",
            prompt=prompt,
            check=rules.find_review_faults,
            # All that counts is in the prompt: a critic has no business in anybody's files.
            working_dir=Path(empty),
            folder=folder,
            seconds=options.seconds or own.timeout,
            model=model,
        )
        written = agent.write(sheet, tell)
    if written.model != model:
        _admitted(agent, own, written.model, answered=True)
    commit = _keep(desk, agent, rules.text_digest(found[OPTIONS] or ""), inputs, written)
    path = desk.path(review_name(agent.name))
    return Reviewed(desk.plan, desk.ref, path, commit, agent.name, tuple(inputs), written, folder)


def _admitted(agent: Critic, own: CriticSettings, model: str | None, *, answered: bool = False) -> None:
    """Refuse a model that the policy's rule for this critic does not admit."""
    if own.models is None or model is None:
        return
    why = model_rule.refusal_reason(own.models, model)
    if why is not None:
        what = "the answer came from another model, and " if answered else ""
        raise PlannerError(
            "E_MODEL",
            f"{what}{why}; the policy admits for '{agent.name}': {own.models.words()}",
            hint="name another with '--model', or change 'critics' in '.git-planner.yml'",
        )


def _goal(desk: Desk) -> str:
    return redact.mask_text(desk.campaign.document["goal"])


def _inputs(desk: Desk, found: Mapping[str, str | None], extra: Sequence[str]) -> list[rules.CriticInput]:
    """What the critic is given; only what is there is named."""
    branch = refnames.PLAN + desk.plan
    made = [rules.CriticInput(OPTIONS, branch, redact.mask_text(found[OPTIONS] or ""))]
    for name in (RESEARCH, CONTEXT):
        text = found[name]
        if text is not None and (name != RESEARCH or findings.has_findings(text)):
            made.append(rules.CriticInput(name, branch, redact.mask_text(text)))
    return made + [_extra(desk, each) for each in extra]


def _extra(desk: Desk, name: str) -> rules.CriticInput:
    base = desk.campaign.base.oid
    with desk.repo.git.batch() as batch:
        # Names such as './x' or '../x' are meant from here; git would refuse them, or take others.
        found = batch.info(f"{base}:{name}") if _FROM_TOP.fullmatch(name) else None
        if found is not None and found[1] == "blob":
            _check_size(name, found[2])
            text = decoded(batch.read(found[0]) or b"", name)
            return rules.CriticInput(name, f"base {base[:12]}", redact.mask_text(text))
    try:
        path = Path(name)
        kept = path.stat()
        if not stat.S_ISREG(kept.st_mode):
            raise _not_there(name, "is no file")
        _check_size(name, kept.st_size)
        return rules.CriticInput(name, "working tree", redact.mask_text(decoded(path.read_bytes(), name)))
    except (OSError, ValueError):
        raise _not_there(name, f"is neither in the base {base[:12]} nor on the disk") from None


def _check_size(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise PlannerError("E_TOO_LARGE", f"'{name}' has {size:,} bytes; at most {MOST_BYTES:,} are read")


def _not_there(name: str, why: str) -> PlannerError:
    return PlannerError(
        "E_MISSING_INPUT", f"'{name}' {why}", hint="name a file that is there, from the top of the repository"
    )


def _keep(
    desk: Desk, agent: Critic, options: str, inputs: Sequence[rules.CriticInput], written: WrittenText
) -> str:
    name, at = review_name(agent.name), desk.repo.now()
    text = rules.render_review(
        desk.plan,
        redact.mask_text(written.text),
        critic=agent.name,
        model=written.model,
        at=at,
        options=options,
        inputs=inputs,
    )
    trailers = [("Planner-Op", "critique"), ("Planner-Args", f"{agent.name} {options}")]
    trailers += [("Planner-Model", written.model)] if written.model else []
    message = Message(f"plan {desk.plan}: review by {agent.name}", tuple(trailers))
    return desk.write(lambda _: {name: text}, message)
