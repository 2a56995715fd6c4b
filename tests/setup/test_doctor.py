"""The doctor: a healthy repository, and each thing that can be wrong with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.flows.hooks import install, uninstall
from git_planner.flows.setup import doctor
from git_planner.flows.sharing import merge_driver
from tests.hooks.hooked_repository import hook
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {run: [git, --version]}
jail: off
agents: {planner: offline, implementer: patches, patches: patches}
"""


@pytest.fixture
def healthy(lab: Lab) -> Lab:
    """A repository in which all is well."""
    lab.commit("policy", {".git-planner.yml": POLICY})
    merge_driver.install(lab.repo)
    install.install_hooks(lab.repo)
    manual(lab, found=True)
    return lab


def manual(lab: Lab, *, found: bool) -> None:
    """A man that finds our pages, or none."""
    program = hook(lab.root / "bin/man", f"exit {0 if found else 16}")
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def found(lab: Lab) -> list[tuple[str, str, str]]:
    """Severity, code and target of every finding; each must say what to do."""
    report = doctor.examine(lab.repo)
    for finding in report.findings:
        assert finding.message
        assert finding.fix
    return [(finding.severity, finding.code, finding.target) for finding in report.findings]


def codex(lab: Lab, login: str, status: int = 0) -> None:
    """A program of the name that answers the two questions the doctor has."""
    text = f'case $1 in --version) echo codex-cli 0.169.0;; *) echo "{login}" >&2; exit {status};; esac'
    program = hook(lab.root / "bin/codex", text)
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def test_all_is_well(healthy: Lab) -> None:
    done = healthy.run("git-planner", "doctor")
    version = re.search(r"[\d.]+", healthy.git("version"))
    assert version
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[1] == f"git: {version[0]}"
    assert lines[3:] == [
        "identity: C O Mitter <committer@example.com>",
        "base: main",
        "jail: none (turned off by the policy)",
        "codex: none",
        "codex login: none",
        f"gemini: {shutil.which('gemini') or 'none'}",
        "hooks: include",
        "no problems",
    ]


def test_one_json_document(healthy: Lab) -> None:
    hook(healthy.path / ".git/hooks/post-commit", "true")
    done = healthy.run("git-planner", "doctor", "--json")
    document = json.loads(done.out)
    assert (done.status, document["schema"], document["ok"]) == (0, "git-planner/doctor@1", True)
    assert document["findings"] == [
        {
            "severity": "warning",
            "code": "hooks-stale",
            "message": "the hooks are out of date: the repository's own hooks (now in "
            f"'{healthy.path}/.git/hooks') or git-planner changed after the installation",
            "target": str(healthy.path / ".git"),
            "fix": "git planner hooks install",
        }
    ]


