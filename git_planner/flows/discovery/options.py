"""`git plan options`: write three options for a plan: a template, a user's file, or a planner's draft."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner import documents, redact
from git_planner.agents import registry
from git_planner.agents.contract import Answer
from git_planner.errors import PlannerError
from git_planner.flows.discovery.plan_folder import CONTEXT, OPTIONS, RESEARCH, PlanFolder, open_plan_folder
from git_planner.flows.planning.ask_planner import PACKET_NUMBERS, PlannerQuestion, ask_planner
from git_planner.flows.planning.campaign import PlanOptions, request_settings
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.progress import Progress
from git_planner.resources import resource_folder
from git_planner.rules import refnames
from git_planner.rules.discovery import options as rules
from git_planner.rules.discovery import research as findings


@dataclass(frozen=True, slots=True)
class OptionsResult:
    """Options of a plan as written. `answer` is None when no planner was asked.

    `open` lists what has to be filled in or corrected before a review; `new` is False when an existing file
    was kept.
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
            "branch": refnames.short_name(self.ref),
            "path": self.path,
            "commit": self.commit,
            "ready": not self.open,
            "open": list(self.open),
            "new": self.new,
            "model": self.answer.model if self.answer else None,
            "options": self.answer.document["options"] if self.answer else None,
        }


def write_template(repo: Repository, options: PlanOptions, *, overwrite: bool = False) -> OptionsResult:
    """Write the template to fill in; existing options are kept, unless `overwrite` is set.

    Raises:
        PlannerError: what `open_campaign` raises.
    """
    plan_folder = open_plan_folder(repo, options)
    text = (resource_folder("templates") / "preplan" / "PLAN_OPTIONS.md").read_text(encoding="utf-8")
    is_kept = False

    def change(snapshot: Snapshot) -> Mapping[str, str]:
        nonlocal is_kept
        earlier = plan_folder.text_in(snapshot, OPTIONS)
        is_kept = earlier is not None and not overwrite
        document = plan_folder.campaign.document
        template = rules.render_template(
            text, plan=plan_folder.plan, goal=document["goal"], inputs=_option_inputs(plan_folder, snapshot)
        )
        return {} if is_kept else {OPTIONS: template}

    return _options_result(
        plan_folder, plan_folder.write(change, _options_message(plan_folder, "template")), new=not is_kept
    )


def take_options(repo: Repository, options: PlanOptions, text: str) -> OptionsResult:
    """Write options from a user's file, complete or not.

    Raises:
        PlannerError: what `open_campaign` raises; E_TOO_LARGE.
    """
    plan_folder = open_plan_folder(repo, options)
    rules.parse_options(text)
    commit = plan_folder.write(
        lambda _: {OPTIONS: redact.mask_text(text)}, _options_message(plan_folder, "edited")
    )
    return _options_result(plan_folder, commit, new=True)


def draft_options(repo: Repository, options: PlanOptions, progress: Progress) -> OptionsResult:
    """Ask a planner to draft the options from the goal, the research and the context.

    Raises:
        PlannerError: what `open_campaign` and the planner raise; E_CONFLICT.
    """
    plan_folder = open_plan_folder(repo, options)
    campaign = plan_folder.campaign
    settings = request_settings(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings, repo)
    number = Store(repo).reserve(PACKET_NUMBERS, refnames.next_number, taken_numbers(repo, refnames.PLAN))
    request = campaign.packet_request(number, refnames.PLAN + plan_folder.plan, settings.planner_model)
    packet = _with_documents(
        plan_folder, build_packet(repo, request, read_ledger(repo, plan_folder.plan), progress=progress)
    )
    folder = repo.private("runs", f"plan-{number:04d}")
    answer = ask_planner(
        repo, planner, PlannerQuestion("plan-options", campaign, settings, packet, folder), progress
    )

    def change(snapshot: Snapshot) -> Mapping[str, str]:
        text = rules.render_options(
            answer.document, plan=plan_folder.plan, inputs=_option_inputs(plan_folder, snapshot)
        )
        return {OPTIONS: redact.mask_text(text)}

    commit = plan_folder.write(change, _options_message(plan_folder, f"draft {planner.name}", answer.model))
    return _options_result(plan_folder, commit, new=True, answer=answer)


