"""Completion candidates for plans, tasks, iterations and commits; none on errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository, open_repository

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _plans(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.records.ledger import plan_names

    return ((name, "") for name in plan_names(repo))


def _tasks(repo: Repository, context: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.tasks.edit import read_briefs

    _, briefs = read_briefs(repo, context.params.get("plan"))
    return ((brief.id, f"{brief.status}: {brief.title}") for brief in briefs)


def _iterations(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.planning.list_iterations import PHASE_TEXTS, list_iterations

    return ((str(iteration.number), PHASE_TEXTS[iteration.phase]) for iteration in list_iterations(repo))


def _commits(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    refs = repo.git.line("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return ((name, "") for name in ("HEAD", *refs.splitlines()))


def _runs(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.tournament.run_store import list_runs

    return ((name, "") for name in list_runs(repo))


def _completer(list_values: Callable[[Repository, click.Context], Iterable[tuple[str, str]]]) -> Completer:
    def complete(context: click.Context, _: click.Parameter, prefix: str) -> list[CompletionItem]:
        try:
            return [
                CompletionItem(value, help=" ".join(about.split())[:80] or None)
                for value, about in list_values(open_repository(), context)
                if value.startswith(prefix)
            ]
        except PlannerError:
            return []

    return complete


plans, tasks, iterations, commits, runs = map(_completer, (_plans, _tasks, _iterations, _commits, _runs))
