"""Measure how much the noisy metrics of the base vary, once per instrument and environment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, HostBench, on_one_worker
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Store
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring import noise as rules
from git_planner.rules.measuring.noise import MetricNoise, Noise
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric, Policy

# Runs if a record needs the noise and it has not been measured yet.
FEW_RUNS = 10


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """The noise, whether it was known before, and the ref of the plan branch (`ledger`)."""

    noise: Noise
    known: bool
    ledger: str


def report_noise(
    repo: Repository,
    *,
    plan: str | None,
    runs: int,
    force: bool,
    progress: Progress,
    bench: Bench | None = None,
) -> NoiseReport:
    """Measure the noise of the trusted base of HEAD, unless it is known, and store it on the plan branch.

    Args:
        repo: the repository.
        plan: the plan (default: the iteration's own, then the current plan).
        runs: the number of runs of each noisy metric; at least two.
        force: measure again even if the noise is known.
        progress: called with each progress message.
        bench: where they are measured (default: this host).

    Raises:
        PlannerError: E_USAGE if no metric is noisy, E_MEASURE, E_MIN_GAIN if the policy's 'min_gain' is below
            twice the noise (which is stored nevertheless), and the errors of `find_subject`.
    """
    subject = trusted_base.base_subject(trusted_base.find_subject(repo, "HEAD", plan))
    candidate, place = build_candidate(repo, subject), bench or HostBench(repo)

    def measured() -> NoiseReport:
        site = place.site(subject.base, subject.policy)
        known = None if force else read_noise(repo, subject, candidate.instrument, site.digest)
        noise = known or measure_noise(repo, subject, candidate, place, runs, progress)
        return NoiseReport(noise, known is not None, subject.ref)

    done = on_one_worker(measured, progress)
    check_min_gains(done.noise, subject.policy)
    return done


def read_noise(repo: Repository, subject: Subject, instrument: str, environment: str) -> Noise | None:
    """Read the stored noise of an instrument in an environment; None if it has to be measured."""
    where = f"{subject.ref}:{rules.noise_path(instrument, environment)}"
    with repo.git.batch() as batch:
        content = batch.read(where)
    # The plan may come from anywhere: what is no document is measured again.
    with suppress(PlannerError):
        return None if content is None else rules.noise_from(documents.read("noise", content, where))
    return None


def measure_noise(  # noqa: PLR0917 - all of different types
    repo: Repository, base: Subject, candidate: Candidate, bench: Bench, runs: int, progress: Progress
) -> Noise:
    """Measure the noisy metrics of a base and store their noise.

    Args:
        repo: the repository.
        base: the trusted base as a subject.
        candidate: the base as a candidate.
        bench: where they are measured.
        runs: the number of runs of each metric.
        progress: called with each progress message.

    Raises:
        PlannerError: E_USAGE, E_MEASURE, and the errors of writing to the plan branch.
    """
    metrics = noisy_metrics(base.policy)
    if not metrics:
        raise PlannerError(
            "E_USAGE", "the policy has no noisy metric", hint="add 'kind: noisy' to a metric in the policy"
        )
    if candidate.refusal is not None:
        raise _measure_error(candidate.refusal)
    site = bench.site(base.base, base.policy)
    varied = tuple(
        _measure_metric_noise(repo, base, candidate.tree, metric, bench, runs, progress) for metric in metrics
    )
    noise = Noise(
        instrument=candidate.instrument,
        environment_digest=site.digest,
        environment=site.document(),
        base=base.commit,
        tree=candidate.tree,
        metrics=varied,
        created_at=repo.now(),
    )
    results = ", ".join(f"{metric.name} {metric.deviation:.3g} {metric.unit}".strip() for metric in varied)
    message = Message(f"noise: {results}"[:120], (("Planner-Op", "noise"), ("Planner-Args", base.commit)))
    content = canonical_json.dumps(noise.document())
    Store(repo).edit(base.ref, lambda _: {noise.path: content}, message, base=base.base)
    return noise


def check_min_gains(noise: Noise, policy: Policy) -> None:
    """Refuse a 'min_gain' that the noise would hide.

    Raises:
        PlannerError: E_MIN_GAIN.
    """
    faults = rules.min_gain_problems(noise, policy.metrics)
    if faults:
        raise PlannerError(
            "E_MIN_GAIN",
            f"'min_gain' in '{refnames.POLICY_FILE}' is below twice the measured noise on this machine",
            hint="raise it, make the benchmark quieter, or run 'git record noise --force' to measure again",
            details=faults,
        )


def noisy_metrics(policy: Policy) -> list[Metric]:
    """Return the noisy metrics of a policy."""
    return [metric for metric in policy.metrics if metric.kind == "noisy"]


def _measure_metric_noise(  # noqa: PLR0917 - all of different types
    repo: Repository, base: Subject, tree: str, metric: Metric, bench: Bench, runs: int, progress: Progress
) -> MetricNoise:
    with owned_folder(repo.private("records"), "noise-") as logs:
        samples = bench.samples(base.base, base.policy, tree, metric, runs, logs=logs, progress=progress)
    if isinstance(samples, Refusal):
        raise _measure_error(samples)
    return rules.summarise_noise(metric, samples)


def _measure_error(refusal: Refusal) -> PlannerError:
    return PlannerError(
        "E_MEASURE",
        f"the base cannot be measured: {refusal.sentence}",
        hint="run its command by hand, or record the base with 'git record'",
    )
