"""The command line of the headless loop's document, with files of our own."""

from __future__ import annotations

import json

from tests.support.lab import Lab
from tests.tournament.collecting.cloud_case import row, serve

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {run: [sh, tests/check.sh, "{proof}"], proof: junit, timeout: 20}
metrics:
  - {name: cost, run: [sh, tests/cost.sh], pattern: '(\\d+)', unit: points, better: lower,
     kind: deterministic, timeout: 20}
"""
MANIFEST = '{"id": "%s", "version": "1.0.0", "summary": "one half", "provides": ["%sPort@1"]}\n'
COVERAGE = {
    "goals": ["parse quickly", "print quickly"],
    "variants": ["var1", "var2"],
    "provides": [
        {"module": "parser@var1", "covers": ["parse quickly"], "evidence_strength": 0.9, "risk": 0.1},
        {"module": "parser@var2", "covers": ["parse quickly"], "evidence_strength": 0.2, "risk": 0.8},
        {"module": "printer@var1", "covers": ["print quickly"], "evidence_strength": 0.2, "risk": 0.8},
        {"module": "printer@var2", "covers": ["print quickly"], "evidence_strength": 0.9, "risk": 0.1},
    ],
}
FILES = {
    ".git-planner.yml": POLICY,
    "tests/check.sh": 'echo \'<testsuite><testcase name="it" classname="t"/></testsuite>\' >"$1"\n',
    "tests/cost.sh": "cat modules/*/value | awk '{ sum += $1 } END { print sum }'\n",
    "modules/parser/module.json": MANIFEST % ("parser", "Parser"),
    "modules/parser/value": "100\n",
    "modules/printer/module.json": MANIFEST % ("printer", "Printer"),
    "modules/printer/value": "100\n",
    "examples/coverage.json": json.dumps(COVERAGE),
}


def change(module: str, value: int) -> str:
    """Return a patch of a module's value."""
    path = f"modules/{module}/value"
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-100\n+{value}\n"


def test_the_documents_command_ends_with_a_composed_winner(lab: Lab) -> None:
    lab.commit("two modules", FILES)
    variants = [
        row(1, diff=change("parser", 40) + change("printer", 90)),
        row(2, diff=change("parser", 90) + change("printer", 40)),
        row(3, "failed"),
        row(4, diff="nothing that applies\n"),
    ]
    serve(lab, ("ready",), variants, name="demo-headless")
    words = ("--task", "demo-headless", "--coverage", "examples/coverage.json", "--modules")
    with lab.undisturbed():
        ran = lab.run("git-bo4", "run", *words, "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    name = document["run"]["run"]
    assert name.endswith("-demo-headless")
    winner = f"bo4/{name}/winner"
    assert lab.show(f"{winner}:modules/parser/value") == "40\n"
    assert lab.show(f"{winner}:modules/printer/value") == "40\n"
    states = [variant["state"] for variant in document["variants"]]
    assert states == ["harvested", "harvested", "failed", "broken"]
    held = lab.git("ls-tree", "-r", "--name-only", f"bo4/{name}/run", f"runs/{name}/").splitlines()
    layout = (
        *("run.json", "prompt.md", "artifacts/events.ndjson", "artifacts/events.watch.ndjson"),
        *("artifacts/events.gates.ndjson", "meta/coverage.json", "meta/compose.json", "meta/report.json"),
        *("variants/var1.json", "variants/var2.json", "variants/var3.json", "variants/var4.json"),
        *("winner/README.md", "winner/report.json"),
    )
    assert {f"runs/{name}/{path}" for path in layout} <= set(held)
    archive = lab.path.parent / ".codex-cloud" / "variants" / "demo-headless" / "turn1" / "var1"
    assert (archive / "patch.diff").read_text() == change("parser", 40) + change("printer", 90)
    assert lab.run("git-bo4", "events", "validate", name).status == 0
