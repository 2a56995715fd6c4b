"""`git bo4 run`: all stages of a tournament, each of which goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from git_planner.errors import DONE, NO
from git_planner.flows.tournament.collecting.harvest import harvest
from git_planner.flows.tournament.collecting.watch import watch
from git_planner.flows.tournament.gates.gate_run import gate_variants
from git_planner.flows.tournament.judge import judge
from git_planner.flows.tournament.run_store import RunStore, RunView
from git_planner.flows.tournament.winner.compose import compose_winner
from git_planner.flows.tournament.winner.meta import MetaOptions, NamedFile, choose_composition
from git_planner.flows.tournament.winner.ship import ship_winner
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

# Makes a heading for the messages of a stage.
Heading = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a complete run. `seconds` is the deadline of the wait; None: the setting."""

    meta: MetaOptions = field(default_factory=MetaOptions)
    overrides: NamedFile | None = None
    seconds: float | None = None
    strict_events: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class PlayedRun:
    """Result of a complete run: the winner's commit, None without a winner, the reason, and the run.

    `exit` is 1 if no variant passed its gates, none is better than the base, or the shipping gates failed.
    """

    view: RunView
    commit: str | None
    rationale: str
    exit: int

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/bo4-run@1",
            "run": self.view.run.document(),
            "variants": [variant.document() for variant in self.view.current],
            "winner": self.commit,
            "rationale": self.rationale,
        }


def run_tournament(
    repo: Repository, name: str, options: RunOptions, progress: Progress, heading: Heading
) -> PlayedRun:
    """Wait for the variants, harvest, gate and judge them, then choose, compose and gate the winner.

    Every stage that is done already does nothing, so the same call after a kill goes on.

    Args:
        repo: the repository.
        name: the name of the run, which exists.
        options: coverage, overrides and limits.
        progress: called with each progress message.
        heading: makes the heading of a stage.

    Raises:
        PlannerError: what the stages raise.
    """
    store = RunStore(repo, name)
    with heading("watch"):
        watch(repo, name, progress, seconds=options.seconds, again=options.again)
    with heading("harvest variants"):
        harvest(repo, name, progress)
    with heading("gate every variant"):
        gated = gate_variants(repo, name, progress, strict_events=options.strict_events)
    if gated.exit != DONE:
        return PlayedRun(store.read(), None, "no variant passed its gates", NO)
    with heading("judge"):
        judge(repo, name, progress)
    with heading("meta compose"):
        chosen = choose_composition(repo, name, options.meta, progress)
    if chosen.composition is None:
        return PlayedRun(chosen.view, None, chosen.rationale, NO)
    with heading("compose + gates"):
        composed = compose_winner(repo, name, progress, overrides=options.overrides)
        if composed.commit is None:
            return PlayedRun(store.read(), None, composed.rationale, NO)
        shipped = ship_winner(repo, name, progress, strict_events=options.strict_events)
    rationale = composed.rationale if shipped.exit == DONE else "the winner failed its shipping gates"
    return PlayedRun(store.read(), composed.commit, rationale, shipped.exit)
