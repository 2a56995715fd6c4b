"""What every hook runs once the shell has found something to do: the guard, the documents, plans that follow.

The shims in hooks/, the pre-commit framework and `git planner check` all come here. It reads the index that
git gave it, never the working tree. At import it takes little of the standard library; what judging needs is
imported when there is something to judge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from git_planner.errors import PlannerError

STAGES = ("pre-commit", "pre-merge-commit")
TRANSACTION = "reference-transaction"
# Conveniences: whatever goes wrong there is said, and git goes on.
MESSAGE = "commit-msg"
FOLLOWING = ("moved", "post-merge", "post-rewrite")
# What a message is refused for.
_REFUSED = ("E_UNKNOWN_TASK", "E_TRANSITION")


def main(argv: Sequence[str]) -> int:
    """Do what a hook is there for; the boundary at which errors become a message and a status.

    Args:
        argv: a stage, our folder in the common git directory, and for MESSAGE the file with the message, for
            FOLLOWING the full name of the branch that moved. The moves of a TRANSACTION are read from stdin,
            as git gives them.

    Returns:
        0 to let the commit pass; any other status makes git stop.
    """
    stage, planner, *more = argv
    try:
        if stage in (MESSAGE, *FOLLOWING):
            return run_plan_hook(stage, more[0])
        if stage == TRANSACTION:
            check_ref_updates(planner, sys.stdin.buffer.read())
            return 0
        if stage not in STAGES:
            raise PlannerError(
                "E_USAGE", f"'{stage}' is not a hook of ours", hint="see 'git planner hooks -h'"
            )
        from git_planner.flows.guard.staged import check_documents, check_guard

        check_guard(planner)
        check_documents()
    except PlannerError as error:
        return _warn(error) if stage in (MESSAGE, *FOLLOWING) else _report(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the guard fails closed, and the rest open
        said = f"{type(error).__name__}: {str(error)[:300]}"
        if stage in (MESSAGE, *FOLLOWING):
            return _warn(PlannerError("E_INTERNAL", said))
        hint = "this is a defect; 'git planner check' shows the whole story with GIT_PLANNER_TRACE=1"
        return _report(PlannerError("E_INTERNAL", f"the guard cannot judge this: {said}", hint=hint))
    return 0


def run_plan_hook(stage: str, what: str) -> int:
    """Let plans follow a branch that has moved, or look up the tasks that a message names.

    Args:
        stage: MESSAGE or one of FOLLOWING.
        what: the file with the message, or the full name of the branch.

    Returns:
        0, or for a message that is refused the status of the error.

    Raises:
        PlannerError: what keeps a plan from following.
    """
    from git_planner.gitio.repository import open_repository

    if stage == MESSAGE:
        from git_planner.flows.tasks.commit_message import check_message

        try:
            check_message(open_repository(), what)
        except PlannerError as error:
            if error.code in _REFUSED:
                return _report(error)
            raise
        return 0
    from git_planner.flows.tasks.follow_branch import advance_branch

    for found in advance_branch(open_repository(), what):
        for name in found.unknown:
            # Where no commit-msg of ours looks at messages, this is the first that is heard of it.
            print(
                f"warning: a commit names '{name}', and the plan '{found.plan}' has no such task "
                "(E_UNKNOWN_TASK)",
                file=sys.stderr,
            )
    return 0


def check_ref_updates(planner: str, lines: bytes) -> None:
    """Refuse moves of our refs that would change what is guarded.

    Args:
        planner: our folder in the common git directory.
        lines: 'old new ref', one a line, as git gives them to reference-transaction.

    Raises:
        PlannerError: E_GUARD for the first move that is refused; E_NO_BASE, E_POLICY, E_GIT.
    """
    from pathlib import Path

    from git_planner.flows.guard.compare_trees import GuardChecker
    from git_planner.flows.guard.ref_updates import RefUpdateGuard, parse_ref_updates
    from git_planner.gitio.repository import open_repository

    folder = Path(planner, "guards")
    RefUpdateGuard(GuardChecker(open_repository()), folder).check(parse_ref_updates(os.fsdecode(lines)))


def _warn(error: PlannerError) -> int:
    """Say that a plan does not follow; what git did stands."""
    print(
        f"warning: the plan does not follow: {error.message} ({error.code}); 'git plan sync' catches up",
        file=sys.stderr,
    )
    return 0


def _report(error: PlannerError) -> int:
    """Show an error the way the command lines do."""
    lines = [f"error: {error.message} ({error.code})", *(f"  {line}" for line in error.details)]
    if error.hint and os.environ.get("GIT_ADVICE") != "0":
        lines.append(f"hint: {error.hint}")
    print("\n".join(lines), file=sys.stderr)
    return error.exit
