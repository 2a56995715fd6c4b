"""The same checks under pre-commit and prek: the manifest, offline, and (real) installed by the tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.hooks.hooked_repository import ITERATION, ONLY, guarded_lab, refusal
from tests.support.lab import Lab

ROOT = Path(__file__).parents[2]
TOOLS = ("pre-commit", "prek")


def manifest() -> list[dict[str, object]]:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert isinstance(hooks, list)
    return hooks


def test_the_manifest(lab: Lab) -> None:
    assert [entry["id"] for entry in manifest()] == ["planner-guard", "planner-documents"]
    assert (
        lab.run_program("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")).status == 0
    )


def offline_config(lab: Lab) -> str:
    """Our manifest's hooks as local ones of the machine: the same entry, no network."""
    program = lab.root / "bin/git-planner"
    program.parent.mkdir()
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from git_planner.cli import planner; planner()"
    program.write_text(f'#!/bin/sh\nexec python -c "{start}" "$@"\n')
    program.chmod(0o755)
    lab.env["PATH"] = f"{program.parent}:{lab.env['PATH']}"
    local = [{**entry, "language": "system"} for entry in manifest()]
    return yaml.safe_dump({"repos": [{"repo": "local", "hooks": local}]})


def install(lab: Lab, tool: str, config: str) -> None:
    """Install the tool's hooks for both stages; none of our own."""
    lab.env["PRE_COMMIT_HOME"] = lab.env["PREK_HOME"] = str(lab.root / "cache")
    lab.commit("framework", {".pre-commit-config.yaml": config})
    types = ("--hook-type", "pre-commit", "--hook-type", "pre-merge-commit")
    result = lab.run_program(tool, "install", *types)
    assert result.status == 0, result.err


def words(text: str) -> str:
    """A refusal's lines without the frame that a tool draws around them."""
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def assert_works(lab: Lab) -> None:
    """The guard refuses on an iteration and lets the same pass on main; documents are judged on both."""
    (lab.path / "tests/run.sh").write_text("exit 1\n")
    result = lab.run_git("commit", "-a", "-m", "no")
    assert result.status == 1
    assert words(refusal("changed: tests/run.sh", hint=ONLY)) in words(result.err + result.out)
    (lab.path / "tests/run.sh").write_text("#!/bin/sh\n")
    lab.commit("fine", {"src/code.py": "print(2)\n"})
    lab.git("checkout", "-q", "main")
    lab.commit("on main", {"tests/run.sh": "exit 1\n"})
    (lab.path / ".git-planner.yml").write_text("surplus: 1\n")
    result = lab.run_git("commit", "-a", "-m", "no")
    assert (result.status, "/surplus: " in result.err + result.out) == (1, True)
    lab.git("restore", ".git-planner.yml")
    lab.git("checkout", "-q", "-b", "other")
    lab.commit("not on main", {"tests/run.sh": "exit 2\n"})
    lab.git("checkout", "-q", ITERATION)
    result = lab.run_git("merge", "-q", "-m", "merge", "other")
    assert (result.status, "(E_GUARD)" in result.err + result.out) == (1, True)


@pytest.mark.parametrize("tool", TOOLS)
def test_offline(lab: Lab, tool: str) -> None:
    install(lab, tool, offline_config(lab))
    guarded_lab(lab, install=False)
    assert_works(lab)


@pytest.mark.real
@pytest.mark.parametrize("tool", TOOLS)
def test_installed_by_the_tool(lab: Lab, tool: str) -> None:
    source = lab.root / "git-planner"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, files.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, source / name)
    lab.git("init", "-q", str(source))
    lab.git("add", "--all", cwd=source)
    lab.git("commit", "-q", "-m", "as it is", cwd=source)
    lab.git("tag", "v1", cwd=source)
    # uv, which prek brings along, would otherwise not trust what the machine trusts, as pip does.
    lab.env["UV_SYSTEM_CERTS"] = lab.env["UV_NATIVE_TLS"] = "1"
    hooks = [{"id": entry["id"]} for entry in manifest()]
    config = {"repos": [{"repo": str(source), "rev": "v1", "hooks": hooks}]}
    install(lab, tool, yaml.safe_dump(config))
    guarded_lab(lab, install=False)
    assert_works(lab)
    versions = lab.run_program(tool, "--version").out
    assert re.search(r"\d+\.\d+", versions)
