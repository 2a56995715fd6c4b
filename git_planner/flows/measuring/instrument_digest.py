"""The instrument: all that measures, named by a digest. What one measured is not held against another's."""

from __future__ import annotations

from collections.abc import Mapping

from git_planner.config.policy_file import policy_at
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.refnames import POLICY_FILE


def instrument_digest(policy: Policy, guarded: Mapping[str, tuple[str, str]]) -> str:
    """The digest that names the instrument: all that measures.

    The guarded files of the trusted base, the commands with their rules, and the names of the variables they
    are given. The policy file itself is left out: what of it measures is in there anyhow, and a new goal or a
    longer timeout makes no other instrument.

    Args:
        policy: the trusted policy.
        guarded: the trusted base's guarded files, path -> (mode, object id).
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
                    # Left out where it is as ever, so that instruments keep their names.
                    **({"source": metric.source} if metric.source != "output" else {}),
                    **({"pin": metric.pin} if metric.pin != (metric.kind == "noisy") else {}),
                }
                for metric in policy.metrics
            ],
            "environment": sorted(policy.environment),
        }
    )


def instrument_digest_at(repo: Repository, commit: str) -> str:
    """The digest of the instrument that a commit would be measured with if it were a trusted base.

    Raises:
        PlannerError: E_NO_POLICY, E_POLICY.
    """
    policy = policy_at(repo, commit)
    return instrument_digest(policy, export.entries(repo, commit, pathspecs(policy.protected)))
