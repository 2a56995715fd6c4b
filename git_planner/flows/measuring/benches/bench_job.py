"""Job of a bench on a worker: run the instrument of a base on a tree, and return all that was measured.

The worker returns samples and outcomes of tests, and no verdict: that is decided where the command runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.config.policy_file import policy_at
from git_planner.engines.git_data import copies_folder, open_trees
from git_planner.errors import PlannerError
from git_planner.flows.measuring.environment import Site, describe_site
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.measuring.paired_runs import BegunRound, Rival
from git_planner.flows.measuring.run_benchmark import BenchmarkResult, measure, measure_samples
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import owned_folder
from git_planner.rules.measuring import measurement
from git_planner.rules.measuring.proofs.proof import proof_from
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Policy
from git_planner.rules.stats.paired_design import Look, Schedule

FUNCTION = "git_planner.flows.measuring.benches.bench_job:bench_job"
_PAUSE = 0.1


def bench_job(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Describe this worker, and measure what the payload names; return the document of the measurement."""
    copy = open_trees(payload["data"])
    base = str(payload["base"])
    policy = policy_at(copy, base)
    if payload.get("tree") is None:
        return _Measured(copy, base, policy).document()
    with _only_one(float(payload["seconds"])):
        measured = _Measured(copy, base, policy)
        with owned_folder(copy.private("records"), "job-") as logs:
            measured.run(payload, logs)
            measured.logs = _read_logs(logs)
    return measured.document()


class _Measured:
    """The measurement of one job, as it becomes known."""

    def __init__(self, copy: Repository, base: str, policy: Policy) -> None:
        self.copy, self.base, self.policy = copy, base, policy
        self.site: Site = describe_site(copy, policy)
        self.tree: str | None = None
        self.rival: str | None = None
        self.result = BenchmarkResult(None)
        self.samples: dict[str, list[float]] = {}
        self.rounds: Sequence[BegunRound] = ()
        self.logs: dict[str, str] = {}

    def run(self, payload: Mapping[str, Any], logs: Path) -> None:
        """Measure."""
        self.tree = str(payload["tree"])
        chosen = [metric for metric in self.policy.metrics if metric.name in payload["metrics"]]
        policy = self.policy._replace(metrics=tuple(chosen))
        runs = payload.get("runs")
        if runs is not None:
            values = measure_samples(
                self.copy,
                policy,
                self.tree,
                chosen[0],
                int(runs),
                logs=logs,
                progress=_ignore,
                base=self.base,
            )
            if isinstance(values, Refusal):
                self.result = BenchmarkResult(values)
            else:
                self.samples[chosen[0].name] = values
            return
        before = payload.get("before")
        self.result = measure(
            self.copy,
            policy,
            self.tree,
            before=None if before is None else proof_from(before),
            logs=logs,
            progress=_ignore,
            rival=self._rival(payload.get("rival")),
            base=self.base,
        )
        for place, metric in enumerate(self.result.metrics):
            if self.rival is None or place > 0:
                self.samples[metric.name] = list(metric.samples)

    def _rival(self, rival: Mapping[str, Any] | None) -> Rival | None:
        if rival is None:
            return None
        self.rival = str(rival["tree"])
        plan = dict(rival["plan"])
        plan["looks"] = tuple(Look(**look) for look in plan["looks"])

        def keep(rounds: Sequence[BegunRound]) -> None:
            self.rounds = rounds

        begun = [(order, tuple(values)) for order, values in rival["begun"]]
        self.rounds = begun
        return Rival("", self.rival, Schedule(**plan), begun, keep)

    def document(self) -> dict[str, Any]:
        """Return the document of the measurement."""
        refusal, proof = self.result.refusal, self.result.proof
        rounds = [] if refusal is not None else self.rounds
        return {
            "schema": measurement.SCHEMA,
            "base": self.base,
            "tree": self.tree,
            "rival": self.rival,
            "instrument": instrument_digest_at(self.copy, self.base),
            "environment": self.site.document(),
            "environment_digest": self.site.digest,
            "refusal": refusal and {"reason": refusal.reason, "sentence": refusal.sentence},
            "proof": proof and {outcome: proof.ids(outcome) for outcome in measurement.OUTCOMES},
            "samples": [{"name": name, "values": values} for name, values in self.samples.items()],
            "rounds": [{"order": order, "values": list(values)} for order, values in rounds],
            "seconds": dict(self.result.seconds),
            "notes": list(self.result.notes),
            "logs": [{"name": name, "text": text} for name, text in self.logs.items()],
        }


def _read_logs(folder: Path) -> dict[str, str]:
    """Return the ends of the commands' output, of so many files as are sent."""
    logs = {}
    for path in sorted(folder.iterdir())[: measurement.MOST_LOGS]:
        with atomic_file.open_regular(path) as file:
            file.seek(max(0, path.stat().st_size - measurement.MOST_LOG_BYTES))
            logs[path.name] = file.read(measurement.MOST_LOG_BYTES).decode("utf-8", "replace")
    return logs


@contextmanager
def _only_one(seconds: float) -> Iterator[None]:
    """Wait until no other job of this user measures on this host, so that none disturbs another.

    Raises:
        PlannerError: E_BUSY.
    """
    until = time.monotonic() + seconds
    with (copies_folder() / "measuring.lock").open("ab") as file:
        while not atomic_file.lock_now(file):
            if time.monotonic() > until:
                raise PlannerError("E_BUSY", "the worker's host has measured something else all the time")
            time.sleep(_PAUSE)
        yield


def _ignore(_: str) -> None:
    """Drop a message: nobody watches a worker."""
