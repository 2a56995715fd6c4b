"""The reviewed branch: the plan's branch as the policy's remote has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio import history, remote
from git_planner.gitio.objects import parse_names
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import MAX_APPROVAL_BYTES
from git_planner.rules.documents import canonical_json

FETCH_SECONDS = 60.0
# Approvals that are read to say why a subject has none.
MAX_READ = 500


def tracking_ref(remote_name: str, plan: str) -> str:
    """Return the ref in which git's fetch leaves the reviewed branch."""
    return f"refs/remotes/{remote_name}/{refnames.PLAN}{refnames.check_plan_name(plan)}"


def refresh(repo: Repository, remote_name: str, plan: str, progress: Progress) -> str | None:
    """Ask the remote for the reviewed branch, and leave it where git's own fetch would.

    Returns:
        Its tip; None if the remote has no such branch (any more).

    Raises:
        PlannerError: E_REMOTE.
    """
    ref, own = refnames.plan_ref(plan), tracking_ref(remote_name, plan)
    tip = remote.listing(repo, remote_name, ref).get(ref)
    known = repo.maybe(own)
    if tip is None:
        if known is not None:
            repo.git.run("update-ref", "-d", own, known)
        return None
    if tip != known or not history.is_complete(repo.git, tip):
        remote.fetch(repo, remote_name, [f"+{ref}:{own}"], progress, deadline=FETCH_SECONDS)
    return repo.maybe(own)


def read_approval(repo: Repository, name: str) -> dict[str, Any] | None:
    """Read an approval by its name, 'COMMIT:PATH'; None if there is none that is valid."""
    answer = repo.git.read_object("info", name)
    if answer is None or answer[1] != "blob" or answer[2] > MAX_APPROVAL_BYTES:
        return None
    content = repo.git.batch().read(answer[0])
    if content is None:
        return None
    try:
        document = canonical_json.loads(content, name)
        documents.check("approval", document, name)
    except PlannerError:
        return None
    return document if isinstance(document, dict) else None


def list_approvals(repo: Repository, tip: str, folder: str, prefix: str) -> Iterator[str]:
    """Yield the paths of a folder's approvals whose names begin with a prefix, at most MAX_READ."""
    answer = repo.git.read_object("info", f"{tip}:{folder}")
    if answer is None or answer[1] != "tree":
        return
    content = repo.git.batch().read(answer[0]) or b""
    names = [name for name, _ in parse_names(content, len(answer[0]) // 2) if name.startswith(prefix)]
    yield from (f"{folder}/{name}" for name in names[:MAX_READ])
