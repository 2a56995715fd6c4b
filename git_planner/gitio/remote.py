"""Remote repositories: list, fetch and push refs, with progress and without prompts.

GitPython runs git here and passes its output on as it comes; it is a thin wrapper around the command line,
so that SHA-256, reftable and linked worktrees just work, and it never writes a ref.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from git_planner.errors import PlannerError
from git_planner.gitio.fresh.fresh_objects import is_gc_running
from git_planner.gitio.git import DROPPED, Git, git_environment
from git_planner.gitio.git_failure import (
    GitResult,
    is_transient,
    local_failure,
    retry_transient,
    without_label,
)
from git_planner.gitio.history import blocked
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress, Step

if TYPE_CHECKING:
    from git.cmd import Git as Wrapper


# A server that accepts and never answers must not block for ever; a large first push takes minutes.
DEADLINE = 600.0
_LISTING_DEADLINE = 60.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Update:
    """One ref to publish.

    Args:
        ref: the full name of the ref on the remote.
        oid: its new object; None to remove the ref.
        expected: its present object there; None when it must not exist.
    """

    ref: str
    oid: str | None
    expected: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """A successful atomic push. `moved`: ref -> its new object id on the remote."""

    moved: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LostRace:
    """An atomic push that lost a race. `tips`: ref -> its object id on the remote, or None."""

    tips: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _RemoteResult:
    status: int
    stdout: str
    stderr: str
    late: bool


def url(repo: Repository, remote: str) -> str:
    """Return the address of a remote, without credentials.

    Raises:
        PlannerError: E_REMOTE when there is no such remote.
    """
    result = repo.git.run("remote", "get-url", "--", remote)
    if result.status != 0:
        raise PlannerError(
            "E_REMOTE",
            f"there is no remote '{remote}' here",
            hint=f"add it with 'git remote add {remote} URL', or name another by 'planner.remote'",
        )
    return masked(os.fsdecode(result.stdout).strip())


def listing(repo: Repository, remote: str, *patterns: str) -> dict[str, str]:
    """Return the refs of a remote that match one of the patterns: full name -> object id.

    An annotated tag stands for the tag object itself.

    Raises:
        PlannerError: E_REMOTE with git's message.
    """
    url(repo, remote)
    ended = _run(repo, ["ls-remote", "--quiet", "--refs", "--", remote, *patterns], None, _LISTING_DEADLINE)
    if ended.status != 0:
        raise _failed(remote, "read", ended)
    return {name: oid for oid, name in (line.split("\t", 1) for line in ended.stdout.splitlines())}


def fetch(
    repo: Repository,
    remote: str,
    refspecs: Sequence[str],
    progress: Progress,
    *,
    deadline: float = DEADLINE,
    options: Sequence[str] = (),
) -> None:
    """Fetch exactly the named refs, no tags on the way, and leave FETCH_HEAD alone.

    Args:
        refspecs: such as '+refs/heads/iter/best:refs/planner/remote/origin/heads/iter/best'.
        deadline: seconds.
        options: further options of 'git fetch'.

    Raises:
        PlannerError: E_REMOTE with git's message.
    """
    url(repo, remote)
    # Git keeps a pack while it fetches, but not loose objects; they would be fewer files.
    as_pack = ["-c", "fetch.unpackLimit=1"] if is_gc_running(repo.common) else []
    args = [
        *as_pack,
        "fetch",
        *options,
        "--progress",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
    ]
    # A person's configuration may prune; our tags and copies of refs are not on every remote.
    args += ["--no-prune", "--no-prune-tags", "--no-recurse-submodules", "--atomic", "--", remote]
    ended = _run(repo, [*args, *refspecs], progress, deadline)
    if ended.status != 0:
        result = GitResult(ended.status, b"", os.fsencode(ended.stderr))
        raise local_failure(("fetch",), result, repo.git.cwd) or _failed(remote, "fetched from", ended)


def fetch_commits(
    repo: Repository, remote: str, refs: Sequence[str], progress: Progress, *, deadline: float = DEADLINE
) -> None:
    """Fetch the commits of some refs of a remote without writing a ref: many processes may do so at once.

    Raises:
        PlannerError: E_REMOTE with git's message.
    """
    # An empty refmap keeps git from moving the remote-tracking branches.
    fetch(repo, remote, refs, progress, deadline=deadline, options=("--refmap=",))


def claim_on(repo: Repository, remote: str, ref: str, oid: str, expected: str | None) -> bool:
    """Acquire or take over a claim on a shared remote, which only one of many can do.

    Args:
        repo: the repository.
        remote: the remote's name.
        ref: the claim's ref on the remote.
        oid: the claim, an object that is unique by a random part: if two push the same object, both pushes
            succeed.
        expected: the claim that it replaces; None when there must be none.

    Returns:
        Whether the claim was acquired; False when another one was faster.

    Raises:
        PlannerError: E_REMOTE for everything else.
    """
    return _push_claim(repo, remote, Update(ref, oid, expected))


def give_back(repo: Repository, remote: str, ref: str, expected: str) -> bool:
    """Release a claim on a shared remote; return False when another holder has taken it over.

    Raises:
        PlannerError: E_REMOTE for everything else.
    """
    return _push_claim(repo, remote, Update(ref, None, expected))


def _push_claim(repo: Repository, remote: str, update: Update) -> bool:
    attempt = 0
    while True:
        try:
            ended = push(repo, remote, [update], lambda _: None)
        except PlannerError:
            # Refused although the ref is as expected: another push held a lock, or acquired and released it.
            attempt += 1
            if attempt == _TRIES:
                raise
            time.sleep(random.uniform(0.0, 0.05 * 2**attempt))
            continue
        # A push whose answer was lost has not lost the race.
        return isinstance(ended, Pushed) or ended.tips.get(update.ref) == update.oid


def push(
    repo: Repository,
    remote: str,
    updates: Sequence[Update],
    progress: Progress,
    *,
    dry_run: bool = False,
    deadline: float = DEADLINE,
) -> Pushed | LostRace:
    """Push all the refs or none of them, provided that the remote's refs are still as expected.

    Args:
        updates: the refs to move.
        dry_run: check the push without moving a ref.
        deadline: seconds.

    Returns:
        `Pushed`, or `LostRace` when at least one ref on the remote is not as expected.

    Raises:
        PlannerError: E_REMOTE with git's message for all other failures.
    """
    url(repo, remote)
    if not updates:
        return Pushed({})
    leases = [f"--force-with-lease={update.ref}:{update.expected or ''}" for update in updates]
    args = ["push", "--progress", "--porcelain", "--atomic", "--no-follow-tags", "--recurse-submodules=no"]
    args += [*(["--dry-run"] if dry_run else []), *leases, "--", remote]
    ended = _run(
        repo, [*args, *(f"{update.oid or ''}:{update.ref}" for update in updates)], progress, deadline
    )
    if ended.status == 0:
        return Pushed({update.ref: update.oid for update in updates if update.oid is not None})
    if ended.late:
        raise _failed(remote, "pushed to", ended)
    # The remote's refs, never git's message, decide whether this was a lost race.
    above = {"/".join(update.ref.split("/")[:3]) for update in updates}
    tips = listing(repo, remote, *(update.ref for update in updates), *above)
    for update in updates:
        blocking = "/".join(update.ref.split("/")[:3])
        if blocking != update.ref and blocking in tips:
            raise blocked(blocking.replace("refs/heads/", f"refs/remotes/{remote}/"), update.ref)
    if any(tips.get(update.ref) != update.expected for update in updates):
        return LostRace({update.ref: tips.get(update.ref) for update in updates})
    raise _failed(remote, "pushed to", ended)


def masked(text: str) -> str:
    """Return a text with the credentials in its URLs masked."""
    return re.sub(r"(?<=[a-zA-Z0-9+.-]://)[^/@\s'\"]+@", "***@", text)


def _run(repo: Repository, args: Sequence[str], progress: Progress | None, deadline: float) -> _RemoteResult:
    return retry_transient(
        lambda: _run_once(repo, args, progress, deadline),
        lambda ended: is_transient(ended.status, os.fsencode(ended.stderr)),
    )


def _run_once(
    repo: Repository, args: Sequence[str], progress: Progress | None, deadline: float
) -> _RemoteResult:
    git = _wrapper(repo.git)
    from git.cmd import handle_process_output
    from git.exc import GitCommandNotFound

    variables = {**git_environment(), **_prompt_free_environment(repo)}
    # GitPython adds to the inherited environment, such as LANGUAGE, and cannot remove from it, so `env` does.
    dropped = {*os.environ, *DROPPED} - variables.keys()
    unset = [word for name in sorted(dropped) for word in ("-u", name)]
    out: list[str] = []
    err: list[str] = []
    stderr_lines = _StderrLines(progress, err)
    try:
        process = git.execute(
            ["env", *unset, "git", *repo.git.prefix, *args], as_process=True, env=variables, shell=False
        )
    except GitCommandNotFound:
        raise PlannerError(
            "E_MISSING_TOOL", "'env' is not on PATH", hint="add the directory of 'env' to PATH"
        ) from None
    program = process.proc
    assert program is not None
    started = time.monotonic()
    handle_process_output(
        process,
        lambda line: out.append(os.fsdecode(line)),
        lambda line: stderr_lines.line(os.fsdecode(line)),
        decode_streams=False,
        kill_after_timeout=deadline,
    )
    late = time.monotonic() - started >= deadline
    status = program.wait()
    return _RemoteResult(status, "".join(out), "".join(err), late and status != 0)


def _wrapper(git: Git) -> Wrapper:
    # While it is imported, GitPython looks for git and complains loudly; a missing git is reported later.
    before = os.environ.get("GIT_PYTHON_REFRESH")
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    try:
        from git.cmd import Git as Wrapper
    finally:
        if before is None:
            del os.environ["GIT_PYTHON_REFRESH"]
        else:
            os.environ["GIT_PYTHON_REFRESH"] = before
    return Wrapper(str(git.cwd))


def _prompt_free_environment(repo: Repository) -> dict[str, str]:
    """Return the variables that keep git and ssh from prompting."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", "")}
    chosen = {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys() or repo.config("core.sshCommand")
    if not chosen:
        quiet["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
    return quiet


class _StderrLines:
    """Sorter of git's stderr: progress goes to the callback, other lines are kept for an error."""

    _LINE = re.compile(r"(?:remote: )?([A-Z][a-z ]+): +(\d+)%")

    def __init__(self, progress: Progress | None, kept: list[str]) -> None:
        self._progress = progress
        self._kept = kept
        self._last = ""

    def line(self, text: str) -> None:
        for line in text.replace("\r", "\n").splitlines():
            match = self._LINE.match(line)
            if not match:
                self._kept.append(line + "\n")
            elif self._progress is not None and f"{match[1]} {match[2]}" != self._last and match[2] == "100":
                self._last = f"{match[1]} {match[2]}"
                self._progress(Step(f"{match[1].lower()}: done"))


def _failed(remote: str, verb: str, ended: _RemoteResult) -> PlannerError:
    lines = [masked(line) for line in ended.stderr.splitlines() if line.strip()]
    if ended.late:
        lines = ["it did not answer in time", *lines]
    first = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
    plain = without_label(first).rstrip(".")
    return PlannerError(
        "E_REMOTE",
        f"the remote '{remote}' could not be {verb}: {plain or f'git ended with status {ended.status}'}",
        hint="check the address with 'git remote -v' and your access to it",
        details=lines[1:],
    )
