"""A tournament on a dask cluster whose workers have networks of their own: one dies, and one is cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.engines.dask_cluster import WAIT, scheduler_address, until
from tests.support.lab import Lab, sealed
from tests.support.small_campaign import agent, campaign

WORKERS = 4
# The first agent of these variants never ends: its worker dies, or is cut off.
KILLED, CUT_OFF = 2, 3
SCRIPT = """\
echo "$GIT_PLANNER_VARIANT" >>{root}/agents
mark={root}/began-$GIT_PLANNER_VARIANT
if [ "$GIT_PLANNER_VARIANT" = 2 ] || [ "$GIT_PLANNER_VARIANT" = 3 ]; then
  if mkdir "$mark" 2>/dev/null; then ip -brief address >"$mark/network"; sleep 300; fi
fi
echo $((90 - GIT_PLANNER_VARIANT)) >value
"""


@dataclass
class Network:
    """A bridge on this host with a network namespace for each worker."""

    folder: Path
    name: str = field(default_factory=lambda: f"gp{os.getpid() % 100000}")
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The first three numbers of the addresses."""
        return f"10.{200 + os.getpid() % 50}.{os.getpid() % 250}"

    def make(self) -> None:
        """Make the bridge and the namespaces."""
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "add", f"{self.prefix}.1/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        for number in range(1, WORKERS + 1):
            space, outer, inner = self.space(number), f"{self.name}o{number}", f"{self.name}i{number}"
            ip("netns", "add", space)
            ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            ip("link", "set", outer, "master", self.name, "up")
            ip("link", "set", inner, "netns", space)
            ip("-n", space, "address", "add", f"{self.prefix}.{10 + number}/24", "dev", inner)
            ip("-n", space, "link", "set", inner, "up")
            ip("-n", space, "link", "set", "lo", "up")

    def space(self, number: int) -> str:
        """The namespace of a worker."""
        return f"{self.name}w{number}"

    def remove(self) -> None:
        """Remove the bridge and the namespaces."""
        for number in range(1, WORKERS + 1):
            ip("link", "delete", f"{self.name}o{number}", check=False)
            ip("netns", "delete", self.space(number), check=False)
        ip("link", "delete", self.name, check=False)

    def start(self, number: int, *words: str) -> None:
        """Start the scheduler (0) on this host, or a worker in its namespace."""
        module = "dask_worker" if number else "dask_scheduler"
        inside = ("ip", "netns", "exec", self.space(number)) if number else ()
        argv = [*inside, sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *words]
        env = sealed(self.folder / f"home-{number}") | {
            "PYTHONPATH": str(Path(__file__).parents[3]),
            # A worker that is only slow is not given up.
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s",
        }
        log = (self.folder / f"{module}-{number}.log").open("wb")
        self.processes[number] = subprocess.Popen(argv, cwd=self.folder, env=env, stdout=log, stderr=log)

    def worker_of(self, mark: Path) -> int:
        """Return the number of the worker that runs the agent with this mark, by its address."""
        until(lambda: self.prefix in (mark / "network").read_text() if (mark / "network").exists() else False)
        text = (mark / "network").read_text()
        return next(n for n in range(1, WORKERS + 1) if f"{self.prefix}.{10 + n}/" in text)


def ip(*words: str, check: bool = True) -> None:
    """Run the program 'ip'."""
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextmanager
def network(folder: Path) -> Iterator[tuple[Network, str]]:
    """Yield a cluster in namespaces, and the address of its scheduler."""
    from distributed import Client

    hosts = Network(folder)
    try:
        hosts.make()
        place = folder / "scheduler.json"
        hosts.start(0, "--host", f"{hosts.prefix}.1", "--port", "0", "--scheduler-file", str(place))
        address = scheduler_address(place)
        for number in range(1, WORKERS + 1):
            host = f"{hosts.prefix}.{10 + number}"
            hosts.start(number, address, "--no-nanny", "--nthreads", "1", "--host", host)
        # A job must not wait behind one whose worker is cut off: that worker would still begin it.
        with Client(address) as client:
            client.wait_for_workers(WORKERS, timeout=WAIT)
        yield hosts, address
    finally:
        for process in hosts.processes.values():
            process.kill()
            process.wait()
        hosts.remove()


NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and 'ip'"
)
# The first runs of the benchmark with the value 80 wait: their workers are cut off and killed.
RECORD_POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
jail: 'off'
metrics:
  - {name: cost, run: [sh, tests/bench.sh], pattern: '(\\d+)', unit: points, better: lower,
     kind: noisy, timeout: 60, pairs: {screen: 4, min: 16, max: 16, alpha: 0.1}}
"""
RECORD_BENCH = """\
read value <value
for mark in {root}/began-1 {root}/began-2; do
  if [ "$value" = 80 ] && mkdir "$mark" 2>/dev/null; then ip -brief address >"$mark/network"; sleep 300; fi
done
echo "$value"
"""


@pytest.mark.real
@pytest.mark.alone
@NEEDS_ROOT
def test_a_record_begins_anew_when_its_host_is_cut_off_and_when_it_dies(lab: Lab, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    folder = tmp_path / "cluster"
    folder.mkdir()
    files = {"value": "100\n", "tests/bench.sh": RECORD_BENCH.format(root=tmp_path)}
    lab.commit("campaign", {".git-planner.yml": RECORD_POLICY, **files})
    lab.git("switch", "-q", "-c", "try")
    lab.commit("better", {"value": "80\n"})
    with network(folder) as (hosts, address):

        def disturb() -> None:
            cut = hosts.worker_of(tmp_path / "began-1")
            ip("link", "set", f"{hosts.name}o{cut}", "down")
            hosts.processes[hosts.worker_of(tmp_path / "began-2")].send_signal(signal.SIGKILL)

        thread = threading.Thread(target=disturb)
        thread.start()
        ran = lab.run("git-record", "--scheduler", address, "--json")
        thread.join()
    assert ran.status == 0, ran.err
    assert ran.err.count("begins anew on another worker") == 2, ran.err
    record = json.loads(ran.out)["record"]
    assert (record["verdict"], len(record["comparison"]["orders"])) == ("improved", 8)
    # The comparisons of the lost workers have spent their shares of the error budget.
    assert record["comparison"]["number"] == 3
    lab.fsck()


@pytest.mark.real
@pytest.mark.alone
@NEEDS_ROOT
def test_a_tournament_ends_right_though_a_worker_dies_and_another_is_cut_off(
    lab: Lab, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    folder = tmp_path / "cluster"
    folder.mkdir()
    campaign(lab)
    agent(lab, SCRIPT.format(root=tmp_path))
    with network(folder) as (hosts, address):

        def disturb() -> None:
            dying = hosts.worker_of(tmp_path / f"began-{KILLED}")
            cut = hosts.worker_of(tmp_path / f"began-{CUT_OFF}")
            hosts.processes[dying].send_signal(signal.SIGKILL)
            ip("link", "set", f"{hosts.name}o{cut}", "down")

        thread = threading.Thread(target=disturb)
        thread.start()
        words = ("--prompt", "make it faster", "--run", "speed", "--best-of", "4")
        ran = lab.run("git-bo4", "run", *words, "--engine", "dask", "--scheduler", address)
        thread.join()
    assert ran.status == 0, ran.err
    rows = json.loads(lab.run("git-bo4", "status", "speed", "--json").out)["variants"]
    assert [(row["state"], row["gates"]["passed"]) for row in rows] == [("harvested", True)] * 4
    assert lab.show("bo4/speed/winner:value") == "86\n"
    # The agents of the lost workers ran once more, and no others.
    started = (tmp_path / "agents").read_text().split()
    assert sorted(started) == ["1", str(KILLED), str(KILLED), str(CUT_OFF), str(CUT_OFF), "4"]
    lab.fsck()
