"""Run of a tournament: its document `run.json`, its turns and its stages. Pure.

A stage is done for a turn when it has ended with the inputs that it would have now. A follow-up begins the
next turn; then the stages of earlier turns are stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from git_planner.rules.documents import canonical_json

SCHEMA = "git-planner/tournament@1"
PROMPT_SCHEMA = "git-planner/tournament-prompt@1"
# The file of the document in the run's folder.
RUN_FILE = "run.json"
StageName = Literal["new", "watch", "harvest", "gate", "judge", "meta", "compose", "ship", "apply"]
StageOutcome = Literal["begun", "done", "failed"]
SourceKind = Literal["codex-cloud", "cloud-dialect", "local", "patches", "branches"]

STAGES: tuple[StageName, ...] = get_args(StageName)
SOURCES: tuple[SourceKind, ...] = get_args(SourceKind)
# Kinds of sources that start no agent: what they bring exists already.
EXISTING: tuple[SourceKind, ...] = ("patches", "branches")
# What the source of a kind cannot do without.
_OPTION_OF: Mapping[SourceKind, str] = {"patches": "folder", "branches": "refs"}


@dataclass(frozen=True, slots=True)
class TournamentTurn:
    """One turn: all variants that answer one prompt. `task` is the id by which the source knows them.

    `follows` is the number of the variant of the turn before that the prompt is about.
    """

    turn: int
    prompt_sha256: str
    prompt_path: str
    began_at: str
    task: str | None = None
    follows: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """End of a stage: its outcome, its turn, and the digest of what it worked on.

    `facts` are results of the stage that later stages and people read.
    """

    turn: int
    outcome: StageOutcome
    inputs: str
    at: str
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TournamentRun:
    """A tournament, with the fields of its document.

    `uid` names it across clones. `base_ref` is the name by which `base`, its commit, was found. `source` says
    where variants come from: its kind, and the options of that kind. `attempts` is the number of variants
    that were asked for. `needs_modules`: a variant without a module is broken. `selection` is what was
    chosen, `compose_sha256` the digest of the composition; None before.
    """

    run: str
    uid: str
    created_at: str
    plan: str
    base_ref: str
    base: str
    tree: str
    source: Mapping[str, Any]
    attempts: int
    turns: tuple[TournamentTurn, ...]
    stages: Mapping[StageName, Stage] = field(default_factory=dict)
    environment: str | None = None
    needs_modules: bool = False
    coverage: Mapping[str, Any] | None = None
    selection: Mapping[str, Any] | None = None
    compose_sha256: str | None = None
    updated_at: str | None = None

    @property
    def turn(self) -> TournamentTurn:
        """The turn that is played now."""
        return self.turns[-1]

    @property
    def task_id(self) -> str | None:
        """The id by which the source knows the turn; None until it has started."""
        return self.turn.task

    @property
    def kind(self) -> SourceKind:
        """The kind of the source."""
        return self.source["kind"]  # type: ignore[no-any-return]

    @property
    def inputs(self) -> str:
        """The digest of what the run was made from; the same command names the same run by it."""
        return run_inputs(self.base, self.turns[0].prompt_sha256, self.source, self.attempts)

    def stage(self, name: StageName) -> Stage | None:
        """Return how a stage ended in this turn; None if it has not begun, or was of an earlier turn."""
        stage = self.stages.get(name)
        return stage if stage is not None and stage.turn == self.turn.turn else None

    def is_done(self, name: StageName, inputs: str | None = None) -> bool:
        """Return whether a stage is done in this turn; with `inputs` given, whether with these."""
        stage = self.stage(name)
        return stage is not None and stage.outcome == "done" and inputs in (None, stage.inputs)

    @property
    def judged_best(self) -> int | None:
        """The number of the variant that the measurement of this turn chose; None if it chose none."""
        stage = self.stage("judge")
        winner = None if stage is None or stage.outcome != "done" else stage.facts.get("winner")
        return winner if isinstance(winner, int) else None

    def problem(self, name: str) -> str | None:
        """Return what is wrong with a run that passed its schema and should have a name; None if nothing."""
        option = _OPTION_OF.get(self.kind)
        if self.run != name:
            return f"it is of the run '{self.run}'"
        if [turn.turn for turn in self.turns] != list(range(1, len(self.turns) + 1)):
            return "its turns are not numbered from 1"
        if option is not None and option not in self.source:
            return f"its source has no '{option}'"
        return None

    def stale_stages(self) -> tuple[StageName, ...]:
        """Return the stages whose results are of an earlier turn."""
        return tuple(name for name in STAGES if name in self.stages and self.stage(name) is None)

    def with_stage(self, name: StageName, stage: Stage) -> TournamentRun:
        """Return the run with a stage as it stands now; later stages of the turn that worked on other inputs
        must be run again, which their own digests tell.
        """
        return replace(self, stages={**self.stages, name: stage}, updated_at=stage.at)

    def with_task(self, task: str) -> TournamentRun:
        """Return the run with the source's id of this turn."""
        return replace(self, turns=(*self.turns[:-1], replace(self.turn, task=task)))

    def prompt_document(self, prompt: str, followed: str | None) -> dict[str, Any]:
        """Return what this turn asks its agents for, as reviewers approve it.

        Args:
            prompt: the prompt of the turn.
            followed: the commit of the variant that it goes on with.
        """
        return {
            "schema": PROMPT_SCHEMA,
            "run": self.run,
            "turn": self.turn.turn,
            "prompt": prompt.split("\n"),
            "source": dict(self.source),
            "attempts": self.attempts,
            "environment": self.environment,
            "base_ref": self.base_ref,
            "follows": self.turn.follows,
            "follows_commit": followed,
            "needs_modules": self.needs_modules,
            "coverage": None if self.coverage is None else dict(self.coverage),
        }

    def document(self) -> dict[str, Any]:
        """Return the run as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        stages = {name: {**asdict(stage), "facts": dict(stage.facts)} for name, stage in self.stages.items()}
        turns = [asdict(turn) for turn in self.turns]
        return {"schema": SCHEMA, **fields, "source": dict(self.source), "turns": turns, "stages": stages}


def run_from(document: Mapping[str, Any]) -> TournamentRun:
    """Build a run from a document that has passed its schema."""
    fields = {name: document[name] for name in TournamentRun.__dataclass_fields__ if name in document}
    turns = tuple(TournamentTurn(**turn) for turn in document["turns"])
    stages = {name: Stage(**stage) for name, stage in document["stages"].items()}
    return TournamentRun(**{**fields, "turns": turns, "stages": stages})


def run_inputs(base: str, prompt_sha256: str, source: Mapping[str, Any], attempts: int) -> str:
    """Return the digest of what a run is made from.

    Args:
        base: its base commit.
        prompt_sha256: the digest of its first prompt.
        source: where its variants come from.
        attempts: how many variants are asked for.
    """
    return canonical_json.digest([base, prompt_sha256, dict(source), attempts])
