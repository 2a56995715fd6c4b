"""`git planner import config`: take the settings of a session planner's config.toml over into config.yml."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.config.config_file import MOST_BYTES, config_file_path, plain_values
from git_planner.config.settings import (
    check_file_value,
    environment_variable,
    file_settings,
    setting_names,
)
from git_planner.errors import PlannerError
from git_planner.folders import make_folder
from git_planner.rules.printable import printable_line

VARIABLE = "CODEX_ORCHESTRATOR_CONFIG"
_PREFIX = "CODEX_ORCHESTRATOR_"
# Key of the old file -> setting; a key that is not here keeps its name.
_RENAMED = {
    "terminal_backend": "terminal",
    "codex_executable": "codex",
    "worktrees_base_dir": "worktrees",
}
_REMOVED = {"git_executable": "git is always the one of PATH"}


@dataclass(frozen=True, slots=True)
class ImportedValue:
    """One key of the old file. `setting` is its counterpart, if any; `note` says why it is not written."""

    key: str
    value: Any
    setting: str | None
    note: str

    @property
    def is_new(self) -> bool:
        """True if it is written."""
        return self.note == ""


@dataclass(frozen=True, slots=True)
class ConfigImport:
    """A planned import: the old file, ours, the values, and our file's new text; '' without a difference."""

    source: Path
    target: Path
    values: tuple[ImportedValue, ...]
    variables: tuple[str, ...]
    text: str

    def document(self, *, written: bool) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "schema": "git-planner/config-import@1",
            "source": str(self.source),
            "target": str(self.target),
            "written": written,
            "values": [
                {"key": value.key, "value": value.value, "setting": value.setting, "note": value.note or None}
                for value in self.values
            ],
            "variables": list(self.variables),
        }


def plan_config_import(source: Path | None, environ: Mapping[str, str] = os.environ) -> ConfigImport:
    """Read the old file, and return what would be written to ours.

    Args:
        source: the old file; the one in CODEX_ORCHESTRATOR_CONFIG, else in the home folder, when None.
        environ: the environment.

    Raises:
        PlannerError: E_MISSING_INPUT if it cannot be read; E_CONFIG, E_USAGE for our file.
    """
    place = source or Path(
        environ.get(VARIABLE) or os.path.expanduser("~/.config/codex-orchestrator/config.toml")
    )
    target = config_file_path(environ)
    if target is None:
        raise PlannerError("E_USAGE", "this user has no home folder", hint="set HOME")
    present = file_settings(environ)[1] if target.exists() else {}
    values = tuple(
        _import_value(key, value, present, target.parent) for key, value in _read_old(place).items()
    )
    return ConfigImport(
        source=place,
        target=target,
        values=values,
        variables=_variables(environ),
        text=_new_text(target, [value for value in values if value.is_new]),
    )


def write_config_import(planned: ConfigImport) -> None:
    """Write our file; a link to it stays.

    Raises:
        PlannerError: E_UNWRITABLE.
    """
    place = Path(os.path.realpath(planned.target))
    try:
        make_folder(place.parent)
        mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o666
        atomic_file.write(place, planned.text.encode(), mode)
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{planned.target}' cannot be written: {error.strerror}",
            hint="name another file in GIT_PLANNER_CONFIG",
        ) from None


def _read_old(place: Path) -> dict[str, Any]:
    """Return the keys of the old file with their values."""
    import tomllib

    try:
        document = tomllib.loads(atomic_file.read(place, MOST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:200]
        raise PlannerError(
            "E_MISSING_INPUT",
            f"'{place}' cannot be read: {reason}",
            hint="name the old file: git planner import config FILE",
        ) from None
    defaults = document.pop("defaults", {})
    if not isinstance(defaults, dict):
        defaults = {"defaults": defaults}
    return {**{f"[{name}]": "…" for name in document}, **defaults}


def _import_value(key: str, value: Any, present: Mapping[str, Any], folder: Path) -> ImportedValue:
    shown = printable_line(key)[:80]
    plain = value if isinstance(value, str | int | float) else printable_line(str(value))[:200]
    name = _RENAMED.get(key, key)
    if key in _REMOVED:
        return ImportedValue(shown, plain, None, _REMOVED[key])
    if name not in setting_names():
        return ImportedValue(shown, plain, None, "it has no counterpart")
    try:
        converted = check_file_value(name, value, folder)
    except PlannerError as error:
        return ImportedValue(shown, plain, None, error.message)
    if name in present:
        note = "it is there already" if present[name] == converted else "config.yml has another value"
        return ImportedValue(shown, plain, name, note)
    return ImportedValue(shown, plain, name, "")


def _new_text(target: Path, values: list[ImportedValue]) -> str:
    """Return the text of our file with further lines at its end."""
    if not values:
        return ""
    try:
        before = atomic_file.read(target, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        before = ""
    except (OSError, ValueError) as error:
        raise PlannerError("E_CONFIG", f"'{target}' cannot be read: {error}") from None
    lines = [f"{value.setting}: {_scalar(value.value)}" for value in values]
    text = "\n".join([*([before.rstrip("\n")] if before.strip() else []), *lines, ""])
    from git_planner.config.yaml_subset import read_yaml

    try:
        expected = {**(read_yaml(before.encode(), str(target)) or {})}
        expected |= {str(value.setting): value.value for value in values}
        is_same = read_yaml(text.encode(), str(target)) == expected
    except PlannerError:
        is_same = False
    if not is_same:
        raise PlannerError(
            "E_USAGE",
            f"lines cannot be added at the end of '{target}'",
            hint="add them by hand",
            details=lines,
        )
    return text


def _scalar(value: Any) -> str:
    """Return a value as YAML, in quotes where it needs them."""
    text = str(value)
    plain = plain_values(f"a: {text}".encode())
    is_plain = plain is not None and plain.get("a") == value and isinstance(plain["a"], type(value))
    return text if is_plain else json.dumps(value)


def _variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for every variable of the old program that is set, and is read no more."""
    lines = []
    for name in sorted(environ):
        key = name.removeprefix(_PREFIX).lower()
        if name.startswith(_PREFIX) and name != VARIABLE:
            setting = _RENAMED.get(key, key)
            known = setting in setting_names()
            lines.append(f"{name}: set {environment_variable(setting)}" if known else f"{name}: removed")
    return tuple(lines)
