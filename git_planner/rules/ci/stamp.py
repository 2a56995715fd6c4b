"""Stamp texts that are written into a repository, so that a person's edits are recognised. Pure.

The last line of a stamped text holds a digest of the lines above. Lines that end in '# yours to set' are
settings: their values do not count, and a newer text takes them over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

MINE = "  # yours to set"
_SETTING = re.compile(rf"^(?P<head> *(?P<key>[\w-]+): )(?P<value>.*){re.escape(MINE)}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A form of the stamp: the marks of a comment in one kind of text."""

    opening: str
    closing: str = ""

    def apply(self, text: str) -> str:
        """Return a text, which ends with a line end, with its stamp."""
        return f"{text}{self._line(text)}"

    def is_intact(self, text: str) -> bool:
        """Return whether a text has its stamp, and only its settings were changed since."""
        text = _unix(text)
        above, _, last = text.removesuffix("\n").rpartition("\n")
        return bool(above) and self._line(f"{above}\n") == f"{last}\n"

    def _line(self, text: str) -> str:
        digest = hashlib.sha256(_SETTING.sub(rf"\g<head>{MINE}", text).encode()).hexdigest()
        return f"{self.opening}git-planner: unchanged since it was written, sha256 {digest}{self.closing}\n"


HASH = Stamp("# ")
HTML = Stamp("<!-- ", " -->")


def settings(text: str) -> dict[str, str]:
    """Return the settings of a text: key -> value as written."""
    return {match["key"]: match["value"] for match in _SETTING.finditer(_unix(text))}


def with_settings(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values of some of its settings replaced."""
    return _SETTING.sub(
        lambda match: f"{match['head']}{values.get(match['key'], match['value'])}{MINE}", text
    )


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")
