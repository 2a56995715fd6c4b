"""Changes of an agent in its worktree: read and check them, then commit or quarantine them.

The index, HEAD and the branch are not trusted, only the content of the worktree. An admissible change becomes
a commit on the branch; any other is quarantined under a ref in refs/planner/.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from git_planner import redact
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.trusted_base import utf8_path
from git_planner.flows.measuring.benches.bench import Bench
from git_planner.gitio import agent_worktree, history
from git_planner.gitio.content.read_content import Content, read_content
from git_planner.gitio.content.survey import Limits
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.rules import refnames
from git_planner.rules.guard import scope
from git_planner.rules.guard.guard import FileChange
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.policy import Policy, pathspecs

STATE_PATHSPEC = ":(top,literal).advisor"
# Error codes of an unreadable worktree.
UNREADABLE = ("E_GIT", "E_NOT_A_REPOSITORY")
_NOTE = 4000
_SUBJECT = 72


@dataclass(frozen=True, slots=True)
class AttemptSite:
    """Worktree of an attempt and its trusted start.

    `place` is the worktree the agent works in; `start` the trusted state commit; `policy` that of the trusted
    base; `ours` says that no person works there; `resumed` that an earlier process started this attempt;
    `from_red` that the base may be red; `bench` is where it is measured (None: this host).
    """

    repo: Repository
    place: Repository
    state: IterationState
    start: str
    policy: Policy
    ours: bool = True
    resumed: bool = False
    from_red: bool = False
    bench: Bench | None = None

    @property
    def ref(self) -> str:
        """Return the full ref of the iteration's branch."""
        return refnames.HEADS + self.state.branch

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes for the record."""
        return ("resumed after an interruption",) if self.resumed else ()

    @property
    def run(self) -> str:
        """Return the value of the Planner-Run trailer."""
        return self.state.branch

    def kept(self, prefix: str) -> str:
        """Return the ref under a prefix that keeps changes which are not on the branch."""
        return f"{prefix}{self.state.iteration:04d}"


class AgentSite(Protocol):
    """Worktree of an agent and its trusted start; see AttemptSite."""

    @property
    def repo(self) -> Repository:
        """The repository."""

    @property
    def place(self) -> Repository:
        """The worktree."""

    @property
    def start(self) -> str:
        """The trusted start commit."""

    @property
    def policy(self) -> Policy:
        """The policy of the trusted base."""

    @property
    def ours(self) -> bool:
        """True if no person works there."""

    @property
    def ref(self) -> str:
        """The full ref of the agent's branch."""

    def kept(self, prefix: str) -> str:
        """Return the ref under a prefix that keeps changes which are not on the branch."""


