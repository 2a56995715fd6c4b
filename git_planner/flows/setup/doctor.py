"""What a repository and a machine need for git-planner to work, looked at one by one. Changes nothing."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import git_planner
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX
from git_planner.flows.hooks.status import hook_status
from git_planner.flows.setup import man_pages
from git_planner.flows.sharing import merge_driver
from git_planner.gitio import worktree
from git_planner.gitio.repository import Repository
from git_planner.host import jail, process
from git_planner.host.jail import Jail
from git_planner.rules import refnames
from git_planner.rules.diagnostic import Diagnostic
from git_planner.rules.policy.policy import Policy

GIT_NEEDED = (2, 38)
PYTHON_NEEDED = (3, 11)
PRE_COMMIT_FILES = (".pre-commit-config.yaml", ".pre-commit-config.yml")
# A lock older than this was left behind.
LOCK_SECONDS = 60.0


@dataclass(slots=True)
class Patient:
    """What is looked at, and what was learned on the way: facts for people and for other checks."""

    repo: Repository
    facts: dict[str, str | None] = field(default_factory=dict)
    policy: Policy | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found. `facts` are versions and places worth knowing."""

    facts: dict[str, str | None]
    findings: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that will not work."""
        return not any(finding.severity == "error" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "schema": "git-planner/doctor@1",
            "ok": self.ok,
            "facts": self.facts,
            "findings": [finding.document() for finding in self.findings],
        }


def examine(repo: Repository) -> Report:
    """Look at everything.

    Args:
        repo: the repository.

    Returns:
        Facts, and findings in the order of the checks; a check that itself fails is a finding.
    """
    patient = Patient(repo, {"git-planner": git_planner.__version__})
    findings: list[Diagnostic] = []
    for check in CHECKS:
        try:
            findings += check(patient)
        except PlannerError as error:
            findings.append(_failed(check, error))
    return Report(patient.facts, tuple(findings))


def _versions(patient: Patient) -> Iterator[Diagnostic]:
    said = patient.repo.git.line("version")
    found = re.search(r"(\d+)\.(\d+)[\d.]*", said)
    patient.facts["git"] = found[0] if found else said
    if not found or (int(found[1]), int(found[2])) < GIT_NEEDED:
        needed = ".".join(map(str, GIT_NEEDED))
        yield Diagnostic(
            "error", "git-old", f"{said} is too old: {needed} is needed", "git", "install a newer git"
        )
    patient.facts["python"] = platform.python_version()
    if sys.version_info < PYTHON_NEEDED:
        needed = ".".join(map(str, PYTHON_NEEDED))
        yield Diagnostic(
            "error",
            "python-old",
            f"Python {platform.python_version()} is too old: {needed} is needed",
            sys.executable,
            "install git-planner with a newer Python",
        )


def _identity(patient: Patient) -> Iterator[Diagnostic]:
    try:
        patient.facts["identity"] = patient.repo.ident()
    except PlannerError as error:
        yield Diagnostic("error", "identity", error.message, "user.name, user.email", str(error.hint))


def _policy(patient: Patient) -> Iterator[Diagnostic]:
    """The policy that counts is the one on the base branch."""
    repo = patient.repo
    commit = repo.maybe("HEAD")
    if commit is None:
        yield Diagnostic(
            "error",
            "unborn",
            "the repository has no commit yet",
            str(repo.place),
            "make one with 'git commit'",
        )
        return
    try:
        patient.policy = policy_at(repo, commit)
    except PlannerError as error:
        yield _no_policy(repo, error)
        return
    branch = patient.policy.base
    try:
        known = GuardChecker(repo).base_branch
    except PlannerError as error:
        yield Diagnostic("error", "base-unclear", error.message, "planner.base", str(error.hint))
        return
    branch = known[0] if known is not None else branch
    patient.facts["base"] = branch
    tip = repo.maybe(refnames.HEADS + branch)
    if tip is None:
        yield Diagnostic(
            "error",
            "base-missing",
            f"the policy's base branch '{branch}' is not here",
            branch,
            f"name another one in '{refnames.POLICY_FILE}', or fetch it with 'git fetch'",
        )
        return
    if known is None:
        yield Diagnostic(
            "warning",
            "base-guessed",
            f"only policies say that '{branch}' is the base branch, and any branch can hold one",
            branch,
            f"git config planner.base {shlex.quote(branch)}",
        )
    try:
        patient.policy = policy_at(repo, tip)
    except PlannerError as error:
        yield Diagnostic("error", "policy-base", error.message, branch, str(error.hint))


def _no_policy(repo: Repository, error: PlannerError) -> Diagnostic:
    if error.code != "E_NO_POLICY":
        return Diagnostic("error", "policy-invalid", error.message, refnames.POLICY_FILE, str(error.hint))
    lies_there = repo.top is not None and (repo.top / refnames.POLICY_FILE).is_file()
    fix = (
        f"commit it on the base branch: git add {refnames.POLICY_FILE}" if lies_there else "git planner init"
    )
    message = (
        f"'{refnames.POLICY_FILE}' is not committed"
        if lies_there
        else f"there is no '{refnames.POLICY_FILE}'"
    )
    return Diagnostic("error", "policy-missing", message, refnames.POLICY_FILE, fix)


def _programs(patient: Patient) -> Iterator[Diagnostic]:
    """The programs that the policy's commands start."""
    policy = patient.policy
    if policy is None:
        return
    commands: list[tuple[str, Sequence[str]]] = [
        (f"metric '{metric.name}'", metric.run) for metric in policy.metrics
    ]
    if policy.correctness:
        commands.append(("correctness", policy.correctness.run))
    agents = policy.agents
    for what, program in (
        ("profile", policy.profile),
        ("the 'command' planner", agents.command_planner),
        ("the 'command' implementer", agents.command_implementer),
    ):
        if program:
            commands.append((what, program.run))
    for what, run in commands:
        if not _startable(patient.repo, run[0]):
            yield Diagnostic(
                "error",
                "program-missing",
                f"the program of {what} is not there: '{run[0]}'",
                run[0],
                f"install it, or name another one in '{refnames.POLICY_FILE}'",
            )


