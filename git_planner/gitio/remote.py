"""Other repositories: asking, fetching and publishing, with progress and without ever prompting.

GitPython runs git here and hands over its output as it comes; it is a thin wrapper around the command line,
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
from git_planner.gitio.git import DROPPED, Git, git_environment
from git_planner.gitio.git_failure import (
    GitResult,
    is_transient,
    local_failure,
    retry_transient,
    without_label,
)
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

if TYPE_CHECKING:
    from git.cmd import Git as Wrapper


# A server that accepts and never answers must not hold us for ever; a large first push takes minutes.
DEADLINE = 600.0
_ASKING = 60.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Update:
    """One ref to publish.

    Args:
        ref: the full name of the ref over there.
        oid: the object it shall name; None to remove the ref.
        expected: what it must name there now; None when it must not exist.
    """

    ref: str
    oid: str | None
    expected: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that went through as a whole. `moved`: ref -> object id it names now over there."""

    moved: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LostRace:
    """A push refused as a whole since somebody was faster. `found`: ref -> what it names there, or None."""

    found: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _Ended:
    status: int
    stdout: str
    stderr: str
    late: bool


def url(repo: Repository, remote: str) -> str:
    """The address of a remote, without credentials.

    Raises:
        PlannerError: E_REMOTE when there is no such remote.
    """
    result = repo.git.run("remote", "get-url", "--", remote)
    if result.status != 0:
        raise PlannerError(
            "E_REMOTE",
            f"there is no remote '{remote}' here",
            hint="'git remote' lists them; 'git config planner.remote NAME' says which one is meant",
        )
    return masked(os.fsdecode(result.stdout).strip())


