"""Check staged changes: guarded paths on the planner's branches, and documents against their schemas.

Reads the index that git gave the hook, never the working tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.git import hook_git
from git_planner.gitio.git_failure import failure
from git_planner.rules.printable import printable_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git_planner.flows.guard.compare_trees import GuardChecker

DOCUMENTS = (
    ".plans/**/plan.json",
    ".plans/**/plan-[0-9]*.json",
    ".plans/**/CHOICE.json",
    "**/planner_packets/**/*.json",
    "experiments/records/*.json",
    "experiments/disputes/*.json",
)
_GITLINK, _SYMLINK, _NOTHING = "160000", "120000", "000000"


def check_guard(planner: str | None = None) -> None:
    """Refuse staged changes of guarded paths on the planner's branches.

    Args:
        planner: the folder `planner` of the common git directory, which caches the patterns for the shim.

    Raises:
        PlannerError: E_GUARD naming each path; E_POLICY if the policy at HEAD cannot be used; E_GIT.
    """
    branch = _planner_branch()
    if branch is None:
        return
    if not _has_commit():
        _check_first_commit(branch)
        return
    from git_planner.flows.guard.compare_trees import GuardChecker
    from git_planner.gitio.repository import open_repository
    from git_planner.rules.guard.guard import ref_kind
    from git_planner.rules.refnames import HEADS, POLICY_FILE

    if ref_kind(HEADS + branch) == "proposal":
        return
    checker = GuardChecker(open_repository())
    head = checker.repo.resolve("HEAD")
    rule = checker.rule_at(head)
    if planner is not None:
        from git_planner.flows.guard.pattern_file import write_pattern_file

        policy = checker.repo.maybe(f"HEAD:{POLICY_FILE}", "blob") or "none"
        folder = os.path.join(planner, "guards")
        write_pattern_file(folder, policy, "HEAD", rule.patterns, checker.module_names(head))
    from git_planner.gitio.fresh.quarantine import quarantine

    # A concurrent gc would delete the tree of the index, which no ref reaches.
    with quarantine(checker.repo.git, checker.repo.common) as place:
        tree = _index_tree(place.env)
        checker.repo.git.read_also(place.env)
        _check_tree(checker, branch, head, tree)


def _check_tree(checker: GuardChecker, branch: str, head: str, tree: str) -> None:
    """Refuse a tree whose guarded content is neither that of HEAD nor of a trusted commit."""
    from git_planner.flows.guard.ref_updates import difference_lines, state_changes
    from git_planner.rules.refnames import POLICY_FILE

    differences = [*checker.differences(head, tree), *state_changes(checker, head, tree)]
    if differences and not any(
        _matches_commit(checker, commit, tree) for commit in _trusted_commits(checker, branch)
    ):
        lines = difference_lines(checker, differences, head)
        lines[-1] = (
            lines[-1]
            .replace(f"at {head[:12]}", "at HEAD")
            .replace("the default:", f"the default, because HEAD has no '{POLICY_FILE}':")
        )
        raise PlannerError(
            "E_GUARD", f"guarded paths are staged on '{branch}'", hint=_unstage_hint(), details=lines
        )


def check_documents() -> None:
    """Validate the staged documents against their schemas, on any branch.

    Raises:
        PlannerError: E_SCHEMA, E_JSON or E_POLICY with path and JSON pointer.
    """
    from git_planner.rules.policy.policy import pathspecs
    from git_planner.rules.refnames import POLICY_FILE, STATE_FILE

    errors = []
    for _, mode, oid, path in _staged_changes(
        _comparison_tree(), pathspecs((*DOCUMENTS, STATE_FILE, POLICY_FILE))
    ):
        if mode == _NOTHING:
            continue
        try:
            if mode in (_SYMLINK, _GITLINK):
                raise PlannerError("E_SCHEMA", f"'{printable_path(path)}' is not an ordinary file")
            check_document(path, hook_git().bytes("cat-file", "blob", oid))
        except PlannerError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = [
            line for error in errors for line in (error.message, *(f"  {detail}" for detail in error.details))
        ]
        raise PlannerError(
            errors[0].code,
            f"{len(errors)} staged documents are not valid",
            hint="see a schema with 'git planner schema NAME'",
            details=lines,
        )


def check_document(path: str, data: bytes) -> None:
    """Validate one document by the schema that its path implies.

    Raises:
        PlannerError: E_SCHEMA, E_JSON or E_POLICY with path and JSON pointer.
    """
    from git_planner import documents
    from git_planner.config.policy_file import parse_policy
    from git_planner.rules.documents.extract_json import extract_json
    from git_planner.rules.plans.pages import is_page
    from git_planner.rules.refnames import POLICY_FILE

    where, name = printable_path(path), os.path.basename(path)
    if path == POLICY_FILE:
        parse_policy(data, where)
    elif name == "directive.json":
        # The pack for a chat window starts with an empty directive.
        if data.strip() != b"{}":
            answer = extract_json(data, where)  # as tolerant as `git iterate`, which reads it later
            kind = _answer_kind(answer)
            documents.check(kind, documents.complete_answer(kind, answer), where)
    elif path.startswith(".plans/") and is_page(name):
        documents.read("plan", data, where)
    elif name in _KINDS:
        documents.read(_KINDS[name], data, where)
    elif path.startswith("experiments/records/"):
        documents.read("record", data, where)
    elif path.startswith("experiments/disputes/"):
        documents.read("dispute", data, where)


_KINDS = {"CHOICE.json": "choice", "packet.json": "packet", "state.json": "state"}


def _answer_kind(answer: object) -> str:
    """Return the kind of a planner's answer: 'directive' unless its schema is that of a planning plan."""
    schema = answer.get("schema") if isinstance(answer, dict) else None
    return "planning-plan" if str(schema).startswith("git-planner/planning-plan@") else "directive"


