"""Register the MCP server with an agent's client, in the client's own file, and take it out again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from git_planner import atomic_file, managed_block
from git_planner.errors import PlannerError
from git_planner.flows.setup.client_files import APPROVING, ARGUMENTS, CLIENTS, SERVER, ClientFile, Scope
from git_planner.host.machine import own_program
from git_planner.rules.documents import json_edit, toml_edit

_MAX_BYTES = 4 * 1024 * 1024
State = Literal["printed", "written", "kept", "removed", "absent"]


class Registration(NamedTuple):
    """The registration with one client: its file, the entry there as text, and what was done."""

    client: str
    scope: str
    path: str
    entry: str
    state: State

    def document(self) -> dict[str, Any]:
        """Return the registration as JSON."""
        return {"schema": "git-planner/mcp-registration@1", **self._asdict()}


def register(
    client: str, scope: Scope | None, top: Path | None, *, approve: bool, write: bool
) -> Registration:
    """Write the server's entry into a client's file, if it is not there.

    Args:
        client: a key of CLIENTS.
        scope: 'user' or 'project'; the client's first one when None.
        top: the worktree, for the scope 'project'.
        approve: whether the client may call the tools without asking.
        write: False to return the entry only.

    Raises:
        PlannerError: E_USAGE, E_REGISTRATION, E_JSON, E_UNWRITABLE, E_BUSY.
    """
    scope, file, path = _find(client, scope, top)
    if approve and client not in APPROVING:
        raise PlannerError(
            "E_USAGE",
            f"'{client}' has no setting in this file for calls without asking",
            hint=f"allow them in the client; '--approve' works with {', '.join(APPROVING)}",
        )
    command = "git-planner" if scope == "project" else own_program("git-planner")
    entry = file.entry(command, approve)
    text = toml_edit.table_text(file.keys, entry) if file.is_toml else _as_json(file, entry)
    if not write:
        return Registration(client, scope, str(path), text, "printed")

    def change(before: str) -> str:
        present = _read_entry(file, before)
        if present is None:
            return _set_entry(file, before, entry)
        _check_ours(path, present)
        if present.items() >= entry.items():
            return before
        return _set_entry(file, _remove_entry(file, before), {**present, **entry})

    state: State = "written" if _rewrite(path, change) else "kept"
    return Registration(client, scope, str(path), text, state)


def unregister(client: str, scope: Scope | None, top: Path | None) -> Registration:
    """Take the server's entry out of a client's file; every other byte stays.

    Raises:
        PlannerError: as `register`.
    """
    scope, file, path = _find(client, scope, top)
    if not path.exists():
        return Registration(client, scope, str(path), "", "absent")

    def change(before: str) -> str:
        present = _read_entry(file, before)
        if present is None:
            return before
        _check_ours(path, present)
        return _remove_entry(file, before)

    return Registration(client, scope, str(path), "", "removed" if _rewrite(path, change) else "absent")


def registrations(top: Path | None) -> list[str]:
    """Return the clients with which the server is registered, each with its scope."""
    places = []
    for client, scopes in CLIENTS.items():
        for scope, file in scopes.items():
            path = file.path(os.environ, top)
            try:
                entry = _read_entry(file, atomic_file.read(path, _MAX_BYTES).decode())
            except (OSError, UnicodeDecodeError, PlannerError):
                continue
            places += [f"{client} ({scope})"] if entry is not None else []
    return places


def _find(client: str, scope: Scope | None, top: Path | None) -> tuple[Scope, ClientFile, Path]:
    scopes = CLIENTS[client]
    chosen: Scope = scope if scope is not None else next(iter(scopes))
    if chosen not in scopes:
        raise PlannerError(
            "E_USAGE",
            f"'{client}' has no file for the scope '{chosen}'",
            hint=f"scopes of '{client}': {', '.join(scopes)}",
        )
    if chosen == "project" and top is None:
        raise PlannerError(
            "E_USAGE", "the scope 'project' needs a worktree", hint="run it in the project's worktree"
        )
    path = scopes[chosen].path(os.environ, top)
    if chosen == "project":
        check_within(path, top)
    return chosen, scopes[chosen], path


def check_within(path: Path, top: Path | None) -> None:
    """Refuse a path of the worktree that a symbolic link leads out of it.

    Raises:
        PlannerError: E_REGISTRATION.
    """
    if top is not None and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top)):
        raise PlannerError(
            "E_REGISTRATION",
            f"'{path}' is a link that leads out of the worktree",
            hint="look at what the repository has there",
        )


def _rewrite(path: Path, change: Callable[[str], str]) -> bool:
    try:
        if path.exists():
            # Also refuses what is no regular file, and one that is too large.
            atomic_file.read(path, _MAX_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True)
        return managed_block.rewrite(path, lambda data: change(data.decode()).encode(), "client's file")
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{path}' cannot be read or written: {error.strerror or error}",
            hint="print the entry with '--print', and put it there by hand",
        ) from None
    except UnicodeDecodeError:
        raise _unchangeable(path, "it is not UTF-8") from None
    except PlannerError as error:
        raise _unchangeable(path, error.message) if error.code == "E_JSON" else error from None


def _read_entry(file: ClientFile, text: str) -> Any:
    """Return the server's entry; None when there is none."""
    if file.is_toml:
        return toml_edit.read_table(text, file.keys)
    return json_edit.read_member(text if text.strip() else "{}", file.keys)


def _set_entry(file: ClientFile, text: str, entry: Mapping[str, Any]) -> str:
    if file.is_toml:
        return toml_edit.add_table(text, file.keys, entry)
    return json_edit.set_member(text, file.keys, entry)


def _remove_entry(file: ClientFile, text: str) -> str:
    """Return a file's text without the entry, and without what is empty then; '' if nothing is left."""
    if file.is_toml:
        return toml_edit.remove_table(text, file.keys)
    after = json_edit.remove_member(text, file.keys)
    if json_edit.read_member(after, file.keys[:1]) == {}:
        after = json_edit.remove_member(after, file.keys[:1])
    return "" if after.strip() == "{}" else after


def _check_ours(path: Path, entry: Any) -> None:
    """Refuse an entry of this name that starts another program."""
    command = entry.get("command") if isinstance(entry, dict) else None
    words = (
        [*command] if isinstance(command, list) else [command, *(entry.get("args") or ())] if command else []
    )
    if not words or Path(str(words[0])).name != "git-planner" or tuple(words[1:]) != ARGUMENTS:
        raise PlannerError(
            "E_REGISTRATION",
            f"'{path}' has another server '{SERVER}'",
            hint=f"look at it, and remove it first if it is not needed ('codex mcp get {SERVER}')",
        )


def _as_json(file: ClientFile, entry: Mapping[str, Any]) -> str:
    return json.dumps({file.keys[0]: {SERVER: entry}}, indent=2) + "\n"


def _unchangeable(path: Path, reason: str) -> PlannerError:
    return PlannerError(
        "E_REGISTRATION",
        f"'{path}' cannot be changed: {reason}",
        hint="print the entry with '--print', and put it there by hand",
    )
