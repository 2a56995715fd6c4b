"""Approval of the prompt of a tournament's turn, before any agent is started for it."""

from __future__ import annotations

from collections.abc import Callable

from git_planner import documents, redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject, tournament_subject
from git_planner.rules.tournament.run import EXISTING, RUN_FILE, TournamentRun, run_from

MAX_BYTES = 4 * 1024 * 1024


def read_run(read: Callable[[str], bytes | None], name: str) -> TournamentRun:
    """Return the run of a tournament.

    Args:
        read: returns the content of a file of the run's branch; None if there is none.
        name: the name of the run.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_JSON and E_SCHEMA for a document that cannot be used.
    """
    path = f"{refnames.run_dir(name)}/{RUN_FILE}"
    where = f"{refnames.short_name(refnames.run_ref(name))}:{path}"
    data = read(path)
    if data is None:
        raise PlannerError("E_UNKNOWN_RUN", f"'{where}' does not exist", hint="git bo4 list")
    run = run_from(documents.read("tournament", bounded(data, where), where))
    if problem := run.problem(name):
        raise PlannerError("E_SCHEMA", f"'{where}' cannot be used: {problem}", hint="git bo4 list")
    return run


def bounded(data: bytes, where: str) -> bytes:
    """Return a file of a run, or refuse one that is too large."""
    if len(data) > MAX_BYTES:
        raise PlannerError("E_JSON", f"'{where}' has {len(data)} bytes, and at most {MAX_BYTES} are read")
    return data


def find_prompt(repo: Repository, name: str) -> tuple[ReviewSubject, TournamentRun]:
    """Return what is to be approved of a tournament's current turn, and its run, as this clone has it.

    Args:
        repo: the repository.
        name: the name of the run; its branch may be one that was fetched from origin.

    Raises:
        PlannerError: E_UNKNOWN_RUN, E_NAME, E_JSON, E_SCHEMA.
    """
    ref = refnames.run_ref(name)
    fetched = f"refs/remotes/origin/{refnames.short_name(ref)}"
    branch = fetched if repo.maybe(ref) is None and repo.maybe(fetched) is not None else ref

    def read(path: str) -> bytes | None:
        return next(read_objects(repo.git, [f"{branch}:{path}"]))

    run = read_run(read, name)
    prompt = read(f"{refnames.run_dir(name)}/{run.turn.prompt_path}") or b""
    return prompt_subject(repo, run, prompt.decode("utf-8", "replace"), branch), run


def prompt_subject(repo: Repository, run: TournamentRun, prompt: str, branch: str) -> ReviewSubject:
    """Return what is to be approved of the current turn of a run.

    Args:
        repo: the repository.
        run: the run.
        prompt: the prompt of the turn.
        branch: the ref of the run's branch.
    """
    path = f":(top,literal){refnames.run_dir(run.run)}/{run.turn.prompt_path}"
    commit = repo.git.line("log", "-1", "--no-show-signature", "--format=%H", branch, "--", path)
    # As it is proposed: approvals are written with secrets masked.
    document = redact.mask_document(run.prompt_document(prompt, _followed(repo, run)))
    return tournament_subject(run.plan, run.run, document, run.base, commit=commit or None)


def require_prompt(repo: Repository, run: TournamentRun, prompt: str, progress: Progress) -> None:
    """Refuse a turn whose agents are still to be started, if its prompt needs an approval and has none.

    A turn that has begun goes on, whether its approval still stands or not.

    Args:
        repo: the repository.
        run: the run.
        prompt: the prompt of its current turn.
        progress: called with each progress message.

    Raises:
        PlannerError: E_REVIEW; E_NO_POLICY, E_POLICY.
    """
    if run.kind in EXISTING or (run.stage("watch") is not None and run.task_id is not None):
        return
    policy = with_trusted_rule(repo, policy_at(repo, run.base), "directive")
    if policy.review.requires("directive"):
        subject = prompt_subject(repo, run, prompt, refnames.run_ref(run.run))
        require(repo, policy, subject, progress, then=f"git bo4 run {run.run}")


def _followed(repo: Repository, run: TournamentRun) -> str | None:
    """Return the commit of the variant that a turn goes on with, here or as fetched from origin."""
    if run.turn.follows is None:
        return None
    ref = refnames.variant_ref(run.run, run.turn.turn - 1, run.turn.follows)
    return repo.maybe(ref) or repo.maybe(f"refs/remotes/origin/{refnames.short_name(ref)}")
