"""Tournaments for tests: a small campaign, with variants as branches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, ended
from git_planner.gitio.repository import open_repository
from git_planner.rules.tournament.variant import Variant
from tests.support.lab import Lab
from tests.support.small_campaign import campaign

NOISY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {{run: [sh, tests/check.sh, "{{proof}}"], proof: junit, timeout: 20}}
metrics:
  - {{name: cost, run: [sh, tests/bench.sh], pattern: '([0-9.]+)', unit: points, better: lower, kind: noisy,
     timeout: 20, pairs: {{screen: 4, min: {most}, max: {most}}}}}
"""
BENCH = """\
read value <src/value
read noise <src/noise
awk -v v="$value" -v n="$noise" -v s="$(od -An -N2 -tu2 /dev/urandom)" \
  'BEGIN { srand(s); print v * (1 + n * (rand() - 0.5)) }'
"""
CHECK = """\
broken=$(cat src/broken)
echo "<testsuite><testcase name='it' classname='t'>$broken</testcase></testsuite>" >"$1"
[ -z "$broken" ]
"""


def noisy_campaign(lab: Lab, *, most: int = 20, noise: str = "0.01") -> None:
    """Commit a policy with a noisy metric and a correctness command, and a value to lower."""
    files = {
        ".git-planner.yml": NOISY.format(most=most),
        "tests/bench.sh": BENCH,
        "tests/check.sh": CHECK,
        "src/value": "100\n",
        "src/noise": f"{noise}\n",
        "src/broken": "",
    }
    lab.commit("the campaign", files)


def exact_campaign(lab: Lab) -> None:
    """Commit the small campaign, whose metric is deterministic."""
    campaign(lab)


def gated_run(
    lab: Lab,
    variants: Mapping[int, Mapping[str, str]],
    *,
    lines: Mapping[int, int] = {},
    gates: Mapping[str, Any] | None = {"passed": True},
) -> None:
    """Create the run 'speed' whose variants, by number, changed these files and passed their gates."""
    ran = lab.run("git-bo4", "new", "--prompt", "make it faster", "--run", "speed", "--json")
    assert ran.status == 0, ran.err
    rows = []
    for number, files in variants.items():
        lab.git("switch", "-q", "-C", f"bo4/speed/v{number}", "main")
        lab.commit(f"variant {number}", dict(files))
        commit = lab.git("rev-parse", "HEAD")
        rows.append(
            Variant(
                1,
                number,
                "harvested",
                branch=f"bo4/speed/v{number}",
                commit=commit,
                tree=lab.git("rev-parse", "HEAD^{tree}"),
                added=lines.get(number, 1),
                removed=0,
                files=len(files),
                gates=gates,
            )
        )
    lab.git("switch", "-q", "main")
    store = RunStore(open_repository(lab.path), "speed")
    stage = ended(begun(store.read().run, "0" * 64), "done")
    store.end_stage("gate", stage, RunChange(variants=rows))


def judged(lab: Lab) -> tuple[int, dict[str, Any], RunView]:
    """Judge the run 'speed'; return the exit status, the facts of the stage, and the run."""
    ran = lab.run("git-bo4", "judge", "speed", "--json")
    assert ran.status in (0, 1), ran.err
    facts = json.loads(ran.out)["run"]["stages"]["judge"]["facts"]
    return ran.status, facts, RunStore(open_repository(lab.path), "speed").read()
