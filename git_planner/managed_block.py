"""Marked block of the planner in a file that it does not own: insert, find and remove it without trace.

Files of git are rewritten as git does it: under its own lock file, with an atomic rename.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from git_planner.errors import PlannerError


@dataclass(frozen=True, slots=True)
class ManagedBlock:
    """A block between two comments that name it.

    Args:
        name: the name in the comments.
        body: a regular expression for the lines between them; a block with other lines is not recognized.
        marks: the marks of a comment in the file.
    """

    name: str
    body: bytes = rb"(?:[^\n]*\n)*?"
    marks: tuple[str, str] = ("# ", "")

    @property
    def comments(self) -> tuple[bytes, bytes, bytes]:
        """The first line of the block, its variant after a line without end, and the last line."""
        opening, closing = self.marks
        # The second one records that the newline before the block belongs to the block.
        endings = ("begin", "begin, after a line without end", "end")
        begin, joined, end = (
            f"{opening}git-planner {self.name}: {ending}{closing}\n".encode() for ending in endings
        )
        return begin, joined, end

    def appended(self, before: bytes, body: bytes) -> bytes:
        """Return a file's content with the block moved to its end."""
        begin, joined, end = self.comments
        rest = self.without(before)
        return rest + (b"\n" + joined if rest and not rest.endswith(b"\n") else begin) + body + end

    def holds(self, content: bytes, body: bytes) -> bool:
        """Return whether a file's content has the block with exactly this body."""
        begin, joined, end = self.comments
        return any(first + body + end in content for first in (begin, joined))

    def find(self, content: bytes) -> bytes | None:
        """Return the lines of the block in a file's content; None if it has no block."""
        match = self._search(content)
        return match["body"] if match else None

    def without(self, content: bytes) -> bytes:
        """Return a file's content without the block; every other byte stays."""
        match = self._search(content)
        if match is None:
            return content
        # The newline before the block is removed only when nothing has been added after the block since.
        joint = b"\n" if match[0].startswith(b"\n") and match.end() < len(content) else b""
        return content[: match.start()] + joint + content[match.end() :]

    def _search(self, content: bytes) -> re.Match[bytes] | None:
        begin, joined, end = map(re.escape, self.comments)
        return re.search(rb"(?:\n%s|%s)(?P<body>%s)%s" % (joined, begin, self.body, end), content)


def rewrite(path: Path, change: Callable[[bytes], bytes], what: str) -> bool:
    """Rewrite a file with `change`, under git's own lock for it; return whether it changed.

    Args:
        path: the file; a missing one counts as empty, and a link leads to the file, as for git.
        change: from the content to the new content; an empty result removes the file.
        what: its name in a message.

    Raises:
        PlannerError: E_BUSY when another process holds the lock.
    """
    path = Path(os.path.realpath(path))
    lock = path.with_name(path.name + ".lock")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise PlannerError(
            "E_BUSY",
            f"the {what} is locked ('{lock}')",
            hint="wait for the git that changes it; when none runs, remove that file",
        ) from None
    renamed = False
    try:
        with open(handle, "wb") as file:
            before = path.read_bytes() if path.exists() else b""
            after = change(before)
            file.write(after)
        if after != before and after:
            os.chmod(lock, mode)
            os.replace(lock, path)
            renamed = True
        elif after != before:
            path.unlink()
        return after != before
    finally:
        # Once it has been renamed, a lock of that name is another writer's.
        if not renamed:
            lock.unlink(missing_ok=True)
