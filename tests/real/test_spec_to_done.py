"""A change to a real library with the real clients, from its proposal to three verified tasks.

sqlparse gets a formatting option with tests and documentation: proposed as a spec, researched, drafted as
three options, reviewed, chosen, carried out by three agents in separate worktrees, and verified.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.scripted_agents import option, review
from tests.real.conftest import Place
from tests.support.lab import Lab
from tests.support.servers import gemini as critics
from tests.support.servers import openai_responses
from tests.support.servers.gemini import gemini_home
from tests.support.servers.openai_responses import codex_home, patches, runs, says

pytestmark = pytest.mark.real

PLAN = "strip-semicolon"
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/test_[a-r]*.py", tests/files/**, tests/utils.py, pyproject.toml, benchmarks/**]
scope: {allow: ["sqlparse/**", "tests/**", "docs/**"]}
correctness: {run: [python, -m, pytest, -q, tests], proof: junit, timeout: 120}
agents:
  planner: codex
  implementer: codex
  researcher: codex
  models: {planner: gpt-5.5, implementer: gpt-5.5, researcher: gpt-5.5}
"""
PROPOSAL = """\
# Change Proposal: strip-semicolon

## Why

People who join formatted statements want them without the semicolon at their end.

## What changes

- `sqlparse.format(sql, strip_semicolon=True)` leaves it out.

## Acceptance

- The option is validated, tested and documented.
"""
TASKS = """\
# Tasks: strip-semicolon

- [x] Agree on the name of the option
  - done when: it is called as in `sqlparse.split`
"""
DESIGN = "# Design: strip-semicolon\n\n## Decisions\n\n- The filter that `split` uses does it.\n"
PROJECT = (
    "# Project\n\n## Purpose\n\nParse and format SQL.\n\n## Invariants\n\n- Old calls give old results.\n"
)
CODE = """\
*** Begin Patch
*** Update File: sqlparse/formatter.py
@@
                             f'{strip_comments!r}')

+    strip_semicolon = options.get('strip_semicolon', False)
+    if strip_semicolon not in [True, False]:
+        raise SQLParseError('Invalid value for strip_semicolon: '
+                            f'{strip_semicolon!r}')
+
     space_around_operators = options.get('use_space_around_operators', False)
@@
         stack.stmtprocess.append(filters.StripCommentsFilter())

+    if options.get('strip_semicolon'):
+        stack.stmtprocess.append(filters.StripTrailingSemicolonFilter())
+
     if options.get('strip_whitespace') or options.get('reindent'):
*** End Patch
"""
TESTS = """\
*** Begin Patch
*** Add File: tests/test_strip_semicolon.py
+import pytest
+
+import sqlparse
+from sqlparse.exceptions import SQLParseError
+
+
+def test_strips():
+    assert sqlparse.format('select 1;', strip_semicolon=True) == 'select 1'
+
+
+def test_leaves_others_alone():
+    assert sqlparse.format('select 1;') == 'select 1;'
+
+
+def test_refuses_other_values():
+    with pytest.raises(SQLParseError):
+        sqlparse.format('select 1;', strip_semicolon='no')
*** End Patch
"""
DOCS = """\
*** Begin Patch
*** Update File: docs/source/api.rst
@@
   If ``True`` comments are removed from the statements.

+``strip_semicolon``
+  If ``True`` the semicolon at the end of a statement is removed.
+
 ``truncate_strings``
*** End Patch
"""
FINDINGS = """\
## Findings

Options are judged in `validate_options` and become filters in `build_filter_stack`, both in
`sqlparse/formatter.py`. The filter that is needed is there: `StripTrailingSemicolonFilter` in
`sqlparse/filters/others.py`, which `sqlparse.split` uses. Options are listed in `docs/source/api.rst`.

## Risks

- With `reindent` the filter must come before the one that sets line breaks.

## Open questions

Nothing is open.
"""
RESULT = (
    '"$GIT_PLANNER_PROGRAM" task result "$GIT_PLANNER_TASK" --run "$GIT_PLANNER_RUN" '
    '--status done --summary "as the task says"'
)
CHECK = (
    "python -c \"import sqlparse; assert sqlparse.format('select 1;', strip_semicolon=True) == 'select 1'\""
)


