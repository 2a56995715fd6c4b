"""The library of the real loop: sqlparse as released, its policy, and the attempted changes."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.lab import Lab

TESTS_PASSED = 538  # 537 that pass and one that passes against its own expectation
TESTS_COLLECTED = 540
POLICY = """\
schema: git-planner/policy@1
base: main
goal: Parse and format SQL with fewer calls, with every test passing.
guard: [tests/**, benchmarks/**, pyproject.toml, pytest.ini, conftest.py, tox.ini, setup.cfg]
scope: {allow: ["sqlparse/**"]}
correctness:
  run: [python, -m, pytest, -q, -p, "no:cacheprovider", tests]
  proof: junit
  require: ["tests/test_parse.py::test_parse_tokenize"]
  timeout: 120
metrics:
  - name: calls
    run: [python, benchmarks/count_calls.py]
    pattern: '^CALLS: (\\d+)$'
    unit: calls
    better: lower
    kind: deterministic
    repeats: 2
    timeout: 60
families: {names: [inline, cache, data_layout], streak: 3, bonus_streak: 4, bonus_gain: 1000}
context: [sqlparse/sql.py]
agents:
  planner: codex
  implementer: codex
  models: {planner: gpt-5.5, implementer: gpt-5.5}
  timeouts: {planner: 60, implementer: 60}
"""
BENCHMARK = '''\
"""Work count: how many calls, of Python and of C, the entry points make for a fixed set of statements.

Unlike a time, the number is the same on every run with the same Python. What is counted are the payloads of
the other benchmarks, each at one small size, after a first run that fills every cache.

Run with:  python benchmarks/count_calls.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import bench_group_comments  # noqa: E402
import bench_grouping  # noqa: E402
import bench_lexer_delimiters  # noqa: E402
import bench_reindent_offset  # noqa: E402

SIZE = 40
MODULES = (bench_group_comments, bench_grouping, bench_lexer_delimiters,
           bench_reindent_offset)


def work():
    for module in MODULES:
        for vector in module.VECTORS:
            vector.run(vector.build(SIZE))


def count(run):
    calls = 0

    def profile(frame, event, arg):
        nonlocal calls
        if event in ('call', 'c_call'):
            calls += 1

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


if __name__ == '__main__':
    work()
    print(f'CALLS: {count(work)}')
'''


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement in one file, and the fields of its directive."""

    path: str
    old: str
    new: str
    objective: str
    family: str
    effect: int

    @property
    def patch(self) -> str:
        """Return the change in the format of codex's patch tool."""
        removed = "".join(f"-{line}\n" for line in self.old.splitlines())
        added = "".join(f"+{line}\n" for line in self.new.splitlines())
        return f"*** Begin Patch\n*** Update File: {self.path}\n@@\n{removed}{added}*** End Patch\n"

    @property
    def command(self) -> str:
        """Return the change as a shell command."""
        code = (
            f"import pathlib; p = pathlib.Path({self.path!r}); t = p.read_text(); "
            f"assert {self.old!r} in t; p.write_text(t.replace({self.old!r}, {self.new!r}))"
        )
        return f"python3 -c {shlex.quote(code)}"

    @property
    def directive(self) -> dict[str, Any]:
        """Return a directive that asks for the change."""
        return {
            "schema": "git-planner/directive@1",
            "objective": self.objective,
            "primary_hypothesis": "Calls that only pass values on cost more than what they compute.",
            "strategy_family": f"family:{self.family}",
            "strategy_modifiers": [],
            "risk": "Low",
            "expected_effect": self.effect,
            "change_summary": [f"{self.objective} in {self.path}"],
            "step_plan": [f"Read {self.path}", "Make the change", "Look at the result once more"],
            "validation": {
                "commands": ["python -m pytest -q tests", "python benchmarks/count_calls.py"],
                "pass_criteria": ["all tests pass", "fewer calls"],
            },
            "next_packet_requests": [],
            "did_web_search": False,
        }


# A true gain: the usual walk to the next token makes no call per skipped token.
WALK = Change(
    "sqlparse/sql.py",
    """\
        idx += 1  # alot of code usage current pre-compensates for this

        def matcher(tk):
""",
    """\
        idx += 1  # alot of code usage current pre-compensates for this

        if skip_ws and not skip_cm and not _reverse:
            # The usual case, without a call for every token passed over.
            for idx in range(idx, len(self.tokens)):
                if not self.tokens[idx].is_whitespace:
                    return idx, self.tokens[idx]
            return None, None

        def matcher(tk):
""",
    "Walk to the next token without a call per token",
    "inline",
    -4000,
)
# A larger gain, but wrong: lower-case keywords of the caller no longer match.
UPPER = Change(
    "sqlparse/sql.py",
    """\
        if self.is_keyword:
            values = (v.upper() for v in values)

        return self.normalized in values
""",
    """\
        return self.normalized in values
""",
    "Compare keywords as they are given",
    "cache",
    -10000,
)
# A cheat: removes the test that would fail, along with the work.
CHEAT = Change(
    "tests/test_regressions.py",
    """\
@pytest.mark.parametrize('value', ['create', 'CREATE'])
def test_issue34(value):
""",
    """\
@pytest.mark.parametrize('value', ['CREATE'])
def test_issue34(value):
""",
    "Compare keywords as they are written in capitals",
    "cache",
    -10000,
)
# Another true gain: a search for one token type compares the type directly.
SEARCH = Change(
    "sqlparse/sql.py",
    """\
        idx += 1
        return self._token_matching(lambda tk: imt(tk, i, m, t), idx, end)
""",
    """\
        idx += 1
        if i is None and m is None and isinstance(t, T._TokenType):
            # One type is the usual question, and needs no call to imt().
            return self._token_matching(lambda tk: tk.ttype in t, idx, end)
        return self._token_matching(lambda tk: imt(tk, i, m, t), idx, end)
""",
    "Search for one token type without a call to imt",
    "inline",
    -11000,
)
# A gain that is pasted from a chat window.
ROOT = Change(
    "sqlparse/sql.py",
    """\
        [setattr(token, 'parent', self) for token in self.tokens]
""",
    """\
        for token in self.tokens:
            token.parent = self
""",
    "Set parents by plain assignment",
    "inline",
    -4000,
)


def unpack(lab: Lab, fetched: Path) -> None:
    """Commit the library to main of a laboratory: its files, then benchmark and policy."""
    shutil.copytree(fetched, lab.path, dirs_exist_ok=True)
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "sqlparse 0.6.1 as it was released")
    lab.commit(
        "count calls, and say what counts",
        {"benchmarks/count_calls.py": BENCHMARK, ".git-planner.yml": POLICY},
    )
