"""Print the modules that the test runner of a Python imports, and the files that configure it, as JSON.

Run by path, with '-I', by the Python that runs the tests; it imports nothing of git-planner. That Python may
be older than the one of git-planner.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterator
from typing import Any

_CONFIG = re.compile(r"\.?[\w.-]+\.(?:toml|ini|cfg)")


def imported_by_pytest() -> set[str]:
    """Start pytest with all its plugins in an empty folder, and return the modules that are imported then."""
    pytest = importlib.import_module("pytest")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", folder])
        os.chdir("/")
    return {name.partition(".")[0] for name in list(sys.modules)}


def required_modules() -> set[str]:
    """Return the modules of pytest's distribution, of its plugins', and of all that they require."""
    from importlib import metadata

    packages = metadata.packages_distributions()  # type: ignore[attr-defined,unused-ignore]
    modules: dict[str, set[str]] = {}
    for module, owners in packages.items():
        for owner in owners:
            modules.setdefault(_plain(owner), set()).add(module)
    installed = {_plain(dist.metadata["Name"] or ""): dist for dist in metadata.distributions()}
    wanted = ["pytest"]
    wanted += [
        name
        for name, dist in installed.items()
        if any(point.group == "pytest11" for point in dist.entry_points)
    ]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in seen and name in installed:
            seen.add(name)
            for line in installed[name].requires or ():
                match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
                if match and "extra ==" not in line:
                    wanted.append(_plain(match.group()))
    return {module for name in seen for module in modules.get(name, ())}


def config_files() -> set[str]:
    """Return the names of files for which pytest looks, which are constants of one of its modules."""
    module = importlib.import_module("_pytest.config.findpaths")
    return {text for text in _texts(vars(module), 6) if _CONFIG.fullmatch(text)}


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict):
        for key, item in list(value.items()):
            if not str(key).startswith("__"):
                yield from _texts(key, depth - 1)
                yield from _texts(item, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part, depth - 1)
    elif depth and isinstance(value, types.FunctionType):
        yield from _texts(value.__code__, depth)
    elif depth and isinstance(value, types.CodeType):
        yield from _texts(value.co_consts, depth - 1)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the answer. What this Python lacks is left out."""
    files: set[str] = set()
    modules = set(getattr(sys, "stdlib_module_names", ()))  # type: set[str]
    for ask, answer in ((config_files, files), (required_modules, modules), (imported_by_pytest, modules)):
        with contextlib.suppress(ImportError, AttributeError):
            answer.update(ask())
    folders: list[str] = [path for path in sys.path if os.path.isdir(path) and "-packages" in path]
    sys.stdout.write(
        json.dumps({"modules": sorted(modules), "files": sorted(files), "folders": folders}) + "\n"
    )


if __name__ == "__main__":
    main()
