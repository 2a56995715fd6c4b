"""`git plan lint`: faults in a plan, overlapping write scopes, and drift of the base branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.planning.list_iterations import Iteration, list_iterations
from git_planner.flows.plans.best_place import find_moved_best
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.list_plans import parse_leniently
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.records.standing import best_standings, measured_elsewhere
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

# Longer lists of overlaps are cut.
MAX_OVERLAPS = 200


@dataclass(frozen=True, slots=True)
class Drift:
    """Changes on the base branch since the base of a task, within the scopes of the task."""

    task: str
    base: str
    paths: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The drift as JSON."""
        return {"task": self.task, "base": self.base, "paths": list(self.paths)}


@dataclass(frozen=True, slots=True)
class LintResult:
    """Result of linting a plan."""

    plan: str
    faults: tuple[LintFault, ...]
    clashes: tuple[ScopeClash, ...]
    drifts: tuple[Drift, ...]

    @property
    def ok(self) -> bool:
        """True if the plan has no errors; overlaps, drift and warnings do not count."""
        return not any(fault.severity == "error" for fault in self.faults)

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        return {
            "schema": "git-planner/linted@1",
            "plan": self.plan,
            "ok": self.ok,
            "faults": [fault.document() for fault in self.faults],
            "overlaps": [
                {"one": clash.one, "other": clash.other, "patterns": list(clash.patterns)}
                for clash in self.clashes
            ],
            "drift": [drift.document() for drift in self.drifts],
        }


def lint(repo: Repository, plan: str | None) -> LintResult:
    """Lint a plan on its branch, valid or not.

    Args:
        repo: the repository.
        plan: its name; the current one when None.

    Raises:
        PlannerError: E_NO_PLAN, E_NAME.
    """
    name = current_plan(repo, plan)
    files = Store(repo).read_all([refnames.plan_ref(name)], refnames.plan_dir(name))[refnames.plan_ref(name)]
    contents = {name: files[name] for name in pages.sort_pages(files)}
    if pages.FIRST_PAGE not in contents:
        raise missing_plan(name, repo)
    plan_pages, faults = _parse_pages(contents, name)
    task_documents = [
        task for page in plan_pages.values() for task in page.get("tasks", ()) if isinstance(task, dict)
    ]
    faults += [*_find_misplaced(plan_pages), *rules.lint_tasks(task_documents), *_record_faults(repo, name)]
    tasks = (
        [task_from(document) for document in task_documents if not documents.validate("task", document)]
        if _are_parsed(faults)
        else []
    )
    about = plan_pages.get(pages.FIRST_PAGE, {})
    return LintResult(
        name,
        tuple(faults),
        tuple(
            [*readiness.find_task_clashes(tasks, MAX_OVERLAPS), *_overlaps_elsewhere(repo, name, tasks)][
                :MAX_OVERLAPS
            ]
        ),
        tuple(_find_drifts(repo, tasks, about)),
    )


def _are_parsed(faults: Sequence[LintFault]) -> bool:
    return not any(fault.code in ("json", "schema") for fault in faults)


def _find_misplaced(plan_pages: Mapping[str, Mapping[str, Any]]) -> Iterator[LintFault]:
    """Find tasks on the wrong page for their number, where they are never read."""
    for name, page in plan_pages.items():
        for task in page.get("tasks", ()):
            with suppress(PlannerError, AttributeError, TypeError):
                expected = pages.page_name(task_number(task.get("id")))
                if expected != name:
                    yield LintFault(
                        "page", "error", task["id"], f"is in '{name}' and belongs in '{expected}'"
                    )


def _record_faults(repo: Repository, plan: str) -> Iterator[LintFault]:
    """Yield what is wrong with the plan's results: a disputed best, improvements from elsewhere."""
    moved = find_moved_best(repo, plan)
    if moved is not None:
        yield LintFault("best-moved", "error", "", f"{moved.message}; '{moved.fix}' brings it back")
    for standing in best_standings(repo, [plan]).values():
        if standing.disputed:
            message = f"'{standing.branch}' is at a disputed record: {standing.why}"
            yield LintFault("best-disputed", "error", "", message)
    claims = measured_elsewhere(repo, LedgerReader(repo).read(plan))
    if claims:
        message = (
            f"{len(claims)} records claim an improvement that was not measured in this repository, "
            f"such as '{claims[-1].id}'"
        )
        yield LintFault("measured-elsewhere", "warning", "", message)


def _parse_pages(
    contents: Mapping[str, bytes], plan: str
) -> tuple[dict[str, dict[str, Any]], list[LintFault]]:
    plan_pages: dict[str, dict[str, Any]] = {}
    faults: list[LintFault] = []
    for name, data in contents.items():
        where = f"{refnames.PLAN}{plan}:{refnames.plan_dir(plan)}/{name}"
        try:
            document = canonical_json.loads(data, where)
        except PlannerError as error:
            faults.append(LintFault("json", "error", "", error.message))
            continue
        errors = documents.validate("plan", document)
        faults += [LintFault("schema", "error", "", f"{name}{error}") for error in errors]
        if isinstance(document, dict):
            plan_pages[name] = document
    return plan_pages, faults


def _overlaps_elsewhere(repo: Repository, plan: str, tasks: Sequence[Task]) -> list[ScopeClash]:
    """Return the overlaps of this plan's open tasks with other plans, iterations and tournament variants."""
    own_works = [
        ScopedWork("task", task.id, task.write_scope)
        for task in tasks
        if task.status not in CLOSED and task.write_scope
    ]
    branches = {task.branch for task in tasks}
    own_names = {work.label for work in own_works}
    works = [*own_works, *works_elsewhere(repo, plan, branches, list_iterations(repo))]
    clashes = readiness.find_clashes(works, 10 * MAX_OVERLAPS)
    return [clash for clash in clashes if (clash.one in own_names) != (clash.other in own_names)]


