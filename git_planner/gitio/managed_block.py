"""A marked section of ours in a file of somebody else: put there, found again, taken out without trace.

Files of git are rewritten as git does it: under its own lock file, the whole file at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from git_planner.errors import PlannerError


@dataclass(frozen=True, slots=True)
class Section:
    """A section between two comments that name it.

    Args:
        name: what stands in the comments.
        body: a regular expression for what may stand between them; a section that holds anything else is no
            longer ours.
    """

    name: str
    body: bytes = rb"(?:[^\n]*\n)*?"

    @property
    def comments(self) -> tuple[bytes, bytes, bytes]:
        """The lines that begin the section, begin it after a line without end, and end it."""
        head = f"# git-planner {self.name}: "
        # The second one tells that the newline before the section is not the person's.
        ends = ("begin\n", "begin, after a line without end\n", "end\n")
        begin, joined, end = ((head + each).encode() for each in ends)
        return begin, joined, end

    def appended(self, before: bytes, body: bytes) -> bytes:
        """A file's content with the section at its end, wherever it was."""
        begin, joined, end = self.comments
        rest = self.without(before)
        return rest + (b"\n" + joined if rest and not rest.endswith(b"\n") else begin) + body + end

    def holds(self, content: bytes, body: bytes) -> bool:
        """Whether a file's content has the section, and just that in it."""
        begin, joined, end = self.comments
        return any(first + body + end in content for first in (begin, joined))

    def without(self, content: bytes) -> bytes:
        """A file's content without the section; every other byte stays."""
        begin, joined, end = map(re.escape, self.comments)
        found = re.search(rb"(?:\n%s|%s)%s%s" % (joined, begin, self.body, end), content)
        if found is None:
            return content
        # The newline before a section is ours only where nothing has been written after it since.
        joint = b"\n" if found[0].startswith(b"\n") and found.end() < len(content) else b""
        return content[: found.start()] + joint + content[found.end() :]


def rewrite(path: Path, change: Callable[[bytes], bytes], what: str) -> bool:
    """Replace a file by what `change` makes of it, under git's own lock for it; return whether it changed.

    Args:
        path: the file; one that is not there is empty.
        change: from the content to the new content; nothing left removes the file.
        what: what to call it in a message.

    Raises:
        PlannerError: E_BUSY when somebody has the lock.
    """
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
        before = path.read_bytes() if path.exists() else b""
        after = change(before)
        with open(handle, "wb") as file:
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