def listing(repo: Repository, remote: str, *patterns: str) -> dict[str, str]:
    """The refs of a remote that git matches with one of the patterns: full name -> object id.

    An annotated tag stands for the tag object itself.

    Raises:
        PlannerError: E_REMOTE in git's own words.
    """
    url(repo, remote)
    ended = _run(repo, ["ls-remote", "--quiet", "--refs", "--", remote, *patterns], None, _ASKING)
    if ended.status != 0:
        raise _failed(remote, "asked", ended)
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
        PlannerError: E_REMOTE in git's own words.
    """
    url(repo, remote)
    words = ["fetch", *options, "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
    words += ["--no-recurse-submodules", "--atomic", "--", remote]
    ended = _run(repo, [*words, *refspecs], progress, deadline)
    if ended.status != 0:
        result = GitResult(ended.status, b"", os.fsencode(ended.stderr))
        raise local_failure(("fetch",), result, repo.git.cwd) or _failed(remote, "fetched from", ended)


def fetch_commits(
    repo: Repository, remote: str, refs: Sequence[str], progress: Progress, *, deadline: float = DEADLINE
) -> None:
    """Fetch what some refs of a remote name, and write no ref here: many processes may do so at once.

    Raises:
        PlannerError: E_REMOTE in git's own words.
    """
    # An empty map of refs keeps git from moving the remote's branches as it sees them.
    fetch(repo, remote, refs, progress, deadline=deadline, options=("--refmap=",))


def claim_on(repo: Repository, remote: str, ref: str, oid: str, expected: str | None) -> bool:
    """Make or take over a claim on a shared remote, which only one of many can do.

    Args:
        repo: the repository.
        remote: the remote's name.
        ref: the claim's ref over there.
        oid: the claim: an object that nobody else has made, so with something random in it. Of two that push
            the same object both would be told that they have it.
        expected: the claim that it takes the place of; None when there must be none.

    Returns:
        Whether it is ours now; False when somebody was faster.

    Raises:
        PlannerError: E_REMOTE for everything else.
    """
    return _alone(repo, remote, Update(ref, oid, expected))


def give_back(repo: Repository, remote: str, ref: str, expected: str) -> bool:
    """Remove a claim of ours from a shared remote; False when somebody has taken it over.

    Raises:
        PlannerError: E_REMOTE for everything else.
    """
    return _alone(repo, remote, Update(ref, None, expected))


def _alone(repo: Repository, remote: str, update: Update) -> bool:
    attempt = 0
    while True:
        try:
            ended = push(repo, remote, [update], lambda _: None)
        except PlannerError:
            # Refused, and yet all is as we expected: somebody held a lock, or had the claim and gave it back.
            attempt += 1
            if attempt == _TRIES:
                raise
            time.sleep(random.uniform(0.0, 0.05 * 2**attempt))
            continue
        # An answer that was lost on the way is no lost race.
        return isinstance(ended, Pushed) or ended.found.get(update.ref) == update.oid


def push(
    repo: Repository,
    remote: str,
    updates: Sequence[Update],
    progress: Progress,
    *,
    dry_run: bool = False,
    deadline: float = DEADLINE,
) -> Pushed | LostRace:
    """Publish all the refs or none of them, each only if the remote still has what we expect there.

    Args:
        updates: what to move, and from where.
        dry_run: ask and tell, move nothing.
        deadline: seconds.

    Returns:
        `Pushed`, or `LostRace` when at least one ref over there is not what was expected.

    Raises:
        PlannerError: E_REMOTE in git's own words for all other failures.
    """
    url(repo, remote)
    if not updates:
        return Pushed({})
    leases = [f"--force-with-lease={each.ref}:{each.expected or ''}" for each in updates]
    words = ["push", "--progress", "--porcelain", "--atomic", "--no-follow-tags", "--recurse-submodules=no"]
    words += [*(["--dry-run"] if dry_run else []), *leases, "--", remote]
    ended = _run(repo, [*words, *(f"{each.oid or ''}:{each.ref}" for each in updates)], progress, deadline)
    if ended.status == 0:
        return Pushed({each.ref: each.oid for each in updates if each.oid is not None})
    if ended.late:
        raise _failed(remote, "pushed to", ended)
    # Whether this was a lost race is read off the remote, never off git's words.
    there = listing(repo, remote, *(each.ref for each in updates))
    if any(there.get(each.ref) != each.expected for each in updates):
        return LostRace({each.ref: there.get(each.ref) for each in updates})
    raise _failed(remote, "pushed to", ended)


def masked(text: str) -> str:
    """A text with the credentials in its URLs made unreadable."""
    return re.sub(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s'\"]+@", r"\1***@", text)


def _run(repo: Repository, words: Sequence[str], progress: Progress | None, deadline: float) -> _Ended:
    return retry_transient(
        lambda: _once(repo, words, progress, deadline),
        lambda ended: is_transient(ended.status, os.fsencode(ended.stderr)),
    )


def _once(repo: Repository, words: Sequence[str], progress: Progress | None, deadline: float) -> _Ended:
    git = _wrapper(repo.git)
    from git.cmd import handle_process_output
    from git.exc import GitCommandNotFound

    wanted = {**git_environment(), **_quiet(repo)}
    # GitPython adds to the inherited environment, LANGUAGE for one, and cannot take away, so `env` does.
    dropped = {*os.environ, *DROPPED} - wanted.keys()
    gone = [word for name in sorted(dropped) for word in ("-u", name)]
    out: list[str] = []
    err: list[str] = []
    stderr_lines = _StderrLines(progress, err)
    try:
        process = git.execute(
            ["env", *gone, "git", *repo.git.prefix, *words], as_process=True, env=wanted, shell=False
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
    return _Ended(status, "".join(out), "".join(err), late and status != 0)


def _wrapper(git: Git) -> Wrapper:
    # While it is imported, GitPython looks for git and complains loudly; our calls say what is missing.
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


def _quiet(repo: Repository) -> dict[str, str]:
    """What keeps git and ssh from asking a person anything."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", "")}
    chosen = {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys() or repo.config("core.sshCommand")
    if not chosen:
        quiet["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
    return quiet


class _StderrLines:
    """Sorts what git says on stderr: progress goes to the callback, all else is kept for an error."""

    _LINE = re.compile(r"(?:remote: )?([A-Z][a-z ]+): +(\d+)%")

    def __init__(self, progress: Progress | None, kept: list[str]) -> None:
        self._progress = progress
        self._kept = kept
        self._last = ""

    def line(self, text: str) -> None:
        for each in text.replace("\r", "\n").splitlines():
            found = self._LINE.match(each)
            if not found:
                self._kept.append(each + "\n")
            elif self._progress is not None and f"{found[1]} {found[2]}" != self._last and found[2] == "100":
                self._last = f"{found[1]} {found[2]}"
                self._progress(f"{found[1].lower()}: done")


def _failed(remote: str, verb: str, ended: _Ended) -> PlannerError:
    words = [masked(line) for line in ended.stderr.splitlines() if line.strip()]
    if ended.late:
        words = ["it did not answer in time", *words]
    first = next((line for line in words if line.startswith(("fatal:", "error:"))), words[0] if words else "")
    plain = without_label(first).rstrip(".")
    return PlannerError(
        "E_REMOTE",
        f"the remote '{remote}' could not be {verb}: {plain or f'git ended with status {ended.status}'}",
        hint="check the address with 'git remote -v' and your access to it",
        details=words[1:],
    )