def read_options(text: str | None, plan: str, only: str | None = None) -> dict[str, Any]:
    """Parse an options file into its document.

    Args:
        text: the content of the file; None without a file.
        plan: the plan's name.
        only: the letter of the only option to validate (default: all).

    Raises:
        PlannerError: E_MISSING_INPUT without a file; E_OPTIONS when it is not filled in or invalid, one
            detail per fault.
    """
    where = f"{refnames.PLAN}{plan}:{refnames.plan_dir(plan)}/{OPTIONS}"
    if text is None:
        raise PlannerError(
            "E_MISSING_INPUT", f"there is no '{where}'", hint="write them with 'git plan options'"
        )
    document = rules.parse_options(text)
    faults = find_problems(text, document, only)
    if faults:
        raise PlannerError(
            "E_OPTIONS",
            f"'{where}' cannot be used: {faults[0]}",
            hint="edit the file and hand it in with 'git plan options --file FILE'",
            details=faults,
        )
    return document


def find_problems(text: str, document: Mapping[str, Any], only: str | None = None) -> list[str]:
    """Return the faults of options, one sentence each; arguments as for `read_options`."""
    open_places = rules.find_placeholders(text) or _unfilled_texts(document)
    checked: Mapping[str, Any] = document
    if only is not None:
        option = rules.find_option(document, only)
        if option is None:
            return [f"there is no option {only}"]
        open_places = _unfilled_texts(option)
        checked = {**document, "options": [{**option, "name": letter} for letter in rules.LETTERS]}
    if open_places:
        return [f"still to be filled in: {place}" for place in open_places]
    faults = documents.validate("plan-options", checked) or rules.find_option_faults(checked)
    if only is not None:
        # The option was checked in place of all three: report its faults once, by its own letter.
        option_faults = [fault for fault in faults if not re.match(r"/options/[12]\b", fault)]
        return [rules.describe_fault(fault, only) for fault in option_faults]
    return [rules.describe_fault(fault) for fault in faults]


def _unfilled_texts(document: Mapping[str, Any]) -> list[str]:
    return [place.partition(": ")[2] for place in rules.find_placeholders(rules.join_texts(document))]


def _options_result(
    plan_folder: PlanFolder, commit: str, *, new: bool, answer: Answer | None = None
) -> OptionsResult:
    text = plan_folder.read_documents(OPTIONS)[OPTIONS] or ""
    open_points = tuple(find_problems(text, rules.parse_options(text)))
    return OptionsResult(
        plan_folder.plan, plan_folder.ref, plan_folder.path(OPTIONS), commit, open_points, new, answer
    )


def _option_inputs(plan_folder: PlanFolder, snapshot: Snapshot) -> list[str]:
    base = plan_folder.campaign.base
    inputs = [f"Base: `{base.ref}` at `{base.oid[:12]}`"]
    if findings.has_findings(plan_folder.text_in(snapshot, RESEARCH)):
        inputs.append(f"`{RESEARCH}`")
    return inputs + ([f"`{CONTEXT}`"] if plan_folder.text_in(snapshot, CONTEXT) is not None else [])


def _with_documents(plan_folder: PlanFolder, packet: dict[str, Any]) -> dict[str, Any]:
    """Add the plan's documents to a packet, before the code: they matter most."""
    texts = plan_folder.read_documents(RESEARCH, CONTEXT)
    present = {name: text for name, text in texts.items() if text is not None}
    if not findings.has_findings(present.get(RESEARCH)):
        present.pop(RESEARCH, None)
    extended = {**packet, "code_context": {**redact.mask_document(present), **packet["code_context"]}}
    documents.check("packet", extended, "the packet for the options")
    return extended


def _options_message(plan_folder: PlanFolder, source: str, model: str | None = None) -> Message:
    trailers = [("Planner-Op", "options"), ("Planner-Args", source)]
    trailers += [("Planner-Model", model)] if model else []
    return Message(f"plan {plan_folder.plan}: options ({source.partition(' ')[0]})", tuple(trailers))
