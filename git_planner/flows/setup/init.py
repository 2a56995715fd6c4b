"""Setting a repository up: the policy file to be edited and committed, the hooks, and how documents merge."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.uninstall import UninstallResult
from git_planner.flows.sharing import merge_driver
from git_planner.gitio.repository import Repository
from git_planner.resources import resource_folder
from git_planner.rules.refnames import ITER, PLAN, POLICY_FILE, TOURNAMENT


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was set up. `policy` is the policy file, None in a bare repository; `next` says what to do now."""

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


def initialise(repo: Repository, *, ordinary: bool = False) -> Initialised:
    """Write a policy file where there is none, install the hooks and the merge driver. Twice is once.

    Args:
        repo: the repository.
        ordinary: as for `hooks.install`.

    Raises:
        PlannerError: as `hooks.install`.
    """
    policy = None if repo.top is None else repo.top / POLICY_FILE
    # A link that leads nowhere counts as a file that is there.
    written = policy is not None and not policy.exists() and not policy.is_symlink()
    if policy is not None and written:
        # Cut off half-way it would be kept by the next 'init' as a person's own.
        atomic_file.write(policy, _template(repo.head_branch()))
    # Before the hooks, whose part of the configuration has to be the last one.
    merge_driver.install(repo)
    installed = install.install_hooks(repo, ordinary=ordinary)
    return Initialised(policy, written, installed, _next(repo, policy))


def remove(repo: Repository) -> UninstallResult:
    """Take out again what `initialise` has set up beside the policy file: the hooks and the merge driver.

    Raises:
        PlannerError: as `hooks.uninstall`.
    """
    removed = uninstall.uninstall_hooks(repo)
    changed = merge_driver.uninstall(repo)
    return replace(removed, changed=removed.changed or changed)


def _template(branch: str | None) -> bytes:
    """The policy to begin with; its base is the branch the person is on, unless that is one of ours."""
    text = (resource_folder("templates") / "policy.yml").read_text(encoding="utf-8")
    if branch and not branch.startswith((PLAN, ITER, TOURNAMENT)):
        plain = re.fullmatch(r"[A-Za-z][\w./-]*", branch) and branch.lower() not in ("true", "false", "null")
        name = branch if plain else json.dumps(branch)
        text = re.sub(r"(?m)^base:.*$", lambda _: f"base: {name}", text, count=1)
    return text.encode()


def _next(repo: Repository, policy: Path | None) -> tuple[str, ...]:
    """What to do, in the order to do it."""
    committed = repo.git.run("cat-file", "-e", f"HEAD:{POLICY_FILE}").status == 0
    if policy is None and not committed:
        return (f"commit a '{POLICY_FILE}' in a clone of this bare repository: git planner init",)
    steps = []
    if policy is not None and not (committed and repo.git.yes("diff", "--quiet", "HEAD", "--", str(policy))):
        steps.append(f"edit '{POLICY_FILE}': what is guarded, what judges, what is measured")
        steps.append(f"commit it on the base branch: git add {POLICY_FILE} && git commit")
        if repo.maybe("HEAD") is None:
            steps.append("this repository has no commit yet; that one will be the first")
    return (*steps, "look at what is left to do: git planner doctor")
