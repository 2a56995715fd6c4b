"""The examples of cluster managers in docs/tournaments.md: they are Python, and their options exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tournaments.md"
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
# Options that a manager hands on to its base class, which takes them by name.
HANDED_ON = {"dask_jobqueue": "dask_jobqueue.core:Job"}


def test_each_manager_has_an_example() -> None:
    called = {
        call.func.id
        for example in EXAMPLES
        for call in ast.walk(ast.parse(example))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    assert {"SSHCluster", "SLURMCluster", "KubeCluster"} <= called


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split()[3])
def test_the_options_of_an_example_exist(example: str) -> None:
    tree = ast.parse(example)
    imported = tree.body[0]
    assert isinstance(imported, ast.ImportFrom)
    assert imported.module is not None
    module = pytest.importorskip(imported.module)
    name = imported.names[0].name
    manager = getattr(module, name)
    known = set(inspect.signature(manager).parameters)
    if imported.module in HANDED_ON:
        place, _, base = HANDED_ON[imported.module].partition(":")
        known |= set(inspect.signature(getattr(importlib.import_module(place), base)).parameters)
    calls = [call for call in ast.walk(tree) if isinstance(call, ast.Call)]
    (construction,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name]
    assert {keyword.arg for keyword in construction.keywords} <= known
