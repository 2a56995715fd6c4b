"""Published projects, set up with 'git planner init --yes' and one edited line, and measured."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from git_planner.host.machine import rustup_home
from tests.real.conftest import ROOT, fetched, temporary_place
from tests.real.projects.published import PROJECTS, Edit, Published
from tests.support.lab import Lab

pytestmark = pytest.mark.real


@dataclass
class Story:
    """A project that was set up and measured: what `init` showed, the records by name,
    the commit of the best after the improvement, and seconds."""

    project: Published
    lab: Lab
    trial: dict[str, Any] = field(default_factory=dict)
    policy: str = ""
    best: str = ""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def git(self, name: str, *argv: str, statuses: tuple[int, ...] = (0,)) -> Any:
        """Run a command of git-planner as a user does, and return the document that it prints."""
        began = time.monotonic()
        ran = self.lab.run_program("git", *argv, "--json")
        self.seconds[name] = round(time.monotonic() - began, 1)
        assert ran.status in statuses, (name, ran.status, ran.out[-3000:], ran.err[-3000:])
        return json.loads(ran.out)

    def commit(self, edit: Edit, branch: str | None = None) -> None:
        """Commit an edit, on a new branch from main if one is named."""
        if branch:
            self.lab.git("checkout", "-q", "-b", branch, "main")
        file = self.lab.path / edit.path
        if edit.old:
            text = file.read_text(encoding="utf-8")
            assert edit.old in text, (edit.path, edit.old)
            file.write_text(text.replace(edit.old, edit.new, 1), encoding="utf-8")
        else:
            file.unlink()
        self.lab.git("commit", "-q", "-a", "-m", branch or "by hand")

    def candidate(self, name: str, edit: Edit) -> None:
        """Record a candidate with an edit."""
        self.commit(edit, name)
        self.records[name] = self.git(name, "record", statuses=(0, 1))["record"]
        self.lab.git("checkout", "-q", "main")

    def keep(self, edit: Edit) -> None:
        """Let an iteration make an edit, with a patch in place of an agent."""
        self.commit(edit, "gain")
        folder = self.lab.root / "patches"
        folder.mkdir()
        self.lab.git("diff", f"--output={folder}/1.patch", "main", "gain")
        self.lab.git("checkout", "-q", "main")
        self.lab.env["GIT_PLANNER_PATCHES"] = str(folder)
        iterated = self.git("gain", "iterate", "--planner", "offline", "--impl", "patches")
        self.records["gain"] = iterated["record"]
        self.best = self.lab.git("rev-parse", "iter/best")


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_a_published_project(project: Published) -> None:
    # One test: parallel runs would set the project up for each.
    missing = [program for program in project.needs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    with temporary_place() as place:
        story = Story(project, place.lab)
        if toolchains := rustup_home(os.environ["PATH"]):
            place.lab.env["RUSTUP_HOME"] = str(toolchains)
        if project.tools:
            place.lab.env["PATH"] = f"{fetched(f'projects/{project.tools}')}:{place.lab.env['PATH']}"
        play(story, fetched(f"projects/{project.name}"))
    for check in CHECKS:
        check(story)


def play(story: Story, source: Path) -> None:
    """Do what a user does."""
    lab, project = story.lab, story.project
    shutil.copytree(source, lab.path, symlinks=True, dirs_exist_ok=True)
    lab.git("add", "--all")
    # A crate keeps its lockfile out of its repository, but what is measured needs it.
    for name in ("Cargo.lock", "vendor"):
        if (lab.path / name).exists():
            lab.git("add", "--force", name)
    lab.git("commit", "-q", "-m", f"{project.name} {project.version} as published")
    story.trial = story.git("init", "planner", "init", "--yes")
    policy = lab.path / ".git-planner.yml"
    story.policy = policy.read_text(encoding="utf-8")
    line = next(line for line in story.policy.splitlines() if line == "# metrics:")
    policy.write_text(story.policy.replace(f"{line}\n", f"{project.metric}\n", 1), encoding="utf-8")
    lab.git("add", ".git-planner.yml")
    lab.git("commit", "-q", "-m", "policy")
    story.records["base"] = story.git("base", "record", "main")["record"]
    story.candidate("weakened", project.weakened)
    story.candidate("deleted", project.deleted)
    story.candidate("broken", project.broken)
    story.keep(project.gain)
    story.commit(project.skipped)
    story.records["skipped"] = story.git("skipped", "record", "main")["record"]
    print(f"{project.name} {project.version}", story.seconds, flush=True)


def init_recognises_the_project_and_measures_it(story: Story) -> None:
    assert story.trial["template"] == story.project.template
    trial = story.trial["trial"]
    assert (trial["valid"], trial["cause"]) == (True, None)
    assert trial["tests"] == {**trial["tests"], "passed": story.project.tests, "failed": 0}


def the_base_is_valid(story: Story) -> None:
    record = story.records["base"]
    assert (record["verdict"], record["reason"]) == ("baseline", None)
    assert record["tests"]["passed"] == story.project.tests
    assert record["metrics"][0]["median"] > 0


def an_edited_test_is_refused(story: Story) -> None:
    record = story.records["weakened"]
    assert (record["verdict"], record["reason"]) == ("invalid", "guard")
    assert story.project.weakened.path in record["summary"]


def a_deleted_test_is_refused(story: Story) -> None:
    record, deleted = story.records["deleted"], story.project.deleted
    # Tests that stand beside code are not guarded: that they are missing is noticed.
    assert (record["verdict"], record["reason"]) == ("invalid", "tests_shrank" if deleted.old else "guard")


def a_broken_test_is_caught(story: Story) -> None:
    record = story.records["broken"]
    assert (record["verdict"], record["reason"]) == ("invalid", "incorrect")


def an_improvement_is_kept(story: Story) -> None:
    record = story.records["gain"]
    assert (record["verdict"], record["reason"]) == ("improved", None), record
    assert record["delta"] < 0
    assert story.best == record["commit"]


def a_skipped_test_is_told(story: Story) -> None:
    record = story.records["skipped"]
    skipped = record["tests"]["collected"] - record["tests"]["passed"]
    assert skipped > 0
    assert (
        f"{record['tests']['skipped']} of {record['tests']['collected']} tests skipped" in record["summary"]
    )


def the_page_of_its_language_shows_it(story: Story) -> None:
    page = (ROOT / f"docs/languages/{story.project.page}.md").read_text(encoding="utf-8")
    assert f"```yaml\n{story.policy}```" in page
    assert f"```yaml\n{story.project.metric}\n```" in page
    for command in ("git planner init --yes", "git record main"):
        assert f"\n{command}\n" in page


CHECKS = (
    *(init_recognises_the_project_and_measures_it, the_base_is_valid, an_edited_test_is_refused),
    *(a_deleted_test_is_refused, a_broken_test_is_caught, an_improvement_is_kept, a_skipped_test_is_told),
    the_page_of_its_language_shows_it,
)
