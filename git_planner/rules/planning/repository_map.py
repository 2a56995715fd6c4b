"""A map of a repository for a reader who cannot open it, and the files that are most worth reading. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from git_planner.rules.printable import counted, printable_line

MAX_MAP = 40_000
_IMPORT = re.compile(
    rb"^[ \t]*(?:from|import|export|use|mod|require|require_relative|include|#[ \t]*include|using|package)\b"
    rb"[^\n]{0,400}|\brequire\([^\n)]{0,200}",
    re.MULTILINE,
)
_WORD = re.compile(rb"[A-Za-z_][\w-]{1,60}")
# Points of a file: what may be changed counts most, then what changed lately, then what those files import.
_IN_SCOPE, _RECENT, _IMPORTED, _README = 8, 4, 3, 1


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A tracked file: its path, size in bytes and top-level symbols."""

    path: str
    size: int
    symbols: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the file as one line of the map, without its folder."""
        names = f": {', '.join(self.symbols)}" if self.symbols else ""
        return printable_line(f"{posixpath.basename(self.path)} ({self.size:,}){names}")


def imported_words(content: bytes) -> set[str]:
    """Return the words of a source file's import lines, whatever its language."""
    return {word.decode() for line in _IMPORT.findall(content[:200_000]) for word in _WORD.findall(line)}


def rank_files(
    paths: Iterable[str], *, scope: Collection[str], recent: Collection[str], imported: Collection[str]
) -> list[str]:
    """Return the files worth reading, the most useful first; those without any point are left out.

    Args:
        paths: the files that may be shown.
        scope: those that may be changed.
        recent: those that were changed lately.
        imported: the words that the files in scope import.
    """

    def points(path: str) -> int:
        stem = posixpath.basename(path).partition(".")[0]
        folder = posixpath.basename(posixpath.dirname(path))
        is_imported = stem in imported or (stem in ("__init__", "index", "mod") and folder in imported)
        return (
            (_IN_SCOPE if path in scope else 0)
            + (_RECENT if path in recent else 0)
            + (_IMPORTED if is_imported else 0)
            + (_README if stem.lower() == "readme" and "/" not in path else 0)
        )

    ranked = sorted((-points(path), path) for path in paths)
    return [path for score, path in ranked if score]


def render_map(files: Sequence[MappedFile], ranked: Sequence[str], most: int = MAX_MAP) -> str:
    """Render the tracked files by folder, with sizes in bytes and symbols.

    A map that is too long loses the symbols of the files that are least worth reading, then the files of the
    largest folders.

    Args:
        files: the tracked files.
        ranked: the files most worth reading, best first.
        most: the largest map, in characters.
    """
    everything = [file.path for file in files]
    for kept in (everything, ranked, ranked[:200], ranked[:50], ()):
        named = set(kept)
        shown = [file if file.path in named else replace(file, symbols=()) for file in files]
        text = _by_folder(shown, set())
        if len(text) <= most:
            return text
    sizes = Counter(posixpath.dirname(file.path) for file in files)
    closed: set[str] = set()
    # Closing some more folders each time: a map of thousands is rendered a few dozen times.
    order = [folder for folder, _ in sizes.most_common()]
    while len(closed) < len(order):
        closed.update(order[: max(1, len(closed) * 5 // 4 + 1)])
        text = _by_folder(shown, closed)
        if len(text) <= most:
            return text
    return f"{text[: most - 40].rpartition(chr(10))[0]}\n({len(sizes):,} folders, cut here)"


def _by_folder(files: Sequence[MappedFile], closed: Collection[str]) -> str:
    folders: dict[str, list[MappedFile]] = {}
    for file in files:
        folders.setdefault(posixpath.dirname(file.path), []).append(file)
    lines = []
    for folder, members in sorted(folders.items()):
        label = printable_line(f"{folder}/" if folder else "./")
        if folder in closed:
            lines.append(
                f"{label} {counted(len(members), 'file')}, {sum(file.size for file in members):,} bytes"
            )
        else:
            lines += [label, *(f"  {file.line()}" for file in members)]
    return "\n".join(lines)


def choose_files(ranked: Sequence[str], sizes: Mapping[str, int], budget: int, largest: int) -> list[str]:
    """Return the ranked files that fit into a number of bytes together, and one by one into `largest`."""
    chosen = []
    for path in ranked:
        size = sizes[path]
        if size <= min(budget, largest):
            chosen.append(path)
            budget -= size
    return chosen
