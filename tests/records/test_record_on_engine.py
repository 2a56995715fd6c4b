"""`git record` and `git iterate` on a worker of an engine: one worker measures all that is compared."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from git_planner.engines.contract import slow_error
from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterateOptions, LoopOptions, loop
from git_planner.flows.measuring.benches.bench import HostBench
from git_planner.flows.measuring.run_benchmark import BenchmarkResult
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from tests.engines.dask_cluster import cluster, until
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign, hush

# The first run of the benchmark with the value 80 waits for a file; whoever measures leaves a mark.
SLOW = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
environment: [SITE, GATE]
jail: 'off'
metrics:
  - {name: cost, run: [sh, tests/bench.sh], pattern: '(\\d+)', unit: points, better: lower,
     kind: noisy, timeout: 60, pairs: {screen: 4, min: 16, max: 16, alpha: 0.1}}
"""
BENCH = """\
read value <value
if [ "$value" = 80 ] && mkdir "$GATE/begun" 2>/dev/null; then
  echo $SITE >"$GATE/site.new" && mv "$GATE/site.new" "$GATE/site"
  while [ ! -e "$GATE/open" ]; do sleep 0.05; done
fi
echo "$value"
"""
# A package of another author, in whose answers nothing is as it should be.
RUBBISH = """\
import json, os, time
def run_job(function, payload):
    answer = open(os.environ["ANSWER"]).read()
    if answer == "sleep":
        time.sleep(600)
    return json.loads(answer)
"""


def record(lab: Lab, *words: str, status: int = 0) -> dict[str, object]:
    """Run `git record --json`; return what it printed."""
    ran = lab.run("git-record", *words, "--json")
    assert ran.status == status, ran.err
    document: dict[str, object] = json.loads(ran.out)
    return document


def test_a_record_on_a_worker_of_this_host_is_that_of_this_host(lab: Lab) -> None:
    base = project(lab)
    attempt(lab, 1, 90)
    ran = lab.run("git-record", "--engine", "local", "--json")
    assert ran.status == 0, ran.err
    done = json.loads(ran.out)
    assert (done["advanced"], done["record"]["verdict"], done["record"]["delta"]) == (True, "improved", -10.0)
    assert done["record"]["tests"]["passed"] == 2
    first = read_ledger(lab.repo, "default")[0]
    assert (first.kind, first.commit) == ("baseline", base)
    # The same environment: the command on this host has it already.
    assert record(lab)["cached"] is True
    assert len(read_ledger(lab.repo, "default")) == 2
    assert lab.run("git-record", "verify", "--engine", "local").status == 0
    logs = lab.path / ".git" / "planner" / "records" / done["record"]["id"]
    assert "CYCLES: 90" in (logs / "cycles-1.stdout").read_text()


def slow_project(lab: Lab) -> Path:
    """Commit the slow project; return the folder of its gate."""
    files = {".git-planner.yml": SLOW, "value": "100\n", "tests/bench.sh": BENCH}
    lab.commit("the campaign", files)
    gate = lab.root / "gate"
    gate.mkdir()
    return gate


def sites(gate: Path) -> list[dict[str, str]]:
    """Return the variables of two workers with unlike environments."""
    return [{"SITE": str(number), "GATE": str(gate)} for number in range(2)]


def test_a_worker_that_dies_takes_its_pairs_with_it(lab: Lab) -> None:
    gate, pids = slow_project(lab), list[int]()
    folder = lab.root / "cluster"
    folder.mkdir()
    lab.git("switch", "-q", "-c", "try")
    lab.commit("better", {"value": "80\n"})
    with cluster(folder, 2, pids, sites(gate)) as address:
        command = lab.start("git-record", "--scheduler", address, "--json")
        until((gate / "site").exists)
        lost = int((gate / "site").read_text())
        os.kill(pids[1 + lost], signal.SIGKILL)
        (gate / "open").touch()
        out, err = command.communicate(timeout=120)
        assert command.returncode == 0, err
    assert b"begins anew on another worker" in err
    done = json.loads(out)["record"]
    assert (done["verdict"], len(done["comparison"]["orders"])) == ("improved", 8)
    # The base was measured on both workers; what is compared is from one of them.
    records = read_ledger(lab.repo, "default")
    digests = [row.environment_digest for row in records]
    assert [row.kind for row in records] == ["baseline", "baseline", "attempt"]
    assert digests[0] != digests[1] == digests[2]


