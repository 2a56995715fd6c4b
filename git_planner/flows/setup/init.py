"""Set up a repository: write a policy file to edit and commit, install the hooks and the merge driver."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.uninstall import UninstallResult
from git_planner.flows.setup import repository_checks
from git_planner.flows.setup.project.policy_checks import is_policy_ignored
from git_planner.flows.setup.project.propose_policy import FULL, check_template, propose_policy
from git_planner.flows.setup.project.try_policy import PolicyTrial, try_policy
from git_planner.flows.sharing import merge_driver
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.resources import resource_folder
from git_planner.rules.refnames import ITER, PLAN, POLICY_FILE, TOURNAMENT


@dataclass(frozen=True, slots=True)
class InitResult:
    """Result of init. `policy` is the policy file, None in a bare repository; `next` are the next steps.

    `template` is the kind of project that a new policy is for, None for one that explains every key; `others`
    are further ones that fit. `trial` is what measuring HEAD by a new policy showed.
    """

    policy: Path | None
    written: bool
    hooks: install.InstallResult
    next: tuple[str, ...]
    template: str | None = None
    others: tuple[str, ...] = ()
    trial: PolicyTrial | None = None

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/initialised@1",
            "policy": None if self.policy is None else str(self.policy),
            "written": self.written,
            "hooks": self.hooks.document(),
            "next": list(self.next),
            "template": self.template,
            "others": list(self.others),
            "trial": None if self.trial is None else self.trial.document(),
        }


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """Settings for making a new policy.

    `template` names the kind of project, None to recognise it; `choose` is asked which of several fits.
    `is_tried`: HEAD is measured by it once.
    """

    template: str | None = None
    choose: Callable[[Sequence[str]], str] = lambda names: names[0]
    is_tried: bool = False


def initialise(
    repo: Repository,
    *,
    ordinary: bool = False,
    new: NewPolicy | None = None,
    progress: Progress = lambda _: None,
) -> InitResult:
    """Write a policy file if there is none, install the hooks and the merge driver. Idempotent.

    Args:
        repo: the repository.
        ordinary: as for `hooks.install`.
        new: how a new policy is made.
        progress: called with each progress message.

    Raises:
        PlannerError: as `hooks.install`; E_USAGE for a template that does not fit.
    """
    new = new or NewPolicy()
    policy = None if repo.top is None else repo.top / POLICY_FILE
    # A dangling symlink counts as an existing file.
    written = policy is not None and not policy.exists() and not policy.is_symlink()
    name: str | None = None
    others: tuple[str, ...] = ()
    content = b""
    if policy is not None and written:
        name, others, content = _new_policy(repo, new)
        # Atomic: the next 'init' would keep a truncated file as the user's own.
        atomic_file.write(policy, content)
    # Before the hooks, whose section of the configuration has to be the last one.
    merge_driver.install(repo)
    installed = install.install_hooks(repo, ordinary=ordinary)
    trial = try_policy(repo, content, progress) if new.is_tried and name is not None else None
    return InitResult(policy, written, installed, _next_steps(repo, policy), name, others, trial)


def _new_policy(repo: Repository, new: NewPolicy) -> tuple[str | None, tuple[str, ...], bytes]:
    """Return the name, the alternatives and the content of a new policy."""
    proposed = propose_policy(repo)
    names = proposed.names
    name = new.template
    if name is not None:
        check_template(proposed, name)
    elif names:
        name = new.choose(names) if len(names) > 1 else names[0]
    base = base_branch(repo.head_branch())
    content = None if name in (None, FULL) else proposed.text(base, name)
    if content is None:
        return None, (), policy_template(repo.head_branch())
    return name, tuple(other for other in names if other != name), content


def undo_init(repo: Repository) -> UninstallResult:
    """Remove the hooks and the merge driver; the policy file stays.

    Raises:
        PlannerError: as `hooks.uninstall`.
    """
    removed = uninstall.uninstall_hooks(repo)
    changed = merge_driver.uninstall(repo)
    return replace(removed, changed=removed.changed or changed)


def base_branch(branch: str | None) -> str:
    """Return the base of a new policy: the current branch, unless that is a generated one."""
    return branch if branch and not branch.startswith((PLAN, ITER, TOURNAMENT)) else "main"


def policy_template(branch: str | None) -> bytes:
    """Return the policy that explains every key, with its base."""
    text = (resource_folder("templates") / "policy.yml").read_text(encoding="utf-8")
    base = base_branch(branch)
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", base) and base.lower() not in ("true", "false", "null")
    name = base if plain else json.dumps(base)
    return re.sub(r"(?m)^base:.*$", lambda _: f"base: {name}", text, count=1).encode()


def _next_steps(repo: Repository, policy: Path | None) -> tuple[str, ...]:
    """Return the next steps, in order."""
    committed = repo.git.run("cat-file", "-e", f"HEAD:{POLICY_FILE}").status == 0
    if policy is None and not committed:
        return (f"commit a '{POLICY_FILE}' in a clone of this bare repository: git planner init",)
    steps = [f"{finding.message}; {finding.fix}" for finding in repository_checks.name_findings(repo)]
    if policy is not None and not (committed and repo.git.yes("diff", "--quiet", "HEAD", "--", str(policy))):
        steps.append(f"edit '{POLICY_FILE}': guarded paths, tests, metrics, agents")
        first = ", as the first commit of this repository" if repo.maybe("HEAD") is None else ""
        force = "-f " if is_policy_ignored(repo) else ""
        steps.append(f"commit it on the base branch{first}: git add {force}{POLICY_FILE} && git commit")
    return (*steps, "check the setup: git planner doctor")
