"""Protocol of benches, and the bench of this host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from git_planner.engines.contract import MAX_LOSSES, WorkerLostError
from git_planner.flows.measuring.environment import Site, describe_site
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric, Policy

if TYPE_CHECKING:
    from git_planner.flows.measuring.paired_runs import Rival
    from git_planner.flows.measuring.run_benchmark import BenchmarkResult

Result = TypeVar("Result")


class Bench(Protocol):
    """A place where trees are measured. All that is compared with each other is measured in one place.

    `keeps_rounds`: the rounds of a comparison are kept as they are measured, and not at its end only.
    """

    keeps_rounds: bool

    def site(self, base: str, policy: Policy) -> Site:
        """Describe the environment in which the trees of a base are measured from now on.

        Args:
            base: the trusted base.
            policy: its policy.

        Raises:
            WorkerLostError: there is no worker that answers.
        """
        ...

    def measure(
        self,
        base: str,
        policy: Policy,
        tree: str,
        *,
        before: Proof | None,
        logs: Path,
        progress: Progress,
        rival: Rival | None = None,
    ) -> BenchmarkResult:
        """Run the instrument of a base on a tree, as `run_benchmark.measure` does.

        Raises:
            WorkerLostError: nothing of what was begun counts; `on_one_worker` begins anew.
            PlannerError: E_EXPORT, E_NO_SPACE; E_REMOTE for an answer that is no measurement of the tree.
        """
        ...

    def samples(
        self,
        base: str,
        policy: Policy,
        tree: str,
        metric: Metric,
        runs: int,
        *,
        logs: Path,
        progress: Progress,
    ) -> list[float] | Refusal:
        """Measure one metric of a tree, as `run_benchmark.measure_samples` does; it raises as `measure`."""
        ...


class HostBench:
    """The bench of this host.

    Args:
        repo: the repository.
    """

    keeps_rounds = True

    def __init__(self, repo: Repository) -> None:
        self.repo = repo

    def site(self, base: str, policy: Policy) -> Site:  # noqa: ARG002 - the protocol's parameter
        """Describe this host."""
        return describe_site(self.repo, policy)

    def measure(
        self,
        base: str,
        policy: Policy,
        tree: str,
        *,
        before: Proof | None,
        logs: Path,
        progress: Progress,
        rival: Rival | None = None,
    ) -> BenchmarkResult:
        """Run the instrument here."""
        from git_planner.flows.measuring.run_benchmark import measure

        return measure(
            self.repo, policy, tree, before=before, logs=logs, progress=progress, rival=rival, base=base
        )

    def samples(
        self,
        base: str,
        policy: Policy,
        tree: str,
        metric: Metric,
        runs: int,
        *,
        logs: Path,
        progress: Progress,
    ) -> list[float] | Refusal:
        """Measure one metric here."""
        from git_planner.flows.measuring.run_benchmark import measure_samples

        return measure_samples(self.repo, policy, tree, metric, runs, logs=logs, progress=progress, base=base)


def on_one_worker(work: Callable[[], Result], progress: Progress) -> Result:
    """Do work whose measurements belong together; begin anew on another worker if one is lost.

    Args:
        work: does it from its start to its end, and leaves nothing half done when a worker is lost.
        progress: called with each progress message.

    Raises:
        WorkerLostError: too many workers were lost.
        PlannerError: what the work raises.
    """
    for losses in range(1, MAX_LOSSES + 1):
        try:
            return work()
        except WorkerLostError as error:
            if losses == MAX_LOSSES:
                raise
            progress(f"{error.message}: it begins anew on another worker")
    raise AssertionError
