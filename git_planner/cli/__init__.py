"""The four command lines. A command's module is imported only when that command runs.

`COMMANDS` is the one list of commands: program -> name -> (module, attribute, short help).
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
        "codex": ("git_planner.cli.plan", "codex", "Ask codex, with a ChatGPT login."),
        "api": ("git_planner.cli.plan", "api", "Ask codex, with an API key."),
        "manual": ("git_planner.cli.plan", "manual", "Plan by hand: pack a prompt, apply its answer."),
        "offline": ("git_planner.cli.plan", "offline", "Plan without network or model."),
        "command": ("git_planner.cli.plan", "command_planner", "Ask the program that the policy names."),
        "task": ("git_planner.cli.task", "task", "Add, claim, move and look at tasks."),
        "delegate": ("git_planner.cli.delegate", "delegate", "Give ready tasks to agents."),
        "doctor": ("git_planner.cli.delegate", "doctor", "Say what agents do, and end or repeat it."),
        "sync": ("git_planner.cli.sync", "sync", "Rebuild statuses from what git holds."),
        "lint": ("git_planner.cli.lint", "lint", "Look for what is wrong or overlaps in a plan."),
        "spec": ("git_planner.cli.spec", "spec", "Write a change down first, and compile it into tasks."),
        "research": ("git_planner.cli.preplan", "research", "Have a researcher read the base."),
        "options": ("git_planner.cli.preplan", "options", "Write the three options of a plan."),
        "critique": ("git_planner.cli.preplan", "critique", "Have a critic review the options."),
        "choose": ("git_planner.cli.preplan", "choose", "Choose an option; its steps become tasks."),
        "status": ("git_planner.cli.plan", "status", "Show the current attempt and where its plan stands."),
        "list": ("git_planner.cli.plan", "list_plans", "List all plans."),
        "show": ("git_planner.cli.plan", "show", "Show the directive of an iteration."),
        "validate": ("git_planner.cli.plan", "validate", "Judge a document of any kind."),
        "push": ("git_planner.cli.share", "push", "Publish a plan; merge with who was faster."),
        "pull": ("git_planner.cli.share", "pull", "Take in what a remote has of a plan."),
    },
    "git-iterate": {
        "once": ("git_planner.cli.iterate", "once", ""),
        "resume": ("git_planner.cli.iterate", "resume", "Go on with an interrupted iteration."),
        "list": ("git_planner.cli.iterate", "list_", "List all iterations."),
        "show": ("git_planner.cli.iterate", "show", "Show one iteration."),
        "why": ("git_planner.cli.iterate", "why", "Say which directive and record led to a commit."),
        "publish": ("git_planner.cli.iterate", "publish", "Make a branch for a pull request."),
        "prune": ("git_planner.cli.iterate", "prune", "Remove worktrees of finished iterations."),
        "best": ("git_planner.cli.iterate", "best", "The rolling best: ensure, tag, push."),
    },
    "git-record": {
        "measure": ("git_planner.cli.record", "measure", ""),
        "log": ("git_planner.cli.record", "log", "List the records of a plan."),
        "best": ("git_planner.cli.record", "best", "Show the best record of a plan."),
        "show": ("git_planner.cli.record", "show", "Show one record."),
        "compare": ("git_planner.cli.record", "compare", "Put two records side by side."),
        "verify": ("git_planner.cli.record", "verify", "Measure again, and say whether the record holds."),
        "import": ("git_planner.cli.record", "import_", "Read an older log.jsonl."),
        "noise": ("git_planner.cli.numbers", "noise", "Measure how much the base's numbers vary here."),
        "simulate": ("git_planner.cli.numbers", "simulate", "Print what noisy comparisons are worth."),
    },
    "git-planner": {
        "init": ("git_planner.cli.planner", "init", "Write a policy to begin with, and install the hooks."),
        "doctor": ("git_planner.cli.planner", "doctor", "Look at all that is needed, and say what to do."),
        "hooks": ("git_planner.cli.planner", "hooks", "Install, remove and check the hooks."),
        "check": ("git_planner.cli.guard", "check", "Check what is staged, a range of commits, or a push."),
        "guard": ("git_planner.cli.guard", "guard", "Show what the guard covers, and propose changes to it."),
        "ci": ("git_planner.cli.guard", "ci", "Print or write the templates for CI and servers."),
        "remote": ("git_planner.cli.share", "remote", "Set up a remote that plans are shared through."),
        "schema": ("git_planner.cli.planner", "schema", "Print the JSON Schema of a document."),
        "demo": ("git_planner.cli.demo", "demo", "Let the offline agents improve a small kernel."),
        "plot": ("git_planner.cli.demo", "plot", "Draw the metric over the iterations of a plan."),
        "completion": ("git_planner.cli.completion", "completion", "Print the completion for a shell."),
        "install-man-pages": ("git_planner.cli.man", "install", "Put the manual where 'git help' finds it."),
        "plan": ("git_planner.cli.long_forms", "plan", "The long form of 'git plan'."),
        "iterate": ("git_planner.cli.long_forms", "iterate", "The long form of 'git iterate'."),
        "record": ("git_planner.cli.long_forms", "record", "The long form of 'git record'."),
        "gate": ("git_planner.cli.planner", "gate", ""),
    },
}

ABOUT = {
    "git-plan": "Ask a planner for the next directive, and look at plans.",
    "git-iterate": "Plan, implement and record one change, or a loop of them.",
    "git-record": "Measure a commit the way its policy says, and keep the result.",
    "git-planner": "Set up, check and look after git-planner in a repository.",
}

# What runs when the first word is no command: 'git record HEAD~1' records, 'git iterate' iterates.
DEFAULTS = {"git-record": "measure", "git-iterate": "once"}


def main(program: str, argv: Sequence[str]) -> int:
    """Run one command line.

    Args:
        program: 'git-plan', 'git-iterate', 'git-record' or 'git-planner'.
        argv: its arguments.

    Returns:
        The exit status; see errors.EXIT_MEANING.
    """
    # Thousands of records or tasks are read and all stay; to go through them again and again finds nothing.
    gc.set_threshold(200_000, 20, 20)
    from git_planner.cli.shared import guarded

    def run() -> int:
        asked = complete_variable(program)
        result = group(program).main(
            list(argv), prog_name=_shown(program), complete_var=asked, standalone_mode=False
        )
        return result if isinstance(result, int) else 0

    return guarded(run, as_json="--json" in argv)


def group(program: str) -> click.Group:
    """The click group of one program."""
    from git_planner.cli.lazy import LazyGroup

    return LazyGroup(program, ABOUT[program], COMMANDS[program], DEFAULTS.get(program))


def complete_variable(program: str) -> str:
    """The environment variable by which a shell asks what may stand at a place; see completion.py."""
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


def _shown(program: str) -> str:
    return program.replace("git-", "git ", 1)
