"""Check the setup of repository and machine. Changes nothing."""

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
from typing import Any, Literal

import git_planner
from git_planner.agents.confinement import Confinement
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import Settings, is_set, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX
from git_planner.flows.hooks.status import hook_status
from git_planner.flows.plans.best_place import find_moved_best
from git_planner.flows.records.ledger import plan_names
from git_planner.flows.records.standing import best_standings
from git_planner.flows.setup import man_pages, repository_checks, terminal_check
from git_planner.flows.setup.project import policy_checks
from git_planner.flows.setup.settings_checks import settings_findings
from git_planner.flows.setup.signer_check import signer_findings
from git_planner.flows.sharing import merge_driver
from git_planner.gitio.repository import Repository
from git_planner.host import agent_jail, jail, process
from git_planner.host.jail import NoJail
from git_planner.rules import refnames
from git_planner.rules.diagnostic import Diagnostic, Severity
from git_planner.rules.policy.policy import Policy

GIT_NEEDED = (2, 38)
PYTHON_NEEDED = (3, 11)
PRE_COMMIT_FILES = (".pre-commit-config.yaml", ".pre-commit-config.yml")
# An older lock is stale.
LOCK_SECONDS = 60.0


@dataclass(slots=True)
class CheckContext:
    """Input and collected facts of the checks, for the report and for later checks."""

    repo: Repository
    facts: dict[str, str | None] = field(default_factory=dict)
    policy: Policy | None = None
    base: str | None = None


Check = Callable[[CheckContext], Iterator[Diagnostic]]


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Result of all checks. `facts` are versions and paths."""

    facts: dict[str, str | None]
    findings: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """True if there are no errors."""
        return not any(finding.severity == "error" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "schema": "git-planner/doctor@1",
            "ok": self.ok,
            "facts": self.facts,
            "findings": [finding.document() for finding in self.findings],
        }


def run_checks(repo: Repository, more: Sequence[Check] = ()) -> DoctorReport:
    """Run all checks.

    Args:
        repo: the repository.
        more: checks of capabilities above this one. A failed check is a finding.
    """
    context = CheckContext(repo, {"git-planner": git_planner.__version__})
    findings: list[Diagnostic] = []
    for check in (*CHECKS, *more):
        try:
            findings += check(context)
        except PlannerError as error:
            # Several checks read the settings, and would all report the same fault of them.
            if not any(error.message in finding.message for finding in findings):
                findings.append(_failed_check(check, error))
    return DoctorReport(context.facts, tuple(findings))


def _check_versions(context: CheckContext) -> Iterator[Diagnostic]:
    output = context.repo.git.line("version")
    version = re.search(r"(\d{1,9})\.(\d{1,9})[\d.]{0,20}", output)
    context.facts["git"] = version[0] if version else output
    if not version or (int(version[1]), int(version[2])) < GIT_NEEDED:
        needed = ".".join(map(str, GIT_NEEDED))
        yield Diagnostic(
            "error", "git-old", f"{output} is too old: {needed} is needed", "git", "install a newer git"
        )
    context.facts["python"] = platform.python_version()
    if sys.version_info < PYTHON_NEEDED:
        needed = ".".join(map(str, PYTHON_NEEDED))
        yield Diagnostic(
            "error",
            "python-old",
            f"Python {platform.python_version()} is too old: {needed} is needed",
            sys.executable,
            "install git-planner with a newer Python",
        )


def _check_identity(context: CheckContext) -> Iterator[Diagnostic]:
    try:
        context.facts["identity"] = context.repo.ident()
    except PlannerError as error:
        yield Diagnostic("error", "identity", error.message, "user.name, user.email", str(error.hint))
    yield from signer_findings(context.repo)


def _check_config(context: CheckContext) -> Iterator[Diagnostic]:
    from git_planner.flows.setup.register_client import registrations

    yield from settings_findings(context.repo, context.facts)
    context.facts["mcp server"] = ", ".join(registrations(context.repo.top)) or None


def _check_policy(context: CheckContext) -> Iterator[Diagnostic]:
    """Check the policy at HEAD, then the one on the base branch, which is in force."""
    repo = context.repo
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
        context.policy = policy_at(repo, commit)
    except PlannerError as error:
        yield policy_checks.missing_policy(repo, error)
        return
    branch = context.policy.base
    try:
        configured = GuardChecker(repo).base_branch
    except PlannerError as error:
        yield Diagnostic("error", "base-unclear", error.message, "planner.base", str(error.hint))
        return
    branch = configured[0] if configured is not None else branch
    context.facts["base"] = branch
    tip = repo.maybe(refnames.HEADS + branch)
    if tip is None:
        yield Diagnostic(
            "error",
            "base-missing",
            f"the policy's base branch '{branch}' is missing",
            branch,
            f"name another one in '{refnames.POLICY_FILE}', or fetch it with 'git fetch'",
        )
        return
    if configured is None:
        yield Diagnostic(
            "warning",
            "base-guessed",
            f"only a policy names '{branch}' as the base branch, and any branch can contain a policy",
            branch,
            f"git config planner.base {shlex.quote(branch)}",
        )
    try:
        context.policy = policy_at(repo, tip)
    except PlannerError as error:
        yield Diagnostic("error", "policy-base", error.message, branch, str(error.hint))


def _check_programs(context: CheckContext) -> Iterator[Diagnostic]:
    """Check the programs of the policy's commands."""
    policy = context.policy
    if policy is None:
        return
    commands: list[tuple[str, Sequence[str]]] = [
        (f"metric '{metric.name}'", metric.run) for metric in policy.metrics
    ]
    if policy.correctness:
        commands.append(("correctness", policy.correctness.run))
    commands += repository_checks.gate_commands(policy)
    agents = policy.agents
    for purpose, program in (
        ("profile", policy.profile),
        ("the 'command' planner", agents.command_planner),
        ("the 'command' implementer", agents.command_implementer),
    ):
        if program:
            commands.append((purpose, program.run))
    for purpose, run in commands:
        if not _is_executable(context.repo, run[0]):
            yield Diagnostic(
                "error",
                "program-missing",
                f"the program of {purpose} is missing: '{run[0]}'",
                run[0],
                f"install it, or name another one in '{refnames.POLICY_FILE}'",
            )
        elif (module := repository_checks.missing_module(context.repo, run)) is not None:
            yield Diagnostic(
                "error",
                "module-missing",
                f"the Python module of {purpose} is missing: '{module}'",
                shutil.which(run[0]) or run[0],
                f"install it for this Python, or change the command in '{refnames.POLICY_FILE}'",
            )


