"""`git bo4 run --dry-run`: say which agents would be started, and what would be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.tournament.new import NewTournament, checked_prompt
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import Metric, Policy
from git_planner.rules.stats.paired_design import MOST_EXTRA
from git_planner.rules.tournament.judging import tournament_schedule
from git_planner.rules.tournament.variant_prompt import agent_row

# The most runs of a round.
_ROUND = 5 + MOST_EXTRA


@dataclass(frozen=True, slots=True)
class TournamentOutline:
    """Outline of a tournament that has not been started."""

    base_ref: str
    base: str
    prompt_bytes: int
    source: Mapping[str, Any]
    attempts: int
    agents: tuple[Mapping[str, Any], ...]
    gates: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, Any] | None

    def document(self) -> dict[str, Any]:
        """Return the outline as JSON."""
        return {
            "schema": "git-planner/bo4-outline@1",
            "base": {"ref": self.base_ref, "commit": self.base},
            "prompt_bytes": self.prompt_bytes,
            "source": dict(self.source),
            "attempts": self.attempts,
            "agents": [dict(agent) for agent in self.agents],
            "gates": {name: list(gates) for name, gates in self.gates.items()},
            "measured": None if self.measured is None else dict(self.measured),
        }


def outline_run(repo: Repository, request: NewTournament) -> TournamentOutline:
    """Return what a tournament would do; nothing is written, started or sent.

    Raises:
        PlannerError: as `new_run`.
    """
    prompt = checked_prompt(request.prompt or f"The task '{request.task}'.")
    base = find_base(repo, current_plan(repo, request.plan), request.base)
    policy = policy_at(repo, base.oid)
    settings = read_settings(repo, policy=policy)
    agents = []
    if request.source["kind"] == "local":
        for number in range(1, request.attempts + 1):
            row = agent_row(request.source, number)
            model = row.get("model") or settings.implementer_model
            agents.append(
                {"variant": number, "agent": row.get("agent") or settings.implementer, "model": model}
            )
    return TournamentOutline(
        base.ref,
        base.oid,
        len(prompt),
        request.source,
        request.attempts,
        tuple(agents),
        {name: tuple(gate.name for gate in policy.gates.of(name)) for name in ("conceptual", "shipping")},
        _measured(policy, request.attempts),
    )


def _measured(policy: Policy, attempts: int) -> Mapping[str, Any] | None:
    metric = policy.metric
    if metric is None:
        return None
    return {
        "metric": metric.name,
        "kind": metric.kind,
        "run": list(metric.run),
        "runs": _runs(metric, attempts),
    }


def _runs(metric: Metric, attempts: int) -> dict[str, int]:
    """Return the number of runs of the benchmark: at the screening, and at most for a comparison."""
    if metric.kind == "deterministic":
        return {"screening": metric.repeats * (attempts + 1), "comparison": 0}
    most = tournament_schedule(metric.pairs).most
    return {"screening": metric.pairs.screen * (attempts + 1), "comparison": most * _ROUND}
