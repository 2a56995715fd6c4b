"""Entry point of the hooks: check the guard, validate staged documents, update plans.

The scripts in hooks/, the pre-commit framework and `git planner check` all call `main`. It reads the index
that git passes, never the working tree. It imports little: a check imports its modules when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from git_planner.errors import PlannerError, resource_error

STAGES = ("pre-commit", "pre-merge-commit")
TRANSACTION = "reference-transaction"
# These stages fail open: an error becomes a warning, and git continues.
MESSAGE = "commit-msg"
FOLLOWING = ("moved", "post-merge", "post-rewrite")
# Error codes for which a commit message is refused.
_REFUSED = ("E_UNKNOWN_TASK", "E_TRANSITION")


def main(argv: Sequence[str]) -> int:
    """Run one hook; turn errors into a message on stderr and an exit status.

    Args:
        argv: the stage; the 'planner' folder that the hook was installed with; then the message file for
            MESSAGE, or the full ref name of the updated branch for FOLLOWING. The ref updates of a
            TRANSACTION are read from stdin, in git's format.

    Returns:
        0 to let git continue; any other status stops it.
    """
    stage, planner, *more = argv
    try:
        if stage in (MESSAGE, *FOLLOWING):
            return run_plan_hook(stage, more[0])
        if stage == TRANSACTION:
            check_ref_updates(sys.stdin.buffer.read())
            return 0
        if stage not in STAGES:
            raise PlannerError("E_USAGE", f"'{stage}' is not a hook stage", hint="see 'git planner hooks -h'")
        from git_planner.flows.guard.staged import check_documents, check_guard

        check_guard(planner)
        check_documents()
    except PlannerError as error:
        return _warn(error) if stage in (MESSAGE, *FOLLOWING) else _report(error)
    except Exception as error:  # noqa: BLE001 - the guard fails closed, the other stages fail open
        return _report_unexpected(error, stage)
    return 0


def run_plan_hook(stage: str, target: str) -> int:
    """Update plans after a branch has moved, or check the task ids in a commit message.

    Args:
        stage: MESSAGE or one of FOLLOWING.
        target: the message file, or the full ref name of the branch.

    Returns:
        0, or the error's exit status if the message is refused.

    Raises:
        PlannerError: the plan cannot be updated.
    """
    from git_planner.gitio.repository import open_repository

    if stage == MESSAGE:
        from git_planner.flows.tasks.commit_message import check_message

        try:
            check_message(open_repository(), target)
        except PlannerError as error:
            if error.code in _REFUSED:
                return _report(error)
            raise
        return 0
    from git_planner.flows.tasks.follow_branch import advance_branch

    for follow_result in advance_branch(open_repository(), target):
        for name in follow_result.unknown:
            # Ordinary branches run no commit-msg hook of this program, so the typo is reported here.
            _tell(
                f"warning: a commit names '{name}', and the plan '{follow_result.plan}' has no such task "
                "(E_UNKNOWN_TASK)"
            )
    return 0


def check_ref_updates(lines: bytes) -> None:
    """Refuse updates of managed refs that would change guarded files.

    Args:
        lines: the ref updates that git passes to reference-transaction: 'old new ref', one per line.

    Raises:
        PlannerError: E_GUARD for the first update that is refused; E_NO_BASE, E_POLICY, E_GIT.
    """
    from git_planner.flows.guard.compare_trees import GuardChecker
    from git_planner.flows.guard.ref_updates import RefUpdateGuard, parse_ref_updates
    from git_planner.gitio.repository import open_repository

    # A copied repository still starts the hooks of the original, whose folder is none of its business.
    repo = open_repository()
    RefUpdateGuard(GuardChecker(repo), repo.private("guards")).check(parse_ref_updates(os.fsdecode(lines)))


def _report_unexpected(error: Exception, stage: str) -> int:
    """Print an error of this machine's limits, or a defect."""
    description = f"{type(error).__name__}: {str(error)[:300]}"
    exhausted = resource_error(error)
    if stage in (MESSAGE, *FOLLOWING):
        return _warn(exhausted or PlannerError("E_INTERNAL", description))
    hint = "this is a defect; run 'GIT_PLANNER_TRACE=1 git planner check' for the traceback"
    return _report(
        exhausted
        or PlannerError("E_INTERNAL", f"the guard could not check this change: {description}", hint=hint)
    )


def _warn(error: PlannerError) -> int:
    """Print a warning that the plan was not updated; the commit stands."""
    _tell(f"warning: plan not updated: {error.message} ({error.code}); run 'git plan sync'")
    return 0


def _report(error: PlannerError) -> int:
    """Print an error in the format of the command-line programs; return its exit status."""
    lines = [f"error: {error.message} ({error.code})", *(f"  {line}" for line in error.details)]
    if error.hint and os.environ.get("GIT_ADVICE") != "0":
        lines.append(f"hint: {error.hint}")
    _tell("\n".join(lines))
    return error.exit


def _tell(text: str) -> None:
    try:
        from git_planner.rules.printable import printable
    except ImportError:
        # A broken installation must still be able to say so.
        text = text.encode("ascii", "backslashreplace").decode()
    else:
        text = printable(text)
    print(text, file=sys.stderr)
