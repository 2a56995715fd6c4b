"""Check ref updates, for the hooks `reference-transaction` and `pre-receive`.

A branch of the planner may move if its guarded content is that of its trusted start or of a commit of the
base branch. A trusted start is one that follows a trusted commit and changes only the state file. There is
no switch or variable that bypasses this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker, GuardDifference
from git_planner.flows.guard.pattern_file import write_pattern_file
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.guard.guard import STATE, ref_kind
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.printable import printable_path

MAX_LISTED = 20
PROPOSE_HINT = "change guarded files on the base branch: 'git planner guard propose'"
# An object id or the target of a symbolic ref.
_SYMBOLIC = "ref:"
_VALUE = rf"([0-9a-f]{{40}}|[0-9a-f]{{64}}|{_SYMBOLIC}[^ ]+)"
_LINE = re.compile(rf"{_VALUE} {_VALUE} (.+)")


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref update as git passes it to hooks; `new` None deletes, `old` None creates or is unspecified.

    A value is an object id, or 'ref:' and the target of a symbolic ref.
    """

    ref: str
    old: str | None
    new: str | None


@dataclass(slots=True)
class RefUpdateGuard:
    """Checker of the ref updates of one transaction, against the repository before the transaction.

    Args:
        checker: the guard of the repository.
        folder: the folder of the pattern files for the shim; None if no shim reads them.
    """

    checker: GuardChecker
    folder: Path | None = None
    _starts: dict[str, str] = field(default_factory=dict)

    @property
    def repo(self) -> Repository:
        """The repository."""
        return self.checker.repo

    def check(self, updates: Sequence[RefUpdate]) -> None:
        """Check all ref updates of a transaction.

        Raises:
            PlannerError: E_GUARD for the first update that is refused; E_NO_BASE, E_POLICY, E_GIT.
        """
        current = history.resolve_refs(self.repo.git, *(update.ref for update in updates)) if updates else {}
        pending = [
            update for update in updates if update.new is None or current.get(update.ref) != update.new
        ]
        # One transaction may hold a branch and the trusted copy of its start, which must be checked first.
        for update in sorted(pending, key=lambda update: ref_kind(update.ref) != "start"):
            self._check(update, current.get(update.ref))

    def _check(self, update: RefUpdate, current: str | None) -> None:
        kind = ref_kind(update.ref)
        if update.new is not None and update.new.startswith(_SYMBOLIC) and kind not in ("free", "proposal"):
            raise _symbolic_ref_error(update.ref, update.new.removeprefix(_SYMBOLIC))
        if kind == "start":
            self._check_start(update, current)
        elif update.new is None or kind in ("free", "proposal"):
            return
        elif kind == "iteration":
            self._check_iteration(update.ref, update.new)
        else:
            anchor, differences = self.checker.find_anchor(update.new)
            if anchor is None:
                raise self._refusal(update.ref, differences, None)
            self._write_patterns(update.ref, update.ref, update.new)

    def _check_start(self, update: RefUpdate, current: str | None) -> None:
        if update.new is None:
            if update.old is not None and self._is_only_packed(update.ref, update.old):
                return
            raise _immutable_start_error(update.ref)
        if current is not None:
            raise _immutable_start_error(update.ref)
        why = start_problem(self.checker, update.new)
        if why is not None:
            raise PlannerError(
                "E_GUARD",
                f"'{update.ref}' cannot be the start of an iteration: {why}",
                hint="start an iteration with 'git iterate'",
            )
        self._starts[update.ref] = update.new

    def _check_iteration(self, ref: str, new: str) -> None:
        iteration = refnames.parse_iteration(ref)
        copy = f"{refnames.ITERATIONS}{iteration.number:04d}" if iteration else None
        start = (self._starts.get(copy) or self.repo.maybe(copy)) if copy else None
        if start is None or copy is None:
            anchor, differences = self.checker.find_anchor(new)
            differences += state_differences(self.checker, new)
            if anchor is None or differences:
                raise self._refusal(ref, differences, anchor)
            began = state_commit(self.checker, new) or anchor
            self._write_patterns(ref, began, anchor)
            return
        state = state_changes(self.checker, start, new)
        differences = [*self.checker.differences(start, new), *state]
        if not differences:
            self._write_patterns(ref, copy, start)
        elif state or vouching_base(self.checker, start, new) is None:
            raise self._refusal(ref, differences, start)

    def _refusal(self, ref: str, differences: Sequence[GuardDifference], trusted: str | None) -> PlannerError:
        branch = refnames.short_name(ref)
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

    def _is_only_packed(self, ref: str, oid: str) -> bool:
        """Return whether git only removes a loose ref after packing it, as `git gc` does.

        A real deletion holds the lock of packed-refs meanwhile; packing has released it.
        """
        packed = self.repo.common / "packed-refs"
        if packed.with_name("packed-refs.lock").exists():
            return False
        try:
            return f"{oid} {ref}" in packed.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False

    def _write_patterns(self, ref: str, against: str, trusted: str) -> None:
        if self.folder is not None:
            patterns, modules = self.checker.rule_at(trusted).patterns, self.checker.module_names(trusted)
            write_pattern_file(self.folder, ref, against, patterns, modules)