def test_before_anything_is_set_up(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(first=False)
    with lab.entered():
        assert found(lab) == [
            ("error", "unborn", str(lab.path)),
            ("error", "codex-missing", "codex"),
            ("error", "hooks-absent", str(lab.path / ".git")),
        ]
        lab.commit("first", {"a": ""})
        assert ("error", "policy-missing", ".git-planner.yml") in found(lab)
        done = lab.run("git-planner", "doctor")
        assert done.status == 1
        assert "error: there is no '.git-planner.yml' [policy-missing]\n" in done.out
        assert "  do: git planner init\n" in done.out


def test_a_policy_that_is_not_committed_or_not_valid(healthy: Lab) -> None:
    healthy.git("rm", "-q", "--cached", ".git-planner.yml")
    healthy.git("commit", "-q", "-m", "no policy")
    report = doctor.examine(healthy.repo)
    assert [each.message for each in report.findings if each.code == "policy-missing"] == [
        "'.git-planner.yml' is not committed"
    ]
    healthy.commit("broken", {".git-planner.yml": "surplus: 1\n"})
    assert ("error", "policy-invalid", ".git-planner.yml") in found(healthy)


def test_the_base_branch(healthy: Lab) -> None:
    healthy.git("branch", "-m", "main", "trunk")
    assert found(healthy) == [("error", "base-missing", "main")]
    healthy.git("branch", "main", "HEAD~1")
    assert found(healthy) == [("error", "policy-base", "main")]


def test_programs_of_the_policy(healthy: Lab) -> None:
    policy = POLICY.replace("[git, --version]", "[no-such-program]") + (
        "metrics:\n"
        "  - {name: m, run: [tools/measure, x], pattern: '(1)', unit: u, better: lower}\n"
        "profile: {run: [/no/such/profiler]}\n"
    )
    healthy.commit("policy", {".git-planner.yml": policy})
    assert found(healthy) == [
        ("error", "program-missing", "tools/measure"),
        ("error", "program-missing", "no-such-program"),
        ("error", "program-missing", "/no/such/profiler"),
    ]
    healthy.commit("tool", {"tools/measure": "#!/bin/sh\n"})
    assert ("error", "program-missing", "tools/measure") not in found(healthy)


@pytest.mark.parametrize(
    ("login", "status", "kind", "codes"),
    [
        ("Logged in using ChatGPT", 0, "ChatGPT login", []),
        ("API key configured - sk-stub-***bcdef", 0, "API key", []),
        ("Not logged in", 1, "not logged in", ["codex-login"]),
        ("Error checking login status: no", 1, "login cannot be read", ["codex-login"]),
    ],
)
def test_codex_login(healthy: Lab, login: str, status: int, kind: str, codes: list[str]) -> None:
    codex(healthy, login, status)
    # Not used here, so it is a fact and no more.
    report = doctor.examine(healthy.repo)
    assert report.findings == ()
    assert (report.facts["codex"], report.facts["codex login"]) == ("codex-cli 0.169.0", kind)
    healthy.git("config", "planner.implementer", "codex")
    assert [finding.code for finding in doctor.examine(healthy.repo).findings] == codes


def test_gemini_is_missed_where_it_is_chosen(healthy: Lab) -> None:
    healthy.git("config", "planner.gemini", "/no/such/gemini")
    assert found(healthy) == []
    for key, missed in (("planner.critic", "gemini"), ("planner.critic", "codex")):
        healthy.git("config", key, missed)
        expected = [("warning", "gemini-missing", "/no/such/gemini")] if missed == "gemini" else []
        assert found(healthy) == expected
    program = hook(healthy.root / "bin/gemini", "exit 1")
    healthy.git("config", "planner.critic", "gemini")
    healthy.git("config", "planner.gemini", str(program))
    assert doctor.examine(healthy.repo).facts["gemini"] == str(program)
    assert found(healthy) == []


def test_the_manual_is_missed_where_man_does_not_find_it(healthy: Lab) -> None:
    manual(healthy, found=False)
    assert found(healthy) == [("info", "no-manual", "git-plan(1)")]


def test_codex_is_missing(healthy: Lab) -> None:
    healthy.git("config", "planner.planner", "codex")
    healthy.git("config", "planner.codex", "/no/such/codex")
    assert found(healthy) == [("error", "codex-missing", "/no/such/codex")]


def test_no_identity(healthy: Lab) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        os.environ.pop(name)
    healthy.git("config", "user.useConfigOnly", "true")
    assert found(healthy) == [("error", "identity", "user.name, user.email")]


def test_hooks_that_were_changed(healthy: Lab) -> None:
    folder = healthy.path / ".git/planner/hooks"
    (folder / "pre-commit").unlink()
    assert found(healthy) == [("error", "hooks-changed", str(folder))]
    uninstall.uninstall_hooks(healthy.repo)
    assert found(healthy) == [("error", "hooks-absent", str(healthy.path / ".git"))]


def test_the_framework_instead_of_native_hooks(healthy: Lab) -> None:
    uninstall.uninstall_hooks(healthy.repo)
    config = healthy.path / ".pre-commit-config.yaml"
    config.write_text("repos: [{repo: x, rev: v1, hooks: [{id: planner-guard}]}]\n")
    assert found(healthy) == [
        ("info", "hooks-absent", str(healthy.path / ".git")),
        ("warning", "framework-not-installed", ".pre-commit-config.yaml"),
    ]
    (finding,) = [each for each in doctor.examine(healthy.repo).findings if each.severity == "warning"]
    healthy.env["PRE_COMMIT_HOME"] = str(healthy.root / "cache")
    healthy.git("add", config.name)
    done = healthy.run_program(*finding.fix.split())
    assert done.status == 0, done.err
    assert found(healthy) == [("info", "hooks-absent", str(healthy.path / ".git"))]


def test_what_a_killed_git_left(healthy: Lab) -> None:
    lock = healthy.path / ".git/index.lock"
    lock.write_text("")
    # A lock of just now is somebody's work.
    assert found(healthy) == []
    old = time.time() - 3600
    os.utime(lock, (old, old))
    healthy.git("worktree", "add", "-q", "--detach", "../gone")
    (healthy.root / "gone").rename(healthy.root / "elsewhere")
    assert found(healthy) == [
        ("warning", "lock-left", str(lock)),
        ("warning", "worktree-gone", str(healthy.root / "gone")),
    ]


def test_a_shallow_clone(healthy: Lab) -> None:
    other = healthy.root / "shallow"
    healthy.git("clone", "-q", "--depth=1", f"file://{healthy.path}", str(other))
    done = healthy.run("git-planner", "doctor", "--json", cwd=other)
    codes = [(each["severity"], each["code"]) for each in json.loads(done.out)["findings"]]
    assert codes == [("error", "hooks-absent"), ("warning", "shallow")]


def test_nothing_is_changed(healthy: Lab) -> None:
    # The first look leaves a mark that the policy fits its schema.
    doctor.examine(healthy.repo)
    before = sorted(path for path in healthy.path.rglob("*"))
    with healthy.undisturbed():
        doctor.examine(healthy.repo)
    assert sorted(path for path in healthy.path.rglob("*")) == before


def test_a_bare_repository(healthy: Lab) -> None:
    bare = healthy.clone("bare", "--bare")
    with bare.entered():
        merge_driver.install(bare.repo)
        install.install_hooks(bare.repo)
        assert found(bare) == []


def test_a_setting_that_cannot_be_read_is_a_finding(healthy: Lab) -> None:
    healthy.git("config", "planner.attempts", "many")
    assert found(healthy) == [("error", "check-failed", "E_USAGE")]


def test_place_of_the_repository(healthy: Lab, tmp_path: Path) -> None:
    done = healthy.run("git-planner", "doctor", "--json", cwd=tmp_path)
    assert (done.status, json.loads(done.out)["code"]) == (2, "E_NOT_A_REPOSITORY")


@pytest.mark.parametrize(
    ("mode", "program", "severity"),
    [("auto", None, "info"), ("required", None, "error"), ("auto", "broken", "warning"), ("off", None, None)],
)
def test_a_machine_without_a_jail(healthy: Lab, mode: str, program: str | None, severity: str | None) -> None:
    folder = healthy.root / "programs"
    for name in ("git", "sh"):
        found_ = shutil.which(name)
        assert found_
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(found_)
    if program:
        hook(folder / "bwrap", "echo 'bwrap: no permissions to make a namespace' >&2; exit 1")
    os.environ["PATH"] = str(folder)
    healthy.commit("policy", {".git-planner.yml": POLICY.replace("jail: off", f"jail: {mode}")})
    told = [each for each in doctor.examine(healthy.repo).findings if each.code == "no-jail"]
    why = (
        "bubblewrap does not work here: no permissions to make a namespace"
        if program
        else "bubblewrap is not installed"
    )
    message = f"measured commands run without a jail: {why}"
    assert [(each.severity, each.message) for each in told] == ([(severity, message)] if severity else [])


def test_documents_that_git_merges_line_by_line(healthy: Lab) -> None:
    merge_driver.uninstall(healthy.repo)
    found = doctor.examine(healthy.repo).findings
    assert [(each.severity, each.code, each.fix) for each in found] == [
        ("warning", "merge-driver", "git planner init")
    ]