def _startable(repo: Repository, program: str) -> bool:
    """Whether a program is on PATH, or, named by a path, is there: on the disk or in the commit."""
    if "/" not in program:
        return shutil.which(program) is not None
    if os.path.isabs(program):
        return os.access(program, os.X_OK)
    return repo.git.run("cat-file", "-e", f"HEAD:{os.path.normpath(program)}").status == 0


def _jail(patient: Patient) -> Iterator[Diagnostic]:
    """Whether measured commands can be kept from the rest of the machine."""
    policy = patient.policy
    if policy is None or not (policy.correctness or policy.metrics):
        return
    found = jail.find(policy.jail, os.environ.get("PATH", os.defpath))
    patient.facts["jail"] = found.shown
    if isinstance(found, Jail) or policy.jail == "off":
        return
    yield Diagnostic(
        "error" if policy.jail == "required" else "warning" if found.installed else "info",
        "no-jail",
        f"measured commands run without a jail: {found.why}",
        jail.PROGRAM,
        "see docs/sandbox.md for what this machine has to allow" if found.installed else "install bubblewrap",
    )


def _agents(patient: Patient) -> Iterator[Diagnostic]:
    settings = read_settings(patient.repo, policy=patient.policy)
    yield from _codex(patient, settings)
    yield from _gemini(patient, settings)


def _codex(patient: Patient, settings: Settings) -> Iterator[Diagnostic]:
    """The codex program and how it is logged in; what the repository does not use is only a fact."""
    from git_planner.agents.codex import login

    used = {settings.planner, settings.implementer} & {"codex", "api"}
    patient.facts["codex"] = patient.facts["codex login"] = None
    if shutil.which(settings.codex) is None:
        if used:
            yield Diagnostic(
                "error",
                "codex-missing",
                f"the program '{settings.codex}' is not there, and the settings plan or implement with it",
                settings.codex,
                "npm install --global @openai/codex, or git config planner.codex PATH",
            )
        return
    version = process.run([settings.codex, "--version"], cwd=patient.repo.place, seconds=30.0)
    patient.facts["codex"] = version.stdout.decode(errors="replace").strip() or None
    place = patient.repo.place
    home = login.implementer_home(settings, place)
    patient.facts["codex login"] = login.read_login_kind(home, settings.codex).value
    asked = {"codex": login.find_chatgpt_login, "api": login.find_api_login}
    for agent in sorted(used):
        try:
            asked[agent](settings, place)
        except PlannerError as error:
            yield Diagnostic(
                "error", "codex-login", f"{agent}: {error.message}", settings.codex, str(error.hint)
            )


def _gemini(patient: Patient, settings: Settings) -> Iterator[Diagnostic]:
    """The critic's program; it is missed where somebody has chosen that critic."""
    patient.facts["gemini"] = shutil.which(settings.gemini)
    chosen = patient.policy is not None and "critic" in patient.policy.document.get("agents", {})
    chosen = chosen or patient.repo.config("planner.critic") is not None
    if chosen and settings.critic == "gemini" and patient.facts["gemini"] is None:
        yield Diagnostic(
            "warning",
            "gemini-missing",
            f"the program '{settings.gemini}' is not there, and 'git plan critique' is set to ask it",
            settings.gemini,
            "npm install --global @google/gemini-cli, or git config planner.gemini PATH",
        )


