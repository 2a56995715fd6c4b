"""Installing, removing and looking after the hooks of a repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import git_planner
from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.scripts import Content, Setting
from git_planner.gitio import conditional_include
from git_planner.gitio.repository import Repository
from git_planner.rules.diagnostic import Finding

INSTALL = "git planner hooks install"
KEPT = scripts.KEPT
_KEYS = {"schema", "place", "folder", "made", "outside", "python", "code", "files"}
# Before the name of a hook that stands in the ordinary folder, in the list of what was written.
_OUTSIDE = "outside/"
EVERYWHERE = scripts.EVERYWHERE
_INCLUDE = "planner/hooks.inc"
_PROBES = tuple(f"{prefix}0000-probe" for prefix in scripts.PREFIXES)


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did. `theirs` is the folder of the repository's own hooks, `chained` are those."""

    place: str
    folder: Path
    theirs: str
    chained: tuple[str, ...]
    changed: bool

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/hooks-installed@1",
            "place": self.place,
            "folder": str(self.folder),
            "theirs": self.theirs,
            "chained": list(self.chained),
            "changed": self.changed,
        }


@dataclass(frozen=True, slots=True)
class Removed:
    """What an uninstallation did. `left` are hooks that somebody put where ours had been; they stay."""

    changed: bool
    left: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/hooks-removed@1",
            "changed": self.changed,
            "left": list(self.left),
        }


@dataclass(frozen=True, slots=True)
class Status:
    """How the hooks are. `place` is None when none are installed."""

    place: str | None
    folder: Path | None
    theirs: str
    findings: tuple[Finding, ...]

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


def install(repo: Repository, *, ordinary: bool = False) -> Installed:
    """Install the hooks, or bring them up to date. Doing it twice is doing it once.

    Args:
        repo: the repository; its linked worktrees share the hooks.
        ordinary: put them into the ordinary hooks folder, for tools that do not know conditional includes.

    Raises:
        PlannerError: E_HOOKS when that folder is not ours to write into; E_BUSY.
    """
    ordinary = ordinary or _git_version(repo) < (2, 23)
    before, setting = _manifest(repo), _setting(repo, ordinary=ordinary)
    if ordinary:
        _check_ordinary(repo, setting.folder)
    if before is not None and (
        before["place"] != setting.place
        or before["outside"] not in (None, setting.theirs if setting.outside else None)
    ):
        # What stands where hooks were looked for until then would be forgotten there.
        uninstall(repo)
        before = None
    contents = _ordinary_files(setting) if ordinary else scripts.files(setting)
    everywhere = _everywhere_files(setting)
    made = before["made"] if before else not Path(setting.theirs if everywhere else setting.folder).exists()
    setting.planner.mkdir(parents=True, exist_ok=True)
    changed = _write_files(setting, contents)
    if everywhere:
        changed |= _write_hooks(Path(setting.theirs), everywhere)
    changed |= _write_manifest(setting, contents | everywhere, made=made)
    if not ordinary:
        changed |= conditional_include.append(repo, scripts.PREFIXES, _INCLUDE)
    chained = tuple(name for name in (*scripts.OURS, *scripts.OTHERS) if _has_theirs(setting, name))
    return Installed(setting.place, setting.folder, setting.theirs, chained, changed)


def uninstall(repo: Repository) -> Removed:
    """Remove the hooks and every trace of them; the repository's own are as they were, to the byte.

    Raises:
        PlannerError: E_BUSY.
    """
    manifest = _manifest(repo)
    changed = conditional_include.cut(repo, scripts.PREFIXES, _INCLUDE)
    left: list[str] = []
    folder = _taken(repo, manifest)
    if folder is not None:
        restored, left = _restore(folder, made=bool(manifest and manifest["made"]))
        changed |= restored
    for name in ("hooks", "guards", "cache"):
        changed |= repo.private(name).exists()
        shutil.rmtree(repo.private(name), ignore_errors=True)
    for name in ("hooks.inc", "theirs.inc", "hooks.json"):
        changed |= repo.private(name).exists()
        repo.private(name).unlink(missing_ok=True)
    if repo.private().is_dir() and not any(repo.private().iterdir()):
        repo.private().rmdir()
    return Removed(changed, tuple(left))


