"""Texts that keep a reader busy: readers take time in proportion to a text, or are stopped."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from resource import RLIMIT_AS, RLIMIT_CPU
from typing import Any

import psutil
import pytest

from git_planner import redact, resources
from git_planner.agents.codex.events import CodexEvents
from git_planner.errors import PlannerError
from git_planner.gitio import git_failure, remote
from git_planner.host import bounded_call
from git_planner.host.bounded_call import Stopped
from git_planner.rules.discovery import options
from git_planner.rules.documents import code_spans, extract_json, markdown, placeholders
from git_planner.rules.measuring import metric
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.proofs.registry import read_proof
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy import globs
from git_planner.rules.specs import parse_items
from tests.support.lab import Lab


def _item(text: str) -> object:
    return parse_items.parse_items(markdown.parse_outline(f"- [ ] {text}\n  - verify: {text}"), "tasks.md")


READERS: dict[str, Callable[[str], object]] = {
    "masking": redact.mask_text,
    "addresses": remote.masked,
    "unittest": lambda text: read_proof(
        "unittest", [f"test_a (m.C.test_a){text}\nRan 1 test in 0.1s\n".encode()]
    ),
    "perf": lambda text: metric.read_count("x", "perf", text.encode()),
    "valgrind": lambda text: metric.read_count("x", "valgrind", f"==1== I{text}".encode()),
    "git's errors": lambda text: git_failure.is_transient(1, f"failed to read {text}".encode()),
    "code spans": code_spans.find_code_spans,
    "spec": _item,
    "options": lambda text: options.parse_options(f"## Option A: {text}\n### Steps\n\n1. {text}"),
    "check": options.parse_verify_command,
    "placeholders": placeholders.find_placeholder,
    "answer": lambda text: extract_json.extract_json(f'{{"{text}'),
    "codex": lambda text: CodexEvents().read_line(text.encode()),
}
ATOMS = (
    *("1", "a", "a-", " ", "\n", "`", "` `", "a`", "(", "[", "<", '"', "\\", "://", "a://b:", " ... "),
    *("\n  test_a (", " ... ok\n", "eyJ", "eyJaaaaaaaa.", "token: ", "-----BEGIN ", "rt_a1A.", "{#a} "),
    *("failed to read worktrees/", "skipped '", "1,", "\n1,a,", " refs: "),
)
SMALL, LARGE = 6_000, 24_000


def _seconds(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    with contextlib.suppress(PlannerError):
        read(text)
    return time.process_time() - start


def _least_seconds(read: Callable[[str], object], atom: str, end: str) -> tuple[float, float]:
    """Return the least times for a small and a large text; other work on the machine may disturb a few."""
    small = large = math.inf
    for turn in range(10):
        small, large = (
            min(least, _seconds(read, atom * (size // len(atom)) + end))
            for least, size in ((small, SMALL), (large, LARGE))
        )
        if turn and large <= 10 * small:
            break
    return small, large


@pytest.mark.parametrize("name", READERS)
def test_four_times_the_text_takes_about_four_times_as_long(name: str) -> None:
    read = READERS[name]
    _seconds(read, "warm")
    slow = []
    for atom in ATOMS:
        for end in ("", "!"):
            if _seconds(read, atom * (LARGE // len(atom)) + end) < 0.1:
                continue
            small, large = _least_seconds(read, atom, end)
            if large > 10 * small:
                slow.append(f"{atom!r}: {small:.3f} s, {large:.3f} s")
    assert slow == []


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (value for key, value in schema.items() if key == "pattern" and isinstance(value, str))
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _patterns(part)


def test_the_patterns_of_all_schemas_take_linear_time() -> None:
    files = sorted((Path(resources.__file__).parent / "schemas").glob("*.json"))
    patterns = {pattern for file in files for pattern in _patterns(json.loads(file.read_text()))}
    assert len(patterns) > 20
    for pattern in patterns:
        compiled = re.compile(pattern)
        for atom in ("a", "a-", "a/", "a.", "/", "-", ".", "1", "A_", " ", "a:"):
            assert _seconds(compiled.search, atom * 10_000 + "\n") < 0.5, (pattern, atom)


def test_numbers_of_any_length_are_answered() -> None:
    digits = "1" * 5000
    assert isinstance(metric.read_count("x", "perf", f"{digits},,instructions,\n".encode()), Refusal)
    assert isinstance(metric.read_count("x", "valgrind", b"==1== I refs: ,\n"), Refusal)
    assert isinstance(read_proof("unittest", [f"Ran {digits} tests in 0.1s\n".encode()]), Refusal)
    CodexEvents().read_line(b"[" * 100_000)


def test_long_patterns_of_scopes_overlap() -> None:
    one, other = "*a" * 400 + "b", "*a" * 400 + "c"
    assert _seconds(lambda text: globs.is_overlapping(text, other), one) < 0.5
    assert globs.is_overlapping("src/*", "src/a.py")
    assert not globs.is_overlapping("src/*.py", "src/*.md")


def test_a_call_is_answered_or_stopped() -> None:
    earlier = set(psutil.Process().children())
    assert bounded_call.call(lambda: Proof({"a": "passed"})) == Proof({"a": "passed"})
    assert bounded_call.call(os.getpid) != os.getpid()
    hanging = re.compile(r"(?:a+)+b")
    assert bounded_call.call(lambda: hanging.search("a" * 100), seconds=0.5) == Stopped(
        "took more than 1 seconds"
    )
    limits = bounded_call.call(lambda: [resource.getrlimit(kind)[0] for kind in (RLIMIT_CPU, RLIMIT_AS)])
    assert limits == [10, 4 * 1024**3]
    # An error of the reader, or no memory for it, is not mistaken for an answer.
    lost = Stopped("ended without a result, probably for lack of memory")
    assert bounded_call.call(lambda: len("x" * 2**40)) == lost
    assert bounded_call.call(lambda: 1 // 0) == Stopped("failed, which is a defect of git-planner")
    children = set(psutil.Process().children()) - earlier
    assert [child for child in children if child.status() == psutil.STATUS_ZOMBIE] == []


def test_a_pattern_that_would_take_for_ever_is_stopped_at_the_metric_s_timeout(lab: Lab) -> None:
    metric_line = (
        "metrics: [{name: cycles, run: [cat, digits], timeout: 3, pattern: '((?:\\d+)+) cycles', unit: c, "
        "better: lower, kind: deterministic, repeats: 1}]\n"
    )
    lab.commit(
        "project",
        {
            ".git-planner.yml": "schema: git-planner/policy@1\nbase: main\nguard: ['tests/**']\n"
            f"scope: {{allow: ['**']}}\n{metric_line}",
            "digits": "1" * 300_000,
        },
    )
    ran = lab.run("git-record", "--no-advance")
    assert "reading it from stdout took more than 3 seconds" in ran.out + ran.err
