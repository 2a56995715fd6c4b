"""Judging the moves of refs: what `reference-transaction` and a server's `pre-receive` are asked about.

A branch of ours may move where its guarded content is that of its trusted start or of the base branch's own
history. The first commit of an iteration gets its trusted copy by proof: it follows a trusted commit and
writes the state and nothing else. No switch and no variable opens another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker, GuardDifference, printable_path
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.guard.guard import STATE, guarded_globs, ref_kind
from git_planner.rules.policy.policy import pathspecs

MAX_LISTED = 20
PROPOSE_HINT = "what the guard protects is changed on the base branch: 'git planner guard propose'"
_MARK = "git-planner guard 3"
# What is not an object id is a symbolic ref's target.
_VALUE = r"([0-9a-f]{40}|[0-9a-f]{64}|ref:[^ ]+)"
_LINE = re.compile(rf"{_VALUE} {_VALUE} (.+)")


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref's move, as git tells hooks; None is 'nothing', and for `old` also 'whatever it is'."""

    ref: str
    old: str | None
    new: str | None


@dataclass(slots=True)
class RefUpdateGuard:
    """Moves of one transaction, judged one by one with the repository as it is before them.

    Args:
        checker: the guard.
        folder: where patterns are kept for the shim; None when no shim reads them.
    """

    checker: GuardChecker
    folder: Path | None = None
    _starts: dict[str, str] = field(default_factory=dict)

    @property
    def repo(self) -> Repository:
        """The repository."""
        return self.checker.repo

    def check(self, moves: Sequence[RefUpdate]) -> None:
        """Judge all moves of a transaction.

        Raises:
            PlannerError: E_GUARD for the first one that is refused; E_NO_BASE, E_POLICY, E_GIT.
        """
        current = history.refs(self.repo.git, *(move.ref for move in moves)) if moves else {}
        moving = [move for move in moves if move.new is None or current.get(move.ref) != move.new]
        # A branch may come in one transaction with the trusted copy of its start, which is judged first.
        for move in sorted(moving, key=lambda update: ref_kind(update.ref) != "start"):
            self._check(move, current.get(move.ref))

    def _check(self, move: RefUpdate, current: str | None) -> None:
        kind = ref_kind(move.ref)
        if kind == "start":
            self._start(move, current)
        elif move.new is None or kind in ("free", "proposal"):
            return
        elif kind == "iteration":
            self._iteration(move.ref, move.new)
        else:
            anchor, differences = self.checker.find_anchor(move.new)
            if anchor is None:
                raise self._refused(move.ref, differences, None)
            self._keep(move.ref, move.ref, self.checker.rule_at(move.new).patterns)

    def _start(self, move: RefUpdate, current: str | None) -> None:
        if move.new is None:
            if move.old is not None and self._only_pruned(move.ref, move.old):
                return
            raise _immutable_start_error(move.ref)
        if current is not None:
            raise _immutable_start_error(move.ref)
        why = start_problem(self.checker, move.new)
        if why is not None:
            raise PlannerError(
                "E_GUARD",
                f"'{move.ref}' cannot be the start of an iteration: {why}",
                hint="begin an iteration with 'git iterate' or 'git plan'",
            )
        self._starts[move.ref] = move.new

    def _iteration(self, ref: str, new: str) -> None:
        iteration = refnames.parse_iteration(ref)
        copy = f"{refnames.ITERATIONS}{iteration.number:04d}" if iteration else None
        start = (self._starts.get(copy) or self.repo.maybe(copy)) if copy else None
        if start is None or copy is None:
            anchor, differences = self.checker.find_anchor(new)
            differences += state_differences(self.checker, new)
            if anchor is None or differences:
                raise self._refused(ref, differences, anchor)
            began = state_commit(self.checker, new) or anchor
            self._keep(ref, began, self.checker.rule_at(anchor).patterns)
            return
        state = state_changes(self.checker, start, new)
        differences = [*self.checker.differences(start, new), *state]
        if not differences:
            self._keep(ref, copy, self.checker.rule_at(start).patterns)
        elif state or vouching_base(self.checker, start, new) is None:
            raise self._refused(ref, differences, start)

    def _refused(self, ref: str, differences: Sequence[GuardDifference], trusted: str | None) -> PlannerError:
        branch = ref.removeprefix(refnames.HEADS)
        if not differences:
            return PlannerError(
                "E_GUARD",
                f"'{branch}' would have no commit in common with the base branch",
                hint="start it from the base branch with 'git branch'",
            )
        return PlannerError(
            "E_GUARD",
            f"guarded paths would change on '{branch}'",
            hint=PROPOSE_HINT,
            details=difference_lines(self.checker, differences, trusted),
        )

    def _only_pruned(self, ref: str, oid: str) -> bool:
        """Whether git only takes away a ref's own file after packing it, which is what `git gc` does.

        A real removal holds the lock of the packed refs meanwhile; the other has let go of it.
        """
        packed = self.repo.common / "packed-refs"
        if packed.with_name("packed-refs.lock").exists():
            return False
        try:
            return f"{oid} {ref}" in packed.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False

    def _keep(self, ref: str, against: str, patterns: Iterable[str]) -> None:
        """Write the file by which the shim answers the next time without us; whole or not at all."""
        lines = [f"{_MARK} {ref}", against, *guarded_globs(patterns), "end"]
        if self.folder is None or any("\n" in line for line in lines):
            return
        place = self.folder / ref
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(place, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
        except OSError:
            # A full or read-only disk makes the next move slower, not less guarded.
            return


def _immutable_start_error(ref: str) -> PlannerError:
    return PlannerError(
        "E_GUARD",
        f"'{ref}' is written once: it says how its iteration began",
        hint="begin another iteration with 'git iterate'; how to clear old ones away is in docs/guard.md",
    )


def parse_ref_updates(text: str) -> list[RefUpdate]:
    """Read the lines 'old new ref' that git gives to hooks.

    Raises:
        PlannerError: E_USAGE for a line of another form.
    """
    moves = []
    # Not 'splitlines': a ref may hold what Python takes for the end of a line.
    for line in filter(None, text.split("\n")):
        match = _LINE.fullmatch(line)
        if not match:
            raise PlannerError(
                "E_USAGE",
                f"{line[:80]!r} is no move of a ref, which is 'OLD NEW REF' with whole object ids",
                hint="give what git gives to a 'pre-receive' hook",
            )
        old, new, ref = match.groups()
        moves.append(RefUpdate(ref, old if old.strip("0") else None, new if new.strip("0") else None))
    return moves


def start_problem(checker: GuardChecker, commit: str) -> str | None:
    """Why a commit is no trusted start of an iteration; None when it is one."""
    git = checker.repo.git
    if checker.repo.maybe(commit) != commit:
        return "it is no commit"
    parents = history.parents(git, commit)
    if len(parents) != 1:
        return f"it has {len(parents)} parents"
    if [change.path for change in history.changes(git, parents[0], commit)] != [refnames.STATE_FILE]:
        return f"it changes other files than '{refnames.STATE_FILE}'"
    if checker.find_anchor(parents[0])[0] is None:
        return f"what is guarded in '{parents[0][:12]}', which it follows, is not as on the base branch"
    return None


def state_changes(checker: GuardChecker, start: str, tip: str) -> list[GuardDifference]:
    """What of the state's folder is not as in the iteration's first commit."""
    changes = history.changes(checker.repo.git, start, tip, pathspecs(STATE))
    return [
        GuardDifference("state", change.path, f"not as the iteration began: {printable_path(change.path)}")
        for change in changes
    ]


def state_differences(checker: GuardChecker, tip: str) -> list[GuardDifference]:
    """The same where this repository has no copy of the start: the state must at least be written by one."""
    git, start = checker.repo.git, state_commit(checker, tip)
    if start is None:
        # No state is fine; other files in its place are not.
        anchors = list(checker.anchors(tip))
        return state_changes(checker, anchors[0], tip) if anchors else []
    parents = history.parents(git, start)
    own = [change.path for change in history.changes(git, parents[0], start)] if len(parents) == 1 else []
    if own != [refnames.STATE_FILE]:
        message = f"not written by the first commit of an iteration: {refnames.STATE_FILE}"
        return [GuardDifference("state", refnames.STATE_FILE, message)]
    return state_changes(checker, start, tip)


def state_commit(checker: GuardChecker, tip: str) -> str | None:
    """The commit that wrote the state that a commit has; None when there never was one."""
    spec = f":(top,literal){refnames.STATE_FILE}"
    return checker.repo.git.line("rev-list", "-1", tip, "--", spec) or None


def newer_base_commits(checker: GuardChecker, start: str, tip: str) -> Iterator[str]:
    """Commits of the base branch that an iteration has taken in since it began, from the base's history."""
    began = next(checker.anchors(start), None)
    if began is not None:
        yield from (anchor for anchor in checker.anchors(tip, after=began) if anchor != began)


def vouching_base(checker: GuardChecker, start: str, tip: str) -> str | None:
    """The commit of the base branch that vouches for what an iteration has taken in since it began.

    Args:
        checker: the guard.
        start: the commit that the iteration began with, or the one it follows.
        tip: a commit of the iteration, or what is to be one.

    Returns:
        A commit whose guarded content is the tip's; None when it has taken in nothing, or not all of it.
    """
    return next(
        (base for base in newer_base_commits(checker, start, tip) if not checker.differences(base, tip)), None
    )


def difference_lines(
    checker: GuardChecker, differences: Sequence[GuardDifference], trusted: str | None
) -> list[str]:
    """Differences as lines of a message, with what guards them."""
    lines = [difference.message for difference in differences[:MAX_LISTED]]
    if len(differences) > MAX_LISTED:
        lines.append(f"and {len(differences) - MAX_LISTED} more")
    if trusted is not None:
        rule = checker.rule_at(trusted)
        whence = f"'{refnames.POLICY_FILE}' at {trusted[:12]}" if rule.policy else "the default"
        lines.append(f"guarded by {whence}: " + " ".join(f"'{pattern}'" for pattern in rule.listed_patterns))
    return lines
