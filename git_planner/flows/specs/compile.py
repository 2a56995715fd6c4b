"""`git plan spec compile`: from a change to the tasks of a plan, in one commit on the plan's branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.plans.page_store import Pages, check_unique_numbers
from git_planner.flows.plans.plan_document import read_plan_at
from git_planner.flows.specs.source import Source, UnreadableError, opened
from git_planner.flows.specs.validate import checked, read, slug_of
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import plan as plans
from git_planner.rules.specs import context_text
from git_planner.rules.specs.change import SpecChange
from git_planner.rules.specs.compile import (
    KINDS,
    CompileDefaults,
    CompileEffect,
    CompileStamp,
    merge_change,
    task_ids,
)
from git_planner.rules.specs.overrides import Overrides, overrides_from
from git_planner.rules.specs.suggest_verify import FILES_READ, suggest_verify
from git_planner.rules.tasks.task import CLOSED, Task, task_from

_OVERRIDES_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling did. `commit` is the plan's tip afterwards, `changed` whether this was written by it.

    `verify` are the commands for tasks whose spec names none, and `verify_from` says where these are from.
    `unverified` are the open tasks without any, which only a person's word can close.
    """

    plan: str
    change: str
    ref: str
    commit: str
    changed: bool
    source: str
    goal: str
    tasks: int
    effects: tuple[CompileEffect, ...]
    verify: tuple[tuple[str, ...], ...]
    verify_from: str
    unverified: tuple[str, ...]

    def count(self, kind: str) -> int:
        """How many tasks an effect of a kind is about."""
        return sum(effect.kind == kind for effect in self.effects)

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/spec-compiled@1",
            "plan": self.plan,
            "change": self.change,
            "branch": self.ref.removeprefix(refnames.HEADS),
            "commit": self.commit,
            "changed": self.changed,
            "source": self.source,
            "goal": self.goal,
            "tasks": self.tasks,
            "counts": {kind: self.count(kind) for kind in KINDS},
            "effects": [effect.document() for effect in self.effects],
            "verify": [list(each) for each in self.verify],
            "verify_from": self.verify_from,
            "unverified": list(self.unverified),
        }


@dataclass(frozen=True, slots=True)
class _Given:
    """All that compiling depends on but the plan itself."""

    plan: str
    change: SpecChange
    base: Base
    wishes: CompileDefaults
    stamp: CompileStamp
    source: str
    verify_from: str


def compile_change(
    repo: Repository,
    name: str,
    plan: str | None = None,
    *,
    ref: str | None = None,
    overrides: str | None = None,
) -> Compiled:
    """Compile a change into a plan; a plan that is not there yet is made.

    Compiled again, tasks are found by their identity and keep status and evidence; without a difference
    nothing is written.

    Args:
        repo: the repository.
        name: the change.
        plan: the plan's name; that of the change when None.
        ref: the commit to read the spec from; the working tree when None.
        overrides: a file as rules/specs/overrides.py describes it.

    Raises:
        PlannerError: E_SPEC when the change does not hold; E_NAME, E_UNKNOWN_REF, E_USAGE, E_JSON, E_SCHEMA
            for what was named; E_NO_POLICY, E_POLICY for the base; E_CONFLICT, E_CHECKED_OUT.
    """
    given = _given(repo, name, plan, ref, overrides)
    made: list[_Made] = []

    def decide(seen: Snapshot) -> Mapping[str, bytes | None]:
        made[:] = [_made(repo, seen, given)]
        return made[0].edits

    target = refnames.plan_ref(given.plan)
    commit = Store(repo).edit(target, decide, _message(given), base=given.base.oid)
    assert commit is not None
    Pages(repo, given.plan).accepted(made[0].edits)
    return Compiled(
        plan=given.plan,
        change=given.change.slug,
        ref=target,
        commit=commit,
        changed=bool(made[0].edits),
        source=given.source,
        goal=made[0].document["goal"],
        tasks=len(made[0].document["tasks"]),
        effects=tuple(made[0].effects),
        verify=given.wishes.verify,
        verify_from=given.verify_from,
        unverified=tuple(
            task["id"]
            for task in made[0].document["tasks"]
            if not task["verify"] and task["status"] not in CLOSED
        ),
    )


def _given(repo: Repository, name: str, plan: str | None, ref: str | None, overrides: str | None) -> _Given:
    slug = slug_of(name)
    plan = plans.check_new_plan_name(plan or slug)
    said = _overrides(overrides)
    base = find_base(repo, plan, None)
    with opened(repo, ref) as source:
        change = checked(read(source, slug))
        verify, verify_from = _verify(said, base, source)
        words = source.words
    stamp = CompileStamp(repo.now(), repo.ident())
    return _Given(plan, change, base, CompileDefaults(said, verify), stamp, words, verify_from)


@dataclass(frozen=True, slots=True)
class _Made:
    """A decision: the files to write, what was done to tasks, and the plan as it is then."""

    edits: Mapping[str, bytes | None]
    effects: Sequence[CompileEffect]
    document: Mapping[str, Any]


