"""Findings about a repository that mislead later commands: its worktrees, names and missing files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence

from git_planner.config.settings import read_settings
from git_planner.flows.plans.blocked_names import blocking_refs
from git_planner.flows.plans.lost_plans import find_lost_plans
from git_planner.flows.plans.page_store import pull_hint
from git_planner.gitio import history, worktree
from git_planner.gitio.content.placeholders import find_placeholders
from git_planner.gitio.history import list_refs
from git_planner.gitio.repository import Repository
from git_planner.host import process
from git_planner.host.machine import search_path
from git_planner.host.observers import strace
from git_planner.rules import refnames
from git_planner.rules.diagnostic import Diagnostic
from git_planner.rules.policy.policy import Policy


def worktree_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Find worktrees that are missing, that do not lead back to the repository, or that belong to another."""
    for linked in worktree.listing(repo):
        if linked.prunable or not linked.path.exists():
            yield Diagnostic(
                "warning",
                "worktree-gone",
                "the folder of a worktree is missing",
                str(linked.path),
                "if it was moved: git worktree repair NEW_PATH; "
                f"if it is gone for good: git worktree remove {shlex.quote(str(linked.path))}",
            )
            continue
        # Of some main worktrees only their own commands know the folder; git names the git directory then.
        known = linked.path != repo.common
        state = worktree.link_state(repo, linked.path) if known else "sound"
        if state != "sound":
            error = worktree.bad_link(repo, linked.path, state)
            code = f"worktree-{state}"
            yield Diagnostic("warning", code, error.message, str(linked.path), str(error.hint))


def name_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Find branches and tags that block the names of git-planner."""
    for ref, name in blocking_refs(repo, read_settings(repo).plan).items():
        error = history.blocked(ref, name)
        yield Diagnostic("error", "name-blocked", error.message, ref, str(error.hint))


def placeholder_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Find files of HEAD whose content the measured trees do not hold."""
    head = repo.maybe("HEAD")
    for sentence in find_placeholders(repo, head).sentences() if head is not None else ():
        yield Diagnostic(
            "info",
            "content-missing",
            f"in measured trees {sentence}",
            "HEAD",
            "let tests and benchmarks do without it, or commit the content itself",
        )


def prune_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Find a configuration with which the next 'git fetch' deletes the tags of the best."""
    remotes = repo.git.line("remote").splitlines()
    keys = ("fetch.pruneTags", *(f"remote.{name}.pruneTags" for name in remotes))
    pruning = [key for key in keys if (repo.config(key) or "").lower() in ("true", "yes", "on", "1")]
    if remotes and pruning:
        yield Diagnostic(
            "warning",
            "prune-tags",
            f"'{pruning[-1]}' lets 'git fetch' delete the tags '{refnames.BEST_TAG}…' that a remote lacks",
            pruning[-1],
            "unset it here: git config --local fetch.pruneTags false; publish tags: git iterate best push",
        )


def gate_commands(policy: Policy) -> list[tuple[str, tuple[str, ...]]]:
    """Return the commands of a policy's gates, each with its purpose."""
    gates = {gate.name: gate.run for gate in (*policy.gates.conceptual, *policy.gates.shipping) if gate.run}
    return [(f"gate '{name}'", run) for name, run in gates.items()]


def observer_findings(policy: Policy | None) -> Iterator[Diagnostic]:
    """Find a gate 'side_effects' that would be skipped, as nothing observes side effects here."""
    if policy is None or not any(name == "gate 'side_effects'" for name, _ in gate_commands(policy)):
        return
    tracer = strace.find(search_path())
    if isinstance(tracer, str):
        yield Diagnostic(
            "warning",
            "no-observer",
            f"the gate 'side_effects' does not pass: {tracer}",
            strace.PROGRAM,
            "install strace, and let this user trace its own programs",
        )


def missing_module(repo: Repository, run: Sequence[str]) -> str | None:
    """Return the module of 'python -m MODULE' if that Python does not find it; nothing of it is imported."""
    if len(run) < 3 or run[1] != "-m" or not os.path.basename(run[0]).startswith("python"):
        return None
    module = run[2].partition(".")[0]
    look = "import importlib.util, sys; sys.exit(3 if importlib.util.find_spec(sys.argv[1]) is None else 0)"
    done = process.run([run[0], "-c", look, module], cwd=repo.place, seconds=30.0)
    return module if done.status == 3 else None


def find_missing_plans(repo: Repository) -> Iterator[Diagnostic]:
    """Yield the lost plans, and in a clone without a plan what shows that there was or is one elsewhere."""
    lost = list(find_lost_plans(repo))
    yield from lost
    if lost or list_refs(repo, refnames.HEADS + refnames.PLAN):
        return
    pull = pull_hint(repo, None)
    tags = sorted(list_refs(repo, refnames.BEST_TAG))
    if pull is not None:
        message = "a remote has a plan, with its tasks and records, and this clone has none"
        yield Diagnostic("warning", "plan-not-pulled", message, pull.rpartition(" ")[2], pull)
    elif tags:
        message = "tags name the bests of records, and no plan with these records is here"
        fetch = "git fetch a remote with branches 'plan/*', then: git plan pull"
        yield Diagnostic("warning", "records-missing", message, refnames.short_name(tags[-1]), fetch)
