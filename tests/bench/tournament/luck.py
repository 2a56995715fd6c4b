"""Tournaments with real processes and a noisy benchmark: how often luck ships, and how often a real gain.

The benchmark's noise is drawn at random, with a standard deviation of 5 % of a run, so a busy machine changes
no figure. tests/tournament/judging/test_judge.py simulates a thousand tournaments of each kind of noise.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.flows.tournament.collecting.harvest import harvest
from git_planner.flows.tournament.collecting.watch import watch
from git_planner.flows.tournament.gates.gate_run import gate_variants
from git_planner.flows.tournament.judge import judge
from git_planner.flows.tournament.new import NewTournament, new_run
from git_planner.gitio.repository import Repository, open_repository
from tests.bench.timing import Figure

TOURNAMENTS, VARIANTS, SIGMA = 20, 4, 0.05
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["bench.sh"]
metrics:
  - {name: cost, run: [sh, bench.sh], pattern: '([0-9.]+)', unit: points, better: lower, kind: noisy,
     timeout: 20}
"""
# The sum of twelve uniform numbers is nearly normal, with a deviation of one. Seeds are small for all awks.
BENCH = f"""\
read value <value
awk -v v="$value" -v s="$(od -An -N2 -tu2 /dev/urandom)" 'BEGIN {{
  srand(s); for (i = 0; i < 12; i++) sum += rand(); print v * (1 + {SIGMA} * (sum - 6)) }}'
"""


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Judge tournaments of four changes without effect, then of one real gain among three of them."""
    os.environ.update(env)
    repo = _repository(root / "repo")
    count = max(2, TOURNAMENTS // fewer)
    shipped = sum(_winner(repo, f"noop-{number}", ()) is not None for number in range(count))
    yield Figure(f"tournaments of {count} that ship a change without effect", 0, shipped, "")
    real = sum(_winner(repo, f"real-{number}", (3,)) == 3 for number in range(count))
    missed = Figure(
        f"tournaments of {count} that miss a gain of 2 deviations", 0.21 * count, count - real, ""
    )
    yield missed


def _repository(path: Path) -> Repository:
    path.mkdir(parents=True)
    for name, text in ((".git-planner.yml", POLICY), ("bench.sh", BENCH), ("value", "100\n")):
        (path / name).write_text(text)
    for args in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "base")):
        subprocess.run(["git", *args], cwd=path, check=True)
    return open_repository(path)


def _winner(repo: Repository, name: str, better: tuple[int, ...]) -> int | None:
    """Play a tournament of folders of patches up to its judging; return the winner's number."""
    folder = repo.place.parent / name
    folder.mkdir()
    for number in range(1, VARIANTS + 1):
        value = f"{100 * (1 - 2 * SIGMA):g}" if number in better else "100"
        lines = f"+{value}\n+change {number}\n"
        head = "diff --git a/value b/value\n--- a/value\n+++ b/value\n@@ -1 +1,2 @@\n-100\n"
        (folder / f"{number}.diff").write_text(head + lines)
    source = {"kind": "patches", "folder": str(folder)}
    new_run(repo, NewTournament(prompt=name, source=source, attempts=VARIANTS, run=name))
    for stage in (watch, harvest, gate_variants, judge):
        stage(repo, name, _hush)
    facts = judge(repo, name, _hush).run.stages["judge"].facts
    winner = facts["winner"]
    return None if winner is None else int(winner)


def _hush(_: str) -> None:
    """Show no progress."""
