"""The doctor: a healthy repository, and every fault it reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
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
agents: {sandbox: off, planner: offline, implementer: patches, patches: patches}
"""


@pytest.fixture
def healthy(lab: Lab) -> Lab:
    """Make a repository without faults."""
    lab.commit("policy", {".git-planner.yml": POLICY})
    merge_driver.install(lab.repo)
    install.install_hooks(lab.repo)
    set_man(lab, is_found=True)
    lab.git("config", "planner.terminal", "headless")
    return lab


def set_man(lab: Lab, *, is_found: bool) -> None:
    """Install a man program that finds the man pages, or not."""
    program = hook(lab.root / "bin/man", f"exit {0 if is_found else 16}")
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def doctor_findings(lab: Lab) -> list[tuple[str, str, str]]:
    """Return severity, code and target of every finding; check that each has a message and a fix."""
    report = doctor.run_checks(lab.repo)
    for finding in report.findings:
        assert finding.message
        assert finding.fix
    return [(finding.severity, finding.code, finding.target) for finding in report.findings]


def set_codex(lab: Lab, login: str, status: int = 0) -> None:
    """Install a codex program that answers the two queries of the doctor."""
    text = f'case $1 in --version) echo codex-cli 0.169.0;; *) echo "{login}" >&2; exit {status};; esac'
    program = hook(lab.root / "bin/codex", text)
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def test_a_healthy_repository(healthy: Lab) -> None:
    done = healthy.run("git-planner", "doctor")
    version = re.search(r"[\d.]+", healthy.git("version"))
    assert version
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[1] == f"git: {version[0]}"
    assert lines[3:] == [
        "identity: C O Mitter <committer@example.com>",
        "configuration file: none",
        "mcp server: none",
        "base: main",
        "jail: none (turned off by the policy)",
        "agents run in: none (turned off by the policy)",
        "codex: none",
        "codex login: none",
        f"gemini: {shutil.which('gemini') or 'none'}",
        "terminal: headless",
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


def test_before_the_setup(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(first=False)
    with lab.entered():
        assert doctor_findings(lab) == [
            ("error", "unborn", str(lab.path)),
            ("error", "codex-missing", "codex"),
            ("error", "hooks-absent", str(lab.path / ".git")),
        ]
        lab.commit("first", {"a": ""})
        assert ("error", "policy-missing", ".git-planner.yml") in doctor_findings(lab)
        done = lab.run("git-planner", "doctor")
        assert done.status == 1
        assert "error: there is no '.git-planner.yml' [policy-missing]\n" in done.out
        assert "  do: git planner init\n" in done.out


def test_a_policy_that_is_not_committed_or_not_valid(healthy: Lab) -> None:
    healthy.git("rm", "-q", "--cached", ".git-planner.yml")
    healthy.git("commit", "-q", "-m", "no policy")
    report = doctor.run_checks(healthy.repo)
    assert [finding.message for finding in report.findings if finding.code == "policy-missing"] == [
        "'.git-planner.yml' is not committed"
    ]
    healthy.commit("broken", {".git-planner.yml": "surplus: 1\n"})
    assert ("error", "policy-invalid", ".git-planner.yml") in doctor_findings(healthy)


def test_the_base_branch(healthy: Lab) -> None:
    healthy.git("branch", "-m", "main", "trunk")
    assert doctor_findings(healthy) == [("error", "base-missing", "main")]
    healthy.git("branch", "main", "HEAD~1")
    assert doctor_findings(healthy) == [("error", "policy-base", "main")]


def test_programs_of_the_policy(healthy: Lab) -> None:
    policy = POLICY.replace("[git, --version]", "[no-such-program]") + (
        "metrics:\n"
        "  - {name: m, run: [tools/measure, x], pattern: '(1)', unit: u, better: lower}\n"
        "profile: {run: [/no/such/profiler]}\n"
    )
    healthy.commit("policy", {".git-planner.yml": policy})
    assert doctor_findings(healthy) == [
        ("error", "program-missing", "tools/measure"),
        ("error", "program-missing", "no-such-program"),
        ("error", "program-missing", "/no/such/profiler"),
    ]
    healthy.commit("tool", {"tools/measure": "#!/bin/sh\n"})
    assert ("error", "program-missing", "tools/measure") not in doctor_findings(healthy)


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
    set_codex(healthy, login, status)
    # Not used here, so it is only a fact.
    report = doctor.run_checks(healthy.repo)
    assert report.findings == ()
    assert (report.facts["codex"], report.facts["codex login"]) == ("codex-cli 0.169.0", kind)
    healthy.git("config", "planner.implementer", "codex")
    assert [finding.code for finding in doctor.run_checks(healthy.repo).findings] == codes


def test_a_missing_gemini_is_reported_where_it_is_chosen(healthy: Lab) -> None:
    healthy.git("config", "planner.gemini", "/no/such/gemini")
    assert doctor_findings(healthy) == []
    for key, critic in (("planner.critic", "gemini"), ("planner.critic", "codex")):
        healthy.git("config", key, critic)
        expected = [("warning", "gemini-missing", "/no/such/gemini")] if critic == "gemini" else []
        assert doctor_findings(healthy) == expected
    program = hook(healthy.root / "bin/gemini", "exit 1")
    healthy.git("config", "planner.critic", "gemini")
    healthy.git("config", "planner.gemini", str(program))
    assert doctor.run_checks(healthy.repo).facts["gemini"] == str(program)
    assert doctor_findings(healthy) == []


def test_missing_man_pages_are_reported(healthy: Lab) -> None:
    set_man(healthy, is_found=False)
    assert doctor_findings(healthy) == [("info", "no-manual", "git-plan(1)")]


def test_codex_is_missing(healthy: Lab) -> None:
    healthy.git("config", "planner.planner", "codex")
    healthy.git("config", "planner.codex", "/no/such/codex")
    assert doctor_findings(healthy) == [("error", "codex-missing", "/no/such/codex")]


def test_no_identity(healthy: Lab) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        os.environ.pop(name)
    healthy.git("config", "user.useConfigOnly", "true")
    assert doctor_findings(healthy) == [("error", "identity", "user.name, user.email")]


@pytest.mark.parametrize(("passphrase", "is_asked"), [("secret", True), ("", False)])
def test_a_signer_that_would_ask(healthy: Lab, passphrase: str, is_asked: bool) -> None:
    key = healthy.root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(key)], check=True)
    healthy.git("config", "gpg.format", "ssh")
    healthy.git("config", "user.signingKey", str(key))
    assert "signer-asks" not in [code for _, code, _ in doctor_findings(healthy)]
    healthy.git("config", "commit.gpgSign", "true")
    assert ("signer-asks" in [code for _, code, _ in doctor_findings(healthy)]) == is_asked


