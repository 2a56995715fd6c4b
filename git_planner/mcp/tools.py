"""The tools: each one's name, schemas, hints and command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.mcp.arguments import (
    Arguments,
    Schema,
    choice,
    flag,
    long_text,
    number,
    options,
    text,
    texts,
    whole_number,
)

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


class Tool(NamedTuple):
    """One tool.

    `line` makes its command line; `changes` says whether a call changes state; `starts` whether it is long
    work, of which a handle is returned at once; `listed` is the key of a list that is returned in pages;
    `shown` makes the command line that shows what a call with a key did, if it was killed afterwards.
    """

    name: str
    about: str
    properties: dict[str, Schema]
    required: Sequence[str]
    line: Callable[[Arguments], Command]
    changes: Callable[[Arguments], bool] = lambda _: False
    starts: Callable[[Arguments], bool] = lambda _: False
    listed: Callable[[Arguments], str | None] = lambda _: None
    shown: Callable[[Arguments], Command | None] = lambda _: None
    destructive: bool = False
    idempotent: bool = False

    @property
    def may_change(self) -> bool:
        """Return whether some call of the tool changes state: it has a key then."""
        return "idempotency_key" in self.properties


def _always(_: Arguments) -> bool:
    return True


def _one_of(*actions: str) -> Callable[[Arguments], bool]:
    return lambda arguments: arguments.get("action") in actions


KEY = {"idempotency_key": text("Same key, same call: done once", 200)}
PLAN = {"plan": text("Default: the current plan", 100)}
TASK = {"task": text("Such as task_001", 20)}
PAGING = {
    "limit": whole_number("", 1, MOST_OF_PAGE),
    "cursor": text("next_cursor of the last page", 100),
}
_FIELDS = {
    "intent": long_text(),
    "write_scope": texts("Patterns of paths it may change", 500),
    "read_scope": texts("", 500),
    "acceptance": texts("Criteria"),
    "actions": texts("Steps"),
    "verify": texts("Commands that must succeed"),
    "dependencies": texts("Tasks to be done first", 20),
    "notes": texts("", 8000),
}
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


def _doctor(arguments: Arguments) -> Command:
    return Command("git-planner", ["init" if arguments.get("initialise") else "doctor"])


def _plan(arguments: Arguments) -> Command:
    words = {"status": ["status"], "list": ["list"], "lint": ["lint"]}[arguments.get("action", "status")]
    return Command("git-plan", [*words, *(options(arguments, plan="--plan") if words != ["list"] else [])])


def _tasks_list(arguments: Arguments) -> Command:
    words = ["task", "ready"] if arguments.get("ready") else ["task", "list"]
    if arguments.get("ready") and arguments.get("status"):
        raise PlannerError("E_USAGE", "'ready' and 'status' exclude each other", hint="give one of the two")
    page = [f"--limit={arguments.get('limit', PAGE)}"]
    cursor = options(arguments, cursor="--start")
    return Command(
        "git-plan", [*words, "--brief", *page, *cursor, *options(arguments, plan="--plan", status="--status")]
    )


def _task_show(arguments: Arguments) -> Command:
    words = options(arguments, plan="--plan", handoff="--handoff")
    return Command("git-plan", ["task", "show", *words], [arguments["task"]])


def _task_create(arguments: Arguments) -> Command:
    return Command("git-plan", ["task", "add", *options(arguments, **_FIELD_OPTIONS)], [arguments["title"]])


# Action -> subcommand of 'git plan task', its options, and the argument that it needs.
_ACTIONS: dict[str, tuple[str, dict[str, str], str | None]] = {
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


def _task_update(arguments: Arguments) -> Command:
    action = arguments["action"]
    name, spellings, needed = _ACTIONS[action]
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


def _show_task(arguments: Arguments) -> Command:
    return _task_show({name: arguments[name] for name in ("task", "plan") if name in arguments})


def _inbox(arguments: Arguments) -> Command:
    return Command("git-plan", ["inbox", *options(arguments, plan="--plan")])


def _leases(arguments: Arguments) -> Command:
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


def _resources(_: Arguments) -> Command:
    return Command("git-plan", ["resources"])


def _record(arguments: Arguments) -> Command:
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


def _runs(arguments: Arguments) -> Command:
    action = arguments.get("action", "list")
    if action in ("stop", "requeue") and "run" not in arguments:
        raise _missing(action, "run")
    words = options(arguments, run="--run", plan="--plan")
    extra = {"stop": ["--end"], "requeue": ["--rerun"]}.get(action, [])
    return Command("git-plan", ["runs", *words, *extra])


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "doctor",
            "Check the setup and suggest fixes; with initialise, create what is missing first.",
            {"initialise": flag(), **KEY},
            (),
            _doctor,
            changes=lambda arguments: bool(arguments.get("initialise")),
            idempotent=True,
        ),
        Tool(
            "plan",
            "Show where a plan stands, list all plans, or lint one.",
            {"action": choice("status", "list", "lint"), **PLAN},
            (),
            _plan,
        ),
        Tool(
            "tasks_list",
            "List tasks by number, in pages. ready: only those that can be started now.",
            {"status": texts("", 20), "ready": flag(), **PAGING, **PLAN},
            (),
            _tasks_list,
        ),
        Tool(
            "task_show",
            "Show a task in full: questions, answers, evidence, claim; with handoff, its handoff file, too.",
            {**TASK, "handoff": flag(), **PLAN},
            ("task",),
            _task_show,
        ),
        Tool(
            "task_create",
            "Add a task with the next number, creating the plan if necessary.",
            {"title": text("One line", 200), **_FIELDS, **PLAN, **KEY},
            ("title",),
            _task_create,
            changes=_always,
        ),
        Tool(
            "task_update",
            "Change a task. request_input: ask the operator (summary, details, recommended_next_step), the"
            " task waits; answer: answer it; resume: requeue it with notes; edit: append to fields (clear"
            " empties them first) or set status; sign_off: done by hand.",
            {
                **TASK,
                "action": choice(*_ACTIONS),
                "title": text("", 200),
                "status": text("", 20),
                "reason": text("", 2000),
                "clear": texts("Fields to empty", 20),
                **_FIELDS,
                "summary": text("Question in one line"),
                "details": texts(),
                "recommended_next_step": text("", 2000),
                "answer": long_text(),
                "note": text("", 2000),
                "owner": text("Who claims, asks or answers", 200),
                "hours": number("Life of a claim", 0.01, 8760),
                **PLAN,
                **KEY,
            },
            ("task", "action"),
            _task_update,
            changes=_always,
            shown=_show_task,
        ),
        Tool(
            "inbox",
            "List what waits for a person, oldest first, each with the command that answers it.",
            {**PAGING, **PLAN},
            (),
            _inbox,
            listed=lambda _: "items",
        ),
        Tool(
            "leases",
            "Ration heavy work on this host. acquire (purpose, session): ask again until it is granted; the"
            " same request keeps lease and place. Renew before it expires, release it afterwards.",
            {
                "action": choice("list", "acquire", "renew", "release"),
                "purpose": text("", 200),
                "session": text("Your session's name", 200),
                "pid": whole_number("Process that the lease ends with", 1, 2**31 - 1),
                "ttl_seconds": number("", 1, 604800),
                "lease": text("", 100),
                **KEY,
            },
            (),
            _leases,
            changes=_one_of("acquire", "renew", "release"),
            idempotent=True,
        ),
        Tool(
            "resources",
            "Show load, memory and leases of this host, and whether heavy work would be admitted now.",
            {},
            (),
            _resources,
        ),
        Tool(
            "record",
            "Measure a commit (start; with task: run its verify commands). start returns a handle at once;"
            " result with the handle returns state and result, stop ends it. list, show, best: read records.",
            {
                "action": choice("start", "result", "stop", "list", "show", "best"),
                "ref": text("Commit; default: HEAD", 250),
                "task": text("", 20),
                "force": flag("Measure again"),
                "handle": text("", 40),
                "last": whole_number("", 1, MOST_OF_PAGE),
                **PLAN,
                **KEY,
            },
            ("action",),
            _record,
            changes=_one_of("start", "stop"),
            starts=_one_of("start"),
        ),
        Tool(
            "runs",
            "List delegated runs with their last output; stop one's agent, or requeue its task.",
            {
                "action": choice("list", "stop", "requeue"),
                "run": text("", 100),
                **PAGING,
                **PLAN,
                **KEY,
            },
            (),
            _runs,
            changes=_one_of("stop", "requeue"),
            listed=lambda _: "runs",
            destructive=True,
        ),
    )
}


def input_schema(tool: Tool) -> Schema:
    """Return the schema of a tool's arguments."""
    common = {
        "repo_path": text("Folder in the repository", 4096),
        "expected_branch": text("Refuse unless it is checked out", 250),
    }
    return {
        "type": "object",
        "properties": {**common, **tool.properties},
        "required": ["repo_path", *tool.required],
        "additionalProperties": False,
    }


def output_schema() -> Schema:
    """Return the schema of every tool's structured result."""
    return {
        "type": "object",
        "properties": {
            "repository": {"type": "object", "properties": _nullable("root", "worktree", "branch")},
            "result": {"type": "object"},
            "exit": {"type": "integer"},
            "next_cursor": {"type": "string"},
            "error": {"type": "object", "properties": _nullable("code", "message", "hint")},
        },
    }


def _nullable(*names: str) -> dict[str, Schema]:
    return {name: {"type": ["string", "null"]} for name in names}


def find_tool(name: str) -> Tool:
    """Return a tool by its name.

    Raises:
        PlannerError: E_USAGE.
    """
    if name in TOOLS:
        return TOOLS[name]
    from git_planner.rules.did_you_mean import close_names, did_you_mean

    raise PlannerError(
        "E_USAGE",
        f"there is no tool '{name[:80]}'",
        hint=did_you_mean(close_names(name, TOOLS), f"tools: {', '.join(TOOLS)}"),
    )
