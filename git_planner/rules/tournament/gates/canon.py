"""Canon lock: the ports, invariants and acceptance tests of modules that a change must keep. Pure.

A lock holds the digest of each locked file. Modules are found by their 'module.json', whose paths are
relative to its folder.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LOCK_PATH = "amr/canon.lock.json"
MODULES_ROOT = "modules"
SCHEMA, OLD_SCHEMA = "git-planner/canon-lock@1", "tm-canon-lock@1"
_SCRIPT = "script:"


class LockedFile(NamedTuple):
    """A file that a lock names. `path` is from the top of the repository; None if no file is named.

    `symbol` is the exported name, of ports; `sha256` the digest of the content, None if it is not known.
    """

    path: str | None
    symbol: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class CanonModule:
    """A module: its folder, and its ports, invariants and acceptance tests by name."""

    id: str
    path: str
    ports: Mapping[str, LockedFile] = field(default_factory=dict)
    invariants: Mapping[str, LockedFile] = field(default_factory=dict)
    acceptance: Mapping[str, LockedFile] = field(default_factory=dict)


class CanonFinding(NamedTuple):
    """A difference from the lock. `is_error` is False for a note, such as one of an extra module."""

    code: str
    message: str
    is_error: bool = True


def module_of(manifest: Mapping[str, Any], path: str, digest: Callable[[str], str | None]) -> CanonModule:
    """Return the module of a valid 'module.json'.

    Args:
        manifest: the document.
        path: the folder that it lies in.
        digest: returns the SHA-256 of a file of the tree; None if there is no such file.
    """

    def locked(name: str | None, symbol: str | None = None) -> LockedFile:
        file = None if name is None else posixpath.normpath(posixpath.join(path, name.removeprefix(_SCRIPT)))
        return LockedFile(file, symbol, None if file is None else digest(file))

    exports = manifest.get("port_exports", {})
    ports = {port: LockedFile(None) for port in manifest["provides"]}
    ports |= {port: locked(export["file"], export.get("export")) for port, export in exports.items()}
    invariants: dict[str, LockedFile] = {}
    for line in manifest.get("invariants", ()):
        # 'name: path' names the test of an invariant.
        name, _, test = line.rpartition(": ")
        file = locked(test) if name else LockedFile(None)
        invariants |= {line: LockedFile(None)} if file.sha256 is None else {name: file}
    return CanonModule(
        id=manifest["id"],
        path=path,
        ports=ports,
        invariants=invariants,
        acceptance={test: locked(test) for test in manifest.get("tests", ())},
    )


def lock_document(modules: Mapping[str, CanonModule], root: str) -> dict[str, Any]:
    """Return the lock of modules as a document. A port without a file is locked by its name."""
    return {
        "schema": SCHEMA,
        "modules_root": root,
        "modules": {
            module.id: {
                "path": module.path,
                "ports": {
                    name: {"file": file.path or module.path, "symbol": file.symbol, "sha256": file.sha256}
                    for name, file in module.ports.items()
                },
                "invariants": {
                    name: {"test": file.path, "sha256": file.sha256}
                    for name, file in module.invariants.items()
                },
                "acceptance": {
                    name: {"path": file.path, "sha256": file.sha256}
                    for name, file in module.acceptance.items()
                },
            }
            for module in modules.values()
        },
    }


def lock_from(document: Mapping[str, Any]) -> dict[str, CanonModule]:
    """Build the locked modules from a valid lock, or from one of the older form, which has no digests.

    Raises:
        ValueError: a document of the older form is not like one.
    """
    if document.get("schema") == OLD_SCHEMA:
        return _old_lock(document)
    return {
        name: CanonModule(
            name,
            module["path"],
            {
                port: LockedFile(
                    None if entry["file"] == module["path"] else entry["file"],
                    entry["symbol"],
                    entry["sha256"],
                )
                for port, entry in module["ports"].items()
            },
            {
                key: LockedFile(entry["test"], None, entry["sha256"])
                for key, entry in module["invariants"].items()
            },
            {
                key: LockedFile(entry["path"], None, entry["sha256"])
                for key, entry in module["acceptance"].items()
            },
        )
        for name, module in document["modules"].items()
    }


def _old_lock(document: Mapping[str, Any]) -> dict[str, CanonModule]:
    """Build the modules of an older lock, whose paths are from the folder of the module."""
    try:
        modules = {}
        for name, module in document["modules"].items():
            ports = {
                port: LockedFile(_text(entry["export"]["file"]), _text(entry["export"].get("symbol")))
                for port, entry in module.get("ports", {}).items()
            }
            invariants = {
                key: LockedFile(_text(entry.get("test")))
                for key, entry in module.get("invariants", {}).items()
            }
            tests = {key: LockedFile(_text(path)) for key, path in module.get("acceptance", {}).items()}
            modules[name] = CanonModule(name, "", ports, invariants, tests)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__.lower()}: {str(error)[:200]}") from None
    return modules


def _text(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > 1024):
        raise TypeError("a path or name is not a text")
    return value


def compare_lock(
    locked: Mapping[str, CanonModule],
    present: Mapping[str, CanonModule],
    digest: Callable[[str], str | None],
) -> Iterator[CanonFinding]:
    """Yield the differences between a lock and the modules of a tree.

    Args:
        locked: the modules of the lock.
        present: the modules of the tree.
        digest: returns the SHA-256 of a file of the tree; None if there is no such file.
    """
    for name, module in sorted(locked.items()):
        if name not in present:
            yield CanonFinding("E_CANON_MISSING_MODULE", f"the locked module '{name}' is missing")
            continue
        now = present[name]
        yield from _compare_ports(module, now, digest)
        yield from _compare_tests(module, now, digest)
    for name, module in sorted(present.items()):
        if name not in locked:
            yield CanonFinding("E_CANON_EXTRA", f"module '{name}' is not in the lock", is_error=False)
            continue
        for port in sorted(module.ports.keys() - locked[name].ports.keys()):
            message = f"port '{port}' of module '{name}' is not in the lock"
            yield CanonFinding("E_CANON_EXTRA", message, is_error=False)


def _compare_ports(
    locked: CanonModule, now: CanonModule, digest: Callable[[str], str | None]
) -> Iterator[CanonFinding]:
    for port, file in sorted(locked.ports.items()):
        what = f"port '{port}' of module '{locked.id}'"
        if port not in now.ports:
            yield CanonFinding("E_CANON_MISSING_INTERFACE", f"{what} is not provided any more")
            continue
        path, given = _located(locked, now, file.path), now.ports[port]
        if path is None:
            continue
        if given.path != path or (file.symbol is not None and given.symbol != file.symbol):
            exported = f"'{given.path}' ({given.symbol})" if given.path else "no file"
            message = f"{what} is locked to '{path}' ({file.symbol}), and is exported by {exported}"
            yield CanonFinding("E_CANON_PORT_MISMATCH", message)
        yield from _compare_file(what, path, file.sha256, digest, "E_CANON_PORT_MISSING_FILE")


def _compare_tests(
    locked: CanonModule, now: CanonModule, digest: Callable[[str], str | None]
) -> Iterator[CanonFinding]:
    for name, file in sorted(locked.invariants.items()):
        what = f"invariant '{name}' of module '{locked.id}'"
        if name not in now.invariants:
            yield CanonFinding("E_CANON_MISSING_INVARIANT", f"{what} is not listed any more")
        path = _located(locked, now, file.path)
        if path is not None:
            if name in now.invariants and now.invariants[name].path not in (path, None):
                message = f"{what} is locked to '{path}', and is tested by '{now.invariants[name].path}'"
                yield CanonFinding("E_CANON_MISSING_INVARIANT_TEST", message)
            yield from _compare_file(what, path, file.sha256, digest, "E_CANON_MISSING_INVARIANT_TEST")
    for name, file in sorted(locked.acceptance.items()):
        what = f"acceptance test '{name}' of module '{locked.id}'"
        path = _located(locked, now, file.path)
        if path is None:
            continue
        if path not in {test.path for test in now.acceptance.values()}:
            yield CanonFinding("E_CANON_MISSING_ACCEPTANCE", f"{what} is not listed any more")
        yield from _compare_file(what, path, file.sha256, digest, "E_CANON_MISSING_ACCEPTANCE")


def _located(locked: CanonModule, now: CanonModule, path: str | None) -> str | None:
    """Return a locked path from the top; an older lock names it from the module's folder."""
    if path is None or locked.path:
        return path
    return posixpath.normpath(posixpath.join(now.path, path.removeprefix(_SCRIPT)))


