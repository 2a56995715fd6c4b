"""Propose the policy of a project from the files of HEAD."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from git_planner.errors import PlannerError
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.host import bounded_call
from git_planner.host.machine import search_path
from git_planner.rules.setup import test_files
from git_planner.rules.setup.detect_benchmarks import SuggestedMetric, suggest_metrics
from git_planner.rules.setup.detect_steps import SuggestedStep, suggest_steps
from git_planner.rules.setup.detect_tests import DetectedTests, detect_tests
from git_planner.rules.setup.policy_text import policy_text
from git_planner.rules.setup.project import FILES_READ, Project

# The template that explains every key, for projects of any kind.
FULL = "full"
_MAX_BYTES = 256 * 1024
_MAX_TESTS_READ = 20


@dataclass(frozen=True, slots=True)
class ProposedPolicy:
    """The ways in which a project may run its tests, the first proposed, and metrics to suggest.

    `steps` has the steps of 'prepare' for each way.
    """

    tests: Sequence[DetectedTests]
    metrics: Sequence[SuggestedMetric]
    steps: Sequence[Sequence[SuggestedStep]] = ()

    @property
    def names(self) -> list[str]:
        """The names of the templates that fit."""
        return list(dict.fromkeys(tests.name for tests in self.tests))

    def text(self, base: str, name: str | None = None) -> bytes | None:
        """Return the policy with the tests of a name, or the first ones; None if none were recognised."""
        pairs = zip(self.tests, self.steps, strict=True)
        chosen = next(((tests, steps) for tests, steps in pairs if name in (None, tests.name)), None)
        return policy_text(base, chosen[0], self.metrics, chosen[1]).encode() if chosen else None


def propose_policy(repo: Repository) -> ProposedPolicy:
    """Recognise what the commit HEAD uses; nothing of it is run.

    Raises:
        PlannerError: as git does.
    """
    head = repo.maybe("HEAD")
    if head is None:
        return ProposedPolicy((), ())
    project = read_project(repo, head)
    # The files may be written to exhaust their readers: a proposal is not worth that.
    read = bounded_call.call(lambda: _propose(project))
    return ProposedPolicy((), ()) if isinstance(read, bounded_call.Stopped) else ProposedPolicy(*read)


def _propose(
    project: Project,
) -> tuple[list[DetectedTests], list[SuggestedMetric], list[list[SuggestedStep]]]:
    detected = detect_tests(project)
    return detected, suggest_metrics(project), [suggest_steps(project, tests) for tests in detected]


def check_template(proposed: ProposedPolicy, name: str) -> None:
    """Refuse the name of a template that does not fit.

    Raises:
        PlannerError: E_USAGE.
    """
    if name not in (*proposed.names, FULL):
        fitting = ", ".join((*proposed.names, FULL))
        raise PlannerError(
            "E_USAGE",
            f"'--template {name[:80]}' does not fit the files of HEAD",
            hint=f"choose one of {fitting}",
        )


def read_project(repo: Repository, commit: str) -> Project:
    """Return the paths of a commit, and the content of the files that configure its tests."""
    sizes: dict[str, tuple[str, int]] = {}
    for line in repo.git.names("ls-tree", "-r", "-l", "-z", "--full-tree", commit):
        meta, path = line.split("\t", 1)
        _, kind, oid, size = meta.split()
        if kind == "blob":
            sizes[path] = (oid, int(size))
    tests = [path for path in sizes if path.endswith((".py", "_test.go")) and test_files.is_test_file(path)]
    scripts = [path for path in sizes if path.endswith(".sh") and "bench" in path]
    wanted = [*(name for name in FILES_READ if name in sizes), *tests[:_MAX_TESTS_READ], *scripts[:5]]
    wanted = [path for path in dict.fromkeys(wanted) if sizes[path][1] <= _MAX_BYTES]
    contents = read_objects(repo.git, [sizes[path][0] for path in wanted]) if wanted else iter(())
    texts = {
        path: content.decode("utf-8", "replace")
        for path, content in zip(wanted, contents, strict=True)
        if content is not None
    }
    python = "python" if shutil.which("python", path=search_path()) else "python3"
    return Project(tuple(sizes), texts, python)