def _made(repo: Repository, seen: Snapshot, given: _Given) -> _Made:
    """What to write on a snapshot of the plan's branch: nothing, when all is as it should be."""
    before = read_plan_at(repo, seen, given.plan)
    tasks = [task_from(each) for each in before["tasks"]] if before else []
    _check_overrides(given.wishes.overrides, tasks, given.change)
    result, effects = merge_change(tasks, given.change, given.wishes, given.stamp)
    document = _document(before, given, [task.document() for task in result])
    folder = refnames.plan_dir(given.plan)
    edits = _pages(before, document, folder)
    context = context_text.render_context(document, given.change).encode()
    if seen.read(f"{folder}/{context_text.CONTEXT}") != context:
        edits[f"{folder}/{context_text.CONTEXT}"] = context
    if edits:
        log = f"{folder}/{context_text.MASTER}"
        text = (seen.read(log) or b"").decode("utf-8", "surrogateescape")
        head = f"{given.stamp.at}: compiled '{given.change.slug}' from {given.source}"
        edits[log] = context_text.append_log(text, given.plan, head, effects).encode(
            "utf-8", "surrogateescape"
        )
    return _Made(edits, effects, document)


def _pages(
    before: Mapping[str, Any] | None, document: Mapping[str, Any], folder: str
) -> dict[str, bytes | None]:
    """The pages that differ; only tasks that differ are judged by the schema."""
    if before:
        check_unique_numbers(before, before["name"])
    known = {task["id"]: task for task in before["tasks"]} if before else {}
    old = plans.split_plan(before) if before else {}
    edits: dict[str, bytes | None] = {}
    for name, page in plans.split_plan(document).items():
        if page != old.get(name):
            fresh = [task for task in page["tasks"] if task != known.get(task["id"])]
            documents.check("plan", {**page, "tasks": fresh}, f"{folder}/{name}")
            edits[f"{folder}/{name}"] = canonical_json.dumps(page)
    return edits


def _check_overrides(overrides: Overrides, tasks: Sequence[Task], change: SpecChange) -> None:
    unused = overrides.unused(task_ids(tasks, change))
    if unused:
        raise PlannerError(
            "E_SCHEMA",
            f"the overrides name tasks that are not in the change: {unused[0]}",
            hint="compare them with 'git plan spec validate' and the tasks.md of the change",
            details=unused,
        )


def _document(before: Mapping[str, Any] | None, given: _Given, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The plan's document. A plan that has other tasks, too, keeps its goal."""
    change, policy = given.change, given.base.policy
    constraints = list(dict.fromkeys([*policy.constraints, *change.invariants]))[:50]
    acceptance = list(change.acceptance or policy.acceptance)
    if before is None:
        made = plans.new_plan(
            given.plan,
            change.goal,
            base=given.base.oid,
            base_ref=given.base.ref,
            created_at=given.stamp.at,
            constraints=constraints,
            acceptance=acceptance,
        )
        return {**made, "tasks": tasks}
    if any(not task["spec"] or task["spec"]["change"] != change.slug for task in tasks):
        constraints = list(dict.fromkeys([*before["constraints"], *change.invariants]))[:50]
        return {**before, "constraints": constraints, "tasks": tasks}
    return {
        **before,
        "goal": change.goal,
        "constraints": constraints,
        "acceptance": acceptance,
        "tasks": tasks,
    }


def _message(given: _Given) -> Message:
    return Message(
        f"plan {given.plan}: compiled '{given.change.slug}', {len(given.change.items)} tasks",
        (("Planner-Op", "spec-compile"), ("Planner-Args", f"{given.change.slug} {given.source}")),
    )


def _overrides(file: str | None) -> Overrides:
    if file is None:
        return Overrides()
    try:
        with Path(file).open("rb") as opened_file:
            data = opened_file.read(_OVERRIDES_BYTES + 1)
    except OSError as error:
        raise PlannerError(
            "E_USAGE",
            f"'{file}' cannot be read: {error.strerror}",
            hint="name the file of the overrides, or leave '--verify-overrides' out",
        ) from None
    return overrides_from(
        redact.mask_document(canonical_json.loads(data, file, limit=_OVERRIDES_BYTES)), file
    )


def _verify(said: Overrides, base: Base, source: Source) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The commands for tasks that are given none, and where they are from."""
    if said.default_verify:
        return said.default_verify, "the overrides"
    if base.policy.verify:
        return base.policy.verify, f"'verify' of '{refnames.POLICY_FILE}'"
    found = suggest_verify(set(_top(source)), dict(_texts(source)))
    return found, "what the repository has" if found else "nothing"


def _top(source: Source) -> Iterator[str]:
    for name, is_folder in source.names("").items():
        yield f"{name}/" if is_folder else name
        if is_folder and not name.endswith(".xcodeproj") and not name.startswith("."):
            yield from (f"{name}/{each}" for each in source.names(name) if each.endswith(".xcodeproj"))


def _texts(source: Source) -> Iterator[tuple[str, str]]:
    for name in FILES_READ:
        try:
            data = source.read(name)
        except UnreadableError:
            continue
        if data is not None:
            yield name, data.decode("utf-8", "replace")