def works_elsewhere(
    repo: Repository, plan: str, excluded_branches: set[str | None], iterations: Sequence[Iteration]
) -> list[ScopedWork]:
    """Return what the open tasks of other plans, open iterations and tournament variants write.

    Args:
        repo: the repository.
        plan: the plan whose tasks are left out.
        excluded_branches: branches of iterations that are left out.
        iterations: all iterations.
    """
    return [
        *_other_plan_works(repo, plan),
        *_iteration_works(repo, excluded_branches, iterations),
        *_variant_works(repo),
    ]


def _other_plan_works(repo: Repository, plan: str) -> list[ScopedWork]:
    """Return the write scopes of the open tasks of all other plans."""
    prefix = refnames.HEADS + refnames.PLAN
    heads = [ref.removeprefix(prefix) for ref in history.list_refs(repo, prefix)]
    works: list[ScopedWork] = []
    invalid = []
    store = Store(repo)
    with repo.git.batch() as batch:
        for name in heads:
            if name == plan or not plans.is_plan_name(name):
                continue
            try:
                snapshot = store.snapshot(refnames.plan_ref(name), batch)
                summaries = Pages(repo, name).read_summaries(snapshot) or ()
            except PlannerError:
                invalid.append(name)
                continue
            works += [
                ScopedWork("task", f"{name} {task.id}", tuple(task.write_scope))
                for task in summaries
                if task.status not in CLOSED
            ]
    return [*works, *_works_of_invalid_plans(repo, invalid)]


def _works_of_invalid_plans(repo: Repository, names: Sequence[str]) -> list[ScopedWork]:
    """Return the write scopes of the open tasks that are valid, in plans that are not."""
    works: list[ScopedWork] = []
    for name, data in read_pages_of_plans(repo, names) if names else ():
        tasks = parse_leniently(data).get("tasks", ())
        works += [
            ScopedWork("task", f"{name} {task['id']}", tuple(task["write_scope"]))
            for task in tasks
            if not documents.validate("task", task) and task["status"] not in CLOSED
        ]
    return works


def read_pages_of_plans(repo: Repository, plan_names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Read the pages of several plans from their branches, as pairs of plan name and content."""
    folders = (f"{refnames.plan_ref(name)}:{refnames.plan_dir(name)}" for name in plan_names)
    id_bytes = 32 if repo.object_format == "sha256" else 20
    page_ids: list[tuple[str, str]] = []
    for name, raw in zip(plan_names, read_objects(repo.git, folders), strict=True):
        tree = parse_tree(raw, id_bytes) if raw else {}
        page_ids += [(name, tree[page].oid) for page in pages.sort_pages(tree)]
    contents = read_objects(repo.git, (oid for _, oid in page_ids)) if page_ids else iter(())
    for (name, _), data in zip(page_ids, contents, strict=True):
        yield name, data or b""


def _iteration_works(
    repo: Repository, excluded_branches: set[str | None], iterations: Sequence[Iteration]
) -> list[ScopedWork]:
    """Return the changed paths of open iterations."""
    works = []
    for iteration in iterations:
        if (
            iteration.state
            and iteration.tip
            and iteration.phase in ("planned", "committed")
            and iteration.branch not in excluded_branches
        ):
            base = iteration.start or iteration.state.base
            if repo.maybe(base) is not None:
                changed = history.changes(repo.git, base, iteration.tip)
                paths = tuple(change.path for change in changed if change.path != refnames.STATE_FILE)
                works.append(ScopedWork("iteration", f"{iteration.number:04d}", paths))
    return works


def _variant_works(repo: Repository) -> list[ScopedWork]:
    """Return the changed paths of tournament variants."""
    works = []
    for ref, tip in history.list_refs(repo, refnames.HEADS + refnames.TOURNAMENT).items():
        run, _, variant = ref.removeprefix(refnames.HEADS + refnames.TOURNAMENT).rpartition("/")
        if variant.startswith("v") and variant[1:].isdigit():
            root = repo.maybe(f"{refnames.HEADS}{refnames.TOURNAMENT}{run}/run")
            base = history.merge_base(repo.git, root, tip) if root else None
            if base is not None:
                paths = tuple(change.path for change in history.changes(repo.git, base, tip))
                works.append(ScopedWork("variant", f"{run}/{variant}", paths))
    return works


def _find_drifts(repo: Repository, tasks: Sequence[Task], about: Mapping[str, Any]) -> list[Drift]:
    """Find paths in the scopes of open tasks that the base branch changed since their bases."""
    tip = repo.maybe(f"{refnames.HEADS}{about.get('base_ref')}")
    drifts: list[Drift] = []
    changed: dict[str, list[str]] = {}
    for task in tasks:
        base = task.base or str(about.get("base"))
        if tip is None or task.status in CLOSED or repo.maybe(base) is None:
            continue
        if base not in changed:
            changed[base] = [change.path for change in history.changes(repo.git, base, tip)]
        scopes = (*task.write_scope, *task.read_scope)
        paths = [path for path in changed[base] if any(is_overlapping(pattern, path) for pattern in scopes)]
        if paths:
            drifts.append(Drift(task.id, base, tuple(paths[:MAX_OVERLAPS])))
    return drifts
