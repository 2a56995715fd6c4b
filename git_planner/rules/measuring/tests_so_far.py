"""Count of the tests that have ended so far, in what a test runner prints while it runs. Pure.

It is for the person who waits, and proves nothing.
"""

from __future__ import annotations

import re

# Lines in which runners report one test each: TAP, libtest and unittest, `go test -json`, `go test -v`,
# ctest, and runners with marks, such as mocha and jest.
_ENDED = re.compile(
    rb"""^(?:(?:not\ )?ok\ \d | test\ [^\n]{1,200}\ \.\.\.\  | [^\n]{1,200}\ \.\.\.\ (?:ok|FAIL|ERROR|skipped)
    | \{[^\n]{0,200}"Action":"(?:pass|fail|skip)"[^\n]{0,200}"Test": | ---\ (?:PASS|FAIL|SKIP):
    | \ *\d+/\d+\ Test\ +\# | \ +(?:\xe2\x9c[\x93-\x97]|\xe2\x88\x9a)\ )""",
    re.MULTILINE | re.VERBOSE,
)
# unittest, RSpec and others print one letter a test.
_LETTERS = re.compile(rb"^[.FEsSx*]+$", re.MULTILINE)
_PERCENT = re.compile(rb"\[ {0,2}(\d{1,3})%\]")
# A line that is longer is not looked at in one piece.
_MOST_REST = 4096


class TestsSoFar:
    """Count of the tests in a growing output."""

    # Pytest takes classes of this name for tests.
    __test__ = False

    def __init__(self) -> None:
        self._count, self._percent, self._rest = 0, "", b""

    def feed(self, chunk: bytes) -> None:
        """Read the next part of the output."""
        text = self._rest + chunk
        whole, newline, self._rest = text.rpartition(b"\n")
        self._count += len(_ENDED.findall(whole + newline))
        self._count += sum(map(len, _LETTERS.findall(whole)))
        # pytest writes the share at the end of a line.
        if percents := _PERCENT.findall(text):
            self._percent = f"{int(percents[-1])} %"
        self._rest = self._rest[-_MOST_REST:]

    def __str__(self) -> str:
        """Return how far the tests are, such as '37 tests' or '40 %'; empty as long as nothing tells."""
        if self._percent:
            return self._percent
        count = self._count + (len(self._rest) if _LETTERS.fullmatch(self._rest) else 0)
        return f"{count} test{'s' if count > 1 else ''}" if count else ""
