"""Recognise the benchmarks of a project, and suggest a metric for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from git_planner.rules.setup.project import Project


class SuggestedMetric(NamedTuple):
    """A metric that a policy may have: its reader, its command, and what shows it."""

    reader: str
    why: str
    run: tuple[str, ...]
    file: str | None = None


def suggest_metrics(project: Project) -> list[SuggestedMetric]:
    """Return the metrics that a project's benchmarks allow."""
    return [*_python(project), *_compiled(project), *_scripts(project)]


def _python(project: Project) -> Iterator[SuggestedMetric]:
    files = ("pyproject.toml", "setup.cfg", "tox.ini", "requirements.txt", "requirements-dev.txt")
    named = next((name for name in files if "pytest-benchmark" in project.texts.get(name, "")), None)
    if named is not None:
        run = (project.python, "-m", "pytest", "-q", "--benchmark-only")
        yield SuggestedMetric("pytest-benchmark", named, run)
    if "asv.conf.json" in project.paths:
        run = ("asv", "run", "--environment", f"existing:{project.python}", "--quick")
        yield SuggestedMetric("asv", "asv.conf.json", run, ".asv/results/*/*.json")


def _compiled(project: Project) -> Iterator[SuggestedMetric]:
    tests = [path for path in project.ending("_test.go") if "func Benchmark" in project.texts.get(path, "")]
    if tests:
        yield SuggestedMetric("go", tests[0], ("go", "test", "-run=^$", "-bench=.", "./..."))
    if "criterion" in project.texts.get("Cargo.toml", ""):
        yield SuggestedMetric("criterion", "Cargo.toml", ("cargo", "bench"))
    if re.search(r"benchmark::benchmark", project.texts.get("CMakeLists.txt", "")):
        run = ("sh", "-c", 'cmake -S . -B build && cmake --build build && build/bench --benchmark_out="$0"')
        yield SuggestedMetric("google-benchmark", "CMakeLists.txt", (*run, "{result}"))
    for name in ("pom.xml", "build.gradle", "build.gradle.kts"):
        if "jmh" in project.texts.get(name, ""):
            yield SuggestedMetric("jmh", name, ("java", "-jar", "target/benchmarks.jar"))
            return


def _scripts(project: Project) -> Iterator[SuggestedMetric]:
    for path, text in project.texts.items():
        if path.endswith(".sh") and re.search(r"\bhyperfine\b", text):
            yield SuggestedMetric("hyperfine", path, ("sh", path, "{result}"))
            return