def _is_executable(repo: Repository, program: str) -> bool:
    """Return whether a program is on PATH, or exists by its path, on disk or in the commit."""
    if "/" not in program:
        return shutil.which(program) is not None
    if os.path.isabs(program):
        return os.access(program, os.X_OK)
    return repo.git.run("cat-file", "-e", f"HEAD:{os.path.normpath(program)}").status == 0


def _check_guard(context: CheckContext) -> Iterator[Diagnostic]:
    yield from policy_checks.policy_findings(context.repo, context.policy)


def _check_jail(context: CheckContext) -> Iterator[Diagnostic]:
    """Check that measured commands can run in a sandbox."""
    policy = context.policy
    if policy is None or not (policy.correctness or policy.metrics):
        return
    sandbox = jail.find(policy.jail, os.environ.get("PATH", os.defpath))
    context.facts["jail"] = sandbox.shown
    if isinstance(sandbox, NoJail) and policy.jail != "off":
        message = f"measured commands run without a jail: {sandbox.why}"
        yield _missing_jail(sandbox, policy.jail, "no-jail", message)


def _check_agent_jail(context: CheckContext) -> Iterator[Diagnostic]:
    """Check that agents' programs can run in a sandbox."""
    policy = context.policy
    if policy is None:
        return
    agents = policy.agents
    sandbox = agent_jail.find(agents.sandbox, os.environ.get("PATH", os.defpath))
    context.facts["agents run in"] = Confinement(sandbox, git_writable=agents.git == "read-write").shown
    if isinstance(sandbox, NoJail) and agents.sandbox != "off":
        message = f"agents run without a sandbox: {sandbox.why}"
        if agents.sandbox == "required":
            message = f"no agent can be started: the policy requires a sandbox for agents; {sandbox.why}"
        yield _missing_jail(sandbox, agents.sandbox, "no-agent-sandbox", message)


