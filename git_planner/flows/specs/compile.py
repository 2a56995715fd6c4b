"""`git plan spec compile`: compile a change into tasks of a plan, in one commit on the plan branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.plans.current_plan import check_pulled
from git_planner.flows.plans.page_store import Pages, check_unique_numbers
from git_planner.flows.plans.plan_document import read_plan_at
from git_planner.flows.specs.source import SpecSource, UnreadableError, open_source
from git_planner.flows.specs.validate import load_change, parse_slug, require_valid
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.host import bounded_call
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject, spec_subject
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
# Top-level folders that are searched for projects.
_LOOK_INTO = 200


@dataclass(frozen=True, slots=True)
class CompileResult:
    """Result of compiling. `commit` is the tip of the plan branch, `changed` whether it is a new commit.

    `verify` are the default commands of tasks without their own, and `verify_from` names their source.
    `unverified` are the open tasks without any command, which need a manual sign-off.
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
        """Return the number of effects of a kind."""
        return sum(effect.kind == kind for effect in self.effects)

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/spec-compiled@1",
            "plan": self.plan,
            "change": self.change,
            "branch": refnames.short_name(self.ref),
            "commit": self.commit,
            "changed": self.changed,
            "source": self.source,
            "goal": self.goal,
            "tasks": self.tasks,
            "counts": {kind: self.count(kind) for kind in KINDS},
            "effects": [effect.document() for effect in self.effects],
            "verify": [list(command) for command in self.verify],
            "verify_from": self.verify_from,
            "unverified": list(self.unverified),
        }


@dataclass(frozen=True, slots=True)
class _CompileInputs:
    """All inputs of compiling, except the plan."""

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
) -> CompileResult:
    """Compile a change into a plan; create the plan if it does not exist.

    A repeated compile finds tasks by their identity and keeps status and evidence; it writes nothing without
    a difference.

    Args:
        repo: the repository.
        name: the change.
        plan: the plan's name (default: the name of the change).
        ref: the commit to read the spec from (default: the working tree).
        overrides: a file as described in rules/specs/overrides.py.

    Raises:
        PlannerError: E_SPEC for an invalid change; E_NAME, E_UNKNOWN_REF, E_USAGE, E_JSON, E_SCHEMA for
            the arguments; E_NO_POLICY, E_POLICY for the base; E_CONFLICT, E_CHECKED_OUT; E_REVIEW.
    """
    inputs = _read_inputs(repo, name, plan, ref, overrides)
    subject = spec_subject(inputs.plan, inputs.change.slug, inputs.change.content())
    require(repo, inputs.base.policy, subject, lambda _: None)
    compiled: list[_CompiledPlan] = []

    def decide(snapshot: Snapshot) -> Mapping[str, bytes | None]:
        compiled[:] = [_compile_plan(repo, snapshot, inputs)]
        return compiled[0].edits

    target = refnames.plan_ref(inputs.plan)
    commit = Store(repo).edit(target, decide, _compile_message(inputs), base=inputs.base.oid)
    assert commit is not None
    Pages(repo, inputs.plan).mark_valid(compiled[0].edits)
    return CompileResult(
        plan=inputs.plan,
        change=inputs.change.slug,
        ref=target,
        commit=commit,
        changed=bool(compiled[0].edits),
        source=inputs.source,
        goal=compiled[0].document["goal"],
        tasks=len(compiled[0].document["tasks"]),
        effects=tuple(compiled[0].effects),
        verify=inputs.wishes.verify,
        verify_from=inputs.verify_from,
        unverified=tuple(
            task["id"]
            for task in compiled[0].document["tasks"]
            if not task["verify"] and task["status"] not in CLOSED
        ),
    )


def change_subject(repo: Repository, name: str, plan: str, ref: str | None) -> ReviewSubject:
    """Return what is to be approved of a change before it is compiled into a plan.

    Raises:
        PlannerError: E_SPEC for an invalid change; E_NAME, E_UNKNOWN_REF.
    """
    slug = parse_slug(name)
    with open_source(repo, ref if ref is not None or repo.top is not None else "HEAD") as source:
        change = require_valid(load_change(source, slug))
    return spec_subject(plan, slug, change.content())


def _read_inputs(
    repo: Repository, name: str, plan: str | None, ref: str | None, overrides: str | None
) -> _CompileInputs:
    slug = parse_slug(name)
    plan = plans.check_new_plan_name(plan or slug)
    check_pulled(repo, plan)
    parsed_overrides = _read_overrides(overrides)
    base = find_base(repo, plan, None)
    with open_source(repo, ref) as source:
        change = require_valid(load_change(source, slug))
        verify, verify_from = _default_verify(parsed_overrides, base, source)
        source_label = source.label
    stamp = CompileStamp(repo.now(), repo.ident())
    return _CompileInputs(
        plan, change, base, CompileDefaults(parsed_overrides, verify), stamp, source_label, verify_from
    )


