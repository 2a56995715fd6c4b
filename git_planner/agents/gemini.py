"""Critic that runs the gemini CLI: a prompt on stdin, a JSON document on stdout, without tools.

It is started in an empty folder: the `.gemini` settings of a repository could start programs, and the
prompt is complete. It uses the home and login of the user's gemini and changes neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from git_planner.agents.answer_loop import Reply
from git_planner.agents.confinement import Confinement
from git_planner.agents.contract import Usage, Workplace, WritingRequest
from git_planner.agents.run_program import check_installed, run_agent
from git_planner.agents.text_loop import WritingAgent
from git_planner.errors import PlannerError
from git_planner.host.process import Finished
from git_planner.owned_folder import temporary_folder

NAME = "gemini"
INSTALL = (
    "install it with 'npm install --global @google/gemini-cli', or name it with"
    " 'git config planner.gemini /path/to/gemini'"
)
# The prompt on stdin precedes this text; '-p' makes gemini work without a terminal.
_ASK = "Write the review that the text above asks for: the Markdown and nothing else."
# Exit statuses defined by gemini; other ones are HTTP statuses modulo 256.
_STATUSES = {41: "E_GEMINI_AUTH", 42: "E_GEMINI_CONFIG", 52: "E_GEMINI_CONFIG", 55: "E_GEMINI_CONFIG"}
_HTTP = {
    400: "E_GEMINI_REQUEST",
    401: "E_GEMINI_AUTH",
    403: "E_GEMINI_AUTH",
    404: "E_GEMINI_REQUEST",
    429: "E_GEMINI_QUOTA",
}
_MODULO = {status % 256: status for status in (400, 401, 403, 404, 413, 429, *range(500, 512), 529)}
# For exit status 1, the first matching pattern decides.
_PATTERNS = (
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
    "E_GEMINI_BLOCKED": "read the prompt in the folder of the attempt, and remove what the service may block",
    "E_GEMINI_CONFIG": "see 'gemini --help' and your '~/.gemini/settings.json'",
    "E_GEMINI_EMPTY": "run the command again, or select another critic with '--critic'",
    "E_GEMINI_FAILED": "read gemini's output in the folder of the attempt",
    "E_GEMINI_NETWORK": "check the connection",
    "E_GEMINI_QUOTA": "wait until the quota is reset, or select another critic with '--critic'",
    "E_GEMINI_REQUEST": "select a model of the service with '--model', or send less",
    "E_GEMINI_SERVER": "try again later; the fault is in the service",
    "E_GEMINI_STREAM": "try again later; the fault is in the connection or the service",
}
_MAX_LINE = 400


class GeminiTransport:
    """A transport that asks gemini once.

    Args:
        program: gemini, by name or path.
        confinement: what it may change.
    """

    name = NAME

    def __init__(self, program: str, confinement: Confinement) -> None:
        self._program, self._confinement = program, confinement

    def ask(self, request: WritingRequest) -> Reply:
        """Run one turn of gemini.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, the E_GEMINI_ codes.
        """
        model = ("-m", request.model) if request.model else ()
        argv = [self._program, "-p", _ASK, *model, "--skip-trust", "--output-format", "json"]
        with _install_hint(), temporary_folder() as empty:
            done = run_agent(
                argv,
                self._confinement,
                cwd=empty,
                folder=request.folder,
                seconds=request.seconds,
                stdin=request.prompt,
                env={"NO_COLOR": "1"},
                client=NAME,
                on_tick=request.on_tick,
            )
        return parse_answer(done, argv)


def gemini_critic(workplace: Workplace) -> WritingAgent:
    """Return the critic that uses gemini.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    with _install_hint():
        check_installed(workplace.settings.gemini)
    return WritingAgent(GeminiTransport(workplace.settings.gemini, workplace.confinement))