class AgentChanges:
    """Changes in a worktree: `tree` is its content, `tip` the branch's tip, both as of `read`.

    `problems` are files that cannot be committed; they are not in `tree`.

    Args:
        work: the worktree and its start.
    """

    def __init__(self, work: AgentSite) -> None:
        self.work = work
        self.tree = self.start_tree = work.repo.resolve(work.start, "tree")
        self.tip: str | None = work.start
        self.problems: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Return whether the content or the branch has changed."""
        return bool(self.problems) or self.tree != self.start_tree or self.tip != self.work.start

    def read(self) -> tuple[str, ...]:
        """Read the content of the worktree and the branch's tip.

        Returns:
            Guarded paths that differ in the content, or that a commit of the agent changed in between; the
            problems if there are none.

        Raises:
            PlannerError: E_GIT, E_NOT_A_REPOSITORY when it cannot be read.
        """
        work = self.work
        agent_worktree.repair(work.place, ours=work.ours)
        content = self._content()
        self.tree, self.problems = content.tree, content.problems
        self.tip = work.repo.maybe(work.ref)
        if self.tip is None or not history.is_ancestor(work.repo.git, work.start, self.tip):
            return ("changed: .advisor/state.json (its commit)",)
        return self._violations(self.tip) or self.problems

    def _content(self) -> Content:
        return read_content(self.work.place, self.work.start, content_limits(self.work.policy))

    def refusal_reason(self, violations: Sequence[str]) -> str:
        """Return the reason of a record for the violations that `read` has returned."""
        return "unfit" if tuple(violations) == self.problems else "guard"

    def out_of_scope(self, allow: Sequence[str], forbid: Sequence[str] = ()) -> tuple[str, ...]:
        """Return changed paths outside of `allow` (empty: all are allowed) or within `forbid`."""
        git, start = self.work.repo.git, self.work.start

        def paths(specs: Sequence[str]) -> list[str]:
            return [utf8_path(change.path) for change in history.changes(git, start, self.tree, specs)]

        allowed = paths(pathspecs(allow)) if allow else None
        forbidden = paths(pathspecs(forbid)) if forbid else []
        judged = scope.check_scope(paths(()), allowed, forbidden)
        return judged[1] if judged else ()

    def attach_head(self) -> None:
        """Attach HEAD to the branch again."""
        assert self.tip is not None
        agent_worktree.reset_branch(self.work.place, self.work.ref, self.tip)

    def commit(self, message: Message, body: str) -> str:
        """Commit the content of the worktree; no hook runs.

        Returns:
            The commit.

        Raises:
            PlannerError: E_SIGN, E_IDENTITY, E_NO_SPACE, E_GIT; then the worktree is as it was.
        """
        work = self.work
        self.attach_head()
        assert self.tip is not None
        if self.tree == work.repo.resolve(self.tip, "tree"):
            body = "The agent made the commits before this one itself; this one says where they belong."
        seconds = read_settings(work.repo).sign_timeout
        text = full_message(message, body)
        return agent_worktree.commit(work.place, work.ref, self.tip, self.tree, text, sign_seconds=seconds)

    def quarantine(self, message: Message, messages: Sequence[str]) -> tuple[str, str]:
        """Keep the changes under a quarantine ref; reset branch and worktree to the state commit.

        Returns:
            The ref, and its commit.
        """
        work = self.work
        ref = work.kept(refnames.REFUSED)
        text = full_message(message, shorten("\n".join(messages)))
        commit = agent_worktree.keep(work.repo, ref, self.tree, self.tip or work.start, text)
        agent_worktree.reset_branch(work.place, work.ref, work.start)
        with suppress(PlannerError):
            # The changes are safe, so a worktree that cannot be reset is left as it is.
            agent_worktree.checkout_tree(work.place, self._content().tree, work.start, work.start)
        return ref, commit

    def _violations(self, tip: str) -> tuple[str, ...]:
        git, start = self.work.repo.git, self.work.start
        specs = [*pathspecs(self.work.policy.protected), STATE_PATHSPEC]
        changed = [
            FileChange(utf8_path(change.path), change.status, change.old_mode, change.new_mode)
            for change in (*history.changes(git, start, self.tree, specs), *self._shadowing())
        ]
        judged = scope.check_guarded_changes(changed)
        violations = list(judged[1]) if judged else []
        if tip != start:
            words = ("log", "--format=", "-z", "-m", "--full-history", "--no-renames", "--name-only")
            on_the_way = git.names(*words, f"{start}..{tip}", "--", *specs)
            seen = {change.path for change in changed}
            paths = dict.fromkeys(utf8_path(path) for path in on_the_way)
            violations += [f"changed on the way: {path}" for path in paths if path not in seen]
        return tuple(violations)

    def _shadowing(self) -> list[history.TreeChange]:
        checker, start = GuardChecker(self.work.repo), self.work.start
        return checker.preload(start, self.work.policy).shadowing_changes(start, self.tree)


def content_limits(policy: Policy) -> Limits:
    """Return the policy's limits for the files that an agent leaves."""
    return Limits(file_bytes=policy.max_file_mb * 1024 * 1024, new_files=policy.max_new_files)


def full_message(message: Message, body: str) -> str:
    """Return a commit message with its body between subject and trailers."""
    subject, _, trailers = message.text().partition("\n")
    return redact.mask_text(f"{subject}\n\n{body.strip()}\n{trailers}" if body else message.text())


def subject_line(text: str) -> str:
    """Return a text as the subject line of a commit message."""
    line = " ".join(text.split())
    return line if len(line) <= _SUBJECT else line[: _SUBJECT - 1].rstrip() + "…"


def shorten(text: str) -> str:
    """Return a text without its middle if it is long."""
    return text if len(text) <= _NOTE else text[: _NOTE // 2] + "\n…\n" + text[-_NOTE // 2 :]
