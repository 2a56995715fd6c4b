"""Choice of the engine on which jobs run, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine: its name, the address of dask's scheduler, and where workers fetch commits from.

    `fetch_from` None: the workers of this host read this repository, and others get a bundle.
    """

    name: str
    scheduler: str | None = None
    fetch_from: str | None = None

    def url(self, repo: Repository) -> str | None:
        """Return the address that workers fetch from; None if their jobs bring a bundle."""
        if self.fetch_from is not None:
            return self.fetch_from
        return None if self.scheduler is not None else str(repo.common)


def chosen_engine(settings: Settings) -> EngineChoice | None:
    """Return the engine of the settings; None for programs of this host. A scheduler is one of dask.

    Raises:
        PlannerError: E_USAGE for a scheduler of an engine that has none.
    """
    name = settings.engine or ("dask" if settings.scheduler else None)
    if name is None:
        return None
    if settings.scheduler is not None and name != "dask":
        raise PlannerError("E_USAGE", "a scheduler belongs to the engine 'dask'", hint="use '--engine dask'")
    return EngineChoice(name, settings.scheduler, settings.fetch_from)
