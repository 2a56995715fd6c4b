"""Compare commits and trees with a trusted commit by its guard, and find the trusted commits.

Used by the hooks, `git planner check`, the server's hook and the flows. The policy is the trusted commit's
own, git matches the paths, and nothing is read from a working tree.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard.base_branch import branch_tips, find_base_branch, find_branch_tip
from git_planner.flows.guard.runner import runner_names
from git_planner.folders import remove_folder
from git_planner.gitio import export, history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.guard.guard import (
    ATTRIBUTES,
    ATTRIBUTES_FILE,
    CONFIGURATION,
    CONFIGURATION_ENDS,
    DEFAULT_GUARD,
    LISTED_NAMES,
    SHADOWING,
    TEST_TOOLS,
    FileChange,
    importable_names,
    imported_name,
    wide_pathspecs,
)
from git_planner.rules.guard.runner_config import runner_sections
from git_planner.rules.policy.policy import ALWAYS_GUARDED, SECTIONED, START_UP, Policy, pathspecs
from git_planner.rules.printable import printable_path

# Modules that a candidate must not shadow.
STANDARD = frozenset(sys.stdlib_module_names).union(TEST_TOOLS)
_NOTHING, _SYMLINK, _GITLINK = "000000", "120000", "160000"


@dataclass(frozen=True, slots=True)
class GuardRule:
    """The guard of one commit. `policy` is None if that commit has no policy file."""

    commit: str
    policy: Policy | None

    @property
    def listed_patterns(self) -> tuple[str, ...]:
        """The patterns that messages list."""
        return self.policy.guarded if self.policy else (*DEFAULT_GUARD, *ALWAYS_GUARDED)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns of completely guarded files."""
        return self.policy.protected if self.policy else (*self.listed_patterns, *START_UP)

    @property
    def sectioned(self) -> tuple[str, ...]:
        """Patterns of files that are guarded in part."""
        return self.policy.sectioned if self.policy else SECTIONED


@dataclass(frozen=True, slots=True)
class GuardDifference:
    """One guarded path that differs from the trusted commit.

    `code` is 'guard', 'start-up', 'shadow', 'runner', 'attributes', 'case' or 'state'; `message` tells the
    change and the path.
    """

    code: str
    path: str
    message: str


