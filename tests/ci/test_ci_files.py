"""`git planner ci --write` and `--remove`: files for CI, reviews and issues, and whose edits they keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema import builtin_schemas

from git_planner.rules.ci import code_owners, stamp
from tests.support.lab import Lab
from tests.support.workshop import workshop

SCHEMAS = Path(builtin_schemas.__file__).parent / "vendor"
TEMPLATES = Path(__file__).parents[2] / "templates" / "ci"


def files(lab: Lab, *arguments: str, status: int = 0) -> dict[str, str]:
    """Run `git planner ci` and return the state of each file."""
    ran = lab.run("git-planner", "ci", *arguments, "--json")
    assert (ran.status, ran.err) == (status, "")
    document = json.loads(ran.out)
    assert document["schema"] == "git-planner/ci-files@1"
    return {file["path"]: file["state"] for file in document["files"]}


def tree(lab: Lab) -> dict[str, str]:
    """Return the files of the worktree that are not of the workshop."""
    names = lab.git("ls-files", "--others", "--exclude-standard").splitlines()
    return {name: (lab.path / name).read_text() for name in names}


@pytest.mark.parametrize("where", ["github", "gitlab"])
def test_files_are_written_once_and_removed_without_trace(lab: Lab, where: str) -> None:
    workshop(lab)
    first = files(lab, where, "--write", "--code-owner", "@org/reviewers")
    assert set(first.values()) == {"written"}
    written = tree(lab)
    assert written.keys() == first.keys()
    assert set(files(lab, where, "--write").values()) == {"kept"}
    assert tree(lab) == written
    assert set(files(lab, where, "--remove").values()) == {"removed"}
    assert tree(lab) == {}
    assert not (lab.path / f".{where}").exists()
    assert set(files(lab, where, "--remove").values()) == {"absent"}


def test_a_persons_own_lines_stay_in_both_directions(lab: Lab) -> None:
    workshop(lab)
    own = {
        ".github/CODEOWNERS": "* @everyone",
        ".github/pull_request_template.md": "Say why.\n",
        ".gitlab-ci.yml": "test:\n  script: [make test]\n",
    }
    for name, content in own.items():
        (lab.path / name).parent.mkdir(exist_ok=True)
        (lab.path / name).write_text(content)
    for where in ("github", "gitlab"):
        files(lab, where, "--write", "--code-owner", "@a")
    written = tree(lab)
    assert all(written[name].startswith(content) for name, content in own.items())
    for where in ("github", "gitlab"):
        files(lab, where, "--remove")
    assert tree(lab) == own


def test_edited_files_are_left_alone(lab: Lab) -> None:
    workshop(lab)
    files(lab, "github", "--write", "--code-owner", "@a")
    for name in (".github/workflows/git-planner.yml", ".github/CODEOWNERS"):
        path = lab.path / name
        path.write_text(path.read_text().replace("git-planner", "my-planner", 1).replace("tests", "test", 1))
    path.write_text(path.read_text().replace("my-planner ci: begin", "git-planner ci: begin"))
    before = tree(lab)
    for action in ("--write", "--remove"):
        states = files(lab, "github", action, status=1)
        assert [name for name, state in states.items() if state == "left"] == [
            ".github/workflows/git-planner.yml",
            ".github/CODEOWNERS",
        ]
    assert {name: before[name] for name in tree(lab)} == tree(lab)
    ran = lab.run("git-planner", "ci", "github", "--write")
    message = "left '.github/workflows/git-planner.yml': it has changes of yours, or another origin"
    assert (ran.status, message in ran.out) == (1, True)


def test_settings_are_kept_by_an_update(lab: Lab) -> None:
    workshop(lab)
    files(lab, "github", "--write", "--package", "git-planner==1.2")
    path = lab.path / ".github/workflows/git-planner.yml"
    assert '  GIT_PLANNER_PACKAGE: "git-planner==1.2"  # yours to set\n' in path.read_text()
    path.write_text(path.read_text().replace('PREPARE: "true"', 'PREPARE: "make deps"'))
    assert files(lab, "github", "--write")[".github/workflows/git-planner.yml"] == "kept"
    # As an older version wrote it: other lines, and the same settings.
    older = (
        path.read_text().rpartition("# git-planner: ")[0].replace("timeout-minutes: 10", "timeout-minutes: 9")
    )
    path.write_text(stamp.HASH.apply(older))
    assert files(lab, "github", "--write")[".github/workflows/git-planner.yml"] == "updated"
    text = path.read_text()
    assert stamp.settings(text) == {
        "GIT_PLANNER_PACKAGE": '"git-planner==1.2"',
        "GIT_PLANNER_PREPARE": '"make deps"',
    }
    assert "timeout-minutes: 9" not in text


def test_an_include_of_ones_own_is_not_replaced(lab: Lab) -> None:
    workshop(lab)
    path = lab.path / ".gitlab-ci.yml"
    path.write_text("include:\n  - local: other.yml\n")
    ran = lab.run("git-planner", "ci", "gitlab", "--write")
    skipped = "left '.gitlab-ci.yml': it has an 'include'; add '- local: .gitlab/git-planner.yml' to it"
    assert (ran.status, skipped in ran.out.splitlines()) == (1, True)
    path.write_text("include:\n  - local: other.yml\n  - local: .gitlab/git-planner.yml\n")
    assert files(lab, "gitlab", "--write", "--code-owner", "@a")[".gitlab-ci.yml"] == "kept"


def test_owners_are_those_of_the_policy_and_stay(lab: Lab) -> None:
    workshop(lab)
    assert files(lab, "github", "--write")[".github/CODEOWNERS"] == "skipped"
    files(lab, "github", "--write", "--code-owner", "@org/team", "--code-owner", "ada@example.com")
    lines = (lab.path / ".github/CODEOWNERS").read_text().splitlines()
    assert lines[1:-2] == [
        f"/{pattern} @org/team ada@example.com"
        for pattern in (
            ".git-planner.yml",
            ".plans/",
            "planner_packets/",
            "openspec/",
            ".github/workflows/git-planner.yml",
            ".github/CODEOWNERS",
            "tests/",
        )
    ]
    assert files(lab, "github", "--write")[".github/CODEOWNERS"] == "kept"
    ran = lab.run("git-planner", "ci", "github", "--write", "--code-owner", "two words")
    assert (ran.status, "(E_USAGE)" in ran.err) == (2, True)


def test_patterns_of_the_guard_as_code_owners_writes_them() -> None:
    patterns = ["tests/**", "test_[0-9].py", "a b/#c", "**/conftest.py"]
    lines = code_owners.owner_lines(patterns, ["@a"]).splitlines()[4:]
    assert lines == ["/tests/ @a", "/test_?.py @a", "/a\\ b/\\#c @a", "/**/conftest.py @a"]


def test_the_hosting_site_is_that_of_origin(lab: Lab) -> None:
    workshop(lab)
    assert lab.run("git-planner", "ci", "--write").status == 2
    lab.git("remote", "add", "origin", "git@gitlab.example.com:a/b.git")
    assert ".gitlab-ci.yml" in files(lab, "--write", "--code-owner", "@a")
    lab.git("remote", "set-url", "origin", "https://github.com/a/b")
    assert ".gitlab-ci.yml" in files(lab, "--remove")


def test_a_link_out_of_the_worktree_is_refused(lab: Lab) -> None:
    workshop(lab)
    outside = lab.root / "outside"
    outside.mkdir()
    (lab.path / ".github").symlink_to(outside)
    ran = lab.run("git-planner", "ci", "github", "--write")
    assert (ran.status, "(E_UNWRITABLE)" in ran.err, list(outside.iterdir())) == (4, True, [])


def test_an_uninstallation_names_what_stays(lab: Lab) -> None:
    workshop(lab)
    files(lab, "github", "--write")
    outside = json.loads(lab.run("git-planner", "uninstall", "--dry-run", "--json").out)["outside"]
    path = ".github/workflows/git-planner.yml"
    assert f"'{path}' stays, with templates and owners: git planner ci github --remove" in outside


@pytest.mark.parametrize("words", [("--write", "--remove"), ("--run", "check", "--write"), ()])
def test_modes_exclude_each_other(lab: Lab, words: tuple[str, ...]) -> None:
    assert lab.run("git-planner", "ci", *words).status == 2


def check_valid(name: str, document: Any) -> None:
    """Fail unless a document fits one of the published schemas."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(document)


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("github-actions.yml", "github-workflows"),
        ("action.yml", "github-actions"),
        ("github-task-form.yml", "github-issue-forms"),
        ("github-guard-form.yml", "github-issue-forms"),
        ("template.yml", "gitlab-ci"),
        ("gitlab-include.yml", "gitlab-ci"),
    ],
)
def test_files_fit_their_published_schemas(file: str, schema: str) -> None:
    for document in yaml.safe_load_all((TEMPLATES / file).read_text()):
        # YAML 1.1 reads the key 'on' as true.
        check_valid(schema, {"on" if key is True else key: value for key, value in document.items()})


