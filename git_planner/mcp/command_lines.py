"""Command lines of the tools: each makes one from the arguments of a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.mcp.arguments import Arguments, options

PAGE = 50
MOST_OF_PAGE = 200


class Command(NamedTuple):
    """A command line: the program, the words before '--json', and the values after '--'."""

    program: str
    words: Sequence[str]
    values: Sequence[str] = ()

    def argv(self) -> list[str]:
        """Return the arguments of the program."""
        return [*self.words, "--json", *(["--", *self.values] if self.values else [])]


_FIELD_OPTIONS = {
    "plan": "--plan",
    "intent": "--intent",
    "write_scope": "--write-scope",
    "read_scope": "--read-scope",
    "acceptance": "--acceptance",
    "actions": "--action",
    "verify": "--verify",
    "dependencies": "--after",
    "notes": "--note",
}


def _missing(action: str, name: str) -> PlannerError:
    return PlannerError("E_USAGE", f"the action '{action}' needs '{name}'", hint=f"add '{name}'")


def doctor_line(arguments: Arguments) -> Command:
    """Return the command line of `doctor`."""
    return Command("git-planner", ["init" if arguments.get("initialise") else "doctor"])


def plan_line(arguments: Arguments) -> Command:
    """Return the command line of `plan`."""
    words = {"status": ["status"], "list": ["list"], "lint": ["lint"]}[arguments.get("action", "status")]
    return Command("git-plan", [*words, *(options(arguments, plan="--plan") if words != ["list"] else [])])


def tasks_list_line(arguments: Arguments) -> Command:
    """Return the command line of `tasks_list`."""
    words = ["task", "ready"] if arguments.get("ready") else ["task", "list"]
    if arguments.get("ready") and arguments.get("status"):
        raise PlannerError("E_USAGE", "'ready' and 'status' exclude each other", hint="give one of the two")
    page = [f"--limit={arguments.get('limit', PAGE)}"]
    cursor = options(arguments, cursor="--start")
    return Command(
        "git-plan", [*words, "--brief", *page, *cursor, *options(arguments, plan="--plan", status="--status")]
    )


def task_show_line(arguments: Arguments) -> Command:
    """Return the command line of `task_show`."""
    words = options(arguments, plan="--plan", handoff="--handoff")
    return Command("git-plan", ["task", "show", *words], [arguments["task"]])


def task_create_line(arguments: Arguments) -> Command:
    """Return the command line of `task_create`."""
    return Command("git-plan", ["task", "add", *options(arguments, **_FIELD_OPTIONS)], [arguments["title"]])


# Action -> subcommand of 'git plan task', its options, and the argument that it needs.
ACTIONS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "edit": (
        "update",
        {
            "title": "--title",
            "status": "--status",
            "reason": "--reason",
            "clear": "--clear",
            **_FIELD_OPTIONS,
        },
        None,
    ),
    "claim": ("claim", {"owner": "--owner", "hours": "--hours", "plan": "--plan"}, None),
    "release": ("release", {"owner": "--owner", "reason": "--reason", "plan": "--plan"}, None),
    "request_review": ("review", {"note": "--note", "plan": "--plan"}, None),
    "request_input": (
        "input",
        {
            "summary": "--summary",
            "details": "--detail",
            "recommended_next_step": "--next",
            "owner": "--by",
            "plan": "--plan",
        },
        "summary",
    ),
    "answer": ("answer", {"owner": "--by", "plan": "--plan"}, "answer"),
    "resume": ("resume", {"notes": "--note", "plan": "--plan"}, None),
    "defer": ("defer", {"reason": "--reason", "plan": "--plan"}, "reason"),
    "cancel": ("cancel", {"reason": "--reason", "plan": "--plan"}, "reason"),
    "sign_off": ("verify", {"note": "--note", "plan": "--plan"}, "note"),
}
_ALWAYS_KNOWN = {"repo_path", "expected_branch", "idempotency_key", "action", "task"}


def task_update_line(arguments: Arguments) -> Command:
    """Return the command line of `task_update`."""
    action = arguments["action"]
    name, spellings, needed = ACTIONS[action]
    unused = sorted(arguments.keys() - spellings.keys() - _ALWAYS_KNOWN - {needed})
    if unused:
        allowed = ", ".join(sorted(spellings.keys() | ({needed} if needed else set())))
        raise PlannerError(
            "E_USAGE", f"the action '{action}' takes no '{unused[0]}'", hint=f"it takes: {allowed}"
        )
    if needed is not None and needed not in arguments:
        raise _missing(action, needed)
    values = [arguments["task"], *([arguments["answer"]] if action == "answer" else [])]
    return Command("git-plan", ["task", name, *options(arguments, **spellings)], values)


def show_task_line(arguments: Arguments) -> Command:
    """Return the command line of `show_task`."""
    return task_show_line({name: arguments[name] for name in ("task", "plan") if name in arguments})


def inbox_line(arguments: Arguments) -> Command:
    """Return the command line of `inbox`."""
    return Command("git-plan", ["inbox", *options(arguments, plan="--plan")])


def leases_line(arguments: Arguments) -> Command:
    """Return the command line of `leases`."""
    action = arguments.get("action", "list")
    if action in ("renew", "release"):
        if "lease" not in arguments:
            raise _missing(action, "lease")
        return Command("git-plan", ["lease", action], [arguments["lease"]])
    if action == "list":
        return Command("git-plan", ["lease", "list"])
    if missing := [name for name in ("purpose", "session") if name not in arguments]:
        raise _missing("acquire", missing[0])
    words = options(arguments, purpose="--purpose", session="--session", pid="--pid", ttl_seconds="--ttl")
    return Command("git-plan", ["lease", "acquire", *words])


def resources_line(_: Arguments) -> Command:
    """Return the command line of `resources`."""
    return Command("git-plan", ["resources"])


def record_line(arguments: Arguments) -> Command:
    """Return the command line of `record`."""
    action, plan = arguments["action"], options(arguments, plan="--plan")
    if action == "start":
        if "task" in arguments:
            commit = options(arguments, ref="--commit")
            return Command("git-plan", ["task", "verify", *plan, *commit], [arguments["task"]])
        words = [*plan, *options(arguments, force="--force")]
        return Command("git-record", words, [_ref(arguments)])
    if action == "show":
        return Command("git-record", ["show", *plan], [_ref(arguments)])
    if action == "best":
        return Command("git-record", ["best", *plan])
    return Command("git-record", ["log", *plan, "-n", str(arguments.get("last", 20))])


def _ref(arguments: Arguments) -> str:
    return str(arguments.get("ref", "HEAD"))


def sessions_line(arguments: Arguments) -> Command:
    """Return the command line of `sessions`."""
    action, plan = arguments.get("action", "list"), options(arguments, plan="--plan")
    if action == "list":
        return Command("git-plan", ["session", "list", *plan, *options(arguments, active_only="--active")])
    if action in ("suspend", "resume", "shutdown"):
        return Command("git-plan", [action])
    if "name" not in arguments:
        raise _missing(action, "name")
    if action == "prompt":
        return Command("git-plan", ["session", "prompt", *plan], [arguments["name"]])
    words = options(arguments, task_status="--task-status", keep_running="--keep-running")
    return Command("git-plan", ["session", "close", *plan, *words], [arguments["name"]])


def worker_spawn_line(arguments: Arguments) -> Command:
    """Return the command line of `worker_spawn`."""
    words = options(
        arguments,
        plan="--plan",
        notes="--note",
        backend="--backend",
        client="--client",
        model="--model",
        effort="--effort",
        new_session="--new-session",
    )
    return Command("git-plan", ["worker", "spawn", *words], [arguments["task"]])


def worker_close_line(arguments: Arguments) -> Command:
    """Return the command line of `worker_close`."""
    words = options(arguments, plan="--plan", keep_running="--keep-running")
    return Command("git-plan", ["worker", "close", *words], [arguments["name"]])


def worker_integrate_line(arguments: Arguments) -> Command:
    """Return the command line of `worker_integrate`."""
    words = options(arguments, plan="--plan", into="--into", merge="--merge")
    return Command("git-plan", ["worker", "integrate", *words], arguments.get("tasks", ()))


def list_sessions_line(arguments: Arguments) -> Command:
    """Return the command line of `list_sessions`."""
    return sessions_line({name: arguments[name] for name in ("plan",) if name in arguments})


def runs_line(arguments: Arguments) -> Command:
    """Return the command line of `runs`."""
    action = arguments.get("action", "list")
    if action in ("stop", "requeue") and "run" not in arguments:
        raise _missing(action, "run")
    if action == "prune":
        words = options(arguments, keep="--keep", dry_run="--dry-run")
        return Command("git-plan", ["worker", "prune", *words])
    words = options(arguments, run="--run", plan="--plan")
    extra = {"stop": ["--end"], "requeue": ["--rerun"]}.get(action, [])
    return Command("git-plan", ["runs", *words, *extra])
