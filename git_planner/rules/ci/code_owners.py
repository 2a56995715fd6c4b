"""Write the lines of CODEOWNERS that ask people for a review of plans, policy and guard. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from git_planner.rules import refnames

# Documents of plan/* branches, specs, and what decides how results are measured.
_ALWAYS = (refnames.POLICY_FILE, ".plans/**", "planner_packets/**", "openspec/**")
# A user, a team or a group, or an e-mail address.
_OWNER = re.compile(r"@[\w./-]+|[^\s#@]+@[^\s#@]+")


def is_owner(text: str) -> bool:
    """Return whether a text can stand as an owner: '@name', '@organisation/team' or an e-mail address."""
    return _OWNER.fullmatch(text) is not None


def owner_lines(patterns: Iterable[str], owners: Sequence[str], more: Iterable[str] = ()) -> str:
    """Return the lines for the planner's documents, some more paths, and the guarded patterns."""
    lines = dict.fromkeys(_owned_pattern(pattern) for pattern in (*_ALWAYS, *more, *patterns))
    return "".join(f"{pattern} {' '.join(owners)}\n" for pattern in lines)


def owners_of(text: str) -> tuple[str, ...]:
    """Return the owners in lines that `owner_lines` has written."""
    line = next((line for line in text.splitlines() if line.startswith(f"/{refnames.POLICY_FILE} ")), "")
    return tuple(line.split()[1:])


def _owned_pattern(pattern: str) -> str:
    """Return a pattern as CODEOWNERS writes it: from the top, without character classes, '!' and blanks."""
    # Hosting sites know no classes there: any character is the nearest wider pattern.
    wider = re.sub(r"\[[^\]]*\]", "?", pattern)
    folder = wider.removesuffix("**") if wider.endswith("/**") else wider
    return "/" + re.sub(r"([ #\\])", r"\\\1", folder.removeprefix("/"))
