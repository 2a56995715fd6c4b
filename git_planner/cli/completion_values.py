"""What may stand for a plan, a task, an iteration or a commit, for shells to complete; none where none is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository, open_repository

Found = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _plans(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.records.ledger import plan_names

    return ((name, "") for name in plan_names(repo))


def _tasks(repo: Repository, context: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.tasks.edit import read_briefs

    _, found = read_briefs(repo, context.params.get("plan"))
    return ((each.id, f"{each.status}: {each.title}") for each in found)


def _iterations(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    from git_planner.flows.iterations.list_iterations import PHASE_TEXTS, list_iterations

    return ((str(each.number), PHASE_TEXTS[each.phase]) for each in list_iterations(repo))


def _commits(repo: Repository, _: click.Context) -> Iterable[tuple[str, str]]:
    listed = repo.git.line("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return ((name, "") for name in ("HEAD", *listed.splitlines()))


def _asked(ask: Callable[[Repository, click.Context], Iterable[tuple[str, str]]]) -> Found:
    def found(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return [
                CompletionItem(value, help=" ".join(about.split())[:80] or None)
                for value, about in ask(open_repository(), context)
                if value.startswith(begun)
            ]
        except PlannerError:
            return []

    return found


plans, tasks, iterations, commits = map(_asked, (_plans, _tasks, _iterations, _commits))