def parse_answer(done: Finished, argv: list[str]) -> Reply:
    """Return the answer of a finished run of gemini.

    Args:
        done: the finished process.
        argv: its command line.

    Raises:
        PlannerError: E_DEADLINE, the E_GEMINI_ codes. Exit status 0 is no proof of an answer: gemini also
        exits
            with 0 for blocked and empty answers.
    """
    stderr = done.stderr.decode(errors="replace")
    if done.timed_out:
        raise PlannerError(
            "E_DEADLINE",
            f"gemini reached its deadline and was ended after {done.seconds:.0f} s",
            hint="raise 'critics: gemini: timeout:' in the policy",
            details=_stderr_tail(stderr),
        )
    if done.status != 0:
        raise _failure(done.status, stderr)
    try:
        document = json.loads(done.stdout)
    except (ValueError, RecursionError):
        raise _error("E_GEMINI_FAILED", "gemini printed no JSON document", stderr) from None
    document = document if isinstance(document, dict) else {}
    models = _main_models(document)
    text = document.get("response")
    if not isinstance(text, str) or not text.strip():
        raise _no_answer(models, stderr)
    answered = [name for name, stats in models.items() if _integer(stats, "tokens", "candidates") > 0]
    usage = Usage(
        sum(_integer(stats, "tokens", "prompt") for stats in models.values()),
        sum(_integer(stats, "tokens", "candidates") for stats in models.values()),
    )
    return Reply(text, model=" and ".join(answered) or None, usage=usage, command=tuple(argv))


def _main_models(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the statistics of the models that were asked for the answer itself, by model."""
    models = _within(document, "stats", "models")
    return {
        name: stats
        for name, stats in models.items()
        if isinstance(stats, dict) and (not stats.get("roles") or "main" in stats["roles"])
    }


def _no_answer(models: Mapping[str, Mapping[str, Any]], stderr: str) -> PlannerError:
    reasons = sorted(
        {reason for stats in models.values() for reason in _within(stats, "api", "errorsByType")}
    )
    suffix = f" ({', '.join(reasons)})" if reasons else ""
    if any(_BLOCKED.search(reason) for reason in reasons):
        return _error("E_GEMINI_BLOCKED", f"the service blocked the prompt or the answer{suffix}", stderr)
    return _error("E_GEMINI_EMPTY", f"gemini succeeded without an answer{suffix}", stderr)


def _failure(status: int, stderr: str) -> PlannerError:
    code, http = _STATUSES.get(status), _MODULO.get(status)
    message, number = _last_error(stderr)
    if code is None and status != 1:
        http = number if number is not None and number in (*_HTTP, *range(500, 600)) else http
    if code is None and http is not None and status != 1:
        code = _HTTP.get(http, "E_GEMINI_SERVER" if http >= 500 else "E_GEMINI_REQUEST")
    if code is None:
        code = _code_of(message) or _code_of(f"{message}\n{stderr[-4000:]}")
    return _error(
        code or "E_GEMINI_FAILED", f"gemini failed: {message or f'it exited with status {status}'}", stderr
    )


def _code_of(text: str) -> str | None:
    return next((code for code, pattern in _PATTERNS if re.search(pattern, text, re.IGNORECASE)), None)


def _last_error(stderr: str) -> tuple[str, int | None]:
    """Return message and number of the JSON document at the end of stderr, else the last line."""
    start = stderr.rfind("\n{\n")
    try:
        error = json.loads(stderr[max(start, 0) :]).get("error")
        message, number = str(error["message"]), error.get("code")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return (_stderr_tail(stderr) or [""])[-1], None
    # The message may be the service's body as JSON.
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        message = str(json.loads(message)["error"]["message"])
    return _line(message), number if isinstance(number, int) else None


def _error(code: str, message: str, stderr: str) -> PlannerError:
    return PlannerError(code, message, hint=_HINTS[code], details=_stderr_tail(stderr))


def _stderr_tail(stderr: str) -> list[str]:
    """Return the last lines of stderr without stack traces, braces and terminal warnings."""
    lines = [_line(line) for line in stderr.splitlines() if re.search(r"\w", line)]
    return [line for line in lines if not re.match(r"at |Warning: |\[STARTUP\]|Ripgrep ", line)][-10:]


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def _within(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _integer(document: Mapping[str, Any], *keys: str) -> int:
    value = _within(document, *keys[:-1]).get(keys[-1])
    return value if isinstance(value, int) else 0


@contextmanager
def _install_hint() -> Iterator[None]:
    """Add a hint on how to install gemini to the error that it is missing."""
    try:
        yield
    except PlannerError as error:
        if error.code != "E_MISSING_TOOL":
            raise
        raise PlannerError(error.code, error.message, hint=INSTALL) from None