def _symbolic_ref_error(ref: str, target: str) -> PlannerError:
    # The target is on another branch, whose moves are not checked.
    return PlannerError(
        "E_GUARD",
        f"'{ref}' would become a symbolic ref to '{printable_path(target)}'",
        hint="make it a branch of its own with 'git branch'",
    )


def _immutable_start_error(ref: str) -> PlannerError:
    return PlannerError(
        "E_GUARD",
        f"'{ref}' is immutable: it records how the iteration started",
        hint="start another iteration with 'git iterate'; docs/guard.md tells how to remove old ones",
    )


def parse_ref_updates(text: str) -> list[RefUpdate]:
    """Parse the lines 'old new ref' that git passes to hooks.

    Raises:
        PlannerError: E_USAGE for a malformed line.
    """
    updates = []
    # Not 'splitlines': a ref name may hold Unicode line separators.
    for line in filter(None, text.split("\n")):
        match = _LINE.fullmatch(line)
        if not match:
            raise PlannerError(
                "E_USAGE",
                f"{line[:80]!r} is not a ref update, which is 'OLD NEW REF' with full object ids",
                hint="pass the input of a 'pre-receive' hook",
            )
        old, new, ref = match.groups()
        updates.append(RefUpdate(ref, old if old.strip("0") else None, new if new.strip("0") else None))
    return updates


def start_problem(checker: GuardChecker, commit: str) -> str | None:
    """Return the reason why a commit is no trusted start of an iteration; None if it is one."""
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
    """List the files of the state folder that differ from the iteration's first commit."""
    changes = history.changes(checker.repo.git, start, tip, pathspecs(STATE))
    return [
        GuardDifference(
            "state", change.path, f"changed since the iteration started: {printable_path(change.path)}"
        )
        for change in changes
    ]


def state_differences(checker: GuardChecker, tip: str) -> list[GuardDifference]:
    """List the differences of the state folder if this repository has no trusted copy of the start.

    The state must then have been written by a commit that looks like a start.
    """
    git, start = checker.repo.git, state_commit(checker, tip)
    if start is None:
        # A missing state is fine; other files in its folder are not.
        anchors = list(checker.anchors(tip))
        return state_changes(checker, anchors[0], tip) if anchors else []
    parents = history.parents(git, start)
    own = [change.path for change in history.changes(git, parents[0], start)] if len(parents) == 1 else []
    if own != [refnames.STATE_FILE]:
        message = f"not written by the first commit of an iteration: {refnames.STATE_FILE}"
        return [GuardDifference("state", refnames.STATE_FILE, message)]
    return state_changes(checker, start, tip)


def state_commit(checker: GuardChecker, tip: str) -> str | None:
    """Return the commit that last changed the state file of a commit; None if there was none."""
    spec = f":(top,literal){refnames.STATE_FILE}"
    return checker.repo.git.line("rev-list", "-1", tip, "--", spec) or None


def newer_base_commits(checker: GuardChecker, start: str, tip: str) -> Iterator[str]:
    """Yield the commits of the base branch that an iteration has merged since it started."""
    began = next(checker.anchors(start), None)
    if began is not None:
        yield from (anchor for anchor in checker.anchors(tip, after=began) if anchor != began)


def vouching_base(checker: GuardChecker, start: str, tip: str) -> str | None:
    """Find a newer commit of the base branch whose guarded content an iteration has.

    Args:
        checker: the guard.
        start: the first commit of the iteration, or its parent.
        tip: a commit of the iteration, or its new tip.

    Returns:
        A commit with the guarded content of the tip; None if the iteration has merged none, or only in part.
    """
    return next(
        (base for base in newer_base_commits(checker, start, tip) if not checker.differences(base, tip)), None
    )


def difference_lines(
    checker: GuardChecker, differences: Sequence[GuardDifference], trusted: str | None
) -> list[str]:
    """Return differences as the detail lines of an error, with the patterns that guard them."""
    lines = [difference.message for difference in differences[:MAX_LISTED]]
    if len(differences) > MAX_LISTED:
        lines.append(f"and {len(differences) - MAX_LISTED} more")
    if trusted is not None:
        rule = checker.rule_at(trusted)
        whence = f"'{refnames.POLICY_FILE}' at {trusted[:12]}" if rule.policy else "the default"
        lines.append(f"guarded by {whence}: " + " ".join(f"'{pattern}'" for pattern in rule.listed_patterns))
    return lines