def _compare_file(
    what: str, path: str, sha256: str | None, digest: Callable[[str], str | None], missing: str
) -> Iterator[CanonFinding]:
    now = digest(path)
    if now is None:
        yield CanonFinding(missing, f"'{path}' of {what} is missing")
    elif sha256 is not None and now != sha256:
        yield CanonFinding("E_CANON_DIGEST", f"'{path}' of {what} has changed")


def compare_locks(old: Mapping[str, CanonModule], new: Mapping[str, CanonModule]) -> list[str]:
    """Return the differences between two sets of modules, one line each."""
    lines = []
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            lines.append(f"{'-' if name in old else '+'} module {name}")
            continue
        for kind in ("ports", "invariants", "acceptance"):
            before, after = getattr(old[name], kind), getattr(new[name], kind)
            for entry in sorted({*before, *after}):
                if entry not in after or entry not in before:
                    lines.append(f"{'-' if entry in before else '+'} {name} {kind} {entry}")
                elif before[entry] != after[entry]:
                    lines.append(f"~ {name} {kind} {entry}: {_change(before[entry], after[entry])}")
    return lines


def _change(before: LockedFile, after: LockedFile) -> str:
    if before[:2] != after[:2]:
        return f"{before.path} ({before.symbol}) is now {after.path} ({after.symbol})"
    return f"{after.path} {(before.sha256 or 'unlocked')[:12]} is now {(after.sha256 or 'missing')[:12]}"
