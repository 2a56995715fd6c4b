"""Client of a `cloud` command with new, list, show, export and diff, which numbers variants itself."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.agents.cloud.cloud_cli import CloudCli
from git_planner.errors import PlannerError
from git_planner.folders import remove_folder
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.source import (
    Payload,
    PolledVariant,
    PollResult,
    TaskRequest,
    check_request,
    check_task_id,
    source_state,
    state_of_variants,
    variant_number,
)

_MOST_REPORT = 2**20
# The service shows all variants with their patches.
_MOST_SHOWN = 256 * 2**20
_INDEX = ("variant_index", "variantIndex", "index", "id")
_TASK = ("task_id", "id", "taskId")
_STATUS = ("status", "state")
_CHANGED = ("updated_at", "created_at", "updatedAt")
# Tasks that are looked at for a prompt.
_MOST_SEARCHED = 20


class VariantsClient:
    """A service that numbers the variants of a task and tells the state of each."""

    def __init__(self, cli: CloudCli) -> None:
        self._cli = cli
        # The service's last entry of each variant, by task and number, without the patch.
        self._entries: dict[str, dict[int, Mapping[str, Any]]] = {}

    def start(self, request: TaskRequest) -> str:
        """Submit a prompt, and return the id of the task.

        Raises:
            PlannerError: E_NAME; what `CloudCli.submit` raises.
        """
        check_request(request)
        environment = ["--env", request.environment] if request.environment else []
        base = ["--base", request.branch] if request.branch else []
        args = ("new", *environment, *base, "--best-of", str(request.attempts))
        return self._cli.submit(*args, prompt=request.prompt)

    def poll(self, task: str) -> PollResult:
        """Return the state of a task and of its variants.

        Raises:
            PlannerError: E_NAME; what `CloudCli.document` raises, E_CLOUD_TASK excepted.
        """
        check_task_id(task)
        listed = self._cli.document("list", "--json")
        entries = _entries(listed, "tasks", "items")
        entry = next((entry for entry in entries if _first(entry, _TASK) == task), None)
        try:
            variants, notes = _polled(self._shown(task))
        except PlannerError as error:
            if error.code != "E_CLOUD_TASK":
                raise
            if entry is None:
                return PollResult("unknown", "", known=False)
            variants, notes = (), (error.message,)
        if entry is None:
            # The list ends with its first page.
            return PollResult(state_of_variants(variants), "", variants, notes=notes)
        state, reported = source_state(_first(entry, _STATUS))
        return PollResult(state, reported, variants, notes=notes)

    def find(self, prompt: str, since: float) -> list[str]:
        """Return the ids of listed tasks with a prompt that have changed since a time.

        Args:
            prompt: the prompt that was sent.
            since: seconds since the epoch; a task that names no time is left out.

        Raises:
            PlannerError: E_NAME; what `CloudCli.document` raises, since each task counts.
        """
        tasks = []
        listed = self._cli.document("list", "--json")
        recent = [entry for entry in _entries(listed, "tasks", "items") if _changed_at(entry) >= since]
        for entry in recent[:_MOST_SEARCHED]:
            task = check_task_id(_first(entry, _TASK))
            shown = self._cli.document("show", task, "--json", "--all", limit=_MOST_SHOWN)
            if isinstance(shown, dict) and str(shown.get("prompt", "")).strip() == prompt.strip():
                tasks.append(task)
        return tasks

    def fetch(self, task: str, number: int) -> Payload:
        """Return patch, report and metadata of a variant.

        Raises:
            PlannerError: E_NAME; E_TOO_LARGE; what `CloudCli.output` raises.
        """
        check_task_id(task)
        folder = self._cli.folder / "export"
        remove_folder(folder)
        folder.mkdir()
        done = self._cli.run("export", "--variant", str(number), "--dir", str(folder), task)
        places = (folder / f"var{number}", folder)
        patch = next((data for place in places if (data := _read(place / "patch.diff")) is not None), None)
        report = next((data for place in places if (data := _read(place / "report.json"))), b"{}")
        if patch is None:
            if done.status != 0:
                raise self._cli.failure(("export", "--variant", str(number), task), done)
            patch = self._cli.output("diff", task, "--variant", str(number), limit=MOST_PATCH_BYTES)
        remove_folder(folder)
        return Payload(patch, report=_document(report), metadata=self._metadata(task, number))

    def _shown(self, task: str) -> Any:
        document = self._cli.document("show", task, "--json", "--all", limit=_MOST_SHOWN)
        self._entries[task] = {
            number: {name: value for name, value in entry.items() if name != "diff"}
            for entry in _entries(document, "variants")
            if (number := _number(entry)) is not None
        }
        return document

    def _metadata(self, task: str, number: int) -> Mapping[str, Any]:
        if task not in self._entries:
            with suppress(PlannerError):
                self._shown(task)
        return self._entries.setdefault(task, {}).get(number, {})


def _changed_at(entry: Mapping[str, Any]) -> float:
    """Return when a task changed last, in seconds since the epoch; 0 if the service does not say so."""
    value = _first(entry, _CHANGED)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    with suppress(ValueError):
        when = datetime.fromisoformat(str(value))
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return 0.0


def _polled(document: Any) -> tuple[tuple[PolledVariant, ...], tuple[str, ...]]:
    """Return the variants that a service shows, by number, and the faults of its answer."""
    variants: dict[int, PolledVariant] = {}
    notes = []
    for entry in _entries(document, "variants"):
        number = _number(entry)
        if number is None:
            notes.append(f"{str(_first(entry, _INDEX))[:60]!r} is not the number of a variant")
        elif number in variants:
            notes.append(f"variant {number} is listed twice")
        else:
            variants[number] = PolledVariant(number, *source_state(_first(entry, _STATUS)))
    return tuple(variants[number] for number in sorted(variants)), tuple(notes[:20])


def _entries(document: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list, which is the document or one of its values.

    Raises:
        PlannerError: E_CLOUD_ANSWER if there is no list.
    """
    values = document if isinstance(document, list) else None
    if isinstance(document, dict):
        values = next((document[name] for name in names if isinstance(document.get(name), list)), None)
    if values is None:
        raise PlannerError(
            "E_CLOUD_ANSWER",
            f"the service's answer has no list of {names[0]}",
            hint="run the client by hand; another version may print it otherwise",
        )
    yield from (entry for entry in values if isinstance(entry, dict))


def _first(entry: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _number(entry: Mapping[str, Any]) -> int | None:
    return variant_number(_first(entry, _INDEX))


def _document(data: bytes) -> Mapping[str, Any]:
    with suppress(PlannerError):
        document = canonical_json.loads(data, "report.json", limit=_MOST_REPORT)
        if isinstance(document, dict):
            return document
    return {}


def _read(path: Path) -> bytes | None:
    """Return the content of a file that the client exported; None if there is none, or only a link.

    Raises:
        PlannerError: E_TOO_LARGE.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        if path.stat().st_size > MOST_PATCH_BYTES:
            raise PlannerError(
                "E_TOO_LARGE",
                f"the exported '{path.name}' has more than {MOST_PATCH_BYTES:,} bytes",
                hint="look at the variant on the service's page",
            )
        return atomic_file.read(path, MOST_PATCH_BYTES)
    except OSError:
        return None
