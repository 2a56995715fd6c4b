"""Find the trusted base, policy and iteration state by which a commit is checked.

Nothing decisive is read from the candidate: its state must be the one its iteration started with, and the
policy is that of the trusted base commit, which is the iteration's own base or a newer commit of the base
branch whose guarded files the candidate has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from git_planner import documents
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.ref_updates import start_problem, state_changes, vouching_base
from git_planner.gitio import history
from git_planner.gitio.content import submodules
from git_planner.gitio.export import GITLINK
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.guard import scope
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.planning.directive import IterationState, state_from
from git_planner.rules.policy.policy import Policy, pathspecs

STATE_SPEC = f":(top,literal){refnames.STATE_FILE}"
STATE_FOLDER_SPEC = ":(top,literal).advisor"
_WITHOUT_STATE_FOLDER = ":(top,exclude,literal).advisor"


@dataclass(frozen=True, slots=True)
class Subject:
    """A commit to be checked and measured, with its trusted base.

    `branch` is the short branch name it was given by, if any; `confirmed` tells that this repository's own
    copy of the iteration's start agrees; `policy` is that of `base`; `notes` are remarks for the record.
    """

    commit: str
    branch: str | None
    state: IterationState | None
    confirmed: bool
    base: str
    policy: Policy
    plan: str
    notes: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """The ref of the plan branch, which holds the ledger."""
        return refnames.plan_ref(self.plan)


@dataclass(frozen=True, slots=True)
class CandidateChanges:
    """The paths that a candidate changed, as messages show them, and the refusal, if any."""

    files: tuple[str, ...]
    refusal: Refusal | None
    violations: tuple[str, ...]


def find_state(repo: Repository, ref: str) -> IterationState | None:
    """Return the state of the iteration that a commit belongs to; None outside iterations.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_UNBORN; E_STATE if the state is not the one the iteration started with.
    """
    carried = _commit_state(repo, repo.resolve(ref), _branch_name(repo, ref))
    return carried[0] if carried else None


def find_subject(repo: Repository, ref: str, plan: str | None) -> Subject:
    """Find the base, policy and iteration of a commit.

    Args:
        repo: the repository.
        ref: any name of the commit.
        plan: the plan of the ledger (default: the iteration's own, then the current plan).

    Raises:
        PlannerError: E_UNKNOWN_REF, E_UNBORN, E_STATE, E_NO_BASE, E_NO_POLICY, E_POLICY, E_NAME.
    """
    commit = repo.resolve(ref)
    branch = _branch_name(repo, ref)
    carried = _commit_state(repo, commit, branch)
    if carried is None:
        base, policy = _base_outside_iterations(repo, commit)
        name = read_settings(repo, policy=policy, plan=plan).plan
        return Subject(commit, branch, None, False, base, policy, name)
    state, confirmed = carried
    policy = policy_at(repo, state.base)
    newer = _newer_base(GuardChecker(repo).preload(state.base, policy), state.base, commit)
    base, policy = (newer, policy_at(repo, newer)) if newer else (state.base, policy)
    notes = () if confirmed else (f"the start of '{state.branch}' could not be confirmed in this repository",)
    name = refnames.check_plan_name(plan or state.plan)
    return Subject(commit, branch or state.branch, state, confirmed, base, policy, name, notes)


def base_subject(subject: Subject) -> Subject:
    """Return the base of a subject as a subject itself."""
    return Subject(
        subject.base, None, None, False, subject.base, subject.policy, subject.plan, ("the trusted base",)
    )


def anchor_subject(repo: Repository, subject: Subject) -> Subject:
    """Return the base branch's commit that a subject's base comes from, as a subject; else its base."""
    try:
        anchor = next(GuardChecker(repo).anchors(subject.base), subject.base)
    except PlannerError as error:
        if error.code != "E_NO_BASE":
            raise
        anchor = subject.base
    policy = subject.policy if anchor == subject.base else policy_at(repo, anchor)
    return replace(base_subject(subject), commit=anchor, base=anchor, policy=policy)


def check_changes(repo: Repository, subject: Subject) -> CandidateChanges:
    """Check the changes of a candidate since its base: guarded paths first, then the scope."""
    git, policy = repo.git, subject.policy
    base, tip = subject.base, subject.commit
    changed = [change for change in history.changes(git, base, tip) if change.path != refnames.STATE_FILE]
    files = tuple(utf8_path(change.path) for change in changed)
    differences = GuardChecker(repo).preload(base, policy).differences(base, tip)
    violation = scope.check_differences(
        [(utf8_path(difference.path), difference.message) for difference in differences]
    )
    if violation is None and changed:
        allowed = None
        if policy.allow:
            allowed = {
                utf8_path(change.path) for change in history.changes(git, base, tip, pathspecs(policy.allow))
            }
        forbidden = set()
        if policy.forbid:
            forbidden = {
                utf8_path(change.path) for change in history.changes(git, base, tip, pathspecs(policy.forbid))
            }
        violation = scope.check_scope(files, allowed, forbidden)
    violation = violation or _check_submodules(repo, tip, changed)
    return CandidateChanges(files, *violation) if violation else CandidateChanges(files, None, ())


def _check_submodules(
    repo: Repository, tip: str, changed: Sequence[history.TreeChange]
) -> tuple[Refusal, tuple[str, ...]] | None:
    """Refuse entries of submodules whose commits nobody else could get, such as of a nested repository."""
    links = [change for change in changed if change.new_mode == GITLINK]
    lost = [link for link in links if not submodules.is_published(repo, tip, link.path, link.new)]
    if not lost:
        return None
    names = [utf8_path(link.path) for link in lost]
    return Refusal("unfit", f"submodule '{names[0]}' has a commit that is on no remote branch or tag"), tuple(
        f"submodule at a commit that is on no remote branch or tag: {name}" for name in names
    )


def patch_id(repo: Repository, subject: Subject) -> str | None:
    """Return git's patch id of the candidate's changes without the state folder."""
    return history.patch_id(repo.git, subject.base, subject.commit, (_WITHOUT_STATE_FOLDER,))


def utf8_path(path: str) -> str:
    """Return a path with bytes that are not UTF-8 written as '\\xNN', for documents."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _commit_state(repo: Repository, commit: str, branch: str | None) -> tuple[IterationState, bool] | None:
    """Return the state of a commit, and whether this repository's copy of the start confirms it."""
    iteration = refnames.parse_iteration(refnames.HEADS + branch) if branch else None
    expected = repo.maybe(f"{refnames.ITERATIONS}{iteration.number:04d}") if iteration else None
    content = repo.git.batch().read(f"{commit}:{refnames.STATE_FILE}")
    start = "" if content is None else repo.git.line("rev-list", "-1", commit, "--", STATE_SPEC)
    if content is None or not start:
        if expected is not None:
            raise _forged_state_error(branch or commit, f"'{refnames.STATE_FILE}' is missing")
        return None
    if start == expected:
        state = state_from(canonical_json.loads_trusted(content))
    else:
        state = state_from(documents.read("state", content, f"{commit[:12]}:{refnames.STATE_FILE}"))
    if repo.maybe(state.base) is None:
        raise _no_base_error(repo, f"the base '{state.base[:12]}' of '{state.branch}' is not here")
    if start == expected:
        return state, True
    own = expected or repo.maybe(f"{refnames.ITERATIONS}{state.iteration:04d}")
    if own is None:
        _check_start(repo, state, start)
        return state, False
    # A rebase rewrites the first commit, but must not change the state.
    if own != start and state_changes(GuardChecker(repo), own, commit):
        if iteration is None and _is_of_another_clone(repo, state, own, commit):
            _check_start(repo, state, start)
            return state, False
        raise _forged_state_error(
            branch or commit, f"its state was written by '{start[:12]}', not by '{own[:12]}'"
        )
    return state, True


def _is_of_another_clone(repo: Repository, state: IterationState, own: str, commit: str) -> bool:
    """Return whether a commit is of another clone's iteration, which has the number of one here.

    The start here is not between its base and the commit, and that base has guarded files of the base branch.
    """
    if history.is_ancestor(repo.git, own, commit) and not history.is_ancestor(repo.git, own, state.base):
        return False
    try:
        return GuardChecker(repo).find_anchor(state.base)[0] is not None
    except PlannerError:
        return False


def _check_start(repo: Repository, state: IterationState, start: str) -> None:
    """Refuse a start that is not recorded in this repository and does not look like one."""
    parents = history.parents(repo.git, start)
    if parents != [state.base]:
        # It may have been rebased onto a newer base.
        if (
            _newer_base(GuardChecker(repo), state.base, start) is None
            or start_problem(GuardChecker(repo), start) is not None
        ):
            raise _forged_state_error(
                state.branch, f"'{start[:12]}', which wrote its state, does not follow its base"
            )
    elif [change.path for change in history.changes(repo.git, state.base, start)] != [refnames.STATE_FILE]:
        raise _forged_state_error(
            state.branch, f"'{start[:12]}', which wrote its state, changed other files too"
        )


def _newer_base(checker: GuardChecker, began: str, commit: str) -> str | None:
    """Return the newer base commit by which an iteration's commit is checked; None for its own base."""
    try:
        newer = vouching_base(checker, began, commit)
    except PlannerError as error:
        # Without a base branch there is no newer base.
        if error.code != "E_NO_BASE":
            raise
        return None
    # A commit that was merged into the base branch is not its own base.
    return None if newer == commit else newer


def _base_outside_iterations(repo: Repository, commit: str) -> tuple[str, Policy]:
    """Return base and policy of a commit outside iterations: its merge base with the base branch."""
    base_branch = GuardChecker(repo).base_branch
    if base_branch is None:
        raise _no_base_error(repo, "there is no base branch such as 'main'")
    for tip in base_branch[1]:
        base = history.merge_base(repo.git, commit, tip)
        if base is not None:
            return base, policy_at(repo, base)
    raise _no_base_error(repo, f"'{commit[:12]}' has no commit in common with '{base_branch[0]}'")


def _branch_name(repo: Repository, ref: str) -> str | None:
    """Return the short name of the branch that a ref names, also through HEAD; None for other refs."""
    # Without '--verify', older versions of git also print '--end-of-options'.
    arguments = ("--verify", "--quiet", "--symbolic-full-name", "--end-of-options", ref)
    result = repo.git.run("rev-parse", *arguments)
    full = result.stdout.decode(errors="surrogateescape").strip()
    return refnames.short_name(full) if result.status == 0 and full.startswith(refnames.HEADS) else None


def _no_base_error(repo: Repository, what: str) -> PlannerError:
    if repo.git.line("rev-parse", "--is-shallow-repository") == "true":
        return PlannerError(
            "E_NO_BASE", f"{what}: this clone is shallow", hint="fetch the rest with 'git fetch --unshallow'"
        )
    return PlannerError(
        "E_NO_BASE", what, hint="fetch it, or name the base branch with 'git config planner.base BRANCH'"
    )


def _forged_state_error(what: str, why: str) -> PlannerError:
    return PlannerError(
        "E_STATE",
        f"'{what}' does not have the state its iteration started with: {why}",
        hint="see what happened with 'git log -p -- .advisor', and start anew with 'git iterate'",
    )
