"""What a candidate may change. Pure: which path matches a pattern is asked of git, the answer judged here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from git_planner.rules.guard.guard import FileChange
from git_planner.rules.measuring.verdict import Refusal

_MAX_PATHS = 5


def check_guarded_changes(changes: Sequence[FileChange]) -> tuple[Refusal, tuple[str, ...]] | None:
    """Judge the changes of guarded paths between the trusted base and the candidate: there must be none."""
    return check_differences([(change.path, change.message) for change in changes])


def check_differences(differences: Sequence[tuple[str, str]]) -> tuple[Refusal, tuple[str, ...]] | None:
    """The same for whatever differs: pairs of a path and what is wrong with it."""
    if not differences:
        return None
    return Refusal("guard", _path_list([path for path, _ in differences])), tuple(
        message for _, message in differences
    )


def check_scope(
    changed: Sequence[str], allowed: Collection[str] | None, forbidden: Collection[str]
) -> tuple[Refusal, tuple[str, ...]] | None:
    """Judge the changed paths of a candidate.

    Args:
        changed: every changed path, without our own state file.
        allowed: those of them that match an allowed pattern; None when the policy allows everything.
        forbidden: those of them that match a forbidden pattern.

    Returns:
        The refusal and one violation a path, or None when all is inside the scope.
    """
    violations = [f"forbidden: {path}" for path in changed if path in forbidden]
    if allowed is not None:
        outside = [path for path in changed if path not in allowed and path not in forbidden]
        violations += [f"not allowed: {path}" for path in outside]
    if not violations:
        return None
    return Refusal("scope", _path_list([violation.split(": ", 1)[1] for violation in violations])), tuple(
        violations
    )


def _path_list(paths: Sequence[str]) -> str:
    rest = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
    return ", ".join(f"'{path}'" for path in paths[:_MAX_PATHS]) + rest
