"""The five command lines. A command's module is imported only when that command runs.

`COMMANDS` is the only list of commands: program -> name -> row. Help shows them in
this order, under the heading of their group.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from git_planner.cli.command_row import Row
from git_planner.errors import INTERRUPTED

if TYPE_CHECKING:
    import click

COMMANDS: dict[str, dict[str, Row]] = {
    "git-plan": {
        "codex": Row("git_plan.ask", "codex", "plan the next change", "Ask codex, with a ChatGPT login."),
        "api": Row("git_plan.ask", "api", "plan the next change", "Ask codex, with an API key."),
        "command": Row(
            "git_plan.ask",
            "command_planner",
            "plan the next change",
            "Ask the program that the policy names.",
        ),
        "offline": Row("git_plan.ask", "offline", "plan the next change", "Plan without network or model."),
        "manual": Row(
            "git_plan.manual",
            "manual",
            "plan the next change",
            "Plan by hand: pack a prompt, apply its answer.",
        ),
        "research": Row(
            "git_plan.discovery", "research", "prepare a plan", "Ask a researcher to read the base."
        ),
        "options": Row(
            "git_plan.discovery", "options", "prepare a plan", "Write the three options of a plan."
        ),
        "critique": Row(
            "git_plan.discovery", "critique", "prepare a plan", "Ask a critic to review the options."
        ),
        "choose": Row(
            "git_plan.discovery", "choose", "prepare a plan", "Choose an option; its steps become tasks."
        ),
        "spec": Row(
            "git_plan.spec", "spec", "prepare a plan", "Describe a change first, then compile it into tasks."
        ),
        "task": Row("git_plan.task.commands", "task", "work on tasks", "Add, show, claim and change tasks."),
        "delegate": Row("git_plan.delegate", "delegate", "work on tasks", "Give ready tasks to agents."),
        "runs": Row("git_plan.runs", "runs", "work on tasks", "Show delegated runs; stop or requeue one."),
        "worker": Row(
            "git_plan.board.session", "worker", "run sessions", "Run workers in terminals, each on a task."
        ),
        "session": Row(
            "git_plan.board.session",
            "session",
            "run sessions",
            "Run the planner in a terminal; list, attach and close sessions.",
        ),
        "suspend": Row("git_plan.board.session", "suspend", "run sessions", "Stop all sessions for a while."),
        "resume": Row(
            "git_plan.board.session", "resume", "run sessions", "Go on with all suspended sessions."
        ),
        "shutdown": Row("git_plan.board.session", "shutdown", "run sessions", "Close all sessions."),
        "session-program": Row("git_plan.board.session", "session_program", "run sessions", ""),
        "lease": Row(
            "git_plan.board.lease",
            "lease",
            "share this host",
            "Ration heavy work over all repositories of this host.",
        ),
        "resources": Row(
            "git_plan.board.lease",
            "resources",
            "share this host",
            "Show whether heavy work would be admitted now.",
        ),
        "sync": Row(
            "git_plan.sync", "sync", "work on tasks", "Recompute task statuses from the Git history."
        ),
        "lint": Row("git_plan.lint", "lint", "work on tasks", "Check a plan for faults, overlaps and drift."),
        "use": Row("git_plan.use", "use", "look at plans", "Set the current plan."),
        "inbox": Row(
            "git_plan.board.inbox", "inbox", "look at plans", "List what waits for a person, oldest first."
        ),
        "status": Row(
            "git_plan.inspect",
            "status",
            "look at plans",
            "Show the current attempt and where its plan stands.",
        ),
        "review": Row(
            "git_plan.review",
            "review",
            "look at plans",
            "Show people what agents are about to do, as Markdown.",
        ),
        "list": Row("git_plan.inspect", "list_plans", "look at plans", "List all plans."),
        "show": Row("git_plan.inspect", "show", "look at plans", "Show the directive of an iteration."),
        "validate": Row(
            "git_plan.inspect", "validate", "look at plans", "Validate a document against its schema."
        ),
        "push": Row(
            "git_plan.push_pull",
            "push",
            "share plans",
            "Push a plan to a remote, merging concurrent updates first.",
        ),
        "pull": Row("git_plan.push_pull", "pull", "share plans", "Fetch a plan from a remote and merge it."),
    },
    "git-iterate": {
        "once": Row("git_iterate.iterate", "once", "run iterations", ""),
        "resume": Row("git_iterate.iterate", "resume", "run iterations", "Resume an interrupted iteration."),
        "abandon": Row(
            "git_iterate.iterate", "abandon", "run iterations", "Give up an unfinished iteration."
        ),
        "list": Row("git_iterate.iterate", "list_", "look at iterations", "List all iterations."),
        "show": Row("git_iterate.iterate", "show", "look at iterations", "Show one iteration."),
        "why": Row(
            "git_iterate.iterate",
            "why",
            "look at iterations",
            "Show which directive and record produced a commit.",
        ),
        "publish": Row(
            "git_iterate.iterate", "publish", "publish and clean up", "Create a branch for a pull request."
        ),
        "best": Row(
            "git_iterate.iterate",
            "best",
            "publish and clean up",
            "Create, restore, tag and push the rolling best.",
        ),
        "prune": Row(
            "git_iterate.iterate", "prune", "publish and clean up", "Remove worktrees of finished iterations."
        ),
    },
    "git-record": {
        "measure": Row("git_record.record", "measure", "measure", ""),
        "verify": Row(
            "git_record.record", "verify", "measure", "Measure again, and check whether the record holds."
        ),
        "noise": Row(
            "git_record.noise", "noise", "measure", "Measure the noise of the base on this machine."
        ),
        "log": Row("git_record.record", "log", "look at records", "List the records of a plan."),
        "best": Row("git_record.record", "best", "look at records", "Show the best record of a plan."),
        "show": Row("git_record.record", "show", "look at records", "Show one record."),
        "compare": Row("git_record.record", "compare", "look at records", "Compare two records."),
        "reject": Row(
            "git_record.record",
            "reject",
            "look at records",
            "Dispute a record; the best goes back without it.",
        ),
        "import": Row("git_record.record", "import_", "import and simulate", "Import an older log.jsonl."),
        "simulate": Row(
            "git_record.noise",
            "simulate",
            "import and simulate",
            "Estimate false-positive rate and power of noisy comparisons.",
        ),
    },
    "git-bo4": {
        "run": Row("git_bo4.run", "run", "run a tournament", "Play all stages of a tournament."),
        "new": Row("git_bo4.runs", "new", "run a tournament", "Create a tournament of N variants."),
        "followup": Row(
            "git_bo4.run", "followup", "run a tournament", "Begin the next turn with a prompt of its own."
        ),
        "judge": Row(
            "git_bo4.stages", "judge", "judge and compose", "Measure the gated variants, choose the best."
        ),
        "watch": Row(
            "git_bo4.collect", "watch", "run a tournament", "Wait until the variants of a service are ready."
        ),
        "harvest": Row(
            "git_bo4.collect",
            "harvest",
            "run a tournament",
            "Archive the variants, and commit each on its branch.",
        ),
        "review": Row("git_bo4.winner", "review", "judge and compose", "Let a critic score the variants."),
        "meta": Row("git_bo4.winner", "meta", "judge and compose", "Choose what the winner is made of."),
        "compose": Row(
            "git_bo4.winner", "compose", "judge and compose", "Make the winner's commit and its report."
        ),
        "ship": Row(
            "git_bo4.winner", "ship", "ship the winner", "Run the shipping gates, write the description."
        ),
        "apply": Row("git_bo4.winner", "apply", "ship the winner", "Create the branch for review."),
        "variant-program": Row("git_bo4.stages", "variant_program", "run a tournament", ""),
        "status": Row("git_bo4.runs", "status", "look at a tournament", "Show where a tournament stands."),
        "show": Row("git_bo4.runs", "show", "look at a tournament", "Show one variant."),
        "list": Row("git_bo4.runs", "list_", "look at all tournaments", "List all tournaments."),
        "gate": Row("git_bo4.gates", "gate", "gate changes", "Run gates on variants, a commit or a push."),
        "canon": Row(
            "git_bo4.canon", "canon", "gate changes", "Lock what modules must keep, and check commits."
        ),
        "events": Row(
            "git_bo4.events", "events", "look at a tournament", "Validate or replay the stream of events."
        ),
    },
    "git-planner": {
        "launch": Row("git_planner.launch", "launch", "run sessions", ""),
        "quickstart": Row(
            "git_planner.launch",
            "quickstart",
            "run sessions",
            "Explain sessions, with this repository's names.",
        ),
        "init": Row(
            "git_planner.setup",
            "init",
            "set up a repository",
            "Write a policy for this project, try it, and install the hooks.",
        ),
        "hooks": Row(
            "git_planner.setup", "hooks", "set up a repository", "Install, remove and check the hooks."
        ),
        "remote": Row(
            "git_planner.remote",
            "remote",
            "set up a repository",
            "Configure the remote that plans are shared through.",
        ),
        "cache": Row(
            "git_planner.cache",
            "cache",
            "set up a repository",
            "List and remove what is kept for measuring.",
        ),
        "completion": Row(
            "git_planner.shell.completion",
            "completion",
            "set up a repository",
            "Print the completion script for a shell.",
        ),
        "install-man-pages": Row(
            "git_planner.shell.man_pages",
            "install",
            "set up a repository",
            "Install the manual pages for 'git help'.",
        ),
        "import": Row(
            "git_planner.imports",
            "import_",
            "set up a repository",
            "Import the settings or the board of a session planner.",
        ),
        "uninstall": Row(
            "git_planner.uninstall",
            "uninstall",
            "set up a repository",
            "Remove git-planner from the repository; documents stay.",
        ),
        "mcp": Row(
            "git_planner.mcp",
            "mcp",
            "set up a repository",
            "Serve agents' clients over MCP; register with them.",
        ),
        "doctor": Row(
            "git_planner.setup", "doctor", "check a repository", "Check the setup and suggest fixes."
        ),
        "check": Row(
            "git_planner.guard",
            "check",
            "check a repository",
            "Check staged changes, a range of commits, or a push.",
        ),
        "guard": Row(
            "git_planner.guard",
            "guard",
            "check a repository",
            "Show the guard's coverage; propose changes to guarded files.",
        ),
        "ci": Row(
            "git_planner.ci",
            "ci",
            "check a repository",
            "Write the files for CI, reviews and issues, or a server's hook.",
        ),
        "top": Row(
            "git_planner.top",
            "top",
            "look at plans and documents",
            "Watch plans, tasks, runs, leases and the inbox.",
        ),
        "plot": Row(
            "git_planner.demo",
            "plot",
            "look at plans and documents",
            "Plot the primary metric over the iterations of a plan.",
        ),
        "schema": Row(
            "git_planner.setup",
            "schema",
            "look at plans and documents",
            "Print the JSON Schema of a document.",
        ),
        "demo": Row(
            "git_planner.demo",
            "demo",
            "look at plans and documents",
            "Let the offline agents improve a small kernel.",
        ),
        "plan": Row(
            "git_planner.long_forms", "plan", "long forms of the other programs", "Long form of 'git plan'."
        ),
        "iterate": Row(
            "git_planner.long_forms",
            "iterate",
            "long forms of the other programs",
            "Long form of 'git iterate'.",
        ),
        "record": Row(
            "git_planner.long_forms",
            "record",
            "long forms of the other programs",
            "Long form of 'git record'.",
        ),
        "bo4": Row(
            "git_planner.long_forms", "bo4", "long forms of the other programs", "Long form of 'git bo4'."
        ),
        "gate": Row("git_planner.setup", "gate", "", ""),
    },
}

ABOUT = {
    "git-plan": "Ask a planner for the next directive, and manage plans and tasks.",
    "git-iterate": "Plan, implement and record one change, or a loop of them.",
    "git-record": "Measure a commit as its policy prescribes, and record the result.",
    "git-bo4": "Play tournaments: N variants of one prompt, gated, measured and reviewed.",
    "git-planner": "Set up, check and maintain git-planner in a repository.",
}

# Command that runs when the first argument is not a command: 'git record HEAD~1' records.
DEFAULTS = {"git-record": "measure", "git-iterate": "once", "git-planner": "launch"}


def main(program: str, argv: Sequence[str]) -> int:
    """Run one command line.

    Args:
        program: 'git-plan', 'git-iterate', 'git-record', 'git-bo4' or 'git-planner'.
        argv: its arguments.

    Returns:
        The exit status; see errors.EXIT_MEANING.
    """
    # Thousands of records or tasks are read and stay alive; repeated collections would free nothing.
    gc.set_threshold(200_000, 20, 20)
    enter_prefix()
    from git_planner.cli.boundary import guarded

    def run() -> int:
        result = group(program).main(
            list(argv),
            prog_name=_spoken(program),
            complete_var=complete_variable(program),
            standalone_mode=False,
        )
        return result if isinstance(result, int) else 0

    with _ended_by_signals() as caught:
        # What follows '--' belongs to another command.
        as_json = "--json" in itertools.takewhile("--".__ne__, argv)
        status = guarded(run, as_json=as_json, signals=caught)
    # A program that was ended with this one says itself that it was interrupted.
    return 128 + caught[0] if caught and status == INTERRUPTED else status


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """End as by Ctrl-C, with a message, when SIGTERM or SIGHUP comes; yield the signals that came.

    A signal that the caller ignores or handles stays as it is.
    """
    caught: list[int] = []

    def interrupt(number: int, _: object) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    numbers = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL
    ]
    installed = []
    # Only the main thread may set handlers.
    with suppress(ValueError):
        for number in numbers:
            signal.signal(number, interrupt)
            installed.append(number)
    try:
        yield caught
    finally:
        for number in installed:
            signal.signal(number, signal.SIG_DFL)


def enter_prefix() -> None:
    """Change to the folder that an alias such as '!git plan' was called from.

    git runs such an alias at the top of the work tree and names the folder in GIT_PREFIX. It sets this for
    hooks, too, whose paths count from the top; commits set GIT_INDEX_FILE for them.
    """
    prefix = os.environ.pop("GIT_PREFIX", "")
    if (
        not prefix
        or "GIT_INDEX_FILE" in os.environ
        or not os.path.exists(".git")
        or not os.path.isdir(prefix)
    ):
        return
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])
    if "GIT_DIR" in os.environ:
        # Without this variable git takes the current folder for the top of the work tree.
        os.environ.setdefault("GIT_WORK_TREE", os.getcwd())
    os.chdir(prefix)


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


def bo4() -> None:
    """Console script `git-bo4`."""
    sys.exit(main("git-bo4", sys.argv[1:]))


def planner() -> None:
    """Console script `git-planner`."""
    sys.exit(main("git-planner", sys.argv[1:]))


def _spoken(program: str) -> str:
    return program.replace("git-", "git ", 1)
