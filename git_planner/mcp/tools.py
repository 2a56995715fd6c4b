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
    text,
    texts,
    whole_number,
)
from git_planner.mcp.command_lines import (
    ACTIONS,
    MOST_OF_PAGE,
    Command,
    doctor_line,
    inbox_line,
    leases_line,
    list_sessions_line,
    plan_line,
    record_line,
    resources_line,
    runs_line,
    sessions_line,
    show_task_line,
    task_create_line,
    task_show_line,
    task_update_line,
    tasks_list_line,
    worker_close_line,
    worker_integrate_line,
    worker_spawn_line,
)


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
TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "doctor",
            "Check the setup and suggest fixes; with initialise, create what is missing first.",
            {"initialise": flag(), **KEY},
            (),
            doctor_line,
            changes=lambda arguments: bool(arguments.get("initialise")),
            idempotent=True,
        ),
        Tool(
            "plan",
            "Show where a plan stands, list all plans, or lint one.",
            {"action": choice("status", "list", "lint"), **PAGING, **PLAN},
            (),
            plan_line,
            listed=lambda arguments: "plans" if arguments.get("action") == "list" else None,
        ),
        Tool(
            "tasks_list",
            "List tasks by number, in pages. ready: only those that can be started now.",
            {"status": texts("", 20), "ready": flag(), **PAGING, **PLAN},
            (),
            tasks_list_line,
        ),
        Tool(
            "task_show",
            "Show a task in full: questions, answers, evidence, claim; with handoff, its handoff file, too.",
            {**TASK, "handoff": flag(), **PLAN},
            ("task",),
            task_show_line,
        ),
        Tool(
            "task_create",
            "Add a task with the next number, creating the plan if necessary.",
            {"title": text("One line", 200), **_FIELDS, **PLAN, **KEY},
            ("title",),
            task_create_line,
            changes=_always,
        ),
        Tool(
            "task_update",
            "Change a task. request_input: ask the operator (summary, details, recommended_next_step), the"
            " task waits; answer: answer it; resume: requeue it with notes; edit: append to fields (clear"
            " empties them first) or set status; sign_off: done by hand.",
            {
                **TASK,
                "action": choice(*ACTIONS),
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
            task_update_line,
            changes=_always,
            shown=show_task_line,
        ),
        Tool(
            "inbox",
            "List what waits for a person, oldest first, each with the command that answers it.",
            {**PAGING, **PLAN},
            (),
            inbox_line,
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
            leases_line,
            changes=_one_of("acquire", "renew", "release"),
            idempotent=True,
        ),
        Tool(
            "resources",
            "Show load, memory and leases of this host, and whether heavy work would be admitted now.",
            {},
            (),
            resources_line,
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
            record_line,
            changes=_one_of("start", "stop"),
            starts=_one_of("start"),
        ),
        Tool(
            "sessions",
            "List sessions of planner and workers, show a session's prompt, close one; suspend, resume or"
            " close (shutdown) all.",
            {
                "action": choice("list", "prompt", "close", "suspend", "resume", "shutdown"),
                "name": text("", 100),
                "active_only": flag(),
                "task_status": choice("todo", "blocked", "agent_done", "review_ready", "cancelled"),
                "keep_running": flag("Only take it from the list"),
                **PAGING,
                **PLAN,
                **KEY,
            },
            (),
            sessions_line,
            changes=_one_of("close", "suspend", "resume", "shutdown"),
            listed=lambda _: "sessions",
            shown=list_sessions_line,
            destructive=True,
        ),
        Tool(
            "worker_spawn",
            "Start a worker on a task in a worktree of its own, or go on with its suspended session. With"
            " notes a task that waits for an answer is put back first.",
            {
                **TASK,
                "notes": texts("", 8000),
                "backend": choice("auto", "desktop", "headless", "tmux"),
                "client": text("", 50),
                "model": text("", 100),
                "effort": text("", 50),
                "new_session": flag("Begin a new conversation"),
                **PLAN,
                **KEY,
            },
            ("task",),
            worker_spawn_line,
            changes=_always,
            shown=list_sessions_line,
        ),
        Tool(
            "worker_close",
            "End a worker; what it did is kept, and its unfinished task is put back.",
            {"name": text("", 100), "keep_running": flag("Only take it from the list"), **PLAN, **KEY},
            ("name",),
            worker_close_line,
            changes=_always,
            shown=list_sessions_line,
            destructive=True,
        ),
        Tool(
            "worker_integrate",
            "Bring finished tasks to the base branch, one after the other; their verify commands must pass."
            " Returns a handle at once, for record's result.",
            {
                "tasks": texts("Default: all that are finished", 20),
                "into": text("Branch; default: the base", 250),
                "merge": flag("Make merge commits"),
                **PLAN,
                **KEY,
            },
            (),
            worker_integrate_line,
            changes=_always,
            starts=_always,
        ),
        Tool(
            "runs",
            "List runs with their last output; stop one's agent, or requeue its task. 'prune' removes"
            " worktrees of finished work, and files of old runs.",
            {
                "action": choice("list", "stop", "requeue", "prune"),
                "run": text("", 100),
                "keep": whole_number("Ended runs that prune keeps", 0, 100_000),
                "dry_run": flag("Only list what prune would remove"),
                **PAGING,
                **PLAN,
                **KEY,
            },
            (),
            runs_line,
            changes=_one_of("stop", "requeue", "prune"),
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
            "repository": {"type": "object", "required": ["root", "worktree", "branch"]},
            "result": {"type": "object"},
            "exit": {"type": "integer"},
            "next_cursor": {"type": "string"},
            "error": {"type": "object", "required": ["code", "message", "hint"]},
        },
    }


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