def test_workflows_have_least_permissions_and_pinned_actions() -> None:
    for file in ("github-actions.yml", "action.yml"):
        text = (TEMPLATES / file).read_text()
        uses = [line.split("uses: ")[1] for line in text.splitlines() if "uses: " in line]
        assert uses
        assert all(len(line.split(" ")[0].split("@")[1]) == 40 for line in uses)
    workflow = yaml.safe_load((TEMPLATES / "github-actions.yml").read_text())
    assert workflow["permissions"] == {}
    assert set(workflow[True]) == {"pull_request", "merge_group"}
    jobs = workflow["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "guard": {"contents": "read"},
        "verify": {"contents": "read"},
        "comment": {"contents": "read", "pull-requests": "write"},
    }
    # The token is in one step only, and no text of a request reaches a shell as code.
    tokens = [
        name for name, job in jobs.items() for step in job["steps"] if "GH_TOKEN" in step.get("env", {})
    ]
    assert tokens == ["comment"]
    for steps in (
        *(job["steps"] for job in jobs.values()),
        yaml.safe_load((TEMPLATES / "action.yml").read_text())["runs"]["steps"],
    ):
        assert not any("${{" in step.get("run", "") for step in steps)
        places = [step.get("uses", "").partition("@")[0] for step in steps]
        if "actions/checkout" in places:
            install = next(place for place, step in enumerate(steps) if "pip install" in step.get("run", ""))
            assert install < places.index("actions/checkout")
            assert steps[places.index("actions/checkout")]["with"]["persist-credentials"] is False
