"""Render the difference between what is reviewed and what was approved last. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.escape_markdown import escape_line
from git_planner.rules.planning.prompt import fence
from git_planner.rules.printable import counted, printable
from git_planner.rules.review import sections
from git_planner.rules.review.sections import section

_MAX_LINES, _MAX_LINE = 600, 2_000


@dataclass(frozen=True, slots=True)
class ReviewedState:
    """State of what is reviewed now: kind, digest, and what else it has: base, items, document."""

    kind: str
    digest: str
    base: str | None
    items: Mapping[str, str]
    document: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class LastApproval:
    """The newest approval: what it approved, when and by whom as far as git shows it, and its commit.

    `is_same`: it is of what is reviewed now; else of another directive of the plan.
    """

    name: str
    at: str
    by: str
    commit: str
    digest: str
    base: str | None
    items: Mapping[str, str]
    document: Mapping[str, Any] | None
    is_same: bool


def render_since(name: str, now: ReviewedState, last: LastApproval | None, titles: Mapping[str, str]) -> str:
    """Render the difference.

    Args:
        name: what is reviewed.
        now: its state.
        last: what was approved last, if anything was.
        titles: what the items of a plan are called.
    """
    title = f"Changes of {escape_line(name, 100)}"
    if last is None:
        return sections.join_sections(title, "Nothing of it was approved before, as far as is known here.")
    return sections.join_sections(title, _origin(now, last), *_changes(now, last, titles))


def _origin(now: ReviewedState, last: LastApproval) -> str:
    by = f" by {escape_line(last.by, 200)}" if last.by else ""
    commit = f", in `{last.commit[:12]}`" if last.commit else ""
    other = "" if last.is_same else f" ({escape_line(last.name, 200)}, the last approved one of this plan)"
    lines = [f"- Approved last: {last.at}{by}{commit}{other}"]
    if now.base is not None and now.base != last.base:
        lines.append(f"- Base: `{(last.base or 'none')[:12]}` then, `{now.base[:12]}` now")
    return "\n".join(lines)


def _changes(now: ReviewedState, last: LastApproval, titles: Mapping[str, str]) -> tuple[str, ...]:
    if now.digest == last.digest:
        return ("Nothing has changed since.",)
    if now.kind == "plan":
        return _item_sections(now.items, last.items, titles)
    if now.kind == "spec" or last.document is None or now.document is None:
        return ("Its files have changed since.",)
    return (section("The change", fence(_difference(last.document, now.document), "diff")),)


def _item_sections(
    now: Mapping[str, str], then: Mapping[str, str], titles: Mapping[str, str]
) -> tuple[str, ...]:
    names = {name: titles.get(name, name) for name in (*now, *then)}
    new = [names[name] for name in now if name not in then]
    changed = [names[name] for name in now if name in then and now[name] != then[name]]
    removed = [name for name in then if name not in now]
    return (
        section("New", sections.bullets(new)),
        section("Changed", sections.bullets(changed)),
        section("No longer there", counted(len(removed), "item") if removed else ""),
    )


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = (
        [line[:_MAX_LINE] for line in canonical_json.dumps(dict(document)).decode().splitlines()]
        for document in (then, now)
    )
    lines = list(difflib.unified_diff(old, new, "approved", "now", lineterm="", n=2))
    more = [f"… and {len(lines) - _MAX_LINES} lines more"] if len(lines) > _MAX_LINES else []
    return printable("\n".join([*lines[:_MAX_LINES], *more]))
