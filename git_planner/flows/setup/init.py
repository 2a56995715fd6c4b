"""Set up a repository: write a policy file to edit and commit, install the hooks and the merge driver."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.uninstall import UninstallResult
from git_planner.flows.setup import repository_checks
from git_planner.flows.sharing import merge_driver
from git_planner.gitio.repository import Repository
from git_planner.resources import resource_folder
from git_planner.rules.refnames import ITER, PLAN, POLICY_FILE, TOURNAMENT


@dataclass(frozen=True, slots=True)
class InitResult:
    """Result of init. `policy` is the policy file, None in a bare repository; `next` are the next steps."""

    policy: Path | None
    written: bool
    hooks: install.InstallResult
    next: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/initialised@1",
            "policy": None if self.policy is None else str(self.policy),
            "written": self.written,
            "hooks": self.hooks.document(),
            "next": list(self.next),
        }


def initialise(repo: Repository, *, ordinary: bool = False) -> InitResult:
    """Write a policy file if there is none, install the hooks and the merge driver. Idempotent.

    Args:
        repo: the repository.
        ordinary: as for `hooks.install`.

    Raises:
        PlannerError: as `hooks.install`.
    """
    policy = None if repo.top is None else repo.top / POLICY_FILE
    # A dangling symlink counts as an existing file.
    written = policy is not None and not policy.exists() and not policy.is_symlink()
    if policy is not None and written:
        # Atomic: the next 'init' would keep a truncated file as the user's own.
        atomic_file.write(policy, policy_template(repo.head_branch()))
    # Before the hooks, whose section of the configuration has to be the last one.
    merge_driver.install(repo)
    installed = install.install_hooks(repo, ordinary=ordinary)
    return InitResult(policy, written, installed, _next_steps(repo, policy))


def undo_init(repo: Repository) -> UninstallResult:
    """Remove the hooks and the merge driver; the policy file stays.

    Raises:
        PlannerError: as `hooks.uninstall`.
    """
    removed = uninstall.uninstall_hooks(repo)
    changed = merge_driver.uninstall(repo)
    return replace(removed, changed=removed.changed or changed)


def policy_template(branch: str | None) -> bytes:
    """Return the starter policy; its base is the current branch, unless that is a generated one."""
    text = (resource_folder("templates") / "policy.yml").read_text(encoding="utf-8")
    if branch and not branch.startswith((PLAN, ITER, TOURNAMENT)):
        plain = re.fullmatch(r"[A-Za-z][\w./-]*", branch) and branch.lower() not in ("true", "false", "null")
        name = branch if plain else json.dumps(branch)
        text = re.sub(r"(?m)^base:.*$", lambda _: f"base: {name}", text, count=1)
    return text.encode()


def _next_steps(repo: Repository, policy: Path | None) -> tuple[str, ...]:
    """Return the next steps, in order."""
    committed = repo.git.run("cat-file", "-e", f"HEAD:{POLICY_FILE}").status == 0
    if policy is None and not committed:
        return (f"commit a '{POLICY_FILE}' in a clone of this bare repository: git planner init",)
    steps = [f"{finding.message}; {finding.fix}" for finding in repository_checks.name_findings(repo)]
    if policy is not None and not (committed and repo.git.yes("diff", "--quiet", "HEAD", "--", str(policy))):
        steps.append(f"edit '{POLICY_FILE}': guarded paths, tests, metrics, agents")
        first = ", as the first commit of this repository" if repo.maybe("HEAD") is None else ""
        steps.append(f"commit it on the base branch{first}: git add {POLICY_FILE} && git commit")
    return (*steps, "check the setup: git planner doctor")
