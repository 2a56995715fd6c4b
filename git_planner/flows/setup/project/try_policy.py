"""Try a policy that is not committed yet: measure HEAD once, and write nothing but logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.config.policy_file import parse_policy
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.records.record import MeasuredMetric, TestCounts
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import POLICY_FILE
from git_planner.rules.setup.policy_text import line_to_change


@dataclass(frozen=True, slots=True)
class PolicyTrial:
    """Result of measuring HEAD by a policy.

    `refusal` is why it is not valid, and `line` the line of the policy to change then. `guarded` is the
    number of guarded files, `seconds` the time that it took; `excerpt` are
    the last lines of what failed.
    """

    commit: str
    refusal: Refusal | None
    line: str | None
    guarded: int
    tests: TestCounts | None
    metrics: Sequence[MeasuredMetric]
    notes: Sequence[str]
    seconds: float
    logs: Path
    excerpt: Sequence[str] = ()

    @property
    def cause(self) -> str | None:
        """The reason of a refusal in a sentence."""
        return f"{REASONS[self.refusal.reason]}: {self.refusal.sentence}" if self.refusal else None

    def document(self) -> dict[str, Any]:
        """The trial as JSON."""
        counts = self.tests
        return {
            "commit": self.commit,
            "valid": self.refusal is None,
            "cause": self.cause,
            "line": self.line,
            "guarded": self.guarded,
            "tests": counts
            and {
                "collected": counts.collected,
                "passed": counts.passed,
                "failed": counts.failed,
                "skipped": counts.skipped,
            },
            "metrics": [
                {"name": metric.name, "unit": metric.unit, "median": metric.median, "spread": metric.spread}
                for metric in self.metrics
            ],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "logs": str(self.logs),
            "excerpt": list(self.excerpt),
        }


def try_policy(repo: Repository, content: bytes, progress: Progress) -> PolicyTrial | None:
    """Measure HEAD by a policy; None before the first commit.

    Args:
        repo: the repository.
        content: the policy's file.
        progress: called with each progress message.

    Raises:
        PlannerError: E_POLICY; what `run_benchmark.measure` raises.
    """
    from git_planner.flows.measuring.reports.failing_output import failing_output
    from git_planner.flows.measuring.run_benchmark import measure

    head = repo.maybe("HEAD")
    if head is None:
        return None
    policy = parse_policy(content, POLICY_FILE)
    guarded = export.entries(repo, head, pathspecs(policy.protected))
    logs = repo.private("trial")
    began = time.monotonic()
    tree = repo.git.line("rev-parse", f"{head}^{{tree}}")
    done = measure(repo, policy, tree, before=None, logs=logs, progress=progress)
    line = line_to_change(content.decode(), done.refusal.reason) if done.refusal else None
    return PolicyTrial(
        commit=head,
        refusal=done.refusal,
        line=line,
        guarded=len(guarded),
        tests=done.proof.tests if done.proof else None,
        metrics=done.metrics,
        notes=done.notes,
        seconds=round(time.monotonic() - began, 1),
        logs=logs,
        excerpt=failing_output(logs, done.proof, done.refusal) if done.refusal else (),
    )
