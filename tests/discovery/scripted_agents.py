"""A workshop whose planner, researcher and critic are scripted programs, and texts for them to say."""

from __future__ import annotations

import json
import sys
from typing import Any

from git_planner.rules.discovery.options import render_options
from git_planner.rules.discovery.review import END, HEADINGS
from tests.support.lab import Lab
from tests.support.workshop import FILES, POLICY

FINDINGS = """\
## Findings

The number is in `src/size.txt`, which `tests/size.py` prints and `tests/prove.py` wants to be positive.
Nothing else reads it. The file has one line, and the program that prints it strips the end of the line, so
that a missing newline does no harm.

## Risks

- A number of zero fails the proof.

## Open questions

Nothing is open.
"""


def step(number: int, **changes: Any) -> dict[str, Any]:
    """A step of an option."""
    return {
        "id": f"s{number}",
        "title": f"Shrink it once more, {number}",
        "intent": "A smaller number",
        "actions": ["Make the number smaller."],
        "files": ["src/size.txt"],
        "dependencies": [f"s{number - 1}"] if number > 1 else [],
        "validation": ["`python tests/size.py`", "It is smaller."],
        "risks": ["It becomes negative."],
        "references": [],
        **changes,
    }


def option(name: str, count: int = 1, **changes: Any) -> dict[str, Any]:
    """An option that its schema accepts."""
    return {
        "name": name,
        "title": f"way {name}",
        "summary": f"Do it the way {name}.",
        "scope": ["Only the number."],
        "steps": [step(number) for number in range(1, count + 1)],
        "verification": ["`python tests/size.py`"],
        "risks": ["None worth a name."],
        "effort": "small",
        **changes,
    }


def options(**changes: Any) -> dict[str, Any]:
    """A document of options that its schema accepts; A has one step, B two and C three."""
    three = [option(name, place) for place, name in enumerate("ABC", 1)]
    return {"schema": "git-planner/plan-options@1", "goal": "A smaller number", "options": three, **changes}


def markdown(**changes: Any) -> str:
    """The same as Markdown."""
    return render_options(options(**changes), plan="default", inputs=["`research/RESEARCH.md`"])


def review(*, without: str = "", end: str = END) -> str:
    """A review with all its headings but one."""
    parts = [
        f"## {heading}\n\nThis is about {heading.lower()}." for heading in HEADINGS if heading != without
    ]
    return "\n\n".join([*parts, end]) + "\n"


def scripted(lab: Lab, role: str, *answers: str, status: int = 0, policy: str = "") -> None:
    """Commit a workshop in which the agent of a role prints the answers one after the other.

    What it was asked is kept in `ROLE-prompt-N` in the laboratory's folder, its own files in `ROLE-files`.
    """
    program = lab.root / f"{role}.py"
    program.write_text(
        "import os, pathlib, sys\n"
        f"root, answers = pathlib.Path({str(lab.root)!r}), {list(answers)!r}\n"
        f"count = root / '{role}-asked'\n"
        "asked = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(asked + 1))\n"
        f"(root / f'{role}-prompt-{{asked + 1}}').write_bytes(sys.stdin.buffer.read())\n"
        f"(root / '{role}-files').write_text(' '.join(sorted(os.listdir('.'))))\n"
        f"(root / '{role}-kind').write_text(os.environ['GIT_PLANNER_KIND'])\n"
        "sys.stdout.buffer.write(answers[asked].encode())\n"
        f"print('something went wrong', file=sys.stderr)\nsys.exit({status})\n"
    )
    run = json.dumps([sys.executable, "-I", "-S", str(program)])
    agents = (
        f"agents: {{sandbox: off, {role}: command, attempts: 2, "
        f"command: {{{role}: {{run: {run}, timeout: 20}}}}}}\n"
    )
    text = POLICY[: POLICY.index("agents:")] + agents + policy
    lab.commit(f"a {role} of its own", {**FILES, ".git-planner.yml": text})


def asked(lab: Lab, role: str, number: int = 1) -> str:
    """What a scripted agent was asked."""
    return (lab.root / f"{role}-prompt-{number}").read_text()


def shown(lab: Lab, name: str, plan: str = "default") -> str:
    """A document of a plan."""
    return lab.show(f"plan/{plan}:.plans/{plan}/{name}")
