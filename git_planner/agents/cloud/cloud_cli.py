"""Runner of the command-line client of a cloud service: `<client> cloud …`, a call at a time.

The client logs in by itself and writes a file `error.log` to its working directory, so it gets a folder of
its own. It retries nothing: an error of a passing kind says so in its code, and the caller waits.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from git_planner.agents.codex.events import HINTS, classify_failure
from git_planner.agents.codex.login import INSTALL
from git_planner.errors import PlannerError
from git_planner.gitio.git import program_environment
from git_planner.host import process
from git_planner.host.process import Finished
from git_planner.owned_folder import temporary_folder
from git_planner.redact import mask_text
from git_planner.rules.documents import canonical_json
from git_planner.rules.printable import printable_line
from git_planner.rules.tournament.source import check_task_id

# Faults that a later call may not have.
PASSING = (
    "E_CODEX_RATE",
    "E_CODEX_SERVER",
    "E_CODEX_NETWORK",
    "E_CODEX_STREAM",
    "E_DEADLINE",
    "E_CLOUD_ANSWER",
)
CALL_SECONDS = 120.0
MOST_JSON = 16 * 2**20
_LOG = "error.log"
_HTTP = re.compile(r"(?:failed:|status:?|http) ?([45]\d\d)\b", re.IGNORECASE)
_HTTP_CODES = {401: "E_CODEX_AUTH", 403: "E_CODEX_AUTH", 404: "E_CLOUD_TASK", 429: "E_CODEX_RATE"}
_LOST = re.compile(r"task .{0,220}not found|no such task|unknown task", re.IGNORECASE)


class CloudCli:
    """Command-line client of a service, with a working folder of its own; see `open_cli`.

    Args:
        words: the program and its first arguments.
        folder: the working folder.
        env: variables to set for it.
        seconds: the deadline of one call.
    """

    def __init__(self, words: Sequence[str], folder: Path, env: Mapping[str, str], seconds: float) -> None:
        self.words, self.folder = tuple(words), folder
        self._env, self._seconds = env, seconds

    def run(self, *args: str, stdin: str = "", limit: int = MOST_JSON) -> Finished:
        """Run `<client> cloud …` once, and return its result with any exit status.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, E_RESOURCES.
        """
        try:
            done = process.run(
                [*self.words, "cloud", *args],
                cwd=self.folder,
                seconds=self._seconds,
                env=program_environment(self._env),
                stdin=stdin.encode("utf-8", "replace"),
                limit=limit,
            )
        except PlannerError as error:
            if error.code != "E_MISSING_TOOL":
                raise
            raise PlannerError(error.code, error.message, hint=INSTALL) from None
        finally:
            (self.folder / _LOG).unlink(missing_ok=True)
        if done.timed_out:
            raise PlannerError(
                "E_DEADLINE",
                f"'{self._shown(args)}' did not end within {self._seconds:g} seconds",
                hint="see whether the service answers; the call is made again",
            )
        return done

    def output(self, *args: str, stdin: str = "", limit: int = MOST_JSON) -> bytes:
        """Run the client, and return its complete output.

        Raises:
            PlannerError: E_TOO_LARGE, E_CLOUD_TASK (the service does not have the task), what `run` raises,
                and codes of codex by the message of the client.
        """
        done = self.run(*args, stdin=stdin, limit=limit)
        if done.status != 0:
            raise self.failure(args, done)
        if done.stdout_truncated:
            raise PlannerError(
                "E_TOO_LARGE",
                f"'{self._shown(args)}' printed more than {limit:,} bytes",
                hint="look at the task on the service's page",
            )
        return done.stdout

    def submit(self, *args: str, prompt: str) -> str:
        """Send a prompt, and return the id of its task: the last word that the client prints.

        Raises:
            PlannerError: E_CLOUD_ANSWER if there is none; E_NAME; what `output` raises.
        """
        words = self.output(*args, stdin=prompt).decode(errors="replace").split()
        if not words:
            raise PlannerError(
                "E_CLOUD_ANSWER",
                "the service named no task for the prompt",
                hint="see the service's list of tasks before sending it again",
            )
        return check_task_id(words[-1])

    def document(self, *args: str, limit: int = MOST_JSON) -> Any:
        """Run the client, and return the JSON document that it prints.

        Raises:
            PlannerError: E_CLOUD_ANSWER if it is none; what `output` raises.
        """
        output = self.output(*args, limit=limit)
        try:
            return canonical_json.loads(output, self._shown(args), limit=limit)
        except PlannerError as error:
            raise PlannerError(
                "E_CLOUD_ANSWER",
                f"'{self._shown(args)}' printed no JSON: {error.message}",
                hint="run it by hand; another version may print it otherwise",
            ) from None

    def failure(self, args: Sequence[str], done: Finished) -> PlannerError:
        """Return the error for a call that failed, by the client's message."""
        message = error_line(done)
        code = _code(message, done)
        if code == "E_CLOUD_TASK":
            hint = "see the service's list of tasks; it may have been archived or deleted there"
        elif code == "E_CODEX_AUTH":
            hint = "log in with 'codex login', then run the same command again"
        else:
            hint = HINTS.get(code, "run it by hand")
        reason = message or f"it ended with status {done.status} without a message"
        return PlannerError(code, f"'{self._shown(args)}' failed: {reason}", hint=hint)

    def _shown(self, args: Sequence[str]) -> str:
        words = [*self.words, "cloud", *(word for word in args if len(word) <= 80)]
        return mask_text(printable_line(shlex.join(words)))[:200]


@contextmanager
def open_cli(
    command: str, *, env: Mapping[str, str] | None = None, seconds: float = CALL_SECONDS
) -> Iterator[CloudCli]:
    """Yield a client with a working folder that is removed afterwards.

    Args:
        command: the program with its first arguments, as a shell splits them.
        env: variables to set for it.
        seconds: the deadline of one call.

    Raises:
        PlannerError: E_USAGE if the command cannot be split.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        words, reason = [], str(error).lower()
    else:
        reason = "it is empty"
    if not words:
        raise PlannerError(
            "E_USAGE",
            f"the command of the cloud service, {command[:80]!r}, cannot be used: {reason}",
            hint="correct CODEX_BIN, or set 'git config planner.cloudCommand'",
        )
    # The client runs elsewhere, and scripts are named from here.
    paths = [os.path.abspath(word) if _is_file(word) else word for word in words]
    with temporary_folder() as folder:
        yield CloudCli(paths, folder, env or {}, seconds)


def _is_file(word: str) -> bool:
    """Return whether a word names a file from the current folder, as in 'node scripts/stub.mjs'."""
    return not word.startswith("-") and ("/" in word or "." in word) and os.path.isfile(word)


def error_line(done: Finished) -> str:
    """Return the client's own message, masked: the line that begins with 'error', else the last one."""
    text = (done.stderr or done.stdout).decode(errors="replace").partition("Stack backtrace:")[0]
    lines = [" ".join(line.split())[:400] for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    line = (errors or lines[-1:] or [""])[0]
    return mask_text(printable_line(re.sub(r"(?i)^error:\s*", "", line)))


def _code(message: str, done: Finished) -> str:
    http = _HTTP.search(message)
    if http is not None:
        status = int(http[1])
        return _HTTP_CODES.get(status, "E_CODEX_SERVER" if status >= 500 else "E_CODEX_REQUEST")
    if _LOST.search(message):
        return "E_CLOUD_TASK"
    if "not signed in" in message.lower():
        return "E_CODEX_AUTH"
    if done.status == 2 or "trusted https origin" in message.lower():
        return "E_CODEX_CONFIG"
    return classify_failure(message)
