"""Verify commands that a repository suggests by what lies in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.specs.suggest_verify import FILES_READ, suggest_verify

PYTEST = ("python", "-m", "pytest", "-q")


def scripts(**named: str) -> str:
    return json.dumps({"scripts": named})


FOUND = [
    ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, [PYTEST]),
    ({"pyproject.toml": "[project]\n", "tests/": ""}, [PYTEST]),
    ({"setup.py": "", "test/": ""}, [PYTEST]),
    ({"pytest.ini": ""}, [PYTEST]),
    ({"setup.cfg": "[tool:pytest]\n"}, [PYTEST]),
    ({"tox.ini": "[pytest]\n"}, [PYTEST]),
    ({"tox.ini": "[tox]\n", "pytest.ini": ""}, [("tox",)]),
    ({"tox.ini": "[testenv:py]\n"}, [("tox",)]),
    ({"pyproject.toml": "[tool.tox]\n", "tests/": ""}, [("tox",)]),
    ({"noxfile.py": "", "tox.ini": "[tox]\n", "pytest.ini": ""}, [("nox",)]),
    ({"package.json": scripts(test="jest")}, [("npm", "run", "test")]),
    (
        {"package.json": scripts(test="jest", typecheck="tsc"), "pnpm-lock.yaml": ""},
        [("pnpm", "run", "typecheck"), ("pnpm", "run", "test")],
    ),
    ({"package.json": scripts(test="jest"), "yarn.lock": ""}, [("yarn", "run", "test")]),
    (
        {"package.json": json.dumps({"scripts": {"test": "x"}, "packageManager": "pnpm@9.0.0"})},
        [("pnpm", "run", "test")],
    ),
    ({"Cargo.toml": ""}, [("cargo", "test")]),
    ({"go.mod": ""}, [("go", "test", "./...")]),
    ({"Makefile": "all:\n\ttrue\ntest: all\n\ttrue\n"}, [("make", "test")]),
    ({"Makefile": "test:\n", "GNUmakefile": "check :\n"}, [("make", "check")]),
    (
        {"App/": "", "App/App.xcodeproj": ""},
        [("xcodebuild", "-project", "App/App.xcodeproj", "-scheme", "App", "build")],
    ),
    (
        {"pytest.ini": "", "package.json": scripts(test="x"), "Cargo.toml": "", "go.mod": ""},
        [PYTEST, ("npm", "run", "test"), ("cargo", "test")],
    ),
]
NOTHING = [
    {},
    {"README.md": ""},
    {"tests/": ""},
    {"pyproject.toml": "[project]\n"},
    {"pyproject.toml": "= broken"},
    {"tox.ini": "# tox\n"},
    {"package.json": scripts(test='echo "Error: no test specified" && exit 1')},
    {"package.json": scripts(build="x")},
    {"package.json": "{broken"},
    {"package.json": "[]"},
    {"package.json": '{"scripts": {"test": 1}}'},
    {"Makefile": "tests:\n\ttest: x\ntest := 1\n.PHONY: test\n"},
    {"A.xcodeproj/": "", "B.xcodeproj/": ""},
]


@pytest.mark.parametrize(("files", "commands"), FOUND)
def test_what_is_there_is_suggested(files: dict[str, str], commands: list[tuple[str, ...]]) -> None:
    assert suggest_verify(set(files), files) == tuple(commands)


@pytest.mark.parametrize("files", NOTHING)
def test_what_would_do_nothing_is_not(files: dict[str, str]) -> None:
    assert suggest_verify(set(files), files) == ()


@given(st.dictionaries(st.sampled_from(FILES_READ), st.text()))
def test_any_content_is_read(texts: dict[str, str]) -> None:
    assert len(suggest_verify(set(texts), texts)) <= 3
