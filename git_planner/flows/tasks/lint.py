"""`git plan lint`: what is wrong with a plan, whose write scopes overlap, and what moved under them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.iterations.list_iterations import list_iterations
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.list_plans import parse_leniently
from git_planner.flows.plans.page_store import missing_plan
from git_planner.gitio import history
from git_planner.gitio.git import read_objects
from git_planner.gitio.objects import parse_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.policy.globs import is_overlapping
from git_planner.rules.tasks import lint as rules
from git_planner.rules.tasks import readiness
from git_planner.rules.tasks.lint import LintFault
from git_planner.rules.tasks.readiness import ScopeClash, ScopedWork
from git_planner.rules.tasks.task import CLOSED, Task, task_from, task_number

# So many overlaps are told; a plan with more of them is not read to the end by anybody.
MOST = 200


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed on the base branch, since a task's work starts from an older commit of it."""

    task: str
    base: str
    paths: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The drift as JSON."""
        return {"task": self.task, "base": self.base, "paths": list(self.paths)}


@dataclass(frozen=True, slots=True)
class Linted:
    """All that was found in a plan."""

    plan: str
    faults: tuple[LintFault, ...]
    clashes: tuple[ScopeClash, ...]
    drifts: tuple[Drift, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; overlaps, drift and warnings are no faults."""
        return not any(each.severity == "error" for each in self.faults)

    def document(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "schema": "git-planner/linted@1",
            "plan": self.plan,
            "ok": self.ok,
            "faults": [each.document() for each in self.faults],
            "overlaps": [
                {"one": each.one, "other": each.other, "patterns": list(each.patterns)}
                for each in self.clashes
            ],
            "drift": [each.document() for each in self.drifts],
        }


def lint(repo: Repository, plan: str | None) -> Linted:
    """Look at a plan as it stands on its branch, however it was written.

    Args:
        repo: the repository.
        plan: its name; the current one when None.

    Raises:
        PlannerError: E_NO_PLAN, E_NAME.
    """
    name = current_plan(repo, plan)
    files = Store(repo).read_all([refnames.plan_ref(name)], refnames.plan_dir(name))[refnames.plan_ref(name)]
    found = {each: files[each] for each in pages.sort_pages(files)}
    if pages.FIRST_PAGE not in found:
        raise missing_plan(name)
    documents_, faults = _read(found, name)
    raw = [task for each in documents_.values() for task in each.get("tasks", ()) if isinstance(task, dict)]
    faults += [*_misplaced(documents_), *rules.lint_tasks(raw)]
    tasks = (
        [task_from(each) for each in raw if not documents.validate("task", each)] if _sound(faults) else []
    )
    about = documents_.get(pages.FIRST_PAGE, {})
    return Linted(
        name,
        tuple(faults),
        tuple([*readiness.find_task_clashes(tasks, MOST), *_others(repo, name, tasks)][:MOST]),
        tuple(_drifts(repo, tasks, about)),
    )


def _sound(faults: Sequence[LintFault]) -> bool:
    return not any(each.code in ("json", "schema") for each in faults)


def _misplaced(read: Mapping[str, Mapping[str, Any]]) -> Iterator[LintFault]:
    """Tasks on another page than their number says, where nothing looks for them."""
    for name, page in read.items():
        for task in page.get("tasks", ()):
            with suppress(PlannerError, AttributeError, TypeError):
                own = pages.page_name(task_number(task.get("id")))
                if own != name:
                    yield LintFault(
                        "page", "error", task["id"], f"stands in '{name}' and belongs into '{own}'"
                    )


def _read(found: Mapping[str, bytes], plan: str) -> tuple[dict[str, dict[str, Any]], list[LintFault]]:
    read: dict[str, dict[str, Any]] = {}
    faults: list[LintFault] = []
    for name, data in found.items():
        where = f"{refnames.PLAN}{plan}:{refnames.plan_dir(plan)}/{name}"
        try:
            document = canonical_json.loads(data, where)
        except PlannerError as error:
            faults.append(LintFault("json", "error", "", error.message))
            continue
        wrong = documents.validate("plan", document)
        faults += [LintFault("schema", "error", "", f"{name}{each}") for each in wrong]
        if isinstance(document, dict):
            read[name] = document
    return read, faults


