"""Answers of a hosting site's programming interface: their status, and the sentence for a failure. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.printable import printable_line

_STATUS = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})")
_MAX_TOLD = 300


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """An answer: its status (0: none), its fields in lower case, and its document, if it is JSON."""

    status: int
    fields: Mapping[str, str]
    document: Any
    is_json: bool


def parse_answer(output: bytes) -> SiteAnswer:
    """Parse status line, fields and body, as 'api --include' prints them."""
    head, _, body = output.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.split(b"\n")
    match = _STATUS.match(lines[0])
    pairs = (line.decode(errors="replace").partition(":") for line in lines[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not body.strip():
        return SiteAnswer(int(match[1]) if match else 0, fields, None, True)
    try:
        document, is_json = json.loads(body), True
    except (ValueError, RecursionError):
        document, is_json = None, False
    return SiteAnswer(int(match[1]) if match else 0, fields, document, is_json)


def refusal(answer: SiteAnswer, host: str, path: str, program: str) -> PlannerError | None:
    """Return the error for an answer that does not give what was asked; None for one that does.

    Args:
        answer: the answer.
        host: the site.
        path: the repository there.
        program: the client, such as 'gh'.
    """
    status = answer.status
    if 200 <= status < 300 and answer.is_json:
        return None
    login = f"log in with '{program} auth login --hostname {host}'"
    again = "run the same command again later"
    reason = site_reason(answer)
    reasons = {
        401: (f"'{host}' does not accept the login of '{program}'", login),
        403: (f"'{host}' does not allow it{reason}", f"check the rights of the login of '{program}'"),
        404: (f"'{host}' has no repository '{path}' that the login of '{program}' may use", login),
        422: (f"'{host}' refuses it{reason}", again),
    }
    if status == 429 or (status == 403 and answer.fields.get("x-ratelimit-remaining") == "0"):
        seconds = answer.fields.get("retry-after", "")
        wait = f", for {seconds} s" if seconds.isdigit() and len(seconds) < 7 else ""
        return PlannerError("E_FORGE", f"'{host}' wants fewer requests (HTTP {status}){wait}", hint=again)
    if 200 <= status < 300:
        return PlannerError("E_FORGE", f"'{host}' gave an answer that is not JSON", hint=again)
    if status in reasons:
        text, hint = reasons[status]
        return PlannerError("E_FORGE", f"{text} (HTTP {status})", hint=hint)
    if status:
        return PlannerError("E_FORGE", f"'{host}' cannot do it now (HTTP {status}){reason}", hint=again)
    return PlannerError("E_FORGE", f"'{host}' gave no answer that is HTTP", hint=again)


def site_reason(answer: SiteAnswer) -> str:
    """Return the site's own reason with a colon before it, bounded; '' if it gave none."""
    document = answer.document if isinstance(answer.document, dict) else {}
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    inner = first.get("message") if isinstance(first, dict) else first
    message = inner or document.get("message") or document.get("error")
    if isinstance(message, list | dict):
        message = json.dumps(message)
    text = printable_line(" ".join(str(message).split()))[:_MAX_TOLD] if message else ""
    return f": {text}" if text else ""
