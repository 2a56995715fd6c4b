"""Digest of the instrument: everything that measures. Only results of one instrument are compared."""

from __future__ import annotations

from collections.abc import Mapping

from git_planner.config.policy_file import policy_at
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Metric, Policy, pathspecs
from git_planner.rules.refnames import POLICY_FILE


def instrument_digest(policy: Policy, guarded: Mapping[str, tuple[str, str]]) -> str:
    """Return the digest of the instrument.

    It covers the guarded files of the trusted base, the commands with their rules, and the names of their
    environment variables. Of the policy file only the parts that measure count, so that a new goal or a
    longer timeout does not change the instrument.

    Args:
        policy: the trusted policy.
        guarded: the guarded files of the trusted base, path -> (mode, object id).
    """
    files = {
        path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"): list(entry)
        for path, entry in guarded.items()
        if path != POLICY_FILE
    }
    correctness = policy.correctness
    return canonical_json.digest(
        {
            "guarded": files,
            "correctness": correctness
            and {
                "run": list(correctness.run),
                "proof": correctness.proof,
                "require": sorted(correctness.require),
                **({"report": correctness.report} if correctness.report else {}),
                **({"may_fail": sorted(correctness.may_fail)} if correctness.may_fail else {}),
                **_statuses(correctness.exit_statuses),
            },
            "metrics": [
                {
                    "name": metric.name,
                    "run": list(metric.run),
                    "pattern": metric.pattern,
                    "pointer": metric.pointer,
                    "unit": metric.unit,
                    "better": metric.better,
                    "kind": metric.kind,
                    "repeats": metric.repeats,
                    # Defaults are left out, so that existing digests stay the same.
                    **({"source": metric.source} if metric.source != "output" else {}),
                    **_statuses(metric.exit_statuses),
                    **_reading(metric),
                    **({"pin": metric.pin} if metric.pin != (metric.kind == "noisy") else {}),
                }
                for metric in policy.metrics
            ],
            "environment": sorted(policy.environment),
            **_steps(policy),
        }
    )


def _statuses(accepted: tuple[int, ...]) -> dict[str, list[int]]:
    return {"exit_statuses": sorted(accepted)} if accepted != (0,) else {}


def _steps(policy: Policy) -> dict[str, list[object]]:
    """Return the steps that make what the commands need; without any, the digest stays as it was."""
    return {
        key: [[step.name, step.run, step.inputs, step.outputs, step.network, step.writable] for step in steps]
        for key, steps in (("prepare", policy.prepare), ("build", policy.build))
        if steps
    }


def _reading(metric: Metric) -> dict[str, object]:
    """Return what says where a metric's number is beyond its pattern or pointer, and what bounds it."""
    names = ("reader", "benchmark", "value", "file", "from_tests")
    read = {name: getattr(metric, name) for name in names if getattr(metric, name)}
    limits = ("at_most", "at_least", "no_worse_than")
    bounds = {name: getattr(metric, name) for name in limits if getattr(metric, name) is not None}
    possible = {"possible": list(metric.possible)} if metric.possible != (None, None) else {}
    return {**read, **bounds, **possible}


def instrument_digest_at(repo: Repository, commit: str) -> str:
    """Return the digest of the instrument of a commit, taken as a trusted base.

    Raises:
        PlannerError: E_NO_POLICY, E_POLICY.
    """
    policy = policy_at(repo, commit)
    return instrument_digest(policy, export.entries(repo, commit, pathspecs(policy.protected)))
