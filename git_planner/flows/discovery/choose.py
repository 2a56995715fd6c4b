"""`git plan choose`: record which option of a plan was chosen, and make its steps the plan's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.discovery.options import read_options
from git_planner.flows.discovery.plan_folder import CHOICE, OPTIONS, REVIEWS, Desk, open_desk
from git_planner.flows.planning.campaign import PlanOptions, plan_now
from git_planner.flows.plans.plan_document import plan_edits, read_plan
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.discovery import options as rules
from git_planner.rules.discovery import review as reviews
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import plan as plans

SCHEMA = "git-planner/choice@1"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice, the plan's tasks now, and whether anything was changed."""

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
            "branch": self.ref.removeprefix(refnames.HEADS),
            "commit": self.commit,
            "changed": self.changed,
            "choice": dict(self.choice),
            "tasks": [dict(each) for each in self.tasks],
        }


def choose(repo: Repository, plan: str | None, letter: str) -> Chosen:
    """Choose an option: its steps become tasks, those of an earlier choice that nobody began are cancelled.

    The same option again changes nothing, unless its text was changed since.

    Args:
        repo: the repository.
        plan: the plan's name; None means the current one.
        letter: 'A', 'B' or 'C'.

    Raises:
        PlannerError: what `open_campaign` raises; E_MISSING_INPUT, E_OPTIONS; E_USAGE for another letter;
            E_CONFLICT.
    """
    if letter not in rules.LETTERS:
        raise PlannerError("E_USAGE", f"{letter[:20]!r} is no option", hint="choose A, B or C")
    desk = open_desk(repo, PlanOptions(plan=plan))
    by, at = repo.ident(), repo.now()
    before = repo.maybe(desk.ref)

    def change(seen: Snapshot) -> Mapping[str, bytes | None]:
        text = desk.text(seen, OPTIONS)
        option = rules.find_option(read_options(text, desk.plan, letter), letter)
        assert option is not None
        assert text is not None
        whole, earlier = plan_now(repo, seen, desk.campaign), _choice(desk, seen)
        if earlier and _same(earlier, letter, option, whole):
            return {}
        choice = {
            "schema": SCHEMA,
            "number": earlier["number"] + 1 if earlier else 1,
            "option": letter,
            "title": option["title"],
            "at": at,
            "by": by,
            "options": reviews.text_digest(text),
            "reviews": _reviews(desk, seen, text),
            "steps": option["steps"],
        }
        documents.check("choice", choice, desk.path(CHOICE))
        return {
            **plan_edits(_compiled(whole, choice), desk.plan),
            desk.path(CHOICE): canonical_json.dumps(choice),
        }

    message = Message(
        f"plan {desk.plan}: option {letter} is chosen",
        (("Planner-Op", "choose"), ("Planner-Args", letter)),
    )
    tip = Store(repo).edit(desk.ref, change, message, base=desk.campaign.base.oid)
    assert tip is not None
    with repo.git.batch() as batch:
        choice = _choice(desk, Store(repo).snapshot(desk.ref, batch))
    assert choice is not None
    tasks = (read_plan(repo, desk.plan) or desk.campaign.document)["tasks"]
    return Chosen(desk.plan, desk.ref, tip, choice, tasks, changed=tip != before)


def _choice(desk: Desk, seen: Snapshot) -> dict[str, Any] | None:
    data = seen.read(desk.path(CHOICE))
    where = f"{refnames.PLAN}{desk.plan}:{desk.path(CHOICE)}"
    return None if data is None else documents.read("choice", data, where)


def _digest(choice: Mapping[str, Any]) -> str:
    """What tasks of a choice are known by. The number is in it: what is chosen again is done anew."""
    return canonical_json.digest({key: choice[key] for key in ("schema", "number", "option", "steps")})


def _same(
    earlier: Mapping[str, Any], letter: str, option: Mapping[str, Any], plan: Mapping[str, Any]
) -> bool:
    again = {**earlier, "option": letter, "steps": option["steps"]}
    return _digest(again) == _digest(earlier) and _digest(earlier) == str(plan["planning_plan"])


def _compiled(plan: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    known = frozenset(task["id"] for task in plan["tasks"])
    made = plans.add_steps(plan, {"steps": choice["steps"]}, _digest(choice))
    return {**made, "tasks": rules.add_verify_commands(made["tasks"], choice["steps"], known)}


def _reviews(desk: Desk, seen: Snapshot, options: str) -> list[dict[str, Any]]:
    folder = OPTIONS.partition("/")[0]
    found = []
    for name in seen.names(desk.path(folder)):
        if name.endswith(REVIEWS):
            text = desk.text(seen, f"{folder}/{name}") or ""
            current = reviews.reviewed_digest(text) == reviews.text_digest(options)
            found.append(
                {"path": f"{folder}/{name}", "digest": reviews.text_digest(text), "current": current}
            )
    return found[:20]
