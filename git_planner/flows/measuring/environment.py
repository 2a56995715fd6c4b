"""The environment of measurements: results of unlike environments are not compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.flows.measuring import sandbox_paths
from git_planner.flows.measuring.tool_description import describe_tools, utf8_text
from git_planner.gitio.repository import Repository
from git_planner.host import cpu_affinity, jail
from git_planner.host.jail import Jail
from git_planner.host.machine import search_path
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Site:
    """The measuring environment.

    `stable` is the part that results depend on; `now` is the state at the start: the one-minute load, the
    niceness, and the CPU that noisy metrics are pinned to.
    """

    stable: Mapping[str, Any]
    now: Mapping[str, Any]
    digest: str

    def document(self) -> dict[str, Any]:
        """Return the environment as it is stored in a record."""
        return {**self.stable, **self.now}


def describe_site(repo: Repository, policy: Policy) -> Site:
    """Describe the machine, its jail, the tools of the policy's commands, and their environment variables."""
    sandbox = jail.find(policy.jail, search_path())
    machine = os.uname()
    runs = [
        *([policy.correctness.run] if policy.correctness else []),
        *(metric.run for metric in policy.metrics),
        *(step.run for step in policy.steps),
    ]
    stable = {
        "host": machine.nodename,
        "kernel": f"{machine.sysname} {machine.release}",
        "machine": machine.machine,
        "cpu": _cpu_model(),
        "cpus": os.cpu_count() or 0,
        "git": repo.git.line("version").removeprefix("git version "),
        "tools": describe_tools(runs, search_path()),
    }
    if any(metric.source == "instructions" for metric in policy.metrics):
        from git_planner.host import instruction_counter

        counting = instruction_counter.find(search_path())
        stable["counter"] = counting.shown if counting else None
    # The reason for a missing jail is recorded, but does not change the digest.
    held: dict[str, Any] = {"jail": "none"}
    if isinstance(sandbox, Jail):
        held = {
            "jail": sandbox.shown,
            "jail_read": [str(path) for path in sandbox_paths.extra_readonly_paths(repo)],
        }
    # The values go into the digest only: they may be private, and the record is committed.
    values = {name: os.environ.get(name) for name in policy.environment}
    variables = {name: utf8_text(value) for name, value in values.items()}
    digest = canonical_json.digest({**stable, **held, "variables": variables})
    now = {"load": round(os.getloadavg()[0], 2), "nice": os.nice(0), "pinned": cpu_affinity.choose()}
    return Site({**stable, "jail": sandbox.shown}, now, digest)


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("model name", "Model")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return os.uname().machine
