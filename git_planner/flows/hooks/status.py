"""Compare the installed hooks with what would be installed now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.manifest import INSTALL, OUTSIDE, current_setting, installed_manifest
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX, EVERYWHERE, Content, HookSetting
from git_planner.gitio import conditional_include
from git_planner.gitio.repository import Repository
from git_planner.rules.diagnostic import Diagnostic

_PROBES = tuple(f"{prefix}0000-probe" for prefix in scripts.PREFIXES)


@dataclass(frozen=True, slots=True)
class HookStatus:
    """State of the installed hooks. `place` is None when none are installed."""

    place: str | None
    folder: Path | None
    theirs: str
    findings: tuple[Diagnostic, ...]

    def document(self) -> dict[str, Any]:
        """The status as JSON."""
        return {
            "schema": "git-planner/hooks-status@1",
            "installed": self.place is not None,
            "place": self.place,
            "folder": None if self.folder is None else str(self.folder),
            "theirs": self.theirs,
            "findings": [finding.document() for finding in self.findings],
        }


def hook_status(repo: Repository) -> HookStatus:
    """Check that the hooks are installed, unchanged, up to date and used by git."""
    manifest = installed_manifest(repo)
    if manifest is None:
        theirs = current_setting(repo, ordinary=False).theirs
        absent = Diagnostic(
            "error", "hooks-absent", "no hooks of git-planner are installed", str(repo.common), INSTALL
        )
        return HookStatus(None, None, theirs, (absent,))
    partial: list[Diagnostic] = []
    # The checking Python may differ from the one that installed the hooks.
    setting = replace(
        current_setting(repo, ordinary=manifest["place"] == "ordinary"),
        python=manifest["python"],
        code=manifest["code"],
    )
    if setting.place == "include" and not setting.outside:
        partial.append(_partial_finding(setting))
    findings = [*_file_findings(repo, setting, manifest), *_interpreter_findings(manifest)]
    if setting.place == "include":
        findings += [*_everywhere_findings(setting, manifest), *_include_findings(repo, setting)]
    return HookStatus(manifest["place"], Path(manifest["folder"]), setting.theirs, (*findings, *partial))


def _file_findings(repo: Repository, setting: HookSetting, manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    folder = Path(manifest["folder"])
    if manifest["common"] != str(repo.common):
        yield Diagnostic(
            "error",
            "hooks-moved",
            f"the repository was moved or copied: its hooks were installed in '{manifest['common']}'",
            str(repo.common),
            INSTALL,
        )
        return
    if folder != setting.folder:
        yield Diagnostic(
            "error",
            "hooks-moved",
            f"the hooks were installed for '{folder}', but are looked for in '{setting.folder}'",
            str(folder),
            INSTALL,
        )
        return
    outside = Path(manifest["outside"] or folder)
    digests = {
        name: scripts.file_digest(
            outside / name.removeprefix(OUTSIDE) if name.startswith(OUTSIDE) else folder / name
        )
        for name in manifest["files"]
    }
    changed = sorted(name for name, digest in manifest["files"].items() if digests[name] != digest)
    if changed:
        names = ", ".join(f"'{name}'" for name in changed)
        yield Diagnostic(
            "error",
            "hooks-changed",
            f"hooks were changed after they were installed: {names}",
            str(folder),
            INSTALL,
        )
    expected = _expected_files(setting)
    if manifest["files"] != {name: scripts.content_digest(content) for name, content in expected.items()}:
        yield Diagnostic(
            "warning",
            "hooks-stale",
            f"the hooks are out of date: the repository's own hooks (now in '{setting.theirs}') or "
            "git-planner changed after the installation",
            str(repo.common),
            INSTALL,
        )


def _expected_files(setting: HookSetting) -> dict[str, Content]:
    """Return the files that an installation would write now."""

    def script_with_backup(name: str) -> bytes:
        return setting.script(name, f"{setting.theirs}/{name}{BACKUP_SUFFIX}", place="ordinary")

    if setting.place == "ordinary":
        return {name: script_with_backup(name) for name in scripts.OURS}
    everywhere: dict[str, Content] = (
        {OUTSIDE + EVERYWHERE: script_with_backup(EVERYWHERE)} if setting.outside else {}
    )
    return scripts.hook_files(setting) | everywhere


def _partial_finding(setting: HookSetting) -> Diagnostic:
    return Diagnostic(
        "warning",
        "hooks-partly",
        f"'{setting.theirs}' is shared or lies outside the git directory, so managed branches are guarded "
        "only while they are checked out",
        setting.theirs,
        "let CI run 'git planner check --range', which sees what hooks do not",
    )


def _everywhere_findings(setting: HookSetting, manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    """Check that git still uses the folder whose hook guards branches not checked out."""
    if manifest["outside"] not in (None, setting.theirs):
        yield Diagnostic(
            "error",
            "hooks-overridden",
            f"core.hooksPath, now '{setting.theirs}', disables '{EVERYWHERE}': managed branches are "
            "guarded only while they are checked out",
            manifest["outside"],
            f"unset core.hooksPath, or run '{INSTALL}' to guard them at least while they are checked out",
        )


def _interpreter_findings(manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    python = manifest["python"]
    if not os.access(python, os.X_OK):
        yield Diagnostic(
            "error", "hooks-interpreter", "the Python that the hooks start does not exist", python, INSTALL
        )


def _include_findings(repo: Repository, setting: HookSetting) -> Iterator[Diagnostic]:
    """Check that git uses the installed folder on managed branches."""
    # A probe HEAD needs the 'files' ref backend.
    files = repo.config("extensions.refStorage") in (None, "files")
    for branch in _PROBES if files else ():
        values = conditional_include.hooks_paths(repo, branch)
        last = values[-1] if values else None
        if last is None or last.value != str(setting.folder):
            cause = f"'{last.value}' from '{last.origin}' wins" if last else "the include is missing"
            pattern = branch.split("/", maxsplit=1)[0] + "/**"
            yield Diagnostic(
                "error",
                "hooks-overridden",
                f"git does not use the installed hooks on '{pattern}': {cause}",
                pattern,
                INSTALL,
            )
    for place, value in conditional_include.worktree_values(repo):
        yield Diagnostic(
            "error",
            "hooks-overridden",
            f"core.hooksPath in this worktree's configuration overrides the installed hooks: '{value}'",
            str(place),
            f"set core.hooksPath with --local instead of --worktree, then run '{INSTALL}'",
        )
