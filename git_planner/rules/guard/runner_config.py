"""Read the parts of configuration files that configure the tests, as the test runners read them. Pure.

pytest, coverage and tox read the same files with different parsers. A line that only one of them takes for a
section must not go unnoticed, so a file is read by each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def runner_sections(path: str, data: bytes | None) -> Any:
    """Return the sections of a configuration file that configure the tests; None if there are none.

    A file that cannot be parsed is returned as its bytes, so that every change of it counts.
    """
    if data is None:
        return None
    # Slow to import, and rarely needed in a hook.
    import configparser
    import tomllib

    try:
        # As files are read: any of the three line ends is one.
        text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        if path.lower().endswith(".toml"):
            return _toml_sections(tomllib.loads(text))
        sections = {"configparser": _ini_sections(path, text), "iniconfig": _pytest_sections(text)}
        return sections if any(sections.values()) else None
    except (ValueError, RecursionError, configparser.Error):
        return {"unreadable": data}


def _toml_sections(document: Mapping[str, Any]) -> dict[str, Any] | None:
    tool, project = document.get("tool", {}), document.get("project", {})
    points = project.get("entry-points", {}) if isinstance(project, dict) else {}
    sections = {
        name: tool[name] for name in ("pytest", "coverage", "tox") if isinstance(tool, dict) and name in tool
    }
    if isinstance(points, dict) and "pytest11" in points:
        sections["pytest11"] = points["pytest11"]
    return sections or None


def _ini_sections(path: str, text: str) -> dict[str, Any] | None:
    import configparser

    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    sections: dict[str, Any] = {}
    for name in parser.sections():
        plain = name.lower()
        is_runner = plain in ("pytest", "tool:pytest", "coverage:run", "tox")
        if (is_runner or plain.startswith(("testenv", "tox:"))) and not (
            plain == "pytest" and path.lower().endswith("setup.cfg")
        ):
            sections[name] = dict(parser.items(name))
        elif plain == "options.entry_points" and parser.has_option(name, "pytest11"):
            sections[name] = parser.get(name, "pytest11")
    return sections or None


def _pytest_sections(text: str) -> dict[str, list[str]] | None:
    """Return the lines of the sections that pytest reads, by the rules of its own parser.

    It takes '[tool:pytest] # ]' for a section where configparser does not, and ends lines at more characters.
    """
    sections: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.removeprefix("\ufeff").splitlines():
        header = line.split("#")[0].split(";")[0].rstrip()
        if header.startswith("[") and header.endswith("]"):
            name = header[1:-1].strip().lower()
            lines = sections.setdefault(name, []) if name in ("pytest", "tool:pytest") else None
        elif lines is not None and line.strip()[:1] not in ("", "#", ";"):
            lines.append(_normal_line(line))
    return sections or None


def _normal_line(line: str) -> str:
    """Return a line without the spaces that mean nothing; those before a continuation do."""
    if line[0].isspace():
        return f" {line.strip()}"
    mark = "=" if "=" in line and ":" not in line.split("=", maxsplit=1)[0] else ":"
    name, _, value = line.partition(mark)
    return f"{name.strip()} {mark} {value.strip()}"