def status(repo: Repository) -> Status:
    """Look whether the hooks are there, unchanged, up to date and in force."""
    manifest = _manifest(repo)
    if manifest is None:
        theirs = _setting(repo, ordinary=False).theirs
        absent = Finding(
            "error", "hooks-absent", "no hooks of git-planner are installed", str(repo.common), INSTALL
        )
        return Status(None, None, theirs, (absent,))
    partly: list[Finding] = []
    # Whoever looks may run another Python than the one the hooks were installed with; that is no defect.
    setting = replace(
        _setting(repo, ordinary=manifest["place"] == "ordinary"),
        python=manifest["python"],
        code=manifest["code"],
    )
    if setting.place == "include" and not setting.outside:
        partly.append(_partly(setting))
    findings = [*_file_findings(repo, setting, manifest), *_interpreter_findings(manifest)]
    if setting.place == "include":
        findings += [*_everywhere_findings(setting, manifest), *_include_findings(repo, setting)]
    return Status(manifest["place"], Path(manifest["folder"]), setting.theirs, (*findings, *partly))


def _setting(repo: Repository, *, ordinary: bool) -> Setting:
    """What is to be baked in, as things are now."""
    ours = str(repo.private("hooks"))
    values = [
        each for each in conditional_include.hooks_paths(repo) if each.scope not in ("worktree", "command")
    ]
    values = [each for each in values if each.value != ours and not each.origin.endswith("/" + _INCLUDE)]
    if ordinary and values and values[-1].scope != "local":
        raise PlannerError(
            "E_HOOKS",
            f"core.hooksPath comes from '{values[-1].origin}', which other repositories use too",
            hint=f"run '{INSTALL}' without --ordinary",
        )
    theirs = values[-1].value if values else str(repo.common / "hooks")
    own = not values or values[-1].scope == "local"
    return Setting(
        "ordinary" if ordinary else "include",
        repo.common,
        theirs,
        repo.place,
        sys.executable,
        "\n".join(dict.fromkeys((str(Path(git_planner.__file__).parents[1]), *site.getsitepackages()))),
        outside=own and _may_hold_ours(repo, Path(theirs)),
    )


def _taken(repo: Repository, manifest: dict[str, Any] | None) -> Path | None:
    """The ordinary folder that an installation wrote into; None when it wrote into none."""
    if manifest is not None:
        where = manifest["folder"] if manifest["place"] == "ordinary" else manifest["outside"]
        return Path(where) if where else None
    # Without what it wrote down, ours are looked for where they would be now.
    setting = _setting(repo, ordinary=False)
    return Path(setting.theirs) if setting.outside else None


def _has_theirs(setting: Setting, name: str) -> bool:
    apart = name in scripts.OURS if setting.place == "ordinary" else name == EVERYWHERE and setting.outside
    kept = KEPT if apart else ""
    return scripts.is_hook(setting.top / setting.theirs / (name + kept))


def _check_ordinary(repo: Repository, folder: Path) -> None:
    if not _may_hold_ours(repo, folder):
        what = "is no folder" if _is_no_folder(folder) else f"does not lie in '{repo.common}'"
        raise PlannerError(
            "E_HOOKS",
            f"the hooks folder '{folder}' {what}",
            hint=f"run '{INSTALL}' without --ordinary; that leaves it alone",
        )


def _ordinary_files(setting: Setting) -> dict[str, Content]:
    """Our hooks for the ordinary folder, with what was there put aside under another name."""
    return {name: _apart(setting, setting.folder, name) for name in scripts.OURS}


def _everywhere_files(setting: Setting) -> dict[str, Content]:
    """What stands in the ordinary folder though our hooks have one of their own."""
    if setting.place == "ordinary" or not setting.outside:
        return {}
    return {_OUTSIDE + EVERYWHERE: _apart(setting, Path(setting.theirs), EVERYWHERE)}


def _apart(setting: Setting, folder: Path, name: str) -> bytes:
    """The text of a hook in the ordinary folder, which goes on to the one that was put aside there."""
    hook, kept = folder / name, folder / (name + KEPT)
    theirs = os.path.lexists(hook) and not scripts.is_ours(hook)
    if theirs and os.path.lexists(kept) and not _one_file(hook, kept):
        raise PlannerError(
            "E_HOOKS",
            f"'{hook}' was replaced after '{kept.name}' had been put aside",
            hint="keep one of the two under the hook's name, remove the other, then install again",
        )
    return setting.script(name, str(kept), place="ordinary")


