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
    """How the hooks are. `place` is None when none are installed."""

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
    """Look whether the hooks are there, unchanged, up to date and in force."""
    manifest = installed_manifest(repo)
    if manifest is None:
        theirs = current_setting(repo, ordinary=False).theirs
        absent = Diagnostic(
            "error", "hooks-absent", "no hooks of git-planner are installed", str(repo.common), INSTALL
        )
        return HookStatus(None, None, theirs, (absent,))
    partly: list[Diagnostic] = []
    # Whoever looks may run another Python than the one the hooks were installed with; that is no defect.
    setting = replace(
        current_setting(repo, ordinary=manifest["place"] == "ordinary"),
        python=manifest["python"],
        code=manifest["code"],
    )
    if setting.place == "include" and not setting.outside:
        partly.append(_partly(setting))
    findings = [*_file_findings(repo, setting, manifest), *_interpreter_findings(manifest)]
    if setting.place == "include":
        findings += [*_everywhere_findings(setting, manifest), *_include_findings(repo, setting)]
    return HookStatus(manifest["place"], Path(manifest["folder"]), setting.theirs, (*findings, *partly))


def _file_findings(repo: Repository, setting: HookSetting, manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    folder = Path(manifest["folder"])
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
    found = {
        name: scripts.file_digest(
            outside / name.removeprefix(OUTSIDE) if name.startswith(OUTSIDE) else folder / name
        )
        for name in manifest["files"]
    }
    changed = sorted(name for name, digest in manifest["files"].items() if found[name] != digest)
    if changed:
        names = ", ".join(f"'{name}'" for name in changed)
        yield Diagnostic(
            "error",
            "hooks-changed",
            f"hooks were changed after they were installed: {names}",
            str(folder),
            INSTALL,
        )
    wanted = _wanted(setting)
    if manifest["files"] != {name: scripts.content_digest(content) for name, content in wanted.items()}:
        yield Diagnostic(
            "warning",
            "hooks-stale",
            f"the hooks no longer fit: the repository's own hooks (now in '{setting.theirs}') or git-planner "
            "are other than when they were installed",
            str(repo.common),
            INSTALL,
        )


def _wanted(setting: HookSetting) -> dict[str, Content]:
    """What an installation would write now, whatever lies there."""

    def apart(name: str) -> bytes:
        return setting.script(name, f"{setting.theirs}/{name}{BACKUP_SUFFIX}", place="ordinary")

    if setting.place == "ordinary":
        return {name: apart(name) for name in scripts.OURS}
    everywhere: dict[str, Content] = {OUTSIDE + EVERYWHERE: apart(EVERYWHERE)} if setting.outside else {}
    return scripts.hook_files(setting) | everywhere


def _partly(setting: HookSetting) -> Diagnostic:
    return Diagnostic(
        "warning",
        "hooks-partly",
        f"'{setting.theirs}' is not ours to write into, so our branches are guarded while they are "
        "checked out, and not when they are moved from elsewhere",
        setting.theirs,
        "let CI run 'git planner check --range', which sees what hooks do not",
    )


def _everywhere_findings(setting: HookSetting, manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    """Whether git still looks where the hook was put that judges branches which are not checked out."""
    if manifest["outside"] not in (None, setting.theirs):
        yield Diagnostic(
            "error",
            "hooks-overridden",
            f"core.hooksPath, now '{setting.theirs}', takes '{EVERYWHERE}' out of force: our branches are "
            "not guarded when they are moved from elsewhere",
            manifest["outside"],
            f"unset core.hooksPath, or run '{INSTALL}' to guard them at least while they are checked out",
        )


def _interpreter_findings(manifest: dict[str, Any]) -> Iterator[Diagnostic]:
    python = manifest["python"]
    if not os.access(python, os.X_OK):
        yield Diagnostic(
            "error", "hooks-interpreter", "the Python that the hooks start is gone", python, INSTALL
        )


def _include_findings(repo: Repository, setting: HookSetting) -> Iterator[Diagnostic]:
    """Whether git really takes our folder on our branches."""
    # Where refs are kept in another way, a made-up HEAD cannot be asked about.
    files = repo.config("extensions.refStorage") in (None, "files")
    for branch in _PROBES if files else ():
        values = conditional_include.hooks_paths(repo, branch)
        last = values[-1] if values else None
        if last is None or last.value != str(setting.folder):
            why = f"'{last.value}' from '{last.origin}' wins" if last else "the include is gone"
            pattern = branch.split("/", maxsplit=1)[0] + "/**"
            yield Diagnostic(
                "error",
                "hooks-overridden",
                f"git does not use our hooks on '{pattern}': {why}",
                pattern,
                INSTALL,
            )
    for place, value in conditional_include.worktree_values(repo):
        yield Diagnostic(
            "error",
            "hooks-overridden",
            f"core.hooksPath of this worktree's own configuration wins over our hooks: '{value}'",
            str(place),
            f"set core.hooksPath with --local instead of --worktree, then run '{INSTALL}'",
        )