class GuardChecker:
    """Checker of commits and trees of one repository against the guard of trusted commits.

    Args:
        repo: the repository.
        base: a branch or commit to trust instead of the policy's base branch.
    """

    def __init__(self, repo: Repository, base: str | None = None) -> None:
        self.repo = repo
        self._base = base
        self._rules: dict[str, GuardRule] = {}
        self._policies: dict[str, Policy | None] = {}
        self._modules: dict[str, frozenset[str]] = {}
        self._merge_bases: dict[tuple[str, str], list[str]] = {}

    def preload(self, commit: str, policy: Policy) -> GuardChecker:
        """Store the policy of a commit that was read already; return the checker itself."""
        self._rules[commit] = GuardRule(commit, policy)
        return self

    def rule_at(self, commit: str) -> GuardRule:
        """Return the guard of a commit.

        Raises:
            PlannerError: E_POLICY if its policy cannot be used.
        """
        if commit not in self._rules:
            # Successive commits mostly share one policy blob, and parsing it is slow.
            answer = self.repo.git.read_object("info", f"{commit}:{refnames.POLICY_FILE}")
            blob = answer[0] if answer else ""
            if blob not in self._policies:
                self._policies[blob] = policy_at(self.repo, commit) if blob else None
            self._rules[commit] = GuardRule(commit, self._policies[blob])
        return self._rules[commit]

    def differences(self, trusted: str, tree: str) -> list[GuardDifference]:
        """List the guarded paths of a commit or tree that differ from the trusted commit.

        Args:
            trusted: a commit; its own policy defines what is guarded.
            tree: any name of a commit or tree.
        """
        differences = self._guarded_differences(self.rule_at(trusted), trusted, tree)
        paths = {difference.path for difference in differences}
        for code, change, message in self._name_differences(trusted, tree):
            if change.path not in paths:
                text = f"{message}: {printable_path(change.path)}"
                differences.append(GuardDifference(code, change.path, text))
        return differences

    def shadowing_changes(self, trusted: str, tree: str) -> list[history.TreeChange]:
        """List added files that Python would import instead of other modules, see `_name_differences`."""
        return [change for code, change, _ in self._name_differences(trusted, tree) if code == "shadow"]

    def _name_differences(self, trusted: str, tree: str) -> Iterator[tuple[str, history.TreeChange, str]]:
        """Yield code, change and message of files that count by their names alone.

        These are added modules with the name of a standard one, of a guarded one, or of one that the
        installed test runner imports; and files that configure this runner and are unknown to START_UP.
        """
        rule = self.rule_at(trusted)
        free = rule.policy.unguard if rule.policy else ()
        for change in history.changes(self.repo.git, trusted, tree, (*SHADOWING, *CONFIGURATION)):
            path = change.path
            if path.endswith(CONFIGURATION_ENDS):
                name = path.rpartition("/")[2]
                if name not in LISTED_NAMES and name in runner_names(self.repo, rule.policy).files:
                    yield "start-up", change, "configures the test runner"
                continue
            module = imported_name(path, change.new_mode) if change.status in ("A", "T") else None
            spared = {path, f"{path}/**", f"{path.rpartition('/')[0]}/**"}
            if module is not None and not spared.intersection(free):
                owner = self._module_owner(trusted, rule, module)
                if owner is not None:
                    yield "shadow", change, f"added under the name of {owner}"

    def _module_owner(self, trusted: str, rule: GuardRule, module: str) -> str | None:
        if module == "" or module in STANDARD:
            return "a standard module"
        if module in self._guarded_modules(trusted):
            return "a guarded module"
        if module in runner_names(self.repo, rule.policy).modules:
            return "a module of the test runner"
        return None

    def module_names(self, trusted: str) -> list[str]:
        """Return the names, besides STANDARD, that added modules must not have, as far as known at once."""
        runner = runner_names(self.repo, self.rule_at(trusted).policy, ask=False).modules
        return sorted((self._guarded_modules(trusted) | runner) - STANDARD)

    def _guarded_modules(self, trusted: str) -> frozenset[str]:
        if trusted not in self._modules:
            listed = pathspecs(self.rule_at(trusted).listed_patterns)
            self._modules[trusted] = importable_names(export.entries(self.repo, trusted, listed))
        return self._modules[trusted]

    def _guarded_differences(self, rule: GuardRule, trusted: str, tree: str) -> list[GuardDifference]:
        git = self.repo.git
        wide = history.changes(git, trusted, tree, wide_pathspecs(rule.patterns))
        if not wide:
            return []
        listed = pathspecs(rule.listed_patterns)
        named = {change.path for change in history.changes(git, trusted, tree, listed)}
        changes = history.changes(git, trusted, tree, pathspecs(rule.patterns))
        differences = [
            GuardDifference(
                "guard" if change.path in named else "start-up", change.path, _change_message(change)
            )
            for change in changes
        ]
        paths = {change.path for change in changes}
        if paths.issuperset(change.path for change in wide):
            return differences
        differences += self._runner_differences(rule, trusted, tree)
        differences += self._attribute_differences(rule, trusted, tree)
        parts = {change.path for change in self._sectioned_changes(rule, trusted, tree)}
        differences += [
            GuardDifference("case", change.path, f"added in another case: {printable_path(change.path)}")
            for change in wide
            if change.status == "A" and change.path not in paths and change.path not in parts
        ]
        return differences

    def base_tips(self, near: str | None = None) -> list[str]:
        """Return the tips of the trusted base branch, local and as last fetched, or the given base.

        Args:
            near: a commit whose policy names the base branch if nothing else does.

        Raises:
            PlannerError: E_NO_BASE; E_BASE if the base branch is ambiguous.
        """
        if self._base is not None:
            return [find_branch_tip(self.repo, self._base) or self.repo.resolve(self._base)]
        if self.base_branch is not None:
            return self.base_branch[1]
        if near is not None:
            policy = self.rule_at(near).policy
            tips = branch_tips(self.repo, policy.base) if policy else []
            if tips:
                return tips
        raise PlannerError(
            "E_NO_BASE",
            "there is no base branch such as 'main', so nothing says what is guarded",
            hint="name it with 'git config planner.base BRANCH'",
        )

    def anchors(self, commit: str, after: str | None = None) -> Iterator[str]:
        """Yield the merge bases of a commit with each tip of the base branch.

        Args:
            commit: the commit.
            after: yield only descendants of this commit of the base branch.
        """
        yielded = set()
        for tip in self.base_tips(commit):
            for anchor in self._merge_bases_of(commit, tip):
                if anchor not in yielded and (
                    after is None or history.is_ancestor(self.repo.git, after, anchor)
                ):
                    yielded.add(anchor)
                    yield anchor

    def _merge_bases_of(self, commit: str, tip: str) -> list[str]:
        if (commit, tip) not in self._merge_bases:
            self._merge_bases[commit, tip] = history.merge_bases(self.repo.git, commit, tip)
        return self._merge_bases[commit, tip]

    def find_anchor(self, commit: str) -> tuple[str | None, list[GuardDifference]]:
        """Find the commit of the base branch whose guarded content a commit has.

        Returns:
            That commit and no differences; or None and the differences from the first merge base.
        """
        first: list[GuardDifference] | None = None
        for anchor in self.anchors(commit):
            differences = self.differences(anchor, commit)
            if not differences:
                return anchor, []
            first = differences if first is None else first
        return None, first or []

    @cached_property
    def base_branch(self) -> tuple[str, list[str]] | None:
        """The base branch and its tips, by sources that no candidate can write; None if there is none.

        Raises:
            PlannerError: E_BASE if it is ambiguous; E_POLICY.
        """
        return find_base_branch(self.repo, lambda commit: self.rule_at(commit).policy)

    def _sectioned_changes(self, rule: GuardRule, trusted: str, tree: str) -> list[history.TreeChange]:
        specs = pathspecs((*rule.sectioned, ATTRIBUTES_FILE))
        return history.changes(self.repo.git, trusted, tree, specs)

    def _runner_differences(self, rule: GuardRule, trusted: str, tree: str) -> Iterator[GuardDifference]:
        if not rule.sectioned:
            return
        with self.repo.git.batch() as batch:
            for change in history.changes(self.repo.git, trusted, tree, pathspecs(rule.sectioned)):
                old = None if change.old_mode == _NOTHING else batch.read(change.old)
                new = None if change.new_mode in (_NOTHING, _GITLINK) else batch.read(change.new)
                linked = {change.old_mode, change.new_mode} & {_SYMLINK, _GITLINK}
                before, after = runner_sections(change.path, old), runner_sections(change.path, new)
                if linked or before != after:
                    message = f"how tests are run: {printable_path(change.path)}"
                    yield GuardDifference(
                        "runner", change.path, _change_message(change) if linked else message
                    )

    def _attribute_differences(self, rule: GuardRule, trusted: str, tree: str) -> Iterator[GuardDifference]:
        """Yield the `.gitattributes` changes that change the attributes of guarded paths."""
        git = self.repo.git
        changed = history.changes(git, trusted, tree, pathspecs([ATTRIBUTES_FILE]))
        if not changed:
            return
        guarded = export.entries(self.repo, trusted, pathspecs(rule.patterns))
        before, after = (self._read_attributes(commit, list(guarded)) for commit in (trusted, tree))
        differing = [path for path in guarded if before.get(path) != after.get(path)]
        if differing:
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            for change in changed:
                message = f"attributes of {printable_path(differing[0])}{more}: {printable_path(change.path)}"
                yield GuardDifference("attributes", change.path, message)

    def _read_attributes(self, tree: str, paths: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        with self._index_of(tree) as env:
            fields = self.repo.git.names(
                "check-attr",
                "--cached",
                "-z",
                "--stdin",
                *ATTRIBUTES,
                stdin=os.fsencode("\0".join(paths)),
                env=env,
            )
        attributes: dict[str, list[tuple[str, str]]] = {}
        for path, name, value in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
            attributes.setdefault(path, []).append((name, value))
        return attributes

    def _index_of(self, tree: str) -> _TemporaryIndex:
        return _TemporaryIndex(self.repo, tree)


class _TemporaryIndex:
    """A temporary git index that holds one tree; a context manager that returns its environment."""

    def __init__(self, repo: Repository, tree: str) -> None:
        import tempfile

        self._repo, self._tree = repo, tree
        self._folder = Path(tempfile.mkdtemp(prefix="git-planner-"))

    def __enter__(self) -> dict[str, str]:
        env = {"GIT_INDEX_FILE": str(self._folder / "index")}
        self._repo.git.bytes("read-tree", self._tree, env=env)
        return env

    def __exit__(self, *_: object) -> None:
        remove_folder(self._folder)


def _change_message(change: history.TreeChange) -> str:
    if change.old_mode == _NOTHING and change.new_mode in (_SYMLINK, _GITLINK):
        kind = "added link" if change.new_mode == _SYMLINK else "added submodule"
        return f"{kind}: {printable_path(change.path)}"
    if change.old_mode == change.new_mode == _GITLINK:
        return f"moved submodule: {printable_path(change.path)}"
    return FileChange(printable_path(change.path), change.status, change.old_mode, change.new_mode).message
