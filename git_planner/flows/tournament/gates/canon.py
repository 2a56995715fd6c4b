"""Canon lock of a repository: make it, check a commit against that of the trusted base, tell what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file, documents
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.guard.trusted_base import Subject, utf8_path
from git_planner.gitio import export
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.gates import Gate
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.gate import GateResult
from git_planner.rules.tournament.gates import canon
from git_planner.rules.tournament.gates.canon import CanonFinding, CanonModule

MAX_MODULES, MAX_MODULE_BYTES, MAX_FILE_BYTES = 1000, 256 * 1024, 16 * 1024 * 1024
# Files that all manifests together may name.
MAX_FILES = 5000
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True, slots=True)
class CanonReport:
    """The result of a canon command: findings of a check, or lines of a comparison.

    `lock` is the path of the lock that was written; `base` is the commit whose lock counts, `commit` the one
    that was checked.
    """

    commit: str
    findings: tuple[CanonFinding, ...] = ()
    lines: tuple[str, ...] = ()
    base: str | None = None
    lock: str | None = None
    modules: int = 0

    @property
    def exit(self) -> int:
        """Exit status: 1 if a locked thing is missing or has changed, or the locks differ."""
        return NO if self.lines or any(finding.is_error for finding in self.findings) else DONE

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        findings = [finding._asdict() for finding in self.findings]
        return {
            "schema": "git-planner/canon-report@1",
            "commit": self.commit,
            "base": self.base,
            "ok": self.exit == DONE,
            "lock": self.lock,
            "modules": self.modules,
            "findings": findings,
            "lines": list(self.lines),
        }


def canon_gate(repo: Repository, gate: Gate, subject: Subject) -> GateResult:
    """Run the gate 'canon': a commit against the lock of its trusted base."""
    try:
        report = check_canon(repo, subject)
    except PlannerError as error:
        if error.code == "E_CANON_MISSING_RESOURCE":
            return gate_rule.refused_result(gate, "missing_tool", error.message)
        return GateResult(gate.name, "failed", error.code, message=error.message, details=error.details[:50])
    details = tuple(f"{finding.code}: {finding.message}" for finding in report.findings)[:50]
    first = next((finding for finding in report.findings if finding.is_error), None)
    if first is None:
        return GateResult(gate.name, "passed", details=details)
    return GateResult(gate.name, "failed", first.code, message=first.message, details=details)


def check_canon(repo: Repository, subject: Subject) -> CanonReport:
    """Check the tree of a commit against the lock of its trusted base.

    Raises:
        PlannerError: E_CANON_MISSING_RESOURCE if the base has no lock; E_CANON_PARSE if it, or a module of
            the commit, cannot be read.
    """
    locked, root = _read_lock(repo, subject.base)
    tree = _Tree(repo, subject.commit)
    present = tree.modules(root)
    findings = tuple(canon.compare_lock(locked, present, tree.digest))
    if _lock_changed(repo, subject):
        message = f"'{canon.LOCK_PATH}' itself has changed, by which later changes would be checked"
        findings = (CanonFinding("E_CANON_DIGEST", message), *findings)
    return CanonReport(subject.commit, findings, base=subject.base, modules=len(present))


def write_lock(repo: Repository, ref: str, root: str) -> CanonReport:
    """Write the lock of a commit's modules into the working tree, for a person to commit.

    Raises:
        PlannerError: E_CANON_PARSE, E_CANON_MISSING_RESOURCE if there is no module; E_USAGE without a working
            tree; E_UNKNOWN_REF, E_UNWRITABLE.
    """
    commit = repo.resolve(ref)
    modules = _Tree(repo, commit).modules(root)
    if not modules:
        raise PlannerError(
            "E_CANON_MISSING_RESOURCE",
            f"there is no 'module.json' below '{root}' in '{commit[:12]}'",
            hint="name the folder of the modules with --modules-root",
        )
    _check_files(modules)
    if repo.top is None:
        raise PlannerError("E_USAGE", "the lock is written into a working tree, and there is none here")
    place = Path(repo.top, canon.LOCK_PATH)
    document = canon.lock_document(modules, root)
    documents.check("canon-lock", document, canon.LOCK_PATH)
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write(place, canonical_json.dumps(document))
    return CanonReport(commit, lock=canon.LOCK_PATH, modules=len(modules))


def compare_canon(repo: Repository, ref: str, base: str) -> CanonReport:
    """Tell what a commit changed of what the lock of a base holds.

    Raises:
        PlannerError: E_CANON_MISSING_RESOURCE, E_CANON_PARSE, E_UNKNOWN_REF.
    """
    base, commit = repo.resolve(base), repo.resolve(ref)
    locked, root = _read_lock(repo, base)
    present = _Tree(repo, commit).modules(root)
    lines = tuple(canon.compare_locks(_with_folders(locked, present), present))
    return CanonReport(commit, lines=lines, base=base, modules=len(present))


def _lock_changed(repo: Repository, subject: Subject) -> bool:
    with repo.git.batch() as batch:
        entries = [batch.info(f"{commit}:{canon.LOCK_PATH}") for commit in (subject.base, subject.commit)]
    return entries[0] != entries[1]


def _with_folders(
    locked: Mapping[str, CanonModule], present: Mapping[str, CanonModule]
) -> Mapping[str, CanonModule]:
    """Return locked modules with the folders that an older lock leaves out."""
    import posixpath

    def moved(module: CanonModule) -> CanonModule:
        if module.path or module.id not in present:
            return module
        folder = present[module.id].path
        kinds = {
            kind: {
                name: file._replace(path=file.path and posixpath.normpath(f"{folder}/{file.path}"))
                for name, file in getattr(module, kind).items()
            }
            for kind in ("ports", "invariants", "acceptance")
        }
        return CanonModule(module.id, folder, **kinds)

    return {name: moved(module) for name, module in locked.items()}


def _check_files(modules: Mapping[str, CanonModule]) -> None:
    """Refuse to lock what is not there."""
    for module in modules.values():
        for kind in ("ports", "invariants", "acceptance"):
            for name, file in getattr(module, kind).items():
                if file.path is not None and file.sha256 is None:
                    raise PlannerError(
                        "E_CANON_PARSE",
                        f"'{file.path}' of '{name}' of module '{module.id}' is missing",
                        hint=f"correct '{module.path}/module.json'",
                    )


def _read_lock(repo: Repository, commit: str) -> tuple[dict[str, CanonModule], str]:
    where = f"{commit[:12]}:{canon.LOCK_PATH}"
    with repo.git.batch() as batch:
        entry = batch.info(f"{commit}:{canon.LOCK_PATH}")
        size = entry[2] if entry and entry[1] == "blob" else None
        data = (
            batch.read(entry[0]) if entry and size is not None and size <= canonical_json.MAX_BYTES else None
        )
    if entry is None:
        raise PlannerError(
            "E_CANON_MISSING_RESOURCE",
            f"'{where}' is missing",
            hint="make it with 'git bo4 canon lock' and commit it",
        )
    if data is None:
        raise PlannerError("E_CANON_PARSE", f"'{where}' is not a file of a bounded size")
    try:
        document = canonical_json.loads(data, where)
        if not isinstance(document, dict) or document.get("schema") != canon.OLD_SCHEMA:
            documents.check("canon-lock", document, where)
        return canon.lock_from(document), str(document.get("modules_root", canon.MODULES_ROOT))
    except PlannerError as error:
        raise PlannerError("E_CANON_PARSE", error.message, hint=error.hint, details=error.details) from None
    except ValueError as error:
        raise PlannerError("E_CANON_PARSE", f"'{where}' is not a canon lock: {error}") from None


class _Tree:
    """The files of a commit below the folder of its modules, with their digests."""

    def __init__(self, repo: Repository, commit: str) -> None:
        self.repo, self.commit = repo, commit
        self.files: dict[str, tuple[str, str]] = {}
        self.digests: dict[str, str | None] = {}

    def modules(self, root: str) -> dict[str, CanonModule]:
        """Return the modules of the tree by their ids."""
        self.files = export.entries(self.repo, self.commit, [f":(top,literal){root}"])
        paths = [path for path in self.files if path.endswith("/module.json")]
        if len(paths) > MAX_MODULES:
            raise PlannerError("E_CANON_PARSE", f"there are {len(paths):,} modules; at most {MAX_MODULES:,}")
        modules: dict[str, CanonModule] = {}
        manifests = {path: self._manifest(path) for path in sorted(paths)}
        keys = ("port_exports", "invariants", "tests")
        named = sum(len(manifest.get(key, ())) for manifest in manifests.values() for key in keys)
        if named > MAX_FILES:
            raise PlannerError("E_CANON_PARSE", f"modules name {named:,} files; at most {MAX_FILES:,}")
        for path, manifest in manifests.items():
            module = canon.module_of(manifest, path.removesuffix("/module.json"), self.digest)
            if module.id in modules:
                one, other = modules[module.id].path, module.path
                raise PlannerError(
                    "E_CANON_PARSE", f"module '{module.id}' is there twice: in '{one}' and in '{other}'"
                )
            modules[module.id] = module
        return modules

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file of the tree; None if it is missing, no plain file, or too large."""
        if path not in self.digests:
            data = self._content(path, MAX_FILE_BYTES)
            self.digests[path] = None if data is None else hashlib.sha256(data).hexdigest()
        return self.digests[path]

    def _manifest(self, path: str) -> Mapping[str, Any]:
        data, shown = self._content(path, MAX_MODULE_BYTES), utf8_path(path)
        if data is None:
            raise PlannerError("E_CANON_PARSE", f"'{shown}' is not a plain file of a bounded size")
        try:
            return documents.read("module", data, shown)
        except PlannerError as error:
            raise PlannerError(
                "E_CANON_PARSE", error.message, hint=error.hint, details=error.details
            ) from None

    def _content(self, path: str, limit: int) -> bytes | None:
        if path in self.files:
            mode, oid = self.files[path]
        else:
            # A module may name a file outside its folder, but none outside the repository.
            if path.startswith(("/", "..")):
                return None
            other = export.entries(self.repo, self.commit, [f":(top,literal){path}"]).get(path)
            if other is None:
                return None
            mode, oid = other
        if mode in (_LINK, _SUBMODULE):
            return None
        with self.repo.git.batch() as batch:
            entry = batch.info(oid)
        if entry is None or entry[2] > limit:
            return None
        return next(iter(read_objects(self.repo.git, [oid])), None)
