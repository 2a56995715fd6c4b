"""Manual pages: the output of `git plan --help`, and the folders of the pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from git_planner.cli import ABOUT
from git_planner.flows.setup import man_pages
from tests.docs.test_readme import leaves
from tests.support.lab import Lab, Ran

PAGES = {
    "git-iterate.1",
    "git-plan.1",
    "git-planner.1",
    "git-record.1",
    "gitplanner-schema.5",
    "gitplanner-workflow.7",
}


def man_db() -> bool:
    """Return whether man is installed, not the stand-in of a minimal image."""
    program = shutil.which("man")
    if program is None:
        return False
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return version.stdout.startswith("man ")


needs_man = pytest.mark.skipif(not man_db(), reason="needs man")


def man(lab: Lab, *argv: str) -> Ran:
    """Run git, whose man finds only what has been installed into the laboratory."""
    env = {
        "MANPATH": str(lab.home / ".local/share/man"),
        "MANWIDTH": "80",
        "MANPAGER": "cat",
        "GIT_PAGER": "cat",
    }
    return lab.run_program("git", *argv, env=env)


@needs_man
def test_git_shows_our_pages_once_they_are_installed(lab: Lab) -> None:
    assert man(lab, "plan", "--help").status != 0
    done = lab.run("git-planner", "install-man-pages", "--json")
    assert done.status == 0
    assert {Path(page).name for page in json.loads(done.out)["pages"]} == PAGES
    for program in ABOUT:
        ran = man(lab, program.removeprefix("git-"), "--help")
        assert ran.status == 0, ran.err
        assert ran.out.startswith(program.upper())
        assert "EXIT STATUS" in ran.out
    assert "git record log" in man(lab, "help", "gitplanner-workflow").out
    assert lab.run("git-planner", "install-man-pages", "--remove").status == 0
    assert list((lab.home / ".local/share/man").rglob("*.?")) == []
    assert man(lab, "plan", "--help").status != 0


@needs_man
@pytest.mark.parametrize("page", man_pages.shipped_pages(), ids=lambda page: page.name)
def test_man_finds_no_fault_in_a_page(lab: Lab, page: Path) -> None:
    ran = lab.run_program("man", "--warnings", "-l", str(page), env={"MANWIDTH": "80", "MANPAGER": "cat"})
    assert (ran.status, ran.err) == (0, "")
    assert len(ran.out.splitlines()) > 40


def test_every_command_is_in_the_manual() -> None:
    texts = {
        page.stem: page.read_text().replace("\\-", "-")
        for page in man_pages.shipped_pages()
        if page.suffix == ".1"
    }
    missing = []
    for path, _ in leaves():
        program, *names = path.split()
        shown = " ".join([program.replace("-", " ", 1), *names])
        # The command that needs no name is shown without it.
        bare = shown.removesuffix(" measure").removesuffix(" once")
        if not re.search(rf'^\.SS "{re.escape(bare)}[ "]', texts[program], re.MULTILINE):
            missing.append(path)
    assert missing == []


def test_pages_go_where_they_are_told_to(lab: Lab) -> None:
    lab.env["XDG_DATA_HOME"] = str(lab.root / "data")
    assert lab.run("git-planner", "install-man-pages").status == 0
    assert (lab.root / "data/man/man1/git-plan.1").is_file()
    assert lab.run("git-planner", "install-man-pages", "--to", str(lab.root / "there")).status == 0
    assert {page.name for page in (lab.root / "there").rglob("*.?")} == PAGES


def test_a_folder_that_is_none_is_refused(lab: Lab) -> None:
    (lab.root / "file").write_text("")
    for more in ([], ["--remove"]):
        done = lab.run("git-planner", "install-man-pages", "--to", str(lab.root / "file"), "--json", *more)
        assert (done.status, json.loads(done.out)["code"]) == (2, "E_USAGE")
    assert os.listdir(lab.root / "repo") != []
