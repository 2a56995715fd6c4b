"""Register the MCP server with an agent's client, in the client's own file, and take it out again."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from git_planner import atomic_file, managed_block
from git_planner.errors import PlannerError
from git_planner.flows.setup.client_files import APPROVING, CLIENTS, SERVER, ClientFile, Scope
from git_planner.managed_block import ManagedBlock
from git_planner.rules.documents import json_edit

BLOCK = ManagedBlock("mcp server")
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
    command = "git-planner" if scope == "project" else own_program()
    entry = file.entry(command, approve)
    text = (
        _toml(file, entry) if file.is_toml else json.dumps({file.keys[0]: {SERVER: entry}}, indent=2) + "\n"
    )
    if not write:
        return Registration(client, scope, str(path), text, "printed")

    def change(data: bytes) -> bytes:
        if file.is_toml:
            return _with_table(path, data, file, entry, text)
        before = _decoded(path, data)
        if json_edit.read_member(before or "{}", file.keys) == entry:
            return data
        return json_edit.set_member(before, file.keys, entry).encode()

    return Registration(client, scope, str(path), text, "written" if _rewrite(path, change) else "kept")


def unregister(client: str, scope: Scope | None, top: Path | None) -> Registration:
    """Take the server's entry out of a client's file; every other byte stays.

    Raises:
        PlannerError: as `register`.
    """
    scope, file, path = _find(client, scope, top)
    if not path.exists():
        return Registration(client, scope, str(path), "", "absent")

    def change(data: bytes) -> bytes:
        if not file.is_toml:
            return _without_member(_decoded(path, data), file)
        after = BLOCK.without(data)
        if after == data and _table(path, data, file) is not None:
            raise PlannerError(
                "E_REGISTRATION",
                f"the server '{SERVER}' in '{path}' was not registered by this command",
                hint=f"remove it with 'codex mcp remove {SERVER}'",
            )
        return after

    return Registration(client, scope, str(path), "", "removed" if _rewrite(path, change) else "absent")


def registrations(top: Path | None) -> list[str]:
    """Return the clients with which the server is registered, each with its scope."""
    places = []
    for client, scopes in CLIENTS.items():
        for scope, file in scopes.items():
            path = file.path(os.environ, top)
            try:
                data = atomic_file.read(path, _MAX_BYTES)
                entry = (
                    _table(path, data, file)
                    if file.is_toml
                    else json_edit.read_member(_decoded(path, data) or "{}", file.keys)
                )
            except (OSError, PlannerError):
                continue
            places += [f"{client} ({scope})"] if entry is not None else []
    return places


def own_program() -> str:
    """Return the path of this installation's `git-planner`: a client may have another PATH."""
    sibling = Path(sys.executable).with_name("git-planner")
    return str(sibling) if sibling.exists() else shutil.which("git-planner") or "git-planner"


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


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> bool:
    try:
        if path.exists():
            # Also refuses what is no regular file, and one that is too large.
            atomic_file.read(path, _MAX_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True)
        return managed_block.rewrite(path, change, "client's file")
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{path}' cannot be read or written: {error.strerror or error}",
            hint="print the entry with '--print', and put it there by hand",
        ) from None


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not UTF-8") from None


def _table(path: Path, data: bytes, file: ClientFile) -> Any:
    """Return the entry of the server in TOML; None when there is none."""
    try:
        value: Any = tomllib.loads(_decoded(path, data))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    for key in file.keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _with_table(path: Path, data: bytes, file: ClientFile, entry: dict[str, Any], text: str) -> bytes:
    """Return TOML with the server's table in a block at the end; the same bytes when it is registered."""
    present = _table(path, data, file)
    if present == entry:
        return data
    if BLOCK.without(data) == data and present is not None:
        raise PlannerError(
            "E_REGISTRATION",
            f"'{path}' has another server '{SERVER}'",
            hint=f"see it with 'codex mcp get {SERVER}', and remove it first if it is not needed",
        )
    after = BLOCK.appended(data, text.encode())
    if _table(path, after, file) != entry:
        raise _unreadable(path, "its tables cannot be extended")
    return after


def _without_member(text: str, file: ClientFile) -> bytes:
    """Return JSON without the server's entry, and without what is empty then; b'' if nothing is left."""
    after = json_edit.remove_member(text, file.keys)
    if after == text:
        return text.encode()
    if json_edit.read_member(after, file.keys[:1]) == {}:
        after = json_edit.remove_member(after, file.keys[:1])
    return b"" if after.strip() == "{}" else after.encode()


def _toml(file: ClientFile, entry: Mapping[str, Any]) -> str:
    # A text of JSON is one of TOML.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()]
    return "\n".join([f"[{'.'.join(file.keys)}]", *lines]) + "\n"


def _unreadable(path: Path, reason: str) -> PlannerError:
    return PlannerError(
        "E_REGISTRATION",
        f"'{path}' cannot be changed: {reason}",
        hint="print the entry with '--print', and put it there by hand",
    )
