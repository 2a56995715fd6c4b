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
        "task": ("git_planner.cli.git_plan.task.commands", "task", "Add, claim, move and look at tasks."),
        "delegate": ("git_planner.cli.git_plan.delegate", "delegate", "Give ready tasks to agents."),
        "doctor": (
            "git_planner.cli.git_plan.runs",
            "doctor",
            "Say what agents do, and end or repeat it.",
        ),
        "sync": ("git_planner.cli.git_plan.sync", "sync", "Rebuild statuses from what git holds."),
        "lint": ("git_planner.cli.git_plan.lint", "lint", "Look for what is wrong or overlaps in a plan."),
        "spec": (
            "git_planner.cli.git_plan.spec",
            "spec",
            "Write a change down first, and compile it into tasks.",
        ),
        "research": ("git_planner.cli.git_plan.discovery", "research", "Have a researcher read the base."),
        "options": ("git_planner.cli.git_plan.discovery", "options", "Write the three options of a plan."),
        "critique": ("git_planner.cli.git_plan.discovery", "critique", "Have a critic review the options."),
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
        "validate": ("git_planner.cli.git_plan.inspect", "validate", "Judge a document of any kind."),
        "push": ("git_planner.cli.git_plan.push_pull", "push", "Publish a plan; merge with who was faster."),
        "pull": ("git_planner.cli.git_plan.push_pull", "pull", "Take in what a remote has of a plan."),
    },
    "git-iterate": {
        "once": ("git_planner.cli.git_iterate.iterate", "once", ""),
        "resume": ("git_planner.cli.git_iterate.iterate", "resume", "Go on with an interrupted iteration."),
        "list": ("git_planner.cli.git_iterate.iterate", "list_", "List all iterations."),
        "show": ("git_planner.cli.git_iterate.iterate", "show", "Show one iteration."),
        "why": (
            "git_planner.cli.git_iterate.iterate",
            "why",
            "Say which directive and record led to a commit.",
        ),
        "publish": ("git_planner.cli.git_iterate.iterate", "publish", "Make a branch for a pull request."),
        "prune": ("git_planner.cli.git_iterate.iterate", "prune", "Remove worktrees of finished iterations."),
        "best": ("git_planner.cli.git_iterate.iterate", "best", "The rolling best: ensure, tag, push."),
    },
    "git-record": {
        "measure": ("git_planner.cli.git_record.record", "measure", ""),
        "log": ("git_planner.cli.git_record.record", "log", "List the records of a plan."),
        "best": ("git_planner.cli.git_record.record", "best", "Show the best record of a plan."),
        "show": ("git_planner.cli.git_record.record", "show", "Show one record."),
        "compare": ("git_planner.cli.git_record.record", "compare", "Put two records side by side."),
        "verify": (
            "git_planner.cli.git_record.record",
            "verify",
            "Measure again, and say whether the record holds.",
        ),
        "import": ("git_planner.cli.git_record.record", "import_", "Read an older log.jsonl."),
        "noise": (
            "git_planner.cli.git_record.noise",
            "noise",
            "Measure how much the base's numbers vary here.",
        ),
        "simulate": (
            "git_planner.cli.git_record.noise",
            "simulate",
            "Print what noisy comparisons are worth.",
        ),
    },
    "git-planner": {
        "init": (
            "git_planner.cli.git_planner.setup",
            "init",
            "Write a policy to begin with, and install the hooks.",
        ),
        "doctor": (
            "git_planner.cli.git_planner.setup",
            "doctor",
            "Look at all that is needed, and say what to do.",
        ),
        "hooks": ("git_planner.cli.git_planner.setup", "hooks", "Install, remove and check the hooks."),
        "check": (
            "git_planner.cli.git_planner.guard",
            "check",
            "Check what is staged, a range of commits, or a push.",
        ),
        "guard": (
            "git_planner.cli.git_planner.guard",
            "guard",
            "Show what the guard covers, and propose changes to it.",
        ),
        "ci": ("git_planner.cli.git_planner.guard", "ci", "Print or write the templates for CI and servers."),
        "remote": (
            "git_planner.cli.git_planner.remote",
            "remote",
            "Set up a remote that plans are shared through.",
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
            "Draw the metric over the iterations of a plan.",
        ),
        "completion": (
            "git_planner.cli.git_planner.completion",
            "completion",
            "Print the completion for a shell.",
        ),
        "install-man-pages": (
            "git_planner.cli.git_planner.man_pages",
            "install",
            "Put the manual where 'git help' finds it.",
        ),
        "plan": ("git_planner.cli.git_planner.long_forms", "plan", "The long form of 'git plan'."),
        "iterate": ("git_planner.cli.git_planner.long_forms", "iterate", "The long form of 'git iterate'."),
        "record": ("git_planner.cli.git_planner.long_forms", "record", "The long form of 'git record'."),
        "gate": ("git_planner.cli.git_planner.setup", "gate", ""),
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
    from git_planner.cli.boundary import guarded

    def run() -> int:
        asked = complete_variable(program)
        result = group(program).main(
            list(argv), prog_name=_shown(program), complete_var=asked, standalone_mode=False
        )
        return result if isinstance(result, int) else 0

    return guarded(run, as_json="--json" in argv)


def group(program: str) -> click.Group:
    """The click group of one program."""
    from git_planner.cli.lazy_group import LazyGroup

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
