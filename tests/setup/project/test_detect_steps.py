"""Steps of 'prepare' that projects with lockfiles get, and those that get none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.config.policy_file import parse_policy
from git_planner.rules.setup.detect_steps import suggest_steps
from git_planner.rules.setup.detect_tests import detect_tests
from git_planner.rules.setup.policy_text import line_to_change, policy_text
from git_planner.rules.setup.project import Project

REQUIRES = "module m\n\nrequire example.org/x v1.0.0\n"


def proposed(files: dict[str, str]) -> str:
    """Return the policy that the files of a project get."""
    project = Project(tuple(files), files)
    tests = detect_tests(project)[0]
    return policy_text("main", tests, (), suggest_steps(project, tests))


def node(lock: str, *others: str, **keys: Any) -> dict[str, str]:
    """Return the files of a package with a lockfile and a dependency."""
    package = {"scripts": {"test": "mocha"}, "devDependencies": {"mocha": "^10"}, **keys}
    return {"package.json": json.dumps(package), "test/a.js": "", **dict.fromkeys((lock, *others), "")}


@pytest.mark.parametrize(
    ("files", "run", "inputs", "outputs"),
    [
        (
            node("package-lock.json"),
            "npm ci --no-audit --no-fund",
            "package.json package-lock.json",
            "node_modules",
        ),
        (
            node("npm-shrinkwrap.json", ".npmrc"),
            *("npm ci --no-audit --no-fund", "package.json npm-shrinkwrap.json .npmrc", "node_modules"),
        ),
        (
            # The package's own script would need files that the step does not see.
            node("package-lock.json", scripts={"test": "mocha", "prepare": "husky"}),
            *(
                "npm ci --no-audit --no-fund --ignore-scripts",
                "package.json package-lock.json",
                "node_modules",
            ),
        ),
        (
            node("pnpm-lock.yaml"),
            *("pnpm install --frozen-lockfile", "package.json pnpm-lock.yaml", "node_modules"),
        ),
        (
            node("yarn.lock"),
            *("yarn install --frozen-lockfile", "package.json yarn.lock", "node_modules"),
        ),
        (
            {"go.mod": REQUIRES, "go.sum": "", "a_test.go": ""},
            *("go mod download", "go.mod go.sum", "~/go/pkg/mod"),
        ),
    ],
)
def test_a_lockfile_gets_a_step(files: dict[str, str], run: str, inputs: str, outputs: str) -> None:
    text = proposed(files)
    # What the schema and the rules for steps refuse would raise here.
    (step,) = parse_policy(text.encode(), "policy").steps
    assert [" ".join(words) for words in (step.run, step.inputs, step.outputs)] == [run, inputs, outputs]
    assert set(step.inputs) <= set(files)
    assert (step.is_build, step.network) == (False, True)
    assert line_to_change(text, "unprepared").partition(": ")[2].startswith(f"run: [{step.run[0]}, ")


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": node("")["package.json"], "test/a.js": ""},
        node("package-lock.json", workspaces=["packages/*"]),
        node("package-lock.json", "node_modules/x/index.js"),
        node("package-lock.json", devDependencies={}),
        node("package-lock.json", devDependencies={"x": "file:../x", "y": 1}),
        node("pnpm-lock.yaml", "pnpm-workspace.yaml"),
        node("yarn.lock", ".yarnrc.yml"),
        {"go.mod": "module m\n", "go.sum": "", "a_test.go": ""},
        {"go.mod": REQUIRES, "a_test.go": ""},
        {"go.mod": REQUIRES, "go.sum": "", "a_test.go": "", "vendor/modules.txt": ""},
        {"go.mod": REQUIRES + "replace example.org/x => ../x\n", "go.sum": "", "a_test.go": ""},
        {"tests/test_a.py": "import pytest\n"},
    ],
)
def test_what_a_step_could_not_install_gets_none(files: dict[str, str]) -> None:
    text = proposed(files)
    assert "prepare:" not in text
    assert parse_policy(text.encode(), "policy").steps == ()