def _missing_jail(
    sandbox: NoJail, mode: Literal["auto", "required", "off"], code: str, message: str
) -> Diagnostic:
    fix = (
        "see docs/sandbox.md for what this machine has to allow"
        if sandbox.installed
        else "install bubblewrap"
    )
    severity: Severity = "error" if mode == "required" else "warning" if sandbox.installed else "info"
    return Diagnostic(severity, code, message, jail.PROGRAM, fix)


def _check_agents(context: CheckContext) -> Iterator[Diagnostic]:
    settings = read_settings(context.repo, policy=context.policy)
    yield from _check_codex(context, settings)
    yield from _check_gemini(context, settings)


def _check_codex(context: CheckContext, settings: Settings) -> Iterator[Diagnostic]:
    """Check the codex program and its login, if the settings use it."""
    from git_planner.agents.codex import login

    used = {settings.planner, settings.implementer} & {"codex", "api"}
    context.facts["codex"] = context.facts["codex login"] = None
    if shutil.which(settings.codex) is None:
        if used:
            yield Diagnostic(
                "error",
                "codex-missing",
                f"the program '{settings.codex}' is missing, and the settings plan or implement with it",
                settings.codex,
                login.INSTALL,
            )
        return
    version = process.run([settings.codex, "--version"], cwd=context.repo.place, seconds=30.0)
    context.facts["codex"] = version.stdout.decode(errors="replace").strip() or None
    place = context.repo.place
    home = login.implementer_home(settings, place)
    context.facts["codex login"] = login.read_login_kind(home, settings.codex).value
    login_checks = {"codex": login.find_chatgpt_login, "api": login.find_api_login}
    for agent in sorted(used):
        try:
            login_checks[agent](settings, place)
        except PlannerError as error:
            yield Diagnostic(
                "error", "codex-login", f"{agent}: {error.message}", settings.codex, str(error.hint)
            )


def _check_gemini(context: CheckContext, settings: Settings) -> Iterator[Diagnostic]:
    """Check the program of the gemini critic, if it was chosen explicitly."""
    from git_planner.agents.gemini import INSTALL

    context.facts["gemini"] = shutil.which(settings.gemini)
    is_chosen = context.policy is not None and "critic" in context.policy.document.get("agents", {})
    is_chosen = is_chosen or is_set(context.repo, "critic")
    if is_chosen and settings.critic == "gemini" and context.facts["gemini"] is None:
        yield Diagnostic(
            "warning",
            "gemini-missing",
            f"the program '{settings.gemini}' is missing, and 'git plan critique' is set to use it",
            settings.gemini,
            INSTALL,
        )


def _check_terminal(context: CheckContext) -> Iterator[Diagnostic]:
    settings = read_settings(context.repo, policy=context.policy)
    yield from terminal_check.terminal_findings(settings, os.environ, context.facts)


def _check_hooks(context: CheckContext) -> Iterator[Diagnostic]:
    status = hook_status(context.repo)
    context.facts["hooks"] = status.place
    framework = _framework_file(context.repo)
    for finding in status.findings:
        if finding.code == "hooks-absent" and framework is not None:
            message = (
                f"{finding.message}; '{framework}' runs the same checks, on branches where it is installed"
            )
            yield Diagnostic("info", finding.code, message, finding.target, finding.fix)
        else:
            yield finding


def _check_merge_driver(context: CheckContext) -> Iterator[Diagnostic]:
    """Check that the merge driver is installed, if the hooks are."""
    if hook_status(context.repo).place is not None and not merge_driver.is_installed(context.repo):
        yield Diagnostic(
            "warning",
            "merge-driver",
            "git merges plans line by line here, with avoidable conflicts",
            "merge.planner.driver",
            "git planner init",
        )


