"""Open the source of a run's variants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from git_planner.agents.cloud.choose_client import AUTO, VARIANTS, choose_client
from git_planner.agents.cloud.cloud_cli import open_cli
from git_planner.config.settings import Settings
from git_planner.engines.choose import open_engine
from git_planner.flows.measuring.benches.engine_choice import chosen_engine
from git_planner.flows.tournament.run_store import RunView
from git_planner.flows.tournament.sources.branches import BranchesSource
from git_planner.flows.tournament.sources.contract import VariantSource
from git_planner.flows.tournament.sources.local import PARALLEL, LocalSource
from git_planner.flows.tournament.sources.patches import PatchesSource
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

# Each start of a task at these is paid for.
CLOUD = ("codex-cloud", "cloud-dialect")


@contextmanager
def open_source(
    repo: Repository, view: RunView, settings: Settings, progress: Progress
) -> Iterator[VariantSource]:
    """Yield the source of a run's variants in the current turn.

    Raises:
        PlannerError: E_USAGE, E_MISSING_TOOL.
    """
    run = view.run
    if run.kind in CLOUD:
        home = settings.codex_home
        env = {"CODEX_HOME": str(home)} if home is not None else {}
        dialect = VARIANTS if run.kind == "cloud-dialect" else AUTO
        with open_cli(cloud_command(settings), env=env) as cli:
            yield choose_client(cli, dialect)
    elif run.kind == "patches":
        names = {variant.number: variant.source_id or "" for variant in view.current}
        yield PatchesSource(run.uid, Path(run.source["folder"]), names)
    elif run.kind == "branches":
        yield BranchesSource(repo, run.uid, run.base, run.source["refs"])
    elif (choice := chosen_engine(settings)) is not None and choice.name == "dask":
        from git_planner.flows.tournament.sources.on_engine import EngineSource

        with open_engine(choice.name, workers=PARALLEL, scheduler=choice.scheduler) as engine:
            yield EngineSource(repo, run, settings, progress, choice=choice, engine=engine)
    else:
        yield LocalSource(repo, run, settings, progress)


def cloud_command(settings: Settings) -> str:
    """Return the command line of the cloud client: the setting, CODEX_BIN, or codex."""
    return settings.cloud_command or os.environ.get("CODEX_BIN") or settings.codex