def step(name: str, title: str, files: list[str], checks: list[str], after: list[str]) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "intent": "The option is complete.",
        "actions": [title],
        "files": files,
        "dependencies": after,
        "validation": [f"`{check}`" for check in checks],
        "risks": [],
        "references": [],
    }


STEPS = [
    step(
        "code",
        "Add the option to the formatter",
        ["sqlparse/formatter.py"],
        [CHECK, "python -m pytest -q tests/test_format.py"],
        [],
    ),
    step(
        "tests",
        "Test the option",
        ["tests/test_strip_semicolon.py"],
        ["python -m pytest -q tests/test_strip_semicolon.py"],
        ["code"],
    ),
    step(
        "docs", "Document the option", ["docs/**"], ["grep -n strip_semicolon docs/source/api.rst"], ["code"]
    ),
]
OPTIONS = {
    "schema": "git-planner/plan-options@1",
    "goal": "An option that strips semicolons",
    "options": [option("A"), option("B", steps=STEPS), option("C")],
}
TURNS = (
    says(FINDINGS),
    openai_responses.answers(OPTIONS),
    *(turn for patch in (CODE, TESTS, DOCS) for turn in (patches(patch), runs(RESULT), says("It is done."))),
)


@pytest.fixture
def library(place: Place, sqlparse: Path, codex: Path, gemini: Path) -> Iterator[Lab]:
    """Provide the library with a policy on main, and both clients, each with its loopback server."""
    lab = place.lab
    shutil.copytree(sqlparse, lab.path, dirs_exist_ok=True)
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "sqlparse 0.6.1 as it was released")
    lab.commit("what counts", {".git-planner.yml": POLICY})
    with openai_responses.serving(*TURNS) as service, critics.serving(critics.says(review())) as server:
        lab.env |= gemini_home(lab.home, server.port)
        lab.env |= {
            "STUB_API_KEY": "stub-key",
            "GIT_PLANNER_CODEX": str(codex),
            "GIT_PLANNER_CODEX_HOME": str(codex_home(place.folder / "codex", service.port)),
            "GIT_PLANNER_GEMINI": str(gemini),
        }
        yield lab


def test_a_new_option_from_proposal_to_evidence(place: Place, library: Lab) -> None:
    def git(*words: str) -> dict[str, Any]:
        ran = library.run_program("git", *words, "--json")
        assert ran.status == 0, (words, ran.out[-3000:], ran.err[-6000:])
        document: dict[str, Any] = json.loads(ran.out)
        return document

    def plan(*words: str) -> dict[str, Any]:
        return git("plan", *words, "--plan", PLAN)

    def tasks() -> dict[str, str]:
        return {task["id"]: task["status"] for task in plan("task", "list")["tasks"]}

    git("planner", "init", "--no-try")
    git("plan", "spec", "init")
    git("plan", "spec", "propose", PLAN)
    folder = library.path / "openspec"
    (folder / "project.md").write_text(PROJECT)
    for name, text in (("proposal.md", PROPOSAL), ("tasks.md", TASKS), ("design.md", DESIGN)):
        (folder / "changes" / PLAN / name).write_text(text)
    git("plan", "spec", "validate", PLAN)
    library.git("add", "openspec")
    library.git("commit", "-q", "-m", "propose strip-semicolon")
    plan("spec", "compile", PLAN)
    plan("research", "--goal-text", "An option of format() that strips semicolons")
    plan("options", "--draft")
    plan("critique")
    plan("choose", "B")
    first, code, tests, docs = (f"task_{number:03d}" for number in range(1, 5))
    assert tasks() == {first: "done", code: "todo", tests: "todo", docs: "todo"}
    for number, ready in enumerate(([code], [tests, docs])):
        assert [task["id"] for task in plan("task", "ready")["tasks"]] == ready
        plan("delegate", "--max-tasks", "3")
        assert [tasks()[task] for task in ready] == ["agent_done"] * len(ready), number
        for task in ready:
            plan("task", "verify", task)
    assert set(tasks().values()) == {"done"}
    shown = plan("task", "show", tests)["task"]
    assert [(evidence["kind"], evidence["ok"]) for evidence in shown["evidence"]] == [("verified", True)]
    assert library.git("show", f"{shown['branch']}:tests/test_strip_semicolon.py").startswith("import pytest")
    assert plan("sync")["changes"] == []
    assert place.processes() == []
    library.fsck()
