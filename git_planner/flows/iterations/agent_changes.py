"""What an agent left in its worktree: read, judged, and committed or set aside.

Nothing an agent may have done to the index, to HEAD or to the branch is trusted; it is judged by its content
alone. Only a change that may count becomes a commit of the branch, all else is kept under a ref of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.trusted_base import utf8_path
from git_planner.gitio import agent_worktree, history
from git_planner.gitio.git_failure import GitResult, failure
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.rules import refnames
from git_planner.rules.guard import scope
from git_planner.rules.guard.guard import FileChange
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.policy import Policy, pathspecs

STATE_PATHSPEC = ":(top,literal).advisor"
# What a worktree raises that nothing can be read from any more.
UNREADABLE = ("E_GIT", "E_NOT_A_REPOSITORY")
_NOTE = 4000
_SUBJECT = 72


@dataclass(frozen=True, slots=True)
class AttemptSite:
    """Where an attempt is made.

    `place` is the worktree the agent works in; `start` the trusted state commit; `policy` that of the trusted
    base; `ours` says that no person works there; `resumed` that an earlier process began this attempt.
    """

    repo: Repository
    place: Repository
    state: IterationState
    start: str
    policy: Policy
    ours: bool = True
    resumed: bool = False

    @property
    def ref(self) -> str:
        """The full ref of the iteration's branch."""
        return refnames.HEADS + self.state.branch

    @property
    def notes(self) -> tuple[str, ...]:
        """What the record shall say about how it came about."""
        return ("resumed after an interruption",) if self.resumed else ()

    @property
    def run(self) -> str:
        """What the Planner-Run trailer says."""
        return self.state.branch

    def kept(self, prefix: str) -> str:
        """The ref of ours, under a prefix, that keeps what is not on the branch."""
        return f"{prefix}{self.state.iteration:04d}"


class AgentChanges:
    """What lies in a worktree: `tree` is its content, `tip` the branch's tip, both as of `look`.

    Args:
        work: where it was made, and from what.
    """

    def __init__(self, work: AttemptSite) -> None:
        self.work = work
        self.tree = self.blank = work.repo.resolve(work.start, "tree")
        self.tip: str | None = work.start

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.tree != self.blank or self.tip != self.work.start

    def look(self) -> tuple[str, ...]:
        """Read all that lies there.

        Returns:
            What was touched that must not be: in the content, or by a commit of the agent's own on the way.

        Raises:
            PlannerError: E_GIT, E_NOT_A_REPOSITORY when it cannot be read.
        """
        work = self.work
        agent_worktree.mend(work.place, ours=work.ours)
        self.tree = agent_worktree.content(work.place, work.start)
        self.tip = work.repo.maybe(work.ref)
        if self.tip is None or not history.is_ancestor(work.repo.git, work.start, self.tip):
            return ("changed: .advisor/state.json (its commit)",)
        return self._violations(self.tip)

    def outside(self, allow: Sequence[str], forbid: Sequence[str] = ()) -> tuple[str, ...]:
        """What was changed outside of some patterns, or within others; no pattern allows everything."""
        git, start = self.work.repo.git, self.work.start

        def paths(specs: Sequence[str]) -> list[str]:
            return [utf8_path(change.path) for change in history.changes(git, start, self.tree, specs)]

        allowed = paths(pathspecs(allow)) if allow else None
        forbidden = paths(pathspecs(forbid)) if forbid else []
        judged = scope.check_scope(paths(()), allowed, forbidden)
        return judged[1] if judged else ()

    def put_on(self) -> None:
        """Put HEAD back on the branch, wherever the agent left it."""
        assert self.tip is not None
        agent_worktree.put_on(self.work.place, self.work.ref, self.tip)

    def commit(self, message: Message, body: str) -> GitResult:
        """Commit what lies there, with all hooks.

        Returns:
            How git ended; a status other than 0 means that a hook refused.

        Raises:
            PlannerError: E_NO_SPACE.
        """
        work = self.work
        self.put_on()
        if self.tree == work.repo.resolve(self.tip or work.start, "tree"):
            body = "The agent made the commits before this one itself; this one says where they belong."
        result = agent_worktree.commit(work.place, self.tree, full_message(message, body))
        if result.status != 0:
            said = failure(("commit",), result, work.place.git.cwd)
            if said.code == "E_NO_SPACE":
                raise said
        return result

    def set_aside(self, message: Message, said: Sequence[str]) -> tuple[str, str]:
        """Keep it under a ref of ours; put branch and worktree back to the state commit.

        Returns:
            The ref, and the commit it names now.
        """
        work = self.work
        ref = work.kept(refnames.REFUSED)
        text = full_message(message, shorten("\n".join(said)))
        commit = agent_worktree.keep(work.repo, ref, self.tree, self.tip or work.start, text)
        agent_worktree.put_on(work.place, work.ref, work.start)
        with suppress(PlannerError):
            # A worktree that cannot be tidied is only left untidy; all that lay in it has been kept.
            agent_worktree.travel(work.place, agent_worktree.content(work.place, work.start), work.start)
        return ref, commit

    def _violations(self, tip: str) -> tuple[str, ...]:
        git, start = self.work.repo.git, self.work.start
        specs = [*pathspecs(self.work.policy.protected), STATE_PATHSPEC]
        changed = [
            FileChange(utf8_path(change.path), change.status, change.old_mode, change.new_mode)
            for change in (*history.changes(git, start, self.tree, specs), *self._shadowing())
        ]
        judged = scope.check_guarded_changes(changed)
        found = list(judged[1]) if judged else []
        if tip != start:
            words = ("log", "--format=", "-z", "-m", "--full-history", "--no-renames", "--name-only")
            on_the_way = git.names(*words, f"{start}..{tip}", "--", *specs)
            seen = {change.path for change in changed}
            paths = dict.fromkeys(utf8_path(path) for path in on_the_way)
            found += [f"changed on the way: {path}" for path in paths if path not in seen]
        return tuple(found)

    def _shadowing(self) -> list[history.Change]:
        checker, start = GuardChecker(self.work.repo), self.work.start
        return checker.preload(start, self.work.policy).shadowing_changes(start, self.tree)


def full_message(message: Message, body: str) -> str:
    """A commit message with its body between subject and trailers."""
    subject, _, trailers = message.text().partition("\n")
    return redact.mask_text(f"{subject}\n\n{body.strip()}\n{trailers}" if body else message.text())


def subject_line(text: str) -> str:
    """A text as the first line of a commit message."""
    line = " ".join(text.split())
    return line if len(line) <= _SUBJECT else line[: _SUBJECT - 1].rstrip() + "…"


def shorten(text: str) -> str:
    """A text without its middle when it is long."""
    return text if len(text) <= _NOTE else text[: _NOTE // 2] + "\n…\n" + text[-_NOTE // 2 :]
