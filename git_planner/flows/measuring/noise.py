"""`git record noise`: how much the base's noisy metrics vary here, once per instrument and environment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring import run_benchmark
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.flows.measuring.run_benchmark import Site
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring import noise as rules
from git_planner.rules.measuring.noise import MetricNoise, Noise
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric, Policy
from git_planner.rules.refnames import random_token

RUNS = 20
# When a record needs to know the noise and nobody has measured it yet.
FEW_RUNS = 10
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """The noise, and whether it was known before. `ledger` is the plan's branch."""

    noise: Noise
    known: bool
    ledger: str


def report_noise(repo: Repository, *, plan: str | None, runs: int, force: bool, tell: Tell) -> NoiseReport:
    """Measure the noise of the trusted base of HEAD, unless it is known, and keep it on the plan's branch.

    Args:
        repo: the repository.
        plan: the plan; the iteration's own, or the current one, when None.
        runs: how often each noisy metric is measured; at least two.
        force: measure again even where the noise is known.
        tell: progress.

    Raises:
        PlannerError: E_USAGE when no metric is noisy, E_MEASURE, E_MIN_GAIN when the policy asks for a gain
            below twice the noise (what was measured is kept all the same), and what finding the base raises.
    """
    subject = trusted_base.base_subject(trusted_base.find_subject(repo, "HEAD", plan))
    candidate, site = build_candidate(repo, subject), run_benchmark.describe_site(repo, subject.policy)
    noise = None if force else read_noise(repo, subject, candidate.instrument, site.digest)
    done = NoiseReport(
        noise or measure_noise(repo, subject, candidate, site, runs, tell), noise is not None, subject.ref
    )
    check_min_gains(done.noise, subject.policy)
    return done


def read_noise(repo: Repository, subject: Subject, instrument: str, environment: str) -> Noise | None:
    """The noise that is known of an instrument in an environment.

    Raises:
        PlannerError: E_JSON, E_SCHEMA when the file is no such document.
    """
    where = f"{subject.ref}:{rules.noise_path(instrument, environment)}"
    with repo.git.batch() as batch:
        content = batch.read(where)
    return None if content is None else rules.noise_from(documents.read("noise", content, where))


def measure_noise(  # noqa: PLR0917 - all of different types
    repo: Repository, base: Subject, candidate: Candidate, site: Site, runs: int, tell: Tell
) -> Noise:
    """Measure the noisy metrics of a base and keep what was found.

    Args:
        repo: the repository.
        base: the trusted base as a subject of its own.
        candidate: the base, weighed.
        site: where it is measured.
        runs: how often.
        tell: progress.

    Raises:
        PlannerError: E_USAGE, E_MEASURE, and what writing raises.
    """
    metrics = noisy_metrics(base.policy)
    if not metrics:
        raise PlannerError(
            "E_USAGE", "the policy names no noisy metric", hint="'kind: noisy' in the policy makes one"
        )
    if candidate.refusal is not None:
        raise _measure_error(candidate.refusal)
    varied = tuple(
        _measure_metric_noise(repo, base, candidate.tree, metric, runs, tell) for metric in metrics
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
    """Refuse a smallest gain that the noise would hide.

    Raises:
        PlannerError: E_MIN_GAIN.
    """
    faults = rules.min_gain_problems(noise, policy.metrics)
    if faults:
        raise PlannerError(
            "E_MIN_GAIN",
            f"'min_gain' in '{refnames.POLICY_FILE}' is less than twice the noise of this machine",
            hint="raise it, quieten the benchmark, or measure the noise anew with 'git record noise --force'",
            details=faults,
        )


def noisy_metrics(policy: Policy) -> list[Metric]:
    """The noisy metrics of a policy."""
    return [metric for metric in policy.metrics if metric.kind == "noisy"]


def _measure_metric_noise(  # noqa: PLR0917 - all of different types
    repo: Repository, base: Subject, tree: str, metric: Metric, runs: int, tell: Tell
) -> MetricNoise:
    logs = repo.private("records", f"noise-{random_token()}")
    try:
        samples = run_benchmark.measure_samples(repo, base.policy, tree, metric, runs, logs=logs, tell=tell)
    finally:
        shutil.rmtree(logs, ignore_errors=True)
    if isinstance(samples, Refusal):
        raise _measure_error(samples)
    return rules.summarise_noise(metric, samples)


def _measure_error(refusal: Refusal) -> PlannerError:
    return PlannerError(
        "E_MEASURE",
        f"the base cannot be measured: {refusal.sentence}",
        hint="try its command by hand, or record the base with 'git record'",
    )
