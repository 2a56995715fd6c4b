"""The four command lines. A command's module is imported only when that command runs.

`COMMANDS` is the only list of commands: program -> name -> (module, attribute, short help).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

COMMANDS: dict[str, dict[str, tuple[str, str, str]]] = {
    "git-plan": {
        "codex": ("git_planner.cli.git_plan.ask", "codex", "Ask codex, with a ChatGPT login."),
        "api": ("git_planner.cli.git_plan.ask", "api", "Ask codex, with an API key."),
        "manual": (
            "git_planner.cli.git_plan.manual",
            "manual",
            "Plan by hand: pack a prompt, apply its answer.",
        ),
        "offline": ("git_planner.cli.git_plan.ask", "offline", "Plan without network or model."),
        "command": (
            "git_planner.cli.git_plan.ask",
            "command_planner",
            "Ask the program that the policy names.",
        ),
        "task": ("git_planner.cli.git_plan.task.commands", "task", "Add, show, claim and change tasks."),
        "delegate": ("git_planner.cli.git_plan.delegate", "delegate", "Give ready tasks to agents."),
        "runs": ("git_planner.cli.git_plan.runs", "runs", "Show delegated runs; stop or requeue one."),
        "sync": ("git_planner.cli.git_plan.sync", "sync", "Recompute task statuses from the Git history."),
        "lint": ("git_planner.cli.git_plan.lint", "lint", "Check a plan for faults, overlaps and drift."),
        "spec": (
            "git_planner.cli.git_plan.spec",
            "spec",
            "Describe a change first, then compile it into tasks.",
        ),
        "research": ("git_planner.cli.git_plan.discovery", "research", "Ask a researcher to read the base."),
        "options": ("git_planner.cli.git_plan.discovery", "options", "Write the three options of a plan."),
        "critique": ("git_planner.cli.git_plan.discovery", "critique", "Ask a critic to review the options."),
        "choose": (
            "git_planner.cli.git_plan.discovery",
            "choose",
            "Choose an option; its steps become tasks.",
        ),
        "status": (
            "git_planner.cli.git_plan.inspect",
            "status",
            "Show the current attempt and where its plan stands.",
        ),
        "list": ("git_planner.cli.git_plan.inspect", "list_plans", "List all plans."),
        "show": ("git_planner.cli.git_plan.inspect", "show", "Show the directive of an iteration."),
        "validate": (
            "git_planner.cli.git_plan.inspect",
            "validate",
            "Validate a document against its schema.",
        ),
        "push": (
            "git_planner.cli.git_plan.push_pull",
            "push",
            "Push a plan to a remote, merging concurrent updates first.",
        ),
        "pull": ("git_planner.cli.git_plan.push_pull", "pull", "Fetch a plan from a remote and merge it."),
    },
    "git-iterate": {
        "once": ("git_planner.cli.git_iterate.iterate", "once", ""),
        "resume": ("git_planner.cli.git_iterate.iterate", "resume", "Resume an interrupted iteration."),
        "list": ("git_planner.cli.git_iterate.iterate", "list_", "List all iterations."),
        "show": ("git_planner.cli.git_iterate.iterate", "show", "Show one iteration."),
        "why": (
            "git_planner.cli.git_iterate.iterate",
            "why",
            "Show which directive and record produced a commit.",
        ),
        "publish": ("git_planner.cli.git_iterate.iterate", "publish", "Create a branch for a pull request."),
        "prune": ("git_planner.cli.git_iterate.iterate", "prune", "Remove worktrees of finished iterations."),
        "best": ("git_planner.cli.git_iterate.iterate", "best", "Create, tag and push the rolling best."),
    },
    "git-record": {
        "measure": ("git_planner.cli.git_record.record", "measure", ""),
        "log": ("git_planner.cli.git_record.record", "log", "List the records of a plan."),
        "best": ("git_planner.cli.git_record.record", "best", "Show the best record of a plan."),
        "show": ("git_planner.cli.git_record.record", "show", "Show one record."),
        "compare": ("git_planner.cli.git_record.record", "compare", "Compare two records."),
        "verify": (
            "git_planner.cli.git_record.record",
            "verify",
            "Measure again, and check whether the record holds.",
        ),
        "import": ("git_planner.cli.git_record.record", "import_", "Import an older log.jsonl."),
        "noise": (
            "git_planner.cli.git_record.noise",
            "noise",
            "Measure the noise of the base on this machine.",
        ),
        "simulate": (
            "git_planner.cli.git_record.noise",
            "simulate",
            "Estimate false-positive rate and power of noisy comparisons.",
        ),
    },
    "git-planner": {
        "init": (
            "git_planner.cli.git_planner.setup",
            "init",
            "Create a starter policy and install the hooks.",
        ),
        "doctor": (
            "git_planner.cli.git_planner.setup",
            "doctor",
            "Check the setup and suggest fixes.",
        ),
        "hooks": ("git_planner.cli.git_planner.setup", "hooks", "Install, remove and check the hooks."),
        "check": (
            "git_planner.cli.git_planner.guard",
            "check",
            "Check staged changes, a range of commits, or a push.",
        ),
        "guard": (
            "git_planner.cli.git_planner.guard",
            "guard",
            "Show the guard's coverage; propose changes to guarded files.",
        ),
        "ci": ("git_planner.cli.git_planner.guard", "ci", "Print or write a template for CI or a server."),
        "remote": (
            "git_planner.cli.git_planner.remote",
            "remote",
            "Configure the remote that plans are shared through.",
        ),
        "schema": ("git_planner.cli.git_planner.setup", "schema", "Print the JSON Schema of a document."),
        "demo": (
            "git_planner.cli.git_planner.demo",
            "demo",
            "Let the offline agents improve a small kernel.",
        ),
        "plot": (
            "git_planner.cli.git_planner.demo",
            "plot",
            "Plot the primary metric over the iterations of a plan.",
        ),
        "completion": (
            "git_planner.cli.git_planner.completion",
            "completion",
            "Print the completion script for a shell.",
        ),
        "install-man-pages": (
            "git_planner.cli.git_planner.man_pages",
            "install",
            "Install the manual pages for 'git help'.",
        ),
        "plan": ("git_planner.cli.git_planner.long_forms", "plan", "Long form of 'git plan'."),
        "iterate": ("git_planner.cli.git_planner.long_forms", "iterate", "Long form of 'git iterate'."),
        "record": ("git_planner.cli.git_planner.long_forms", "record", "Long form of 'git record'."),
        "gate": ("git_planner.cli.git_planner.setup", "gate", ""),
    },
}

ABOUT = {
    "git-plan": "Ask a planner for the next directive, and manage plans and tasks.",
    "git-iterate": "Plan, implement and record one change, or a loop of them.",
    "git-record": "Measure a commit as its policy prescribes, and record the result.",
    "git-planner": "Set up, check and maintain git-planner in a repository.",
}

# Command that runs when the first argument is not a command: 'git record HEAD~1' records.
DEFAULTS = {"git-record": "measure", "git-iterate": "once"}


def main(program: str, argv: Sequence[str]) -> int:
    """Run one command line.

    Args:
        program: 'git-plan', 'git-iterate', 'git-record' or 'git-planner'.
        argv: its arguments.

    Returns:
        The exit status; see errors.EXIT_MEANING.
    """
    # Thousands of records or tasks are read and stay alive; repeated collections would free nothing.
    gc.set_threshold(200_000, 20, 20)
    from git_planner.cli.boundary import guarded

    def run() -> int:
        result = group(program).main(
            list(argv),
            prog_name=_spoken(program),
            complete_var=complete_variable(program),
            standalone_mode=False,
        )
        return result if isinstance(result, int) else 0

    return guarded(run, as_json="--json" in argv)


def group(program: str) -> click.Group:
    """Return the click group of a program."""
    from git_planner.cli.lazy_group import LazyGroup

    return LazyGroup(program, ABOUT[program], COMMANDS[program], DEFAULTS.get(program))


def complete_variable(program: str) -> str:
    """Return the environment variable through which a shell asks for completions."""
    return f"_{program.replace('-', '_').upper()}_COMPLETE"


def plan() -> None:
    """Console script `git-plan`."""
    sys.exit(main("git-plan", sys.argv[1:]))


def iterate() -> None:
    """Console script `git-iterate`."""
    sys.exit(main("git-iterate", sys.argv[1:]))


def record() -> None:
    """Console script `git-record`."""
    sys.exit(main("git-record", sys.argv[1:]))


def planner() -> None:
    """Console script `git-planner`."""
    sys.exit(main("git-planner", sys.argv[1:]))


def _spoken(program: str) -> str:
    return program.replace("git-", "git ", 1)
