"""Suggest a branch or tag for a mistyped one."""

from __future__ import annotations

from contextlib import suppress

from git_planner.errors import PlannerError

# The end of the message and the start of the hint of an unknown name; see `Repository.resolve`.
_MESSAGE, _HINT = "' names no commit here", "list names with"


def suggest_name(error: PlannerError) -> PlannerError:
    """Return an error with a hint that suggests a branch or tag, if a name like it is unknown."""
    is_unknown = error.code == "E_UNKNOWN_REF" and error.message.endswith(_MESSAGE)
    if is_unknown and (error.hint or "").startswith(_HINT):
        from git_planner.cli.start import start_in_repository
        from git_planner.gitio.history import list_refs
        from git_planner.rules.did_you_mean import close_names, did_you_mean

        # A suggestion that fails must not hide the error.
        with suppress(PlannerError, OSError):
            refs = list_refs(start_in_repository(), "refs/heads/", "refs/tags/")
            name = error.message.removesuffix(_MESSAGE).removeprefix("'")
            near = close_names(name, (ref.split("/", 2)[2] for ref in refs))
            error.hint = did_you_mean(near, error.hint or "")
    return error