def test_a_signer_without_a_key(healthy: Lab) -> None:
    healthy.git("config", "commit.gpgSign", "true")
    healthy.git("config", "user.signingKey", "0123456789ABCDEF0123456789ABCDEF01234567")
    assert "signer-asks" in [code for _, code, _ in doctor_findings(healthy)]


def test_hooks_that_were_changed(healthy: Lab) -> None:
    folder = healthy.path / ".git/planner/hooks"
    (folder / "pre-commit").unlink()
    assert doctor_findings(healthy) == [("error", "hooks-changed", str(folder))]
    uninstall.uninstall_hooks(healthy.repo)
    assert doctor_findings(healthy) == [("error", "hooks-absent", str(healthy.path / ".git"))]


def test_the_framework_instead_of_native_hooks(healthy: Lab) -> None:
    uninstall.uninstall_hooks(healthy.repo)
    config = healthy.path / ".pre-commit-config.yaml"
    config.write_text("repos: [{repo: x, rev: v1, hooks: [{id: planner-guard}]}]\n")
    assert doctor_findings(healthy) == [
        ("info", "hooks-absent", str(healthy.path / ".git")),
        ("warning", "framework-not-installed", ".pre-commit-config.yaml"),
    ]
    (finding,) = [
        warning for warning in doctor.run_checks(healthy.repo).findings if warning.severity == "warning"
    ]
    healthy.env["PRE_COMMIT_HOME"] = str(healthy.root / "cache")
    healthy.git("add", config.name)
    done = healthy.run_program(*finding.fix.split())
    assert done.status == 0, done.err
    assert doctor_findings(healthy) == [("info", "hooks-absent", str(healthy.path / ".git"))]


def test_stale_locks_and_missing_worktrees(healthy: Lab) -> None:
    lock = healthy.path / ".git/index.lock"
    lock.write_text("")
    # A fresh lock belongs to a running process.
    assert doctor_findings(healthy) == []
    old = time.time() - 3600
    os.utime(lock, (old, old))
    healthy.git("worktree", "add", "-q", "--detach", "../gone")
    (healthy.root / "gone").rename(healthy.root / "elsewhere")
    assert doctor_findings(healthy) == [
        ("warning", "lock-left", str(lock)),
        ("warning", "worktree-gone", str(healthy.root / "gone")),
    ]


def test_a_shallow_clone(healthy: Lab) -> None:
    other = healthy.root / "shallow"
    healthy.git("clone", "-q", "--depth=1", f"file://{healthy.path}", str(other))
    done = healthy.run("git-planner", "doctor", "--json", cwd=other)
    codes = [(finding["severity"], finding["code"]) for finding in json.loads(done.out)["findings"]]
    assert codes == [("error", "hooks-absent"), ("warning", "shallow")]


