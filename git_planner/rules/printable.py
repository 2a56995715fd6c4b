"""Escape what a terminal would obey or hide, for messages. Imports little, for the hooks.

Names, documents and the output of agents may hold escape sequences, controls that make a line read unlike its
content (U+202E), and invisible characters.
"""

from __future__ import annotations

# Joiners shape letters of several scripts and emoji.
_SHOWN = "\t\n\u200c\u200d"
_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")


class _Escapes(dict[int, str | int]):
    """Table for `str.translate` that is filled as characters occur."""

    def __missing__(self, code: int) -> str | int:
        letter = chr(code)
        self[code] = code if letter in _SHOWN or not _is_escaped(letter) else escape(letter)
        return self[code]


def printable(text: str) -> str:
    """Return a text with control and format characters escaped; tabs, line ends and joiners stay."""
    return text if text.isascii() and text.isprintable() else text.translate(_ESCAPES)


def printable_line(text: str) -> str:
    """Return a text as one line in which every unprintable character is escaped."""
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else escape(letter) for letter in text)
    )


def printable_path(path: str) -> str:
    """Return a path as Python writes it if it has unprintable characters, else unchanged."""
    return path if path.isprintable() else ascii(path)


def escape(letter: str) -> str:
    """Return the escape of a character."""
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_escaped(letter: str) -> bool:
    if letter.isprintable():
        return False
    import unicodedata

    return unicodedata.category(letter) in _ESCAPED


_ESCAPES = _Escapes()


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the right form, such as '1 step' or '2 steps'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
