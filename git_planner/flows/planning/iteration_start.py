"""Start of an iteration: its number, its first commit, and the place of its worktree.

Delegated work begins in the same way, without a planner.
"""

from __future__ import annotations

from pathlib import Path

from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository, make_shared
from git_planner.gitio.store import Message, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import IterationState

SUBJECT_CHARACTERS = 100


def reserve_number(repo: Repository) -> int:
    """Reserve the number of a new iteration: the next one unused in all known refs."""
    return Store(repo).reserve(refnames.NUMBERS, refnames.next_number, taken_numbers(repo, refnames.ITER))


def state_commit(repo: Repository, state: IterationState) -> str:
    """Create the first commit of an iteration, without a ref."""
    message = Message(
        commit_subject(f"plan {state.branch}: {state.directive.objective}"),
        (
            ("Planner-Directive", state.directive_digest),
            ("Planner-Plan", state.plan),
            ("Planner-Run", state.branch),
        ),
    )
    with repo.git.batch() as batch:
        edits = {refnames.STATE_FILE: canonical_json.dumps(state.document())}
        tree = splice(repo.git, batch, repo.resolve(state.base, "tree"), edits)
    return commit_tree(repo.git, tree, (state.base,), message.text())


def commit_subject(text: str) -> str:
    """Return a text as the first line of a commit's message, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= SUBJECT_CHARACTERS else line[: SUBJECT_CHARACTERS - 1].rstrip() + "…"


def check_worktree_folder(settings: Settings, repo: Repository) -> None:
    """Refuse a folder for worktrees inside the repository.

    Raises:
        PlannerError: E_USAGE.
    """
    folder = settings.worktrees
    for inside in (repo.top, repo.common):
        if inside is not None and folder.absolute().is_relative_to(inside):
            raise PlannerError(
                "E_USAGE",
                f"'{folder}' for worktrees lies inside '{inside}'",
                hint="set 'git config planner.worktrees' to a folder outside",
            )


def worktree_path(settings: Settings, repo: Repository, state: IterationState) -> Path:
    """Return a new path for an iteration's worktree, outside the repository.

    Raises:
        PlannerError: E_USAGE when the folder for worktrees lies inside the repository, or cannot be made.
    """
    check_worktree_folder(settings, repo)
    folder = settings.worktrees
    try:
        make_shared(folder, repo.common)
    except OSError as error:
        raise PlannerError(
            "E_USAGE",
            f"'{folder}' for worktrees cannot be made ({error.strerror})",
            hint="set 'git config planner.worktrees' to a folder that you can write to",
        ) from None
    name = f"{state.iteration:04d}-{state.slug}"
    path, suffix = folder / name, 1
    while path.exists():
        suffix += 1
        path = folder / f"{name}.{suffix}"
    return path
