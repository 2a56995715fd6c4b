"""Client of `codex cloud` as codex 0.150 has it: exec, list, status, diff --attempt.

`diff --attempt N` counts only the attempts that have a diff. So variant N is the N-th attempt with a diff;
the attempts without one follow, as failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from git_planner.agents.cloud.cloud_cli import CloudCli, error_line
from git_planner.errors import PlannerError
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.rules.tournament.source import (
    Payload,
    PolledVariant,
    PollResult,
    TaskRequest,
    check_request,
    check_task_id,
    source_state,
    variant_number,
)

# The client accepts no other number of attempts.
MOST_ATTEMPTS = 4
_MOST_PAGES = 10
_MOST_MESSAGE = 64 * 1024
_TITLE = re.compile(r"\s*\[([^\]\n]{1,60})\]")
_COUNT = re.compile(r"only (\d{1,6}) attempt")
_NO_DIFF = re.compile(r"no diff available", re.IGNORECASE)


class AttemptsClient:
    """A service that numbers the attempts of a task which have a diff."""

    def __init__(self, cli: CloudCli) -> None:
        self._cli = cli
        # An old task is beyond the pages; then only its status is asked for.
        self._unlisted: set[str] = set()

    def start(self, request: TaskRequest) -> str:
        """Submit a prompt, and return the id of the task.

        Raises:
            PlannerError: E_USAGE without an environment, or for too many attempts; E_CLOUD_ANSWER; what
                `CloudCli.submit` raises.
        """
        check_request(request)
        if not request.environment:
            raise PlannerError(
                "E_USAGE",
                "the cloud service needs an environment",
                hint="name it with '--env'; 'codex cloud' lists those of your account",
            )
        if request.attempts > MOST_ATTEMPTS:
            raise PlannerError(
                "E_USAGE",
                f"the cloud service makes at most {MOST_ATTEMPTS} attempts of a task, not {request.attempts}",
                hint="ask for fewer",
            )
        branch = ["--branch", request.branch] if request.branch else []
        attempts = ["--attempts", str(request.attempts)]
        args = ("exec", "--env", request.environment, *branch, *attempts, "-")
        return self._cli.submit(*args, prompt=request.prompt)

    def poll(self, task: str) -> PollResult:
        """Return the state of a task and of its attempts.

        Raises:
            PlannerError: E_NAME; what `CloudCli.document` raises, E_CLOUD_TASK excepted.
        """
        check_task_id(task)
        entry = None if task in self._unlisted else self._listed(task)
        if entry is not None:
            state, reported = source_state(entry.get("status"))
            total = variant_number(entry.get("attempt_total")) or 1
        else:
            self._unlisted.add(task)
            status = self._status(task)
            if status is None:
                return PollResult("unknown", "", known=False)
            (state, reported), total = source_state(status), 0
        if state != "ready":
            return PollResult(state, reported, tuple(_numbered(1, total, state, reported)))
        with_diff = self._count(task)
        failed = _numbered(with_diff + 1, total, "failed", "no diff")
        return PollResult(state, reported, (*_numbered(1, with_diff, state, reported), *failed))

    def fetch(self, task: str, number: int) -> Payload:
        """Return the diff of an attempt.

        Raises:
            PlannerError: E_NAME; E_TOO_LARGE; what `CloudCli.output` raises.
        """
        check_task_id(task)
        args = ("diff", task, "--attempt", str(number))
        patch = self._cli.output(*args, limit=MOST_PATCH_BYTES)
        return Payload(patch, metadata={"task_id": task, "attempt": number})

    def _listed(self, task: str) -> Mapping[str, Any] | None:
        """Return the entry of a task in the list; None if the first pages do not have it."""
        cursor, seen = None, set()
        for _ in range(_MOST_PAGES):
            args = ["list", "--json", *(["--cursor", cursor] if cursor else [])]
            page = self._cli.document(*args)
            tasks = page.get("tasks") if isinstance(page, dict) else None
            if not isinstance(tasks, list):
                raise PlannerError(
                    "E_CLOUD_ANSWER",
                    "the service's list of tasks has no 'tasks'",
                    hint="run 'codex cloud list --json' by hand; another version may print it otherwise",
                )
            for entry in tasks:
                if isinstance(entry, dict) and entry.get("id") == task:
                    return entry
            cursor = page.get("cursor")
            # A service that repeats its pages would be asked for ever.
            if not isinstance(cursor, str) or not cursor or cursor.startswith("-") or cursor in seen:
                return None
            seen.add(cursor)
        return None

    def _status(self, task: str) -> str | None:
        """Return the word that `status` prints, which is an answer with exit status 1, too; None: no task."""
        done = self._cli.run("status", task)
        title = _TITLE.match(done.stdout.decode(errors="replace"))
        if title:
            return title[1]
        error = self._cli.failure(("status", task), done)
        if error.code == "E_CLOUD_TASK":
            return None
        raise error

    def _count(self, task: str) -> int:
        """Return how many attempts have a diff: asked for a later one, the client names their number."""
        args = ("diff", task, "--attempt", str(MOST_ATTEMPTS))
        done = self._cli.run(*args, limit=_MOST_MESSAGE)
        if done.status == 0:
            return MOST_ATTEMPTS
        message = error_line(done)
        if count := _COUNT.search(message):
            return min(int(count[1]), MOST_ATTEMPTS)
        if _NO_DIFF.search(message):
            return 0
        raise self._cli.failure(args, done)


def _numbered(first: int, last: int, state: Any, reported: str) -> list[PolledVariant]:
    return [PolledVariant(number, state, reported) for number in range(first, last + 1)]
