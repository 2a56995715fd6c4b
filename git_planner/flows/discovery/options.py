"""`git plan options`: three options for a plan: a template, a person's own, or drafted by a planner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner import documents, redact
from git_planner.agents import registry
from git_planner.agents.contract import Answer, Tell
from git_planner.errors import PlannerError
from git_planner.flows.discovery.plan_folder import CONTEXT, OPTIONS, RESEARCH, Desk, open_desk
from git_planner.flows.planning.ask_planner import PACKET_NUMBERS, Question, ask
from git_planner.flows.planning.campaign import PlanOptions, chosen
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.resources import resource_folder
from git_planner.rules import refnames
from git_planner.rules.discovery import options as rules
from git_planner.rules.discovery import research as findings


@dataclass(frozen=True, slots=True)
class Offered:
    """The options of a plan as they were written. `answer` is None when no planner was asked.

    `open` says what is still to be filled in or mended before they can be reviewed; `new` is False when the
    file was there already and was left as it is.
    """

    plan: str
    ref: str
    path: str
    commit: str
    open: tuple[str, ...]
    new: bool
    answer: Answer | None = None

    def document(self) -> dict[str, Any]:
        """The options as one JSON object."""
        return {
            "schema": "git-planner/options-written@1",
            "plan": self.plan,
            "branch": self.ref.removeprefix(refnames.HEADS),
            "path": self.path,
            "commit": self.commit,
            "ready": not self.open,
            "open": list(self.open),
            "new": self.new,
            "model": self.answer.model if self.answer else None,
            "options": self.answer.document["options"] if self.answer else None,
        }


def write_template(repo: Repository, asked: PlanOptions, *, again: bool = False) -> Offered:
    """Write the template to fill in; options that are there already stay, unless it is to be `again`.

    Raises:
        PlannerError: what `open_campaign` raises.
    """
    desk = open_desk(repo, asked)
    text = (resource_folder("templates") / "preplan" / "PLAN_OPTIONS.md").read_text(encoding="utf-8")
    there = False

    def change(seen: Snapshot) -> Mapping[str, str]:
        nonlocal there
        found = desk.text(seen, OPTIONS)
        there = found is not None and not again
        document = desk.campaign.document
        made = rules.render_template(text, plan=desk.plan, goal=document["goal"], inputs=_inputs(desk, seen))
        return {} if there else {OPTIONS: made}

    return _offered(desk, desk.write(change, _message(desk, "template")), new=not there)


def take(repo: Repository, asked: PlanOptions, text: str) -> Offered:
    """Write the options that a person has in a file, whatever is still missing in them.

    Raises:
        PlannerError: what `open_campaign` raises; E_TOO_LARGE.
    """
    desk = open_desk(repo, asked)
    rules.parse_options(text)
    commit = desk.write(lambda _: {OPTIONS: redact.mask_text(text)}, _message(desk, "edited"))
    return _offered(desk, commit, new=True)


def draft(repo: Repository, options: PlanOptions, tell: Tell) -> Offered:
    """Have a planner write the options from the goal, the research and the context.

    Raises:
        PlannerError: what `open_campaign` and the planner raise; E_CONFLICT.
    """
    desk = open_desk(repo, options)
    campaign = desk.campaign
    settings = chosen(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings)
    number = Store(repo).reserve(PACKET_NUMBERS, taken_numbers(repo, refnames.PLAN))
    wish = campaign.wish(number, refnames.PLAN + desk.plan, settings.planner_model)
    packet = _with_documents(desk, build_packet(repo, wish, read_ledger(repo, desk.plan), tell=tell))
    folder = repo.private("runs", f"plan-{number:04d}")
    answer = ask(repo, planner, Question("plan-options", campaign, settings, packet, folder), tell)

    def change(seen: Snapshot) -> Mapping[str, str]:
        made = rules.render_options(answer.document, plan=desk.plan, inputs=_inputs(desk, seen))
        return {OPTIONS: redact.mask_text(made)}

    commit = desk.write(change, _message(desk, f"draft {planner.name}", answer.model))
    return _offered(desk, commit, new=True, answer=answer)


def read_options(text: str | None, plan: str, only: str | None = None) -> dict[str, Any]:
    """The document that a file of options stands for.

    Args:
        text: the file; None when there is none.
        plan: the plan's name.
        only: the letter of the one option that has to be right; else all have to.

    Raises:
        PlannerError: E_MISSING_INPUT when there is no file; E_OPTIONS when it is not filled in, or its
            options do not fit together, one detail a fault.
    """
    where = f"{refnames.PLAN}{plan}:{refnames.plan_dir(plan)}/{OPTIONS}"
    if text is None:
        raise PlannerError(
            "E_MISSING_INPUT", f"there is no '{where}'", hint="write them with 'git plan options'"
        )
    document = rules.parse_options(text)
    faults = problems(text, document, only)
    if faults:
        raise PlannerError(
            "E_OPTIONS",
            f"'{where}' cannot be used: {faults[0]}",
            hint="edit the file and hand it in with 'git plan options --file FILE'",
            details=faults,
        )
    return document


def problems(text: str, document: Mapping[str, Any], only: str | None = None) -> list[str]:
    """What is still to be done about options, one sentence each; parameters as for `read_options`."""
    open_places = rules.find_placeholders(text) or _open_texts(document)
    judged: Mapping[str, Any] = document
    if only is not None:
        option = rules.find_option(document, only)
        if option is None:
            return [f"there is no option {only}"]
        open_places = _open_texts(option)
        judged = {**document, "options": [{**option, "name": each} for each in rules.LETTERS]}
    if open_places:
        return [f"still to be filled in: {each}" for each in open_places]
    faults = documents.validate("plan-options", judged) or rules.find_option_faults(judged)
    if only is not None:
        # The one option was judged in the place of all three: its faults are told once, by its own letter.
        own = [each for each in faults if not re.match(r"/options/[12]\b", each)]
        return [rules.describe_fault(each, only) for each in own]
    return [rules.describe_fault(each) for each in faults]


def _open_texts(document: Mapping[str, Any]) -> list[str]:
    return [each.partition(": ")[2] for each in rules.find_placeholders(rules.join_texts(document))]


def _offered(desk: Desk, commit: str, *, new: bool, answer: Answer | None = None) -> Offered:
    text = desk.now(OPTIONS)[OPTIONS] or ""
    left = tuple(problems(text, rules.parse_options(text)))
    return Offered(desk.plan, desk.ref, desk.path(OPTIONS), commit, left, new, answer)


def _inputs(desk: Desk, seen: Snapshot) -> list[str]:
    base = desk.campaign.base
    listed = [f"Base: `{base.ref}` at `{base.oid[:12]}`"]
    if findings.has_findings(desk.text(seen, RESEARCH)):
        listed.append(f"`{RESEARCH}`")
    return listed + ([f"`{CONTEXT}`"] if desk.text(seen, CONTEXT) is not None else [])


def _with_documents(desk: Desk, packet: dict[str, Any]) -> dict[str, Any]:
    """The packet with the plan's own documents before the code, since they matter most."""
    found = desk.now(RESEARCH, CONTEXT)
    given = {name: text for name, text in found.items() if text is not None}
    if not findings.has_findings(given.get(RESEARCH)):
        given.pop(RESEARCH, None)
    whole = {**packet, "code_context": {**redact.mask_document(given), **packet["code_context"]}}
    documents.check("packet", whole, "the packet for the options")
    return whole


def _message(desk: Desk, what: str, model: str | None = None) -> Message:
    trailers = [("Planner-Op", "options"), ("Planner-Args", what)]
    trailers += [("Planner-Model", model)] if model else []
    return Message(f"plan {desk.plan}: options ({what.partition(' ')[0]})", tuple(trailers))
