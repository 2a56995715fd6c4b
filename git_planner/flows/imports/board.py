"""`git planner import board`: take the tasks and texts of a session planner's board over into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import redact
from git_planner.errors import DONE
from git_planner.flows.imports.board_files import BoardFiles, read_board_files
from git_planner.flows.planning.campaign import Campaign, PlanOptions, open_campaign
from git_planner.flows.plans.page_store import Pages
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Edits, Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.imports.old_board import (
    OldBoard,
    OldTask,
    inside,
    question_in,
    read_old_sessions,
    read_old_tasks,
)
from git_planner.rules.imports.old_tasks import (
    BOARD_FOLDER,
    ImportedTasks,
    ImportStamp,
    plan_tasks,
)
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.tasks import handoff
from git_planner.rules.tasks.task import Task, task_from

# Folder of the board's texts beside the plan.
IMPORTED = "imported"
REPORT = "IMPORT.md"


@dataclass(frozen=True, slots=True)
class BoardImport:
    """Result of an import, done or only planned: new tasks and texts, known tasks, and what is left out."""

    plan: str
    source: str
    digest: str
    changed: bool
    dry_run: bool
    tasks: tuple[tuple[OldTask, Task], ...]
    known: Mapping[str, str]
    documents: tuple[str, ...]
    sessions: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def exit(self) -> int:
        """Return exit status 0."""
        return DONE

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "schema": "git-planner/board-import@1",
            "plan": self.plan,
            "source": self.source,
            "digest": self.digest,
            "changed": self.changed,
            "dry_run": self.dry_run,
            "tasks": [
                {
                    "id": task.id,
                    "old_id": old.id,
                    "status": task.status,
                    "old_status": old.old_status,
                    "title": task.title,
                }
                for old, task in self.tasks
            ],
            "known": dict(self.known),
            "documents": list(self.documents),
            "sessions": list(self.sessions),
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class _ImportInputs:
    """All inputs of an import, and what the last decision came to."""

    campaign: Campaign
    pages: Pages
    files: BoardFiles
    board: OldBoard
    handoffs: Mapping[str, str]
    stamp: ImportStamp
    sessions: tuple[str, ...]
    left_out: tuple[str, ...]


def import_board(
    repo: Repository, path: Path | None, plan: str | None, *, dry_run: bool = False
) -> BoardImport:
    """Import a board into a plan in one commit, each task and text once; create a missing plan.

    Args:
        repo: the repository.
        path: the folder of the board; '.codex' of the repository when None.
        plan: the plan's name; the current one when None.
        dry_run: write nothing.

    Raises:
        PlannerError: what `read_board_files`, `open_campaign` and Store.edit raise.
    """
    files = read_board_files(repo, path)
    campaign = open_campaign(repo, PlanOptions(plan=plan))
    board = read_old_tasks(files.tasks)
    handoffs, unused = _match_handoffs(board, files, repo)
    inputs = _ImportInputs(
        campaign=campaign,
        pages=Pages(repo, campaign.plan),
        files=files,
        board=board,
        handoffs=handoffs,
        stamp=ImportStamp(repo.now(), repo.ident(), None if repo.top is None else str(repo.top)),
        sessions=read_old_sessions(files.sessions),
        left_out=(*board.left_out, *files.left_out, *unused),
    )
    done: list[tuple[ImportedTasks, dict[str, bytes | None]]] = []

    def change(snapshot: Snapshot) -> Edits:
        done[:] = [_decide(inputs, snapshot)]
        return done[0][1]

    ref = refnames.plan_ref(campaign.plan)
    if dry_run:
        with repo.git.batch() as batch:
            change(Store(repo).snapshot(ref, batch))
    else:
        message = Message(
            f"plan {campaign.plan}: import {len(board.tasks)} tasks of {BOARD_FOLDER}/board",
            (("Planner-Op", "import-board"), ("Planner-Args", files.digest)),
        )
        Store(repo).edit(ref, change, message, base=campaign.base.oid)
        inputs.pages.mark_valid(done[0][1])
    return _result(inputs, *done[0], dry_run=dry_run)


def _result(
    inputs: _ImportInputs, imported: ImportedTasks, edits: Mapping[str, bytes | None], *, dry_run: bool
) -> BoardImport:
    folder = f"{refnames.plan_dir(inputs.campaign.plan)}/"
    texts = [path.removeprefix(folder) for path in edits if not pages.is_page(path.removeprefix(folder))]
    return BoardImport(
        plan=inputs.campaign.plan,
        source=str(inputs.files.folder),
        digest=inputs.files.digest,
        changed=bool(edits) and not dry_run,
        dry_run=dry_run,
        tasks=imported.new,
        known=imported.known,
        documents=tuple(sorted(texts)),
        sessions=inputs.sessions,
        left_out=(*imported.left_out, *inputs.left_out),
    )


def _match_handoffs(board: OldBoard, files: BoardFiles, repo: Repository) -> tuple[dict[str, str], list[str]]:
    """Return the handoffs by the id of their task on the board, and a line for each of those without one."""
    by_folded = {name.casefold(): name for name in files.handoffs}
    top = None if repo.top is None else str(repo.top)
    handoffs: dict[str, str] = {}
    used: set[str] = set()
    lines = []
    for old in board.tasks:
        name = f"{old.id}.md"
        if old.handoff is not None:
            path = inside(old.handoff, top)
            if path is None or not path.startswith(f"{BOARD_FOLDER}/handoffs/"):
                lines.append(
                    f"{old.id}: its handoff '{old.handoff}', which lies outside {BOARD_FOLDER}/handoffs"
                )
            else:
                name = path.rpartition("/")[2]
        known = by_folded.get(name.casefold())
        if known is not None:
            used.add(known)
            handoffs[old.id] = files.handoffs[known]
    lines += [f"handoffs/{name}: no task has it" for name in files.handoffs if name not in used]
    return handoffs, lines


def _decide(inputs: _ImportInputs, snapshot: Snapshot) -> tuple[ImportedTasks, dict[str, bytes | None]]:
    """Return the tasks that the plan on a snapshot has not yet, and the files to write."""
    plan_pages: dict[str, Any] = dict(inputs.pages.read(snapshot))
    is_new = pages.FIRST_PAGE not in plan_pages
    if is_new:
        plan_pages[pages.FIRST_PAGE] = plans.split_plan(inputs.campaign.document)[pages.FIRST_PAGE]
    present = [task_from(document) for page in plan_pages.values() for document in page["tasks"]]
    questions = {name: text for name, body in inputs.handoffs.items() if (text := question_in(body))}
    imported = plan_tasks(inputs.board.tasks, present, questions, inputs.stamp)
    folder = refnames.plan_dir(inputs.campaign.plan)
    edits: dict[str, bytes | None] = {}
    new: list[tuple[OldTask, Task]] = []
    for old, new_task in imported.new:
        task = new_task
        if old.id in inputs.handoffs:
            task = new_task._replace(handoff=f"{folder}/handoffs/{new_task.id}.md")
            edits[str(task.handoff)] = _handoff(inputs, old, task)
        new.append((old, task))
    left_out = list(imported.left_out)
    edits |= _texts(inputs, snapshot, left_out)
    if new:
        edits |= inputs.pages.task_edits(plan_pages, [task for _, task in new])
    result = ImportedTasks(tuple(new), imported.known, tuple(left_out))
    if edits:
        first = f"{folder}/{pages.FIRST_PAGE}"
        if is_new and first not in edits:
            edits[first] = canonical_json.dumps(plan_pages[pages.FIRST_PAGE])
        report = f"{folder}/{IMPORTED}/{REPORT}"
        before = (snapshot.read(report) or b"").decode("utf-8", "replace")
        edits[report] = handoff.append_entry(before or "# Imports", _report(inputs, result)).encode()
    return result, edits


def _handoff(inputs: _ImportInputs, old: OldTask, task: Task) -> bytes:
    stamp, body = inputs.stamp, inputs.handoffs[old.id]
    entry = handoff.render_entry(f"Imported from {BOARD_FOLDER}", stamp.at, stamp.by, [body])
    return handoff.append_entry(handoff.new_handoff(task), entry).encode()


def _texts(inputs: _ImportInputs, snapshot: Snapshot, left_out: list[str]) -> dict[str, bytes | None]:
    """Return the texts of the board that the plan does not have; one that was changed there is left alone."""
    folder = f"{refnames.plan_dir(inputs.campaign.plan)}/{IMPORTED}"
    edits: dict[str, bytes | None] = {}
    for name, text in inputs.files.texts.items():
        before, data = snapshot.read(f"{folder}/{name}"), redact.mask_text(text).encode("utf-8", "replace")
        if before is None:
            edits[f"{folder}/{name}"] = data
        elif before != data:
            left_out.append(f"board/{name}: the plan has {IMPORTED}/{name} with other text")
    return edits


def _report(inputs: _ImportInputs, imported: ImportedTasks) -> str:
    """Return the section of the report for one import."""
    lines = [f"Digest of the board: {inputs.files.digest}", ""]
    lines += [f"- {old.id} -> {task.id}: {old.old_status} -> {task.status}" for old, task in imported.new]
    if inputs.sessions:
        lines += ["", "Sessions; nothing was started:", "", *(f"- {line}" for line in inputs.sessions)]
    if left_out := (*imported.left_out, *inputs.left_out):
        lines += ["", "Left out:", "", *(f"- {line}" for line in left_out)]
    return handoff.render_entry("Import", inputs.stamp.at, inputs.stamp.by, ["\n".join(lines)])