def _others(repo: Repository, plan: str, tasks: Sequence[Task]) -> list[ScopeClash]:
    """Overlaps of this plan's open tasks with what is open elsewhere."""
    own = [
        ScopedWork("task", task.id, task.write_scope)
        for task in tasks
        if task.status not in CLOSED and task.write_scope
    ]
    branches = {task.branch for task in tasks}
    ours = {each.label for each in own}
    works = [*own, *_plans(repo, plan), *_iterations(repo, branches), *_variants(repo)]
    found = readiness.find_clashes(works, 10 * MOST)
    return [each for each in found if (each.one in ours) != (each.other in ours)]


def _plans(repo: Repository, plan: str) -> list[ScopedWork]:
    """The open tasks of all other plans."""
    prefix = refnames.HEADS + refnames.PLAN
    heads = [ref.removeprefix(prefix) for ref in history.refs(repo.git, prefix)]
    found: list[ScopedWork] = []
    for name, data in pages_of(repo, [each for each in heads if each != plan and plans.is_plan_name(each)]):
        tasks = parse_leniently(data).get("tasks", ())
        found += [
            ScopedWork("task", f"{name} {task['id']}", tuple(task["write_scope"]))
            for task in tasks
            if not documents.validate("task", task) and task["status"] not in CLOSED
        ]
    return found


def pages_of(repo: Repository, plan_names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The pages of many plans as they lie on their branches: the plan's name and the page's content."""
    folders = (f"{refnames.plan_ref(name)}:{refnames.plan_dir(name)}" for name in plan_names)
    id_bytes = 32 if repo.object_format == "sha256" else 20
    wanted: list[tuple[str, str]] = []
    for name, raw in zip(plan_names, read_objects(repo.git, folders), strict=True):
        tree = parse_tree(raw, id_bytes) if raw else {}
        wanted += [(name, tree[page].oid) for page in pages.sort_pages(tree)]
    contents = read_objects(repo.git, (oid for _, oid in wanted)) if wanted else iter(())
    for (name, _), data in zip(wanted, contents, strict=True):
        yield name, data or b""


def _iterations(repo: Repository, without: set[str | None]) -> list[ScopedWork]:
    """What open iterations have changed so far."""
    found = []
    for each in list_iterations(repo):
        if each.state and each.tip and each.phase in ("planned", "committed") and each.branch not in without:
            base = each.start or each.state.base
            if repo.maybe(base) is not None:
                changed = history.changes(repo.git, base, each.tip)
                paths = tuple(change.path for change in changed if change.path != refnames.STATE_FILE)
                found.append(ScopedWork("iteration", f"{each.number:04d}", paths))
    return found


def _variants(repo: Repository) -> list[ScopedWork]:
    """What the variants of tournaments have changed."""
    found = []
    for ref, tip in history.refs(repo.git, refnames.HEADS + refnames.TOURNAMENT).items():
        run, _, variant = ref.removeprefix(refnames.HEADS + refnames.TOURNAMENT).rpartition("/")
        if variant.startswith("v") and variant[1:].isdigit():
            root = repo.maybe(f"{refnames.HEADS}{refnames.TOURNAMENT}{run}/run")
            base = history.merge_base(repo.git, root, tip) if root else None
            if base is not None:
                paths = tuple(change.path for change in history.changes(repo.git, base, tip))
                found.append(ScopedWork("variant", f"{run}/{variant}", paths))
    return found


def _drifts(repo: Repository, tasks: Sequence[Task], about: Mapping[str, Any]) -> list[Drift]:
    """For each open task: what its scopes hold that the base branch changed since the task's base."""
    tip = repo.maybe(f"{refnames.HEADS}{about.get('base_ref')}")
    found: list[Drift] = []
    changed: dict[str, list[str]] = {}
    for task in tasks:
        base = task.base or str(about.get("base"))
        if tip is None or task.status in CLOSED or repo.maybe(base) is None:
            continue
        if base not in changed:
            changed[base] = [each.path for each in history.changes(repo.git, base, tip)]
        scopes = (*task.write_scope, *task.read_scope)
        paths = [path for path in changed[base] if any(is_overlapping(pattern, path) for pattern in scopes)]
        if paths:
            found.append(Drift(task.id, base, tuple(paths[:MOST])))
    return found
