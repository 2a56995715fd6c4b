"""Standing of records: measured here, measured elsewhere, or disputed. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from git_planner.flows.guard import check_range as guard_check
from git_planner.flows.guard.check_range import CheckReport
from git_planner.flows.records.ledger import LedgerReader, plan_names, read_disputes
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.guard.guard import CheckFinding
from git_planner.rules.records.dispute import VERDICT
from git_planner.rules.records.row import RecordRow


@dataclass(frozen=True, slots=True)
class BestStanding:
    """Place of a plan's rolling best, and the newest record of that commit.

    `record` is None if the commit has none, as at the base; `why` says why it is disputed.
    """

    branch: str
    commit: str
    record: str | None
    disputed: bool
    measured_here: bool
    why: str


def best_standings(repo: Repository, plans: Sequence[str] | None = None) -> dict[str, BestStanding]:
    """Return the standing of the rolling best of some plans: plan -> standing.

    Args:
        repo: the repository.
        plans: the plans (default: all of them); those without a best are left out.
    """
    standings: dict[str, BestStanding] = {}
    reader = LedgerReader(repo)
    for plan in plan_names(repo) if plans is None else plans:
        ref = refnames.best_ref(plan)
        commit = repo.maybe(ref)
        if commit is None:
            continue
        own = [row for row in reader.read(plan) if row.commit == commit and row.kind == "attempt"]
        valid = [row for row in own if row.valid]
        disputed = not valid and any(row.verdict == VERDICT for row in own)
        newest = valid[-1] if valid else own[-1] if own else None
        reasons = read_disputes(repo, refnames.plan_ref(plan)) if newest and disputed else {}
        standings[plan] = BestStanding(
            refnames.short_name(ref),
            commit,
            newest.id if newest else None,
            disputed,
            newest in reader.measured_here(valid, None),
            reasons.get(newest.id, "") if newest else "",
        )
    return standings


def measured_elsewhere(repo: Repository, rows: Sequence[RecordRow]) -> list[RecordRow]:
    """Return the improvements among some rows that were not measured in this repository."""
    here = {row.id for row in LedgerReader(repo).measured_here(rows, None)}
    trees = {row.tree for row in rows if row.id in here}
    return [row for row in rows if row.verdict == "improved" and row.id not in here and row.tree not in trees]


def check_range(
    repo: Repository, range_: str | None = None, *, base: str | None = None, head: str | None = None
) -> CheckReport:
    """Check a range by the guard, and its end by the ledgers here; parameters as for the guard's check."""
    report = guard_check.check_range(repo, range_, base=base, head=head)
    findings = [
        CheckFinding(
            "error",
            VERDICT,
            f"its record '{row.id}' is disputed: a later measurement or a person contradicts it",
            None,
            commit,
            f"see why with 'git record show {row.id}', or measure it again with 'git record --force'",
        )
        for commit, row in _disputed_commits(repo, [report.range.rpartition("..")[2]])
    ]
    return replace(report, findings=(*report.findings, *findings))


def _disputed_commits(repo: Repository, commits: Sequence[str]) -> Iterator[tuple[str, RecordRow]]:
    """Yield the commits of which every measured record in the plans here is disputed, with the newest one."""
    wanted = set(commits)
    rows = [row for row in LedgerReader(repo).read(*plan_names(repo)) if row.commit in wanted]
    for commit in commits:
        own = [row for row in rows if row.commit == commit]
        if any(row.verdict == VERDICT for row in own) and not any(row.valid for row in own):
            yield commit, [row for row in own if row.verdict == VERDICT][-1]
