"""`git plan choose`: record the chosen option of a plan, and make its steps tasks of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import ask_remote, require
from git_planner.flows.discovery.options import read_options
from git_planner.flows.discovery.plan_folder import (
    CHOICE,
    OPTIONS,
    REVIEW_SUFFIX,
    PlanFolder,
    open_plan_folder,
)
from git_planner.flows.planning.campaign import PlanOptions, updated_plan
from git_planner.flows.plans.plan_document import plan_edits, read_plan
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.approval.subject import OPTIONS as OPTIONS_ITEM
from git_planner.rules.approval.subject import plan_subject, text_digest
from git_planner.rules.discovery import options as rules
from git_planner.rules.discovery import review as reviews
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import plan as plans

SCHEMA = "git-planner/choice@1"


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """Result of a choice: the choice, the tasks of the plan, and whether the plan was changed."""

    plan: str
    ref: str
    commit: str
    choice: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    changed: bool

    def document(self) -> dict[str, Any]:
        """The choice as one JSON object."""
        return {
            "schema": "git-planner/chosen@1",
            "plan": self.plan,
            "branch": refnames.short_name(self.ref),
            "commit": self.commit,
            "changed": self.changed,
            "choice": dict(self.choice),
            "tasks": [dict(task) for task in self.tasks],
        }


def _require_approval(plan_folder: PlanFolder, options: str) -> None:
    """Refuse a choice among options that need an approval and have none; the remote was asked before."""
    subject = plan_subject(plan_folder.plan, {OPTIONS_ITEM: text_digest(options)})
    require(plan_folder.repo, plan_folder.campaign.base.policy, subject, lambda _: None, ask=False)


def choose(repo: Repository, plan: str | None, letter: str) -> ChoiceResult:
    """Choose an option: its steps become tasks, and unstarted tasks of an earlier choice are cancelled.

    Choosing the same option again changes nothing, unless its text was changed.

    Args:
        repo: the repository.
        plan: the plan's name (default: the current one).
        letter: 'A', 'B' or 'C'.

    Raises:
        PlannerError: what `open_campaign` raises; E_USAGE, E_MISSING_INPUT, E_OPTIONS, E_REVIEW, E_CONFLICT.
    """
    if letter not in rules.LETTERS:
        raise PlannerError("E_USAGE", f"{letter[:20]!r} is not an option", hint="choose A, B or C")
    plan_folder = open_plan_folder(repo, PlanOptions(plan=plan))
    by, at = repo.ident(), repo.now()
    ask_remote(repo, plan_folder.campaign.base.policy, plan_folder.plan, "plan", lambda _: None)
    before = repo.maybe(plan_folder.ref)

    def change(snapshot: Snapshot) -> Mapping[str, bytes | None]:
        text = plan_folder.text_in(snapshot, OPTIONS)
        option = rules.find_option(read_options(text, plan_folder.plan, letter), letter)
        assert option is not None
        assert text is not None
        _require_approval(plan_folder, text)
        plan_document, earlier = (
            updated_plan(repo, snapshot, plan_folder.campaign),
            _read_choice(plan_folder, snapshot),
        )
        if earlier and _is_same_choice(earlier, letter, option, plan_document):
            return {}
        choice = {
            "schema": SCHEMA,
            "number": earlier["number"] + 1 if earlier else 1,
            "option": letter,
            "title": option["title"],
            "at": at,
            "by": by,
            "options": reviews.text_digest(text),
            "reviews": _review_documents(plan_folder, snapshot, text),
            "steps": option["steps"],
        }
        documents.check("choice", choice, plan_folder.path(CHOICE))
        return {
            **plan_edits(_plan_with_choice(plan_document, choice), plan_folder.plan),
            plan_folder.path(CHOICE): canonical_json.dumps(choice),
        }

    message = Message(
        f"plan {plan_folder.plan}: option {letter} is chosen",
        (("Planner-Op", "choose"), ("Planner-Args", letter)),
    )
    tip = Store(repo).edit(plan_folder.ref, change, message, base=plan_folder.campaign.base.oid)
    assert tip is not None
    with repo.git.batch() as batch:
        choice = _read_choice(plan_folder, Store(repo).snapshot(plan_folder.ref, batch))
    assert choice is not None
    tasks = (read_plan(repo, plan_folder.plan) or plan_folder.campaign.document)["tasks"]
    return ChoiceResult(plan_folder.plan, plan_folder.ref, tip, choice, tasks, changed=tip != before)


def _read_choice(plan_folder: PlanFolder, snapshot: Snapshot) -> dict[str, Any] | None:
    data = snapshot.read(plan_folder.path(CHOICE))
    name = f"{refnames.PLAN}{plan_folder.plan}:{plan_folder.path(CHOICE)}"
    return None if data is None else documents.read("choice", data, name)


def _choice_digest(choice: Mapping[str, Any]) -> str:
    """Return the digest that identifies the tasks of a choice; its number makes another choice new work."""
    return canonical_json.digest({key: choice[key] for key in ("schema", "number", "option", "steps")})


def _is_same_choice(
    earlier: Mapping[str, Any], letter: str, option: Mapping[str, Any], plan: Mapping[str, Any]
) -> bool:
    renewed = {**earlier, "option": letter, "steps": option["steps"]}
    return _choice_digest(renewed) == _choice_digest(earlier) and _choice_digest(earlier) == str(
        plan["planning_plan"]
    )


def _plan_with_choice(plan: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    known_ids = frozenset(task["id"] for task in plan["tasks"])
    compiled = plans.add_steps(plan, {"steps": choice["steps"]}, _choice_digest(choice))
    return {**compiled, "tasks": rules.add_verify_commands(compiled["tasks"], choice["steps"], known_ids)}


def _review_documents(plan_folder: PlanFolder, snapshot: Snapshot, options: str) -> list[dict[str, Any]]:
    folder = OPTIONS.partition("/")[0]
    reviews_found = []
    for name in snapshot.names(plan_folder.path(folder)):
        if name.endswith(REVIEW_SUFFIX):
            text = plan_folder.text_in(snapshot, f"{folder}/{name}") or ""
            current = reviews.reviewed_digest(text) == reviews.text_digest(options)
            reviews_found.append(
                {"path": f"{folder}/{name}", "digest": reviews.text_digest(text), "current": current}
            )
    return reviews_found[:20]