def test_the_same_command_goes_on_after_a_kill(lab: Lab) -> None:
    gate = slow_project(lab)
    folder = lab.root / "cluster"
    folder.mkdir()
    lab.git("switch", "-q", "-c", "try")
    lab.commit("better", {"value": "80\n"})
    with cluster(folder, 1, None, sites(gate)[:1]) as address:
        command = lab.start("git-record", "--scheduler", address)
        until((gate / "site").exists)
        os.kill(command.pid, signal.SIGKILL)
        command.communicate(timeout=60)
        (gate / "open").touch()
        assert [row.kind for row in read_ledger(lab.repo, "default")] == ["baseline"]
        assert record(lab, "--scheduler", address)["cached"] is False
        assert record(lab, "--scheduler", address)["cached"] is True
    rows = read_ledger(lab.repo, "default")
    assert [(row.kind, row.verdict) for row in rows] == [("baseline", "baseline"), ("attempt", "improved")]


def test_what_a_worker_answers_is_outside_input(lab: Lab) -> None:
    project(lab)
    folder, package = lab.root / "cluster", lab.root / "other" / "git_planner" / "engines"
    folder.mkdir()
    package.mkdir(parents=True)
    for place in (package.parent, package):
        (place / "__init__.py").touch()
    (package / "run_job.py").write_text(RUBBISH)
    answer = lab.root / "answer"
    own = {"PYTHONPATH": str(package.parents[1]), "ANSWER": str(answer)}
    with cluster(folder, 1, None, [own]) as address:
        for text in ("17", '"no document"', json.dumps(json.dumps({"result": {"schema": 1}}))):
            answer.write_text(text)
            ran = lab.run("git-record", "main", "--scheduler", address)
            assert (ran.status, "E_REMOTE" in ran.err) == (4, True), ran.err
        answer.write_text("sleep")
        lab.env["GIT_PLANNER_MEASURE_TIMEOUT"] = "0.3"
        ran = lab.run("git-record", "main", "--scheduler", address)
        assert (ran.status, "has not answered within 0.3 seconds" in ran.err) == (124, True), ran.err
    assert read_ledger(lab.repo, "default") == []


def test_a_loop_of_three_iterations_on_a_cluster(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "echo $(($(cat value) - 3)) >value")
    folder = lab.root / "cluster"
    folder.mkdir()
    with cluster(folder, 1) as address:
        words = ("--loop", "--max-attempts", "3", "--engine", "dask", "--scheduler", address, "--json")
        ran = lab.run("git-iterate", *words)
    assert ran.status == 0, ran.err
    done = json.loads(ran.out)
    assert [turn["record"]["verdict"] for turn in done["attempts"]] == ["improved"] * 3
    assert (done["best_before"], done["best_after"]) == (None, 91.0)
    assert [row.kind for row in read_ledger(lab.repo, "default")] == ["baseline"] + ["attempt"] * 3


def test_noise_is_that_of_the_worker(lab: Lab) -> None:
    slow_project(lab)
    ran = lab.run("git-record", "noise", "--runs", "3", "--engine", "local", "--json")
    assert ran.status == 0, ran.err
    noise = json.loads(ran.out)["noise"]
    assert (noise["metrics"][0]["deviation"], "measured on" in ran.err) == (0, True)


class SilentBench(HostBench):
    """A bench whose workers do not answer any more after some measurements."""

    def __init__(self, repo: Repository, answers: int) -> None:
        super().__init__(repo)
        self.answers = answers

    def measure(self, *args: Any, **options: Any) -> BenchmarkResult:
        """Measure, or raise."""
        self.answers -= 1
        if self.answers < 0:
            raise slow_error("tcp://10.0.0.9:1", 600)
        return super().measure(*args, **options)


@pytest.mark.parametrize(("answers", "agents"), [(0, 0), (1, 1)])
def test_a_loop_ends_when_no_worker_answers_and_pays_for_nothing_twice(
    lab: Lab, answers: int, agents: int
) -> None:
    campaign(lab)
    agent(lab, f"echo run >>{lab.root}/agents; echo 90 >value")
    options = IterateOptions(bench=SilentBench(lab.repo, answers))
    with pytest.raises(PlannerError) as raised:
        loop(lab.repo, LoopOptions(options, count=3), hush)
    assert "has not answered within 600 seconds" in raised.value.message
    assert (lab.root / "agents").exists() is bool(agents)
    if agents:
        assert (raised.value.code, "'git iterate resume 1'" in str(raised.value.hint)) == (
            "E_WORKER_LOST",
            True,
        )
        # What was paid for is recorded without another agent.
        assert lab.run("git-iterate", "resume", "1").status == 0
        assert (lab.root / "agents").read_text().split() == ["run"]
    else:
        assert "refs/heads/iter/0001-lower-it" not in lab.refs()
