"""The configuration file of a user: settings for all repositories, `$XDG_CONFIG_HOME/git-planner/config.yml`.

A flat map of the names of settings. It is read by every command that reads settings, so the usual lines are
read without loading the YAML reader.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.rules.did_you_mean import close_names, did_you_mean

VARIABLE = "GIT_PLANNER_CONFIG"
MOST_BYTES = 64 * 1024
# They belong to one repository, and the hooks look for them in git's configuration only.
OF_REPOSITORY = {
    "plan": "git plan use NAME",
    "remote": "git config planner.remote NAME",
    "forge": "git config planner.forge URL",
}
# 'name: value  # comment' with a value that YAML, too, reads as this number or text.
_LINE = (
    r"(?:([a-z][a-z0-9_]*): +"
    r"(?:((?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,6})?)|((?:~/|[A-Za-z/])[A-Za-z0-9/._-]*)))?"
    r"(?: *| +#[ -~]*|#[ -~]*)"
)
_NO_TEXT = {"true", "false", "null"}


class ConfigFile(NamedTuple):
    """The configuration file with its values by the name of the setting; empty when there is none."""

    path: Path | None = None
    values: Mapping[str, Any] = MappingProxyType({})
    data: bytes = b""

    def place(self, name: str) -> str:
        """Return file, line and name of a value, for errors."""
        if self.path is None:
            return name
        from git_planner.config.yaml_subset import key_lines

        return f"{self.path}, line {key_lines(self.data).get(name, 1)}: {name}"


def config_file_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the configuration file, whether it exists or not; None without a home folder."""
    if named := environ.get(VARIABLE):
        return Path(named).absolute()
    folder, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    if not os.path.isabs(folder):
        folder = f"{home}/.config" if home else ""
    return Path(folder, "git-planner", "config.yml") if os.path.isabs(folder) else None


def read_config_file(environ: Mapping[str, str], known: Collection[str]) -> ConfigFile:
    """Read the configuration file.

    Args:
        environ: the environment; GIT_PLANNER_CONFIG names another file, which has to exist.
        known: the names of all settings.

    Raises:
        PlannerError: E_CONFIG if it cannot be read; E_USAGE naming file and line for what it may not hold.
    """
    path = config_file_path(environ)
    if path is None or str(path) == os.devnull:
        return ConfigFile(path)
    try:
        data = atomic_file.read(path, MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        if environ.get(VARIABLE):
            raise _unreadable(path, error) from None
        return ConfigFile(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    values = plain_values(data)
    file = ConfigFile(path, _yaml_values(data, path) if values is None else values, data)
    for name in file.values:
        _check_name(file, name, known)
    return file


def plain_values(data: bytes) -> dict[str, Any] | None:
    """Return the values of a file of plain lines; None if only the YAML reader can tell."""
    if not data.isascii():
        return None
    values: dict[str, Any] = {}
    for line in data.decode("ascii").split("\n"):
        match = re.fullmatch(_LINE, line)
        if match is None:
            return None
        name, number, text = match.groups()
        if name is None:
            continue
        if name in values or (text is not None and text.lower() in _NO_TEXT) or name in _NO_TEXT:
            return None
        values[name] = text if number is None else float(number) if "." in number else int(number)
    return values


def _yaml_values(data: bytes, path: Path) -> dict[str, Any]:
    from git_planner.config.yaml_subset import read_yaml

    try:
        document = read_yaml(data, str(path))
    except PlannerError as error:
        raise PlannerError("E_USAGE", error.message, hint="correct it there") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise PlannerError(
            "E_USAGE",
            f"'{path}' is not a mapping (line 1)",
            hint="write lines such as 'max_heavy_leases: 3'",
        )
    return document


def _check_name(file: ConfigFile, name: str, known: Collection[str]) -> None:
    if name in OF_REPOSITORY:
        raise PlannerError(
            "E_USAGE",
            f"'{file.place(name)[:600]}' belongs to one repository, not to all",
            hint=f"set it there with '{OF_REPOSITORY[name]}'",
        )
    if name not in known:
        names = [known_name for known_name in known if known_name not in OF_REPOSITORY]
        raise PlannerError(
            "E_USAGE",
            f"'{file.place(name)[:600]}' is not a setting",
            hint=did_you_mean(close_names(name, names), "see all with 'man gitplanner-config'"),
        )


def _unreadable(path: Path, error: Exception) -> PlannerError:
    reason = getattr(error, "strerror", None) or str(error)
    return PlannerError(
        "E_CONFIG",
        f"the configuration file '{path}' cannot be read: {reason}",
        hint=f"correct it, or name another file in {VARIABLE}",
    )
