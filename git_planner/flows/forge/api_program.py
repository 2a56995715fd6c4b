"""The programs gh and glab, asked for one call of their site's programming interface."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import process
from git_planner.rules.forge.address import RepositoryAddress
from git_planner.rules.forge.answers import SiteAnswer, parse_answer, refusal

# Seconds for one answer, and the most bytes of it.
DEADLINE = 30.0
MAX_BYTES = 8 * 1024 * 1024
# Pages of a list, of a hundred rows each.
MAX_PAGES = 10
_PAGE = 100
# Nothing may ask, page, colour or look for updates.
_QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_PAGER": "cat",
    "GLAB_SEND_TELEMETRY": "0",
    "GLAB_CHECK_UPDATE": "0",
    "NO_PROMPT": "1",
    "NO_COLOR": "1",
}


@dataclass(frozen=True, slots=True)
class ApiProgram:
    """A client's program for one repository; `seconds` is the deadline of each answer."""

    repo: Repository
    program: str
    address: RepositoryAddress
    seconds: float = DEADLINE

    def is_logged_in(self) -> bool:
        """Return whether the program is installed and knows a login for the site; asks no site."""
        if shutil.which(self.program) is None:
            return False
        args = ("auth", "token") if self.program == "gh" else ("config", "get", "token")
        host = ("--hostname", self.address.host) if self.program == "gh" else ("--host", self.address.host)
        ended = self._run([self.program, *args, *host], b"", 10.0)
        return ended.status == 0 and bool(ended.stdout.strip())

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the document that answers a call.

        Raises:
            PlannerError: E_FORGE, E_DEADLINE.
        """
        answer = self.ask(method, path, body)
        error = refusal(answer, self.address.host, self.address.path, self.program)
        if error is not None:
            raise error
        return answer.document

    def ask(self, method: str, path: str, body: object = None) -> SiteAnswer:
        """Return the answer to a call, whatever its status.

        Raises:
            PlannerError: E_FORGE if the site gives no answer or one that is too large; E_DEADLINE.
        """
        argv = [self.program, "api", "--include", "--method", method]
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            argv += ["--input", "-", "--header", "content-type: application/json"]
        ended = self._run([*argv, path], data, self.seconds)
        host = self.address.host
        if ended.timed_out:
            raise PlannerError(
                "E_DEADLINE",
                f"'{host}' did not answer within {self.seconds:g} s",
                hint="run the same command again later",
            )
        if ended.truncated:
            raise PlannerError(
                "E_FORGE",
                f"'{host}' gave an answer of more than {MAX_BYTES // 1024**2} MiB",
                hint="look at the pull request in a browser",
            )
        answer = parse_answer(ended.stdout)
        if answer.status == 0:
            raise self._no_answer(ended)
        return answer

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the rows of a list, page by page, up to a bound.

        Raises:
            PlannerError: as `call`; E_FORGE if the answer is no list.
        """
        for page in range(1, MAX_PAGES + 1):
            rows = self.rows(f"{path}{'&' if '?' in path else '?'}per_page={_PAGE}&page={page}")
            yield from rows
            if len(rows) < _PAGE:
                return

    def rows(self, path: str) -> list[Any]:
        """Return the rows of one page of a list; raises as `pages`."""
        rows = self.call("GET", path)
        if isinstance(rows, list):
            return rows
        raise PlannerError(
            "E_FORGE",
            f"'{self.address.host}' gave something else than a list",
            hint="run the same command again later",
        )

    def _run(self, argv: list[str], data: bytes, seconds: float) -> process.Finished:
        # 'gh api' takes no port in '--hostname', and both programs take the host from the environment.
        env = {**os.environ, **_QUIET, "GH_HOST": self.address.host, "GITLAB_HOST": self.address.host}
        place = self.repo.common
        return process.run(argv, cwd=place, seconds=seconds, env=env, stdin=data, limit=MAX_BYTES)

    def _no_answer(self, ended: process.Finished) -> PlannerError:
        from git_planner import redact

        lines = ended.stderr.decode(errors="replace").strip().splitlines()
        reason = redact.mask_text(lines[0][:300]) if lines else f"status {ended.status}"
        return PlannerError(
            "E_FORGE",
            f"'{self.program}' could not reach '{self.address.host}': {reason}",
            hint=f"check it with '{self.program} auth status --hostname {self.address.host}'",
        )
