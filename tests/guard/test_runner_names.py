"""What the installed test runner reads and imports at its start, and modules named like guarded ones."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from git_planner.flows.guard import runner, runner_probe
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.guard.runner import RunnerNames, runner_names
from git_planner.flows.records.record import record_commit
from git_planner.rules.guard.guard import importable_names, imported_name
from git_planner.rules.guard.runner_config import runner_sections
from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab
from tests.support.benchmark_project import BENCH, POLICY, attempt, project
from tests.support.lab import Lab

OPEN_POLICY = POLICY.replace('allow: ["src/**"], ', "")

META = "[metadata]\nname = x\n"


def test_importable_names() -> None:
    paths = (
        "tests/deep/frozen_problem.py",
        "tests/__init__.py",
        "tests/data/x.json",
        "fast.abi3.so",
        "a-b/c d.py",
    )
    assert importable_names(paths) == {"tests", "deep", "frozen_problem", "fast"}
    assert imported_name("src/tests.py", "100644") == "tests"
    assert imported_name("src/tests/deep.py", "100644") is None
    assert imported_name("tests", "120000") == "tests"
    assert imported_name("src", "160000") == ""


@pytest.mark.parametrize(
    ("path", "before", "after", "same"),
    [
        ("setup.cfg", META, "[tool:pytest] # ]\naddopts = -x\n" + META, False),
        ("setup.cfg", META, META + "y = z\u2028[tool:pytest]\u2028addopts = -x\n", False),
        ("setup.cfg", META, META + "y = z\r[coverage:run]\rplugins = evil\n", False),
        ("tox.ini", META, "[pytest] ; ]\naddopts = -x\n" + META, False),
        ("tox.ini", META, "\ufeff[pytest]\naddopts = -x\n", False),
        ("tox.ini", META, "[tox:tox]\nx = 1\n" + META, False),
        ("pyproject.toml", "[tool.x]\n", "[tool.tox]\nrequires = ['evil']\n", False),
        ("setup.cfg", "[tool:pytest]\naddopts=-q\n", "[tool:pytest]\n# more\naddopts = -q\n", True),
        ("setup.cfg", META, "[metadata] # ]\nname = y\n", True),
    ],
)
def test_sections_are_read_as_each_runner_reads_them(path: str, before: str, after: str, same: bool) -> None:
    assert (runner_sections(path, before.encode()) == runner_sections(path, after.encode())) == same


def test_the_installed_runner_is_asked() -> None:
    assert {"pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"} <= runner_probe.config_files()
    # Plugins that are installed here, and what pytest and they require.
    assert {"pytest", "pluggy", "pygments", "xdist", "execnet"} <= runner_probe.required_modules()


def test_hooks_refuse_start_up_files_and_guarded_names(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.commit("the patterns are kept", {"src/code.py": "print(2)\n"})
    lab.commit("other names", {"src/newer.py": "", "pkg/tests.py": "", "Cargo.toml": "", "x.dist": ""})
    before = lab.git("rev-parse", ITERATION)
    everything = {
        "pytest.toml": "[pytest]\n",
        "src/.pytest.toml": "[pytest]\n",
        "src/x.dist-info/entry_points.txt": "[pytest11]\nx = evil\n",
        "src/deep/X.Egg-Info/entry_points.txt": "[pytest11]\nx = evil\n",
        "setup.cfg": "[tool:pytest] # ]\naddopts = -p evil\n",
        "pygments/__init__.py": "",
    }
    # The last two are known by the shell part of the hook only from its cached file.
    for files in (everything, {"tests.py": ""}, {"src/test_code.py": ""}):
        for path, content in files.items():
            (lab.path / path).parent.mkdir(parents=True, exist_ok=True)
            (lab.path / path).write_text(content)
            lab.git("add", path)
        done = lab.run_git("commit", "-q", "-m", "start-up")
        assert (done.status, [path for path in files if path not in done.err]) == (1, []), done.err
        lab.git("rm", "-q", "-f", *files)
    assert lab.git("rev-parse", ITERATION) == before


def test_a_module_beside_a_guarded_one_is_never_run(lab: Lab) -> None:
    """The benchmark puts the top first on its path, so a module there replaces its own."""
    bench = BENCH.replace("from src.value", "from frozen_problem import SCALE\nfrom src.value").replace(
        '"CYCLES:", VALUE', '"CYCLES:", VALUE * SCALE'
    )
    project(lab, OPEN_POLICY, **{"tests/bench.py": bench, "tests/frozen_problem.py": "SCALE = 1\n"})
    attempt(lab, 1, 90)
    lab.commit("cheap", {"frozen_problem.py": "SCALE = 0\n"})
    done = record_commit(lab.repo, "HEAD", progress=lambda _: None).record
    assert (done.verdict, done.reason) == ("invalid", "guard")
    assert done.violations == ("added under the name of a guarded module: frozen_problem.py",)


def test_what_the_installed_runner_imports_is_guarded(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that tells its names, and notes each time that it is asked."""
    answer = {
        "modules": ["evil_plugin", "not a name"],
        "files": ["pytest.next.toml"],
        "folders": [str(tmp_path / "lib")],
    }
    python = tmp_path / "bin/python3"
    python.parent.mkdir()
    (tmp_path / "lib").mkdir()
    python.write_text(f"#!/bin/sh\necho asked >>{tmp_path}/asked\necho noise\necho '{json.dumps(answer)}'\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    asked = tmp_path / "asked"
    project(lab, OPEN_POLICY.replace("[python,", "[python3,"))
    names = RunnerNames(frozenset(("evil_plugin",)), frozenset(("pytest.next.toml",)))
    checker = GuardChecker(lab.repo)
    base = lab.git("rev-parse", "HEAD")
    rule = checker.rule_at(base)
    assert runner_names(lab.repo, rule.policy, ask=False) == RunnerNames()
    ordinary = lab.commit("ordinary", {"src/value.py": "VALUE = 3\n", "src/pkg/evil_plugin.py": ""})
    assert checker.differences(base, ordinary) == []
    assert not asked.exists()
    evil = lab.commit("evil", {"src/evil_plugin.py": "", "docs/pytest.next.toml": "", "docs/x.toml": ""})
    assert sorted((finding.code, finding.message) for finding in checker.differences(base, evil)) == [
        ("shadow", "added under the name of a module of the test runner: src/evil_plugin.py"),
        ("start-up", "configures the test runner: docs/pytest.next.toml"),
    ]
    # The answer is kept until something is installed; a hook's shell knows it then.
    assert runner_names(lab.repo, rule.policy, ask=False) == names
    assert "evil_plugin" in checker.module_names(base)
    assert asked.read_text() == "asked\n"
    os.utime(tmp_path / "lib", (1, 1))
    assert runner_names(lab.repo, rule.policy) == names
    assert asked.read_text() == "asked\nasked\n"
    python.write_text("#!/bin/sh\nexit 1\n")
    assert runner_names(lab.repo, rule.policy) == RunnerNames()


def test_the_python_of_a_script_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, first in {
        "pytest": f"#!{sys.executable}",
        "tool": "#!/bin/sh",
        "other": "#!/usr/bin/env python3",
    }.items():
        (tmp_path / name).write_text(f"{first}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3").symlink_to(sys.executable)
    pythons = [
        runner._python_of(name) for name in ("pytest", "tool", "other", "python3", "gone", "./python3")
    ]
    assert pythons == [sys.executable, None, str(tmp_path / "python3"), str(tmp_path / "python3"), None, None]
