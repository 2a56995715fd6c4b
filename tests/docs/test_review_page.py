"""docs/review.md: the commands of the three ways to approve are run, while people do their part."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from git_planner.config.policy_file import parse_policy
from tests.docs.test_readme import Block, lines, read, run_line
from tests.support.lab import Lab
from tests.support.servers.github import GitHubScript, github_service
from tests.support.servers.hosting_site import HostingSite, hosted
from tests.support.workshop import POLICY, directive

PAGE = "docs/review.md"
STEP = re.compile(r"<!-- meanwhile: (?P<deed>[^>]+) -->|^```sh\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
DIRECTIVE = "planner_packets/directive.json"


@dataclass
class People:
    """What people and planners do between the commands of the page."""

    site: HostingSite
    script: GitHubScript = field(default_factory=GitHubScript)

    def do(self, deed: str) -> None:
        """Do what a comment of the page says."""
        lab = self.site.lab
        if answered := re.fullmatch(r"the answer is committed to (\S+)", deed):
            lab.rival(f"refs/heads/{answered[1]}", DIRECTIVE, json.dumps(directive()))
        elif merged := re.fullmatch(r"(\S+) is merged into plan/default on the site", deed):
            self.site.merge(merged[1], "github squash")
        else:
            assert deed == "a reviewer asks for changes on GitHub"
            self.script.add_comment("reviews", "boss", "Use another loop.", state="CHANGES_REQUESTED")


def steps(title: str) -> Iterator[tuple[str, str]]:
    """Yield the deeds of people and the blocks of commands of a section: ('deed' or 'text', value)."""
    section = read(PAGE).partition(f"## {title}\n")[2].partition("\n## ")[0]
    for match in STEP.finditer(section):
        yield ("deed", match["deed"]) if match["deed"] else ("text", match["text"])


def follow(people: People, title: str) -> list[str]:
    """Run a section; return what its commands printed."""
    lab, printed = people.site.lab, []
    for kind, value in steps(title):
        if kind == "deed":
            people.do(value)
            continue
        for command, expected in lines(Block("sh", value, None)):
            ran = run_line(lab, lab.path, command)
            assert ran.status == expected, f"{command}\n{ran.out}{ran.err}"
            printed.append(ran.out)
    assert len(printed) > 5
    return printed


def test_by_a_merge_on_any_site(lab: Lab) -> None:
    printed = "".join(follow(People(hosted(lab)), "On any hosting site, by a merge"))
    assert "open a pull request of 'review/plan-0001-next' into 'plan/default'" in printed
    assert "improved: size 90 lines (-10 against 100)" in printed


@pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed")
def test_with_the_program_of_github(lab: Lab, tmp_path: Path) -> None:
    people = People(hosted(lab))
    with ExitStack() as stack:
        lab.env |= stack.enter_context(github_service(people.script, tmp_path))
        printed = "".join(follow(people, "On GitHub or GitLab, with their programs"))
    assert "opened #2: " in printed
    assert "> Use another loop." in lab.show("plan/0002-again:planner_packets/prompt.md")
    assert "improved: size 90 lines (-10 against 100)" in printed


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_by_a_signed_commit(lab: Lab) -> None:
    key = lab.home / ".ssh/id_ed25519"
    key.parent.mkdir()
    lab.run_program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    rule = f"{{directives: required, by: approval, reviewers: ['committer@example.com {public}']}}"
    printed = "".join(follow(People(hosted(lab, rule)), "Without a hosting site, by a signed commit"))
    assert "improved: size 90 lines (-10 against 100)" in printed


def test_the_policies_of_the_page_are_valid() -> None:
    texts = re.findall(r"```yaml\n(.*?)```", read(PAGE), re.DOTALL)
    assert len(texts) >= 3
    for text in texts:
        policy = parse_policy(f"{POLICY}{text}".encode(), PAGE)
        assert policy.review.requires("directive")
