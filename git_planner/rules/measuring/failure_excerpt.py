"""Find what a runner printed about a failing test. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

MAX_LINES = 10
_MAX_LINE = 200
_MAX_BLOCK = 200
# Lines with which runners begin what they print about one failing test.
_HEAD = re.compile(
    r"\s*(?:_{3,} |(?:FAIL|ERROR|FAILED|Failure)\b|-{3,4} |not ok \d|✖ |✘ |● |\d+\) )", re.IGNORECASE
)
# Lines that end it, or begin that of another test.
_END = re.compile(
    r"(?:={3,}|_{3,}|-{20,})|(?:FAIL|ERROR): |-{4} |--- (?:PASS|FAIL|SKIP)|(?:not )?ok \d|\s*[✖✔●] |failures:"
)
# A line of a stack that is about the runtime, and not about the project.
_FRAME = re.compile(r"[( ]node:[\w/]+:\d+:\d+\)?$")


def failure_excerpt(stdout: str, stderr: str, test: str | None) -> tuple[str, ...]:
    """Return the last lines of what was printed about a test; about nothing in particular if it is not named.

    Args:
        stdout: the end of the command's output.
        stderr: the end of its other output.
        test: the id of the first test that failed; None if none is known.
    """
    for text in (stdout, stderr) if test else ():
        block = _block_of([_plain(line) for line in text.split("\n")], _title(test or ""))
        if block:
            return _last(block)
    return _last([_plain(line) for line in (stderr if stderr.strip() else stdout).split("\n")])


def _title(test: str) -> str:
    """Return the part of an id that the output names: the test's own name without its parameters."""
    name = re.split(r"::| > |#", test)[-1]
    name = name.split("[", 1)[0] if not name.startswith("[") else name
    return name.rsplit(".", 1)[-1] if re.fullmatch(r"[\w.]+", name) else name


def _block_of(lines: Sequence[str], title: str) -> list[str]:
    heads = [place for place, line in enumerate(lines) if title in line and _HEAD.match(line)]
    if not heads or not title:
        return []
    start = heads[0]
    block: list[str] = []
    for line in lines[start + 1 : start + _MAX_BLOCK]:
        # TAP gives the details as a document of YAML.
        if block and block[0].strip() == "---" and line.strip() == "...":
            return block[1:]
        # A line of dashes right below the title belongs to it.
        if _END.match(line) and block:
            break
        is_rule = re.fullmatch(r"[=_-]*", line.strip()) and (block or line.strip() != "---")
        if not is_rule and not _FRAME.search(line):
            block.append(line)
    return block


def _last(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line.rstrip()[:_MAX_LINE] for line in lines if line.strip())[-MAX_LINES:]


def _plain(line: str) -> str:
    """Return a line as its reader would see it: the output in an event of Go, without colours."""
    if line.startswith('{"') and '"Output"' in line:
        try:
            line = str(json.loads(line).get("Output", ""))
        except (ValueError, AttributeError, RecursionError):
            return line
    return re.sub(r"\x1b\[[0-9;]*m", "", line)