def _check_man_pages(_: CheckContext) -> Iterator[Diagnostic]:
    """Check that man finds the man pages, which 'git plan --help' shows."""
    if man_pages.is_found() is False:
        yield Diagnostic(
            "info",
            "no-manual",
            "man does not find the man pages, so 'git plan --help' fails ('git plan -h' works)",
            "git-plan(1)",
            "git planner install-man-pages",
        )


def _framework_file(repo: Repository) -> str | None:
    """Return the pre-commit configuration that lists the hooks of git-planner, or None."""
    for name in PRE_COMMIT_FILES:
        path = (repo.top or repo.common) / name
        if path.is_file() and re.search(rb"\bplanner-(guard|documents)\b", path.read_bytes()):
            return name
    return None


def _check_framework(context: CheckContext) -> Iterator[Diagnostic]:
    """Check that pre-commit is installed for every event with a hook of git-planner."""
    framework = _framework_file(context.repo)
    if framework is None:
        return
    hooks_folder = context.repo.place / hook_status(context.repo).theirs
    missing = [name for name in scripts.FRAMEWORK if not _runs_framework(hooks_folder / name)]
    if missing:
        types = " ".join(f"--hook-type {name}" for name in scripts.FRAMEWORK)
        yield Diagnostic(
            "warning",
            "framework-not-installed",
            f"'{framework}' lists planner hooks, but pre-commit is not installed for {', '.join(missing)}",
            framework,
            f"pre-commit install {types}",
        )


def _runs_framework(hook: Path) -> bool:
    for path in (hook, hook.with_name(hook.name + BACKUP_SUFFIX)):
        if scripts.is_hook(path) and re.search(rb"pre-commit|prek", path.read_bytes()):
            return True
    return False


def _check_leftovers(context: CheckContext) -> Iterator[Diagnostic]:
    """Check for stale locks and missing worktrees."""
    repo = context.repo
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
                "remove the file when no git process runs in the repository",
            )
    yield from repository_checks.worktree_findings(repo)
    yield from repository_checks.name_findings(repo)
    yield from repository_checks.prune_findings(repo)
    yield from repository_checks.placeholder_findings(repo)
    yield from repository_checks.observer_findings(context.policy)


def _check_lost_plans(context: CheckContext) -> Iterator[Diagnostic]:
    yield from repository_checks.find_missing_plans(context.repo)


def _check_bests(context: CheckContext) -> Iterator[Diagnostic]:
    """Check that each rolling best is where it was left, and what a measurement says it is."""
    for name in plan_names(context.repo):
        moved = find_moved_best(context.repo, name)
        if moved is not None:
            yield moved.diagnostic()
    for name, standing in best_standings(context.repo).items():
        if standing.disputed:
            yield Diagnostic(
                "error",
                "best-disputed",
                f"'{standing.branch}' of plan '{name}' is at a disputed record: {standing.why}",
                standing.commit[:12],
                f"git record --force {standing.commit[:12]}",
            )
        elif standing.record is not None and not standing.measured_here:
            yield Diagnostic(
                "warning",
                "best-elsewhere",
                f"'{standing.branch}' of plan '{name}' was not measured in this repository",
                standing.record,
                f"git record {standing.commit[:12]}",
            )


def _check_shallow(context: CheckContext) -> Iterator[Diagnostic]:
    if context.repo.git.line("rev-parse", "--is-shallow-repository") == "true":
        yield Diagnostic(
            "warning",
            "shallow",
            "this is a shallow clone; bases and merge bases may be missing",
            str(context.repo.place),
            "git fetch --unshallow",
        )


def _failed_check(check: Check, error: PlannerError) -> Diagnostic:
    text = f"{check.__name__.strip('_').replace('_', ' ')}: {error.message}"
    return Diagnostic("error", "check-failed", text, error.code, error.hint or "see above")


CHECKS: tuple[Check, ...] = (
    _check_versions,
    _check_identity,
    _check_config,
    _check_policy,
    _check_programs,
    _check_guard,
    _check_jail,
    _check_agent_jail,
    _check_agents,
    _check_terminal,
    _check_hooks,
    _check_merge_driver,
    _check_framework,
    _check_man_pages,
    _check_leftovers,
    _check_lost_plans,
    _check_bests,
    _check_shallow,
)
