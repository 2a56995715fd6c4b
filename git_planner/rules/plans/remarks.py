"""Remarks of reviewers on plans, tasks and directives: data for people and for prompts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from git_planner.rules import refnames
from git_planner.rules.printable import printable

SCHEMA = "git-planner/remark@1"
FOLDER = "remarks"
MAX_TEXT, MAX_REMARKS = 4_000, 1_000
# Remarks in a prompt, and their characters in all.
_IN_PROMPT, _MAX_PROMPT = 20, 10_000
DECISIONS = ("approved", "changes_requested", "comment")
_SAID = {"approved": "approved", "changes_requested": "requested changes", "comment": "commented"}
_TASK = re.compile(r"\s*(?:@\S+\s+)?(task[-_]\d{1,9})\b\s*[:,.-]?\s*", re.IGNORECASE)


class Remark(NamedTuple):
    """A reviewer's remark on a pull request or in a commit.

    `id` names it across clones. `about` is the kind and name of what was reviewed, `task` the task that the
    remark begins with, `place` a path with a line.
    """

    id: str
    about: str
    author: str
    at: str
    decision: str
    text: str
    task: str | None = None
    place: str = ""
    url: str = ""

    def document(self) -> dict[str, Any]:
        """Return the remark as a JSON document."""
        return {"schema": SCHEMA, **self._asdict()}


def clean_remark(words: Remark) -> Remark:
    """Return a remark from the words of others: bounded, without control characters, with its task."""
    match = _TASK.match(words.text)
    task = f"task_{int(match[1][5:]):03d}" if match else None
    at = re.sub(r"\.\d+(?=Z)", "", words.at)
    return Remark(
        id=re.sub(r"[^a-z0-9-]+", "-", words.id.lower())[:80],
        about=_line(words.about, 200),
        author=_line(words.author, 100) or "somebody",
        at=at if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at) else "",
        decision=words.decision if words.decision in DECISIONS else "comment",
        text=_clean(words.text[match.end() :] if match else words.text, MAX_TEXT),
        task=task,
        place=_line(words.place, 300),
        url=_line(words.url, 500) if words.url.startswith("https://") else "",
    )


def remark_from(document: Mapping[str, Any]) -> Remark:
    """Return a remark from its valid document."""
    return Remark(**{name: document[name] for name in Remark._fields})


def remarks_folder(plan: str) -> str:
    """Return the folder of a plan's branch that holds its remarks."""
    return f"{refnames.plan_dir(plan)}/{FOLDER}"


def remark_path(plan: str, remark: Remark) -> str:
    """Return the path of a remark on its plan's branch."""
    return f"{remarks_folder(plan)}/{remark.id}.json"


def sort_remarks(remarks: Iterable[Remark]) -> list[Remark]:
    """Sort remarks, the oldest first."""
    return sorted(remarks, key=lambda remark: (remark.at, remark.id))


def describe(remark: Remark) -> str:
    """Return who said what about what, in a few words."""
    place = f", {remark.place}" if remark.place else ""
    return f"{remark.author} {_SAID[remark.decision]} on the {remark.about}{place}"


def task_note(remark: Remark) -> str:
    """Return a remark as the note of a task, on one line."""
    return f"{remark.author} ({_SAID[remark.decision]} in a review): {_line(remark.text, 2_000)}"


def packet_remarks(remarks: Sequence[Remark]) -> list[dict[str, str]]:
    """Return the newest remarks as a packet has them, the oldest first; those on tasks go to their agents."""
    rows: list[dict[str, str]] = []
    room = _MAX_PROMPT
    for remark in reversed(sort_remarks(remarks)):
        if remark.task is None and remark.text and remark.decision != "approved":
            room -= len(remark.text)
            if room < 0 or len(rows) == _IN_PROMPT:
                break
            rows.append({"who": describe(remark), "text": remark.text})
    return rows[::-1]


def _clean(text: str, most: int) -> str:
    lines = (printable(line.replace("\t", " ")).rstrip() for line in text[: 4 * most].splitlines())
    clean = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def _line(text: str, most: int) -> str:
    line = printable(" ".join(text[: 4 * most].split()))
    return line if len(line) <= most else line[: most - 1] + "…"