def _hooks(patient: Patient) -> Iterator[Diagnostic]:
    status = hook_status(patient.repo)
    patient.facts["hooks"] = status.place
    framework = _framework(patient.repo)
    for finding in status.findings:
        if finding.code == "hooks-absent" and framework is not None:
            message = (
                f"{finding.message}; '{framework}' runs the same checks, on branches where it is installed"
            )
            yield Diagnostic("info", finding.code, message, finding.target, finding.fix)
        else:
            yield finding


def _merging(patient: Patient) -> Iterator[Diagnostic]:
    """Whether git's own merges know what our documents are; only where somebody has set hooks up at all."""
    if hook_status(patient.repo).place is not None and not merge_driver.in_place(patient.repo):
        yield Diagnostic(
            "warning",
            "merge-driver",
            "git merges plans line by line here, and conflicts where they could be united",
            "merge.planner.driver",
            "git planner init",
        )


def _manual(_: Patient) -> Iterator[Diagnostic]:
    """git answers 'git plan --help' with a page of the manual, or not at all."""
    if man_pages.found() is False:
        yield Diagnostic(
            "info",
            "no-manual",
            "man does not find our pages, and git shows nothing for 'git plan --help' ('git plan -h' works)",
            "git-plan(1)",
            "git planner install-man-pages",
        )


def _framework(repo: Repository) -> str | None:
    """The pre-commit configuration that lists our hooks; None when there is none."""
    for name in PRE_COMMIT_FILES:
        path = (repo.top or repo.common) / name
        if path.is_file() and re.search(rb"\bplanner-(guard|documents)\b", path.read_bytes()):
            return name
    return None


def _framework_installed(patient: Patient) -> Iterator[Diagnostic]:
    """pre-commit only runs at the events that it was installed for."""
    framework = _framework(patient.repo)
    if framework is None:
        return
    theirs = patient.repo.place / hook_status(patient.repo).theirs
    missing = [name for name in scripts.FRAMEWORK if not _runs_framework(theirs / name)]
    if missing:
        types = " ".join(f"--hook-type {name}" for name in scripts.FRAMEWORK)
        yield Diagnostic(
            "warning",
            "framework-not-installed",
            f"'{framework}' lists our hooks, but pre-commit is not installed for {', '.join(missing)}",
            framework,
            f"pre-commit install {types}",
        )


def _runs_framework(hook: Path) -> bool:
    for path in (hook, hook.with_name(hook.name + BACKUP_SUFFIX)):
        if scripts.is_hook(path) and re.search(rb"pre-commit|prek", path.read_bytes()):
            return True
    return False


def _leftovers(patient: Patient) -> Iterator[Diagnostic]:
    """What a killed git left behind."""
    repo = patient.repo
    locks = [repo.common / "config.lock", repo.common / "packed-refs.lock", repo.git_dir / "HEAD.lock"]
    locks.append(Path(repo.git.line("rev-parse", "--path-format=absolute", "--git-path", "index.lock")))
    for lock in locks:
        age = time.time() - lock.stat().st_mtime if lock.exists() else 0.0
        if age > LOCK_SECONDS:
            yield Diagnostic(
                "warning",
                "lock-left",
                f"a lock is {age / 60:.0f} minutes old",
                str(lock),
                "when no git runs in the repository, remove that file",
            )
    for each in worktree.listing(repo):
        if each.prunable:
            yield Diagnostic(
                "warning",
                "worktree-gone",
                "the folder of a worktree is gone",
                str(each.path),
                f"when it will not come back: git worktree remove {shlex.quote(str(each.path))}",
            )


def _shallow(patient: Patient) -> Iterator[Diagnostic]:
    if patient.repo.git.line("rev-parse", "--is-shallow-repository") == "true":
        yield Diagnostic(
            "warning",
            "shallow",
            "the history is cut off (a shallow clone); bases and merge bases may not be found",
            str(patient.repo.place),
            "git fetch --unshallow",
        )


def _failed(check: Callable[[Patient], Iterator[Diagnostic]], error: PlannerError) -> Diagnostic:
    name = check.__name__.strip("_").replace("_", " ")
    return Diagnostic(
        "error", "check-failed", f"{name}: {error.message}", error.code, error.hint or "see above"
    )


CHECKS: tuple[Callable[[Patient], Iterator[Diagnostic]], ...] = (
    _versions,
    _identity,
    _policy,
    _programs,
    _jail,
    _agents,
    _hooks,
    _merging,
    _framework_installed,
    _manual,
    _leftovers,
    _shallow,
)
