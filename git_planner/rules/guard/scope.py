"""Check the changes of a candidate against guard and scope. Pure: git has matched the paths already."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from git_planner.rules.guard.guard import FileChange
from git_planner.rules.measuring.verdict import Refusal

_MAX_PATHS = 5


def check_guarded_changes(changes: Sequence[FileChange]) -> tuple[Refusal, tuple[str, ...]] | None:
    """Refuse changes of guarded paths between the trusted base and the candidate."""
    return check_differences([(change.path, change.message) for change in changes])


def check_differences(differences: Sequence[tuple[str, str]]) -> tuple[Refusal, tuple[str, ...]] | None:
    """Refuse differences of guarded paths, given as pairs of path and message."""
    if not differences:
        return None
    # A path may be refused for two reasons, such as a link that is named like a module.
    paths = list(dict.fromkeys(path for path, _ in differences))
    return Refusal("guard", _path_list(paths)), tuple(dict.fromkeys(message for _, message in differences))


def check_scope(
    changed: Sequence[str], allowed: Collection[str] | None, forbidden: Collection[str]
) -> tuple[Refusal, tuple[str, ...]] | None:
    """Check the changed paths of a candidate against the policy's scope.

    Args:
        changed: every changed path except the state file.
        allowed: the changed paths that match an allowed pattern; None if the policy allows everything.
        forbidden: the changed paths that match a forbidden pattern.

    Returns:
        The refusal and one violation per path, or None if all paths are inside the scope.
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
