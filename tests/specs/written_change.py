"""A change that is written down, and the commands that tests ask about it."""

from __future__ import annotations

import json
from typing import Any

from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

PROJECT = (
    "# P\n\n## Invariants\n\n- the number stays positive\n\n## Entrypoints\n\n- src/size.txt: the number\n"
)
PROPOSAL = "# Change Proposal: shrink\n\n## Why\n\nThe number is too large.\n\n## Acceptance\n\n- it is 50\n"
TASKS = """\
# Tasks

## 1. The number

- [ ] 1.1 Halve the number {#halve}
  - files: `src/size.txt`
  - verify: `python tests/size.py`
  - done when: it is 50
- [x] 1.2 Look at the number
* [ ] 1.3 Say so in the readme
  - after: 1.1, Look at the number
  - files: README.md
"""
FOLDER = "openspec/changes/shrink"
PLAN = "refs/heads/plan/shrink"


def spec(lab: Lab, *argv: str) -> Ran:
    return lab.run("git-plan", "spec", *argv)


def answer_of(lab: Lab, *argv: str) -> dict[str, Any]:
    """The one JSON document of a command, whatever its status."""
    document: dict[str, Any] = json.loads(spec(lab, argv[0], "--json", *argv[1:]).out)
    return document


def write(lab: Lab, **files: str) -> None:
    """Write files of the change 'shrink' (or the project's) into the working tree."""
    for name, text in files.items():
        path = lab.path / ("openspec/project.md" if name == "project" else f"{FOLDER}/{name}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def written(lab: Lab) -> Lab:
    """A workshop with a change that holds, in its working tree."""
    workshop(lab)
    write(lab, project=PROJECT, proposal=PROPOSAL, tasks=TASKS)
    return lab


def tasks(lab: Lab, plan: str = "shrink") -> list[dict[str, Any]]:
    text = lab.show(f"plan/{plan}:.plans/{plan}/plan.json")
    listed: list[dict[str, Any]] = canonical_json.loads(text, "plan.json")["tasks"]
    return listed