def _may_hold_ours(repo: Repository, folder: Path) -> bool:
    """Whether a hooks folder is the repository's alone: no other program's, and no other repository's."""
    real = folder.resolve()
    return folder.is_absolute() and real.is_relative_to(repo.common.resolve()) and not _is_no_folder(folder)


def _is_no_folder(path: Path) -> bool:
    """Whether something else is there, such as the /dev/null of those who want no hooks."""
    return os.path.lexists(path) and not path.is_dir()


def _write_files(setting: Setting, contents: dict[str, Content]) -> bool:
    folder = setting.folder
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    if setting.place == "include":
        for path in folder.iterdir():
            if path.name not in contents:
                changed = True
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        changed |= _write_include(setting.planner / "hooks.inc", str(folder))
        changed |= _write_include(setting.planner / "theirs.inc", setting.theirs)
        for name, content in contents.items():
            changed |= scripts.put(folder / name, content)
        return changed
    return _write_hooks(folder, contents)


def _write_hooks(folder: Path, contents: dict[str, Content]) -> bool:
    """Write hooks into the ordinary folder; those that are there are put aside."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for where, content in contents.items():
        name = where.removeprefix(_OUTSIDE)
        path = folder / name
        kept = folder / (name + KEPT)
        if os.path.lexists(path) and not scripts.is_ours(path) and not _one_file(path, kept):
            # Under both names until ours takes its place: a kill in between switches nothing off.
            os.link(path, kept, follow_symlinks=False)
        changed |= scripts.put(path, content)
    return changed


def _one_file(first: Path, second: Path) -> bool:
    """Whether two names are of one file, as an installation leaves them that was killed."""
    return os.path.lexists(second) and os.path.samestat(os.lstat(first), os.lstat(second))


def _write_include(path: Path, hooks_path: str) -> bool:
    """A configuration file that sets core.hooksPath and nothing else."""
    escaped = hooks_path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return _write_text(path, f'[core]\n\thooksPath = "{escaped}"\n')


def _write_text(path: Path, text: str) -> bool:
    data = os.fsencode(text)
    if path.is_file() and path.read_bytes() == data:
        return False
    atomic_file.put(path, data)
    return True


def _write_manifest(setting: Setting, contents: dict[str, Content], *, made: bool) -> bool:
    """What was written, so that a later look can tell a change by others from one of our own."""
    document = {
        "schema": "git-planner/hooks@1",
        "place": setting.place,
        "folder": str(setting.folder),
        "made": made,
        "outside": setting.theirs if setting.place == "include" and setting.outside else None,
        "python": setting.python,
        "code": setting.code,
        "files": {name: scripts.digest(content) for name, content in contents.items()},
    }
    return _write_text(setting.planner / "hooks.json", json.dumps(document, indent=2, sort_keys=True) + "\n")


def _manifest(repo: Repository) -> dict[str, Any] | None:
    return _read_manifest(repo.private("hooks.json"))


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """What an installation wrote; None when there is none that could be read."""
    try:
        document = json.loads(os.fsdecode(path.read_bytes()))
        return document if document.keys() == _KEYS else None
    except (OSError, ValueError, AttributeError):
        return None


def _restore(folder: Path, *, made: bool) -> tuple[bool, list[str]]:
    """Put the hooks of the ordinary folder back.

    Returns:
        Whether anything changed, and the names of hooks whose place somebody else's hook has taken.
    """
    changed, left = False, []
    for name in scripts.OURS:
        kept = folder / (name + KEPT)
        # pre-commit and lefthook put what they find aside under these names when they are installed later.
        for hook in (folder / name, folder / f"{name}.legacy", folder / f"{name}.old"):
            if scripts.is_ours(hook):
                changed = True
                os.replace(kept, hook) if os.path.lexists(kept) else hook.unlink()
        if os.path.lexists(kept):
            hook = folder / name
            if not os.path.lexists(hook) or _one_file(hook, kept):
                changed = True
                # Renaming a file to another name of its own does nothing, so that is taken away.
                kept.unlink() if os.path.lexists(hook) else os.replace(kept, hook)
            else:
                left.append(name)
    if made and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return changed, left


def _file_findings(repo: Repository, setting: Setting, manifest: dict[str, Any]) -> Iterator[Finding]:
    folder = Path(manifest["folder"])
    if folder != setting.folder:
        yield Finding(
            "error",
            "hooks-moved",
            f"the hooks were installed for '{folder}', but are looked for in '{setting.folder}'",
            str(folder),
            INSTALL,
        )
        return
    outside = Path(manifest["outside"] or folder)
    found = {
        name: scripts.digest_of(
            outside / name.removeprefix(_OUTSIDE) if name.startswith(_OUTSIDE) else folder / name
        )
        for name in manifest["files"]
    }
    changed = sorted(name for name, digest in manifest["files"].items() if found[name] != digest)
    if changed:
        names = ", ".join(f"'{name}'" for name in changed)
        yield Finding(
            "error",
            "hooks-changed",
            f"hooks were changed after they were installed: {names}",
            str(folder),
            INSTALL,
        )
    wanted = _wanted(setting)
    if manifest["files"] != {name: scripts.digest(content) for name, content in wanted.items()}:
        yield Finding(
            "warning",
            "hooks-stale",
            f"the hooks no longer fit: the repository's own hooks (now in '{setting.theirs}') or git-planner "
            "are other than when they were installed",
            str(repo.common),
            INSTALL,
        )


def _wanted(setting: Setting) -> dict[str, Content]:
    """What an installation would write now, whatever lies there."""

    def apart(name: str) -> bytes:
        return setting.script(name, f"{setting.theirs}/{name}{KEPT}", place="ordinary")

    if setting.place == "ordinary":
        return {name: apart(name) for name in scripts.OURS}
    everywhere: dict[str, Content] = {_OUTSIDE + EVERYWHERE: apart(EVERYWHERE)} if setting.outside else {}
    return scripts.files(setting) | everywhere


def _partly(setting: Setting) -> Finding:
    return Finding(
        "warning",
        "hooks-partly",
        f"'{setting.theirs}' is not ours to write into, so our branches are guarded while they are "
        "checked out, and not when they are moved from elsewhere",
        setting.theirs,
        "let CI run 'git planner check --range', which sees what hooks do not",
    )


def _everywhere_findings(setting: Setting, manifest: dict[str, Any]) -> Iterator[Finding]:
    """Whether git still looks where the hook was put that judges branches which are not checked out."""
    if manifest["outside"] not in (None, setting.theirs):
        yield Finding(
            "error",
            "hooks-overridden",
            f"core.hooksPath, now '{setting.theirs}', takes '{EVERYWHERE}' out of force: our branches are "
            "not guarded when they are moved from elsewhere",
            manifest["outside"],
            f"unset core.hooksPath, or run '{INSTALL}' to guard them at least while they are checked out",
        )


def _interpreter_findings(manifest: dict[str, Any]) -> Iterator[Finding]:
    python = manifest["python"]
    if not os.access(python, os.X_OK):
        yield Finding(
            "error", "hooks-interpreter", "the Python that the hooks start is gone", python, INSTALL
        )


def _include_findings(repo: Repository, setting: Setting) -> Iterator[Finding]:
    """Whether git really takes our folder on our branches."""
    # Where refs are kept in another way, a made-up HEAD cannot be asked about.
    files = repo.config("extensions.refStorage") in (None, "files")
    for branch in _PROBES if files else ():
        values = conditional_include.hooks_paths(repo, branch)
        last = values[-1] if values else None
        if last is None or last.value != str(setting.folder):
            why = f"'{last.value}' from '{last.origin}' wins" if last else "the include is gone"
            pattern = branch.split("/", maxsplit=1)[0] + "/**"
            yield Finding(
                "error",
                "hooks-overridden",
                f"git does not use our hooks on '{pattern}': {why}",
                pattern,
                INSTALL,
            )
    for place, value in conditional_include.worktree_values(repo):
        yield Finding(
            "error",
            "hooks-overridden",
            f"core.hooksPath of this worktree's own configuration wins over our hooks: '{value}'",
            str(place),
            f"set core.hooksPath with --local instead of --worktree, then run '{INSTALL}'",
        )


def _git_version(repo: Repository) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)", repo.git.line("version"))
    return tuple(int(number) for number in found.groups()) if found else (0, 0)
