"""Owners of paths by a CODEOWNERS file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Where GitHub, GitLab and Gitea look for it, in this order.
PLACES = (".github/CODEOWNERS", ".gitlab/CODEOWNERS", ".gitea/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
MAX_OWNERS = 15
_MAX_LINES, _MAX_PATTERN, _MAX_WILD = 5_000, 500, 10


def find_owners(text: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the owners of paths, without '@': the last line that matches a path decides.

    Args:
        text: the content of the file.
        paths: the paths that change.
    """
    rules = list(_parse(text))
    owners: dict[str, None] = {}
    for path in paths:
        names = next((names for pattern, names in reversed(rules) if _matches(pattern, path)), ())
        owners |= dict.fromkeys(name.removeprefix("@") for name in names if name.startswith("@"))
    return tuple(owners)[:MAX_OWNERS]


def _parse(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield patterns, which count from the top of the repository, with their owners."""
    for line in text.splitlines()[:_MAX_LINES]:
        words = re.split(r"(?<!\\)\s+", line.partition(" #")[0].strip())
        pattern = words[0].replace("\\ ", " ")
        # A section of GitLab has no pattern, and '!' is no pattern of CODEOWNERS.
        if pattern and pattern[0] not in "#[^!" and _is_short(pattern):
            is_anchored = "/" in pattern.rstrip("/")
            yield pattern.strip("/") if is_anchored else f"**/{pattern.rstrip('/')}", words[1:]


def _matches(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a path or a folder that it is in, without backtracking."""
    names, places = path.split("/"), {0}
    parts = pattern.split("/")
    for part in parts:
        if part == "**":
            places = set(range(min(places), len(names) + 1)) if places else set()
        else:
            places = {place + 1 for place in places if place < len(names) and _same(part, names[place])}
    # A pattern names a file, or a folder with all that is in it; one that ends in '/*' names files only.
    return len(names) in places if parts[-1] == "*" and len(parts) > 1 else bool(places)


def _same(part: str, name: str) -> bool:
    """Return whether a name matches a part of a pattern, in which '*' and '?' are wild."""
    places = {0}
    for letter in part:
        if letter == "*":
            places = set(range(min(places), len(name) + 1)) if places else set()
        else:
            places = {at + 1 for at in places if at < len(name) and letter in ("?", name[at])}
    return len(name) in places


def _is_short(pattern: str) -> bool:
    return len(pattern) <= _MAX_PATTERN and pattern.count("*") <= _MAX_WILD