@dataclass(frozen=True, slots=True)
class _CompiledPlan:
    """A compiled plan: the files to write, the effects on tasks, and the document of the plan."""

    edits: Mapping[str, bytes | None]
    effects: Sequence[CompileEffect]
    document: Mapping[str, Any]


def _compile_plan(repo: Repository, snapshot: Snapshot, inputs: _CompileInputs) -> _CompiledPlan:
    """Compile on a snapshot of the plan branch; without a difference there is nothing to write."""
    before = read_plan_at(repo, snapshot, inputs.plan)
    tasks = [task_from(document) for document in before["tasks"]] if before else []
    _check_overrides(inputs.wishes.overrides, tasks, inputs.change)
    result, effects = merge_change(tasks, inputs.change, inputs.wishes, inputs.stamp)
    document = _plan_document(before, inputs, [task.document() for task in result])
    folder = refnames.plan_dir(inputs.plan)
    edits = _changed_pages(before, document, folder)
    context = context_text.render_context(document, inputs.change).encode()
    if snapshot.read(f"{folder}/{context_text.CONTEXT}") != context:
        edits[f"{folder}/{context_text.CONTEXT}"] = context
    if edits:
        log = f"{folder}/{context_text.MASTER}"
        text = (snapshot.read(log) or b"").decode("utf-8", "surrogateescape")
        head = f"{inputs.stamp.at}: compiled '{inputs.change.slug}' from {inputs.source}"
        edits[log] = context_text.append_log(text, inputs.plan, head, effects).encode(
            "utf-8", "surrogateescape"
        )
    return _CompiledPlan(edits, effects, document)


def _changed_pages(
    before: Mapping[str, Any] | None, document: Mapping[str, Any], folder: str
) -> dict[str, bytes | None]:
    """Return the changed pages; only changed tasks are validated."""
    if before:
        check_unique_numbers(before, before["name"])
    old_tasks = {task["id"]: task for task in before["tasks"]} if before else {}
    old_pages = plans.split_plan(before) if before else {}
    edits: dict[str, bytes | None] = {}
    for name, page in plans.split_plan(document).items():
        if page != old_pages.get(name):
            changed_tasks = [task for task in page["tasks"] if task != old_tasks.get(task["id"])]
            documents.check("plan", {**page, "tasks": changed_tasks}, f"{folder}/{name}")
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


def _plan_document(
    before: Mapping[str, Any] | None, inputs: _CompileInputs, tasks: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the document of the plan. A plan with other tasks keeps its goal."""
    change, policy = inputs.change, inputs.base.policy
    constraints = list(dict.fromkeys([*policy.constraints, *change.invariants]))[:50]
    acceptance = list(change.acceptance or policy.acceptance)
    if before is None:
        new_document = plans.new_plan(
            inputs.plan,
            change.goal,
            base=inputs.base.oid,
            base_ref=inputs.base.ref,
            created_at=inputs.stamp.at,
            constraints=constraints,
            acceptance=acceptance,
        )
        return {**new_document, "tasks": tasks}
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


def _compile_message(inputs: _CompileInputs) -> Message:
    return Message(
        f"plan {inputs.plan}: compiled '{inputs.change.slug}', {len(inputs.change.items)} tasks",
        (("Planner-Op", "spec-compile"), ("Planner-Args", f"{inputs.change.slug} {inputs.source}")),
    )


def _read_overrides(file: str | None) -> Overrides:
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


def _default_verify(
    overrides: Overrides, base: Base, source: SpecSource
) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Return the default verify commands and their source."""
    if overrides.default_verify:
        return overrides.default_verify, "the overrides"
    if base.policy.verify:
        return base.policy.verify, f"'verify' of '{refnames.POLICY_FILE}'"
    names, texts = set(_top_names(source)), dict(_suggestion_texts(source))
    # The files may be written to exhaust their readers: a suggestion is not worth that.
    suggested = bounded_call.call(lambda: suggest_verify(names, texts))
    if isinstance(suggested, bounded_call.Stopped):
        return (), "nothing"
    return suggested, "what the repository has" if suggested else "nothing"


def _top_names(source: SpecSource) -> Iterator[str]:
    looked_into = 0
    for name, is_folder in _names(source, "").items():
        yield f"{name}/" if is_folder else name
        if is_folder and not name.endswith(".xcodeproj") and not name.startswith("."):
            looked_into += 1
            if looked_into <= _LOOK_INTO:
                yield from (
                    f"{name}/{inner}" for inner in _names(source, name) if inner.endswith(".xcodeproj")
                )


def _names(source: SpecSource, folder: str) -> Mapping[str, bool]:
    try:
        return source.names(folder)
    except UnreadableError:
        return {}


def _suggestion_texts(source: SpecSource) -> Iterator[tuple[str, str]]:
    for name in FILES_READ:
        try:
            data = source.read(name)
        except UnreadableError:
            continue
        if data is not None:
            yield name, data.decode("utf-8", "replace")