def test_nothing_is_changed(healthy: Lab) -> None:
    # The first run caches that the policy is valid.
    doctor.run_checks(healthy.repo)
    before = sorted(path for path in healthy.path.rglob("*"))
    with healthy.undisturbed():
        doctor.run_checks(healthy.repo)
    assert sorted(path for path in healthy.path.rglob("*")) == before


def test_a_bare_repository(healthy: Lab) -> None:
    bare = healthy.clone("bare", "--bare")
    with bare.entered():
        merge_driver.install(bare.repo)
        install.install_hooks(bare.repo)
        assert doctor_findings(bare) == []


def test_a_setting_that_cannot_be_read_is_a_finding(healthy: Lab) -> None:
    healthy.git("config", "planner.attempts", "many")
    assert doctor_findings(healthy) == [("error", "check-failed", "E_USAGE")]


def test_a_mistyped_key_of_the_configuration(healthy: Lab) -> None:
    for key in ("planner.implementr", "planner.jailread", "planner.nothingLikeIt"):
        healthy.git("config", key, "codex")
    assert doctor_findings(healthy) == [
        ("warning", "config-unknown", "planner.implementr"),
        ("warning", "config-unknown", "planner.nothinglikeit"),
    ]
    (mistyped, unknown) = doctor.run_checks(healthy.repo).findings
    assert mistyped.fix.startswith("did you mean 'planner.implementer'")
    assert unknown.fix == "git config --unset planner.nothinglikeit"


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
        program_path = shutil.which(name)
        assert program_path
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(program_path)
    if program:
        hook(folder / "bwrap", "echo 'bwrap: no permissions to make a namespace' >&2; exit 1")
    os.environ["PATH"] = str(folder)
    policy = POLICY.replace("jail: off", f"jail: {mode}").replace("sandbox: off", f"sandbox: {mode}")
    healthy.commit("policy", {".git-planner.yml": policy})
    findings = doctor.run_checks(healthy.repo).findings
    reason = (
        "bubblewrap does not work here: no permissions to make a namespace"
        if program
        else "bubblewrap is not installed"
    )
    agents = (
        f"no agent can be started: the policy requires a sandbox for agents; {reason}"
        if mode == "required"
        else f"agents run without a sandbox: {reason}"
    )
    expected = {
        "no-jail": (severity, f"measured commands run without a jail: {reason}"),
        "no-agent-sandbox": (severity, agents),
    }
    reported = {
        finding.code: (finding.severity, finding.message) for finding in findings if finding.code in expected
    }
    assert reported == (expected if severity else {})


def test_gates_whose_programs_are_missing(healthy: Lab) -> None:
    folder = healthy.root / "programs"
    folder.mkdir()
    for name in ("git", "sh"):
        (folder / name).symlink_to(shutil.which(name) or name)
    os.environ["PATH"] = str(folder)
    gates = "gates: {shipping: [{name: lint, run: [no-linter]}, {name: side_effects, run: [sh, x]}]}\n"
    healthy.commit("policy", {".git-planner.yml": POLICY + gates})
    findings = {finding.code: finding.message for finding in doctor.run_checks(healthy.repo).findings}
    assert findings["program-missing"] == "the program of gate 'lint' is missing: 'no-linter'"
    assert findings["no-observer"] == "the gate 'side_effects' does not pass: strace is not installed"


def test_a_missing_merge_driver(healthy: Lab) -> None:
    merge_driver.uninstall(healthy.repo)
    findings = doctor.run_checks(healthy.repo).findings
    assert [(finding.severity, finding.code, finding.fix) for finding in findings] == [
        ("warning", "merge-driver", "git planner init")
    ]


def test_what_terminals_lack(healthy: Lab) -> None:
    os.environ |= {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    healthy.git("config", "planner.terminal", "auto")
    hook(healthy.root / "bin/tmux", "echo tmux 2.8")
    assert doctor_findings(healthy) == [("info", "no-terminal", "planner.terminal")]
    report = doctor.run_checks(healthy.repo)
    assert (report.facts["terminal"], report.ok) == (None, True)
    message = "sessions cannot be started in tmux: tmux 2.8 is too old: 3.0 is needed"
    assert report.findings[0].message == message
    hook(healthy.root / "bin/tmux", "echo tmux 3.4")
    assert doctor_findings(healthy) == []
    healthy.git("config", "planner.terminal", "desktop")
    assert doctor_findings(healthy)[0] == ("warning", "no-terminal", "planner.terminal")
