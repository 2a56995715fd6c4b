"""The critic by the real gemini CLI: one prompt on stdin, one JSON document back, no tools and no folder.

It is started in an empty folder: a repository's own `.gemini` settings could start programs, and all that it
needs is in the prompt. Of the person's own gemini nothing is changed: it uses their home and their login.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from git_planner.agents.answer_loop import Reply
from git_planner.agents.contract import Sheet, Usage
from git_planner.agents.run_program import run_agent
from git_planner.agents.text_loop import WritingAgent
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.host.process import Finished
from git_planner.rules.policy.policy import Policy

NAME = "gemini"
# What is on stdin comes first; '-p' makes gemini work without a terminal.
_ASK = "Write the review that the text above asks for: the Markdown and nothing else."
# Exit statuses of gemini's own; beyond them there are HTTP statuses modulo 256.
_STATUSES = {41: "E_GEMINI_AUTH", 42: "E_GEMINI_CONFIG", 52: "E_GEMINI_CONFIG", 55: "E_GEMINI_CONFIG"}
_HTTP = {
    400: "E_GEMINI_REQUEST",
    401: "E_GEMINI_AUTH",
    403: "E_GEMINI_AUTH",
    404: "E_GEMINI_REQUEST",
    429: "E_GEMINI_QUOTA",
}
_MODULO = {status % 256: status for status in (400, 401, 403, 404, 413, 429, *range(500, 512), 529)}
# Where the status says nothing but 1; the first pattern that is found decides.
_WORDS = (
    ("E_GEMINI_REQUEST", r"\b404\b|not found|not_found"),
    ("E_GEMINI_QUOTA", r"quota|resource_exhausted|too many requests|rate limit"),
    ("E_GEMINI_AUTH", r"api key|unauthenticated|permission_denied|credential|log ?in"),
    (
        "E_GEMINI_STREAM",
        r"terminated|(in|end of|valid|incomplete) json|premature|other side closed|socket",
    ),
    ("E_GEMINI_NETWORK", r"fetch failed|econn|enotfound|etimedout|eai_again|network|connection"),
    ("E_GEMINI_CONFIG", r"unknown argument|unknown option|settings|invalid auth|usage:|not in a trusted"),
)
_BLOCKED = re.compile(r"SAFETY|BLOCK|PROHIBITED|RECITATION|SPII|NO_FINISH_REASON", re.IGNORECASE)
_HINTS = {
    "E_GEMINI_AUTH": "run 'gemini' once to log in, or set GEMINI_API_KEY",
    "E_GEMINI_BLOCKED": "read the prompt in the folder of the attempt, and take out what may be refused",
    "E_GEMINI_CONFIG": "see 'gemini --help' and your '~/.gemini/settings.json'",
    "E_GEMINI_EMPTY": "run the command again, or name another critic with '--critic'",
    "E_GEMINI_FAILED": "read what gemini said in the folder of the attempt",
    "E_GEMINI_NETWORK": "check the connection",
    "E_GEMINI_QUOTA": "wait until the quota is reset, or name another critic with '--critic'",
    "E_GEMINI_REQUEST": "name a model that the service has with '--model', or send less",
    "E_GEMINI_SERVER": "try again later; nothing is wrong here",
    "E_GEMINI_STREAM": "try again later; nothing is wrong here",
}
_MOST = 400


class GeminiTransport:
    """Asks gemini once.

    Args:
        program: gemini, by name or path.
    """

    name = NAME

    def __init__(self, program: str) -> None:
        self._program = program

    def ask(self, sheet: Sheet) -> Reply:
        """Run one turn of gemini.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, the E_GEMINI_ codes.
        """
        model = ("-m", sheet.model) if sheet.model else ()
        argv = [self._program, "-p", _ASK, *model, "--skip-trust", "--output-format", "json"]
        # Reports of errors, which hold the prompt, go to gemini's folder for temporary files.
        with _told_how_to_install(), tempfile.TemporaryDirectory(prefix="git-planner-") as place:
            for name in ("tmp", "empty"):
                (Path(place) / name).mkdir()
            done = run_agent(
                argv,
                cwd=Path(place) / "empty",
                folder=sheet.folder,
                seconds=sheet.seconds,
                stdin=sheet.prompt,
                env={"TMPDIR": str(Path(place) / "tmp"), "NO_COLOR": "1"},
            )
        return read_answer(done, argv)


def gemini_critic(policy: Policy, settings: Settings) -> WritingAgent:  # noqa: ARG001 - as all agents
    """The critic that uses gemini."""
    return WritingAgent(GeminiTransport(settings.gemini))


def read_answer(done: Finished, argv: list[str]) -> Reply:
    """What a run of gemini answered, or how it failed.

    Args:
        done: how gemini ended.
        argv: how it was started.

    Raises:
        PlannerError: E_DEADLINE, the E_GEMINI_ codes. An exit status of 0 proves nothing: blocked and empty
            answers have it, too.
    """
    said = done.stderr.decode(errors="replace")
    if done.timed_out:
        raise PlannerError(
            "E_DEADLINE",
            f"gemini was ended after {done.seconds:.0f} s, when its time ran out",
            hint="give it more time with 'critics: gemini: timeout:' in the policy",
            details=_tail(said),
        )
    if done.status != 0:
        raise _failure(done.status, said)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        raise _error("E_GEMINI_FAILED", "gemini printed no JSON document", said) from None
    document = document if isinstance(document, dict) else {}
    models = _models(document)
    text = document.get("response")
    if not isinstance(text, str) or not text.strip():
        raise _no_answer(models, said)
    answered = [name for name, each in models.items() if _whole(each, "tokens", "candidates") > 0]
    usage = Usage(
        sum(_whole(each, "tokens", "prompt") for each in models.values()),
        sum(_whole(each, "tokens", "candidates") for each in models.values()),
    )
    return Reply(text, model=" and ".join(answered) or None, usage=usage, command=tuple(argv))


def _models(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The models that were asked for the answer itself, with what the statistics say of them."""
    found = _within(document, "stats", "models")
    return {
        name: each
        for name, each in found.items()
        if isinstance(each, dict) and (not each.get("roles") or "main" in each["roles"])
    }