def _check_first_commit(branch: str) -> None:
    """Refuse guarded paths in the first commit of a repository or of an orphan branch."""
    from git_planner.flows.guard.ref_updates import PROPOSE_HINT
    from git_planner.rules.guard.guard import DEFAULT_GUARD, STATE
    from git_planner.rules.policy.policy import ALWAYS_GUARDED, pathspecs

    specs = pathspecs((*DEFAULT_GUARD, *ALWAYS_GUARDED, *STATE))
    lines = [f"added: {printable_path(path)}" for _, _, _, path in _staged_changes(_comparison_tree(), specs)]
    if lines:
        raise PlannerError(
            "E_GUARD", f"guarded paths are staged on '{branch}'", hint=PROPOSE_HINT, details=lines
        )


def _index_tree(objects: Mapping[str, str]) -> str:
    """Write the tree of the given index and return its id.

    It is written from a copy, because git holds a lock on the index itself.

    Args:
        objects: variables that name the folder to write it to.
    """
    import shutil
    import tempfile

    index = os.fsdecode(hook_git().bytes("rev-parse", "--git-path", "index")).removesuffix("\n")
    with tempfile.TemporaryDirectory(prefix="git-planner-") as folder:
        copy = os.path.join(folder, "index")
        if os.path.exists(index):
            shutil.copyfile(index, copy)
        return hook_git().bytes("write-tree", env={**objects, "GIT_INDEX_FILE": copy}).decode().strip()


def _planner_branch() -> str | None:
    """Return the short name of the branch of HEAD if it is one of the planner's, else None."""
    from git_planner.rules import refnames

    # Status 1 is a detached HEAD; any other failure must refuse the commit.
    args = ("symbolic-ref", "--quiet", "HEAD")
    result = hook_git().run(*args)
    if result.status > 1:
        raise failure(args, result, Path.cwd())
    branch = os.fsdecode(result.stdout).strip().removeprefix(refnames.HEADS)
    return branch if branch.startswith((refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)) else None


def _trusted_commits(checker: GuardChecker, branch: str) -> Iterator[str]:
    """Yield the commits whose guarded content may be staged.

    These are the iteration's first commit, so that a change that bypassed the guard can be reverted, and the
    commits of the base branch that HEAD contains or that are being merged.
    """
    from git_planner.flows.guard.ref_updates import newer_base_commits
    from git_planner.rules import refnames

    iteration = refnames.parse_iteration(branch)
    start = checker.repo.maybe(f"{refnames.ITERATIONS}{iteration.number:04d}") if iteration else None
    if start is not None:
        yield start
    merged = {name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")}
    merged.update(
        (hook_git().answer("rev-parse", "--quiet", "--verify", "MERGE_HEAD") or b"").decode().split()
    )
    for head in (*sorted(merged), "HEAD"):
        yield from newer_base_commits(checker, start, head) if start else checker.anchors(head)


def _matches_commit(checker: GuardChecker, commit: str, tree: str) -> bool:
    """Return whether a tree has the guarded content of a commit, and the state file of HEAD."""
    from git_planner.flows.guard.ref_updates import state_changes
    from git_planner.rules import refnames

    if checker.differences(commit, tree):
        return False
    reference = "HEAD" if checker.repo.maybe(f"{commit}:{refnames.STATE_FILE}", "blob") is None else commit
    return not state_changes(checker, reference, tree)


def _staged_changes(base: str, specs: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Yield each staged change against a commit or tree: old mode, new mode, new object id, path."""
    command = (
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--ignore-submodules=none",
    )
    fields = os.fsdecode(hook_git().bytes(*command, "--no-abbrev", base, "--", *specs)).split("\0")
    for meta, path in zip(fields[::2], fields[1::2], strict=False):
        old, new, _, oid, _ = meta.lstrip(":").split(" ")
        yield old, new, oid, path


def _unstage_hint() -> str:
    from git_planner.flows.guard.ref_updates import PROPOSE_HINT

    if os.path.basename(os.environ.get("GIT_INDEX_FILE", "index")) == "index":
        return f"take them out of the commit with 'git restore --staged -- PATH'; {PROPOSE_HINT}"
    return f"name the other paths only: 'git commit -- PATH'; {PROPOSE_HINT}"


def _has_commit() -> bool:
    return hook_git().answer("rev-parse", "--quiet", "--verify", "HEAD^{commit}") is not None


def _comparison_tree() -> str:
    """Return what staged changes are compared with: HEAD, or the empty tree if there is no commit yet."""
    return (
        "HEAD" if _has_commit() else hook_git().bytes("hash-object", "-t", "tree", "--stdin").decode().strip()
    )
