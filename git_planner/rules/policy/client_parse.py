"""Clients of sessions, read from the policy. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from git_planner.rules.policy.interactive_client import (
    PLACEHOLDERS,
    InteractiveClient,
    Part,
    ThreadFiles,
    TrustPrompt,
    placeholders,
)

_COMMANDS = ("start", "resume", "headless", "headless_resume")


def client_problems(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the problems of the policy's clients that the schema cannot express."""
    names: set[str] = set()
    for place, document in enumerate(documents):
        at = f"/clients/{place}"
        if document["name"] in names:
            yield f"{at}/name: '{document['name']}' is the name of an earlier client"
        names.add(document["name"])
        for command in _COMMANDS:
            parts = _parts(document.get(command, ()))
            for name in placeholders(parts):
                if name not in PLACEHOLDERS:
                    yield f"{at}/{command}: '{{{name}}}' is not a placeholder"
            if command.endswith("resume") and parts and "thread" not in placeholders(parts):
                yield f"{at}/{command}: does not name the '{{thread}}' to resume"
        thread = document.get("thread")
        if thread is not None:
            yield from _pattern_problems(f"{at}/thread/id", thread["id"], 1)
        for index, prompt in enumerate(document.get("trust", ())):
            for number, pattern in enumerate(prompt["screen"]):
                yield from _pattern_problems(f"{at}/trust/{index}/screen/{number}", pattern, None)
        for index, patterns in enumerate(document.get("asks", ())):
            for number, pattern in enumerate(patterns):
                yield from _pattern_problems(f"{at}/asks/{index}/{number}", pattern, None)


def clients_from(documents: Sequence[Mapping[str, Any]]) -> tuple[InteractiveClient, ...]:
    """Build the clients of a policy document."""
    return tuple(_client(document) for document in documents)


def _client(document: Mapping[str, Any]) -> InteractiveClient:
    thread = document.get("thread")
    default = TrustPrompt(()).keys
    return InteractiveClient(
        name=document["name"],
        program=document["start"][0],
        start=_parts(document["start"]),
        resume=_parts(document.get("resume", ())),
        headless=_parts(document.get("headless", ())),
        headless_resume=_parts(document.get("headless_resume", ())),
        threads=ThreadFiles(tuple(thread["files"]), thread["id"]) if thread else None,
        trust=tuple(
            TrustPrompt(tuple(prompt["screen"]), tuple(prompt.get("keys", default)))
            for prompt in document.get("trust", ())
        ),
        asks=tuple(map(tuple, document.get("asks", ()))),
        quit=document.get("quit"),
        quit_seconds=float(document.get("quit_seconds", 10.0)),
    )


def _parts(written: Sequence[str | Sequence[str]]) -> tuple[Part, ...]:
    return tuple(part if isinstance(part, str) else tuple(part) for part in written)


def _pattern_problems(at: str, pattern: str, groups: int | None) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            number = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{at}: is not a regular expression: {error}"
        return
    if groups is not None and number != groups:
        yield f"{at}: has {number} groups; exactly one must hold the id"