def _no_answer(models: Mapping[str, Mapping[str, Any]], said: str) -> PlannerError:
    reasons = sorted({reason for each in models.values() for reason in _within(each, "api", "errorsByType")})
    why = f" ({', '.join(reasons)})" if reasons else ""
    if any(_BLOCKED.search(each) for each in reasons):
        return _error("E_GEMINI_BLOCKED", f"the service blocked the prompt or the answer{why}", said)
    return _error("E_GEMINI_EMPTY", f"gemini ended well but answered nothing{why}", said)


def _failure(status: int, said: str) -> PlannerError:
    code, http = _STATUSES.get(status), _MODULO.get(status)
    message, number = _last_error(said)
    if code is None and status != 1:
        http = number if number is not None and number in (*_HTTP, *range(500, 600)) else http
    if code is None and http is not None and status != 1:
        code = _HTTP.get(http, "E_GEMINI_SERVER" if http >= 500 else "E_GEMINI_REQUEST")
    if code is None:
        words = f"{message}\n{said[-4000:]}"
        code = next((each for each, pattern in _WORDS if re.search(pattern, message, re.IGNORECASE)), None)
        code = code or next(
            (each for each, pattern in _WORDS if re.search(pattern, words, re.IGNORECASE)), None
        )
    return _error(
        code or "E_GEMINI_FAILED", f"gemini failed: {message or f'it ended with status {status}'}", said
    )


def _last_error(said: str) -> tuple[str, int | None]:
    """Message and number of the JSON document at the end of stderr; the last line where there is none."""
    start = said.rfind("\n{\n")
    try:
        error = json.loads(said[max(start, 0) :]).get("error")
        message, number = str(error["message"]), error.get("code")
    except (ValueError, AttributeError, KeyError, TypeError):
        return (_tail(said) or [""])[-1], None
    # The service's own body may stand in the message as JSON.
    with suppress(ValueError, KeyError, TypeError):
        message = str(json.loads(message)["error"]["message"])
    return _line(message), number if isinstance(number, int) else None


def _error(code: str, message: str, said: str) -> PlannerError:
    return PlannerError(code, message, hint=_HINTS[code], details=_tail(said))


def _tail(said: str) -> list[str]:
    """The last lines that say something: no traces, no braces, no remarks about the terminal."""
    lines = [_line(each) for each in said.splitlines() if re.search(r"\w", each)]
    return [each for each in lines if not re.match(r"at |Warning: |\[STARTUP\]|Ripgrep ", each)][-10:]


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"


def _within(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _whole(document: Mapping[str, Any], *keys: str) -> int:
    found = _within(document, *keys[:-1]).get(keys[-1])
    return found if isinstance(found, int) else 0


@contextmanager
def _told_how_to_install() -> Iterator[None]:
    """Say where gemini comes from when it is missing."""
    try:
        yield
    except PlannerError as error:
        if error.code != "E_MISSING_TOOL":
            raise
        hint = (
            "npm install --global @google/gemini-cli, or name it: git config planner.gemini /path/to/gemini"
        )
        raise PlannerError(error.code, error.message, hint=hint) from None
