"""Manual pages: the output of `git plan --help`, and the folders of the pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from git_planner import documents
from git_planner.agents import registry
from git_planner.cli import ABOUT
from git_planner.cli.reference import policy_page
from git_planner.config import policy_file
from git_planner.config.settings import _OTHER_KEYS, Settings, config_key
from git_planner.flows.setup import man_pages
from git_planner.rules.policy.parse import policy_from
from tests.docs.test_readme import leaves
from tests.support.lab import Lab, Ran

ROOT = Path(__file__).parents[2]
ROLES = ("planner", "implementer", "researcher", "critic")
PAGES = {
    "git-bo4.1",
    "git-iterate.1",
    "git-plan.1",
    "git-planner.1",
    "git-record.1",
    "gitplanner-config.5",
    "gitplanner-policy.5",
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
    assert "metrics[].pattern string" in man(lab, "help", "gitplanner-policy").out
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
        bare = shown.removesuffix(" measure").removesuffix(" once").removesuffix(" launch")
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


def keys_of(name: str) -> set[str]:
    """Return the keys that a page describes."""
    page = next(page for page in man_pages.shipped_pages() if page.name == name)
    return set(re.findall(r"^\\fB([\w.[\]]+)\\fR ", page.read_text(), re.MULTILINE))


def test_the_pages_have_every_key_of_the_policy_and_every_setting() -> None:
    shown = keys_of("gitplanner-policy.5")
    schema = documents.inlined_schema("policy")

    def names(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for key, field in node.get("properties", {}).items():
            yield prefix + key
            for inner, mark in (
                (field, "."),
                (field.get("items", {}), "[]."),
                *((one, ".") for one in field.get("anyOf", ())),
            ):
                yield from names(inner, f"{prefix}{key}{mark}")

    settings = {config_key(field.name) for field in fields(Settings)}
    assert shown >= {*names(schema, "")}
    assert keys_of("gitplanner-config.5") >= {*settings, *_OTHER_KEYS}
    assert {"metrics[].pairs.alpha", "agents.command.planner.run", "critics.gemini.models.as_of"} <= shown


def test_the_page_of_the_policy_tells_the_defaults() -> None:
    metric = {"name": "n", "run": ["x"], "pattern": "(x)", "better": "lower"}
    start = {"schema": "git-planner/policy@1", "metrics": [metric], "correctness": {"run": ["x"]}}
    policy = policy_from({**start, "profile": {"run": ["x"]}})
    assert policy.correctness is not None
    assert policy.profile is not None
    (plain,) = policy.metrics
    defaults: dict[str, object] = {
        "base": f"'{policy.base}'",
        "scope.max_file_mb": policy.max_file_mb,
        "scope.max_new_files": f"{policy.max_new_files:,}",
        "correctness.timeout": f"{policy.correctness.timeout:g}",
        "profile.timeout": f"{policy.profile.timeout:g}",
        "metrics[].timeout": f"{plain.timeout:g}",
        "metrics[].repeats": plain.repeats,
        "families.streak": policy.families.streak,
        "families.bonus_streak": policy.families.bonus_streak,
        "families.bonus_gain": f"{policy.families.bonus_gain:g}",
        "prompt_budget": policy.prompt_budget,
        "agents.attempts": policy.agents.attempts,
        "stop.invalid": policy.stop.invalid,
        "critics.budget": policy.critics.budget,
        "critics.gemini.timeout": f"{policy.critics.gemini.timeout:g}",
        "critics.gemini.model": policy.critics.gemini.model,
        **{f"agents.{role}": f"'{getattr(policy.agents, role)}'" for role in ROLES},
        **{f"metrics[].pairs.{key}": value for key, value in plain.pairs._asdict().items()},
    }
    texts = {key.name: key.text for key in policy_page.policy_keys()}
    assert {
        name: default for name, default in defaults.items() if f"(default: {default}" not in texts[name]
    } == {}
    for name, default in (
        ("correctness.proof", policy.correctness.proof),
        ("metrics[].kind", plain.kind),
        ("metrics[].source", plain.source),
        ("jail", policy.jail),
        ("agents.sandbox", policy.agents.sandbox),
        ("agents.git", policy.agents.git),
    ):
        assert f"'{default}' (default" in texts[name]
    timeouts = (f"{role} {getattr(policy.agents, f'{role}_timeout'):g}" for role in ROLES[:3])
    assert f"(default: {', '.join(timeouts)})" in texts["agents.timeouts"]


def test_the_example_of_the_policy_is_valid() -> None:
    policy = policy_file.parse_policy(policy_page.example(ROOT).encode(), "example")
    assert policy.metrics[0].name == "cycles"


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_names_agents_that_exist(role: str) -> None:
    names = documents.schema("policy")["properties"]["agents"]["properties"][role]["enum"]
    # A person is the planner of 'manual'.
    assert set(names) - {"manual"} == set(registry._AGENTS[role])
    unknown = {"schema": "git-planner/policy@1", "correctness": {"run": ["x"]}, "agents": {role: "codx"}}
    (fault,) = documents.validate("policy", unknown)
    assert fault.startswith(f"/agents/{role}: must be one of ")


def test_lines_to_paste_stay_lines() -> None:
    page = next(page for page in man_pages.shipped_pages() if page.name == "git-planner.1").read_text()
    literal = page.partition("completion script of all commands")[2].partition(".nf\n")[2].partition(".fi")[0]
    assert [line.split(":")[0] for line in literal.splitlines()] == ["bash", "zsh", "fish"]
    text = (ROOT / "docs/commands.md").read_text()
    assert '\n\n    bash: eval "$(git planner completion bash)"' in text
    # click's name of a type is no placeholder.
    assert "INTEGER" not in text
