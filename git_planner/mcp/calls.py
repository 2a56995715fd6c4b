"""One call of a tool, carried out by a command in a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio.git import STARTING
from git_planner.gitio.refs.operation import is_committed, named_operation
from git_planner.gitio.repository import Repository, open_repository
from git_planner.gitio.worktree import main_folder
from git_planner.mcp import jobs, resources
from git_planner.mcp.command_lines import MOST_OF_PAGE, PAGE, Command
from git_planner.mcp.keys import HeldKey, held_key
from git_planner.mcp.tools import Tool, find_tool, input_schema

# From a program and its arguments to the exit status, as cli.main.
RunCommand = Callable[[str, Sequence[str]], int]
Reply = Callable[[bytes], None]

# Bytes of a result, as JSON: about 60,000 tokens.
MAX_RESULT = 256 * 1024
_ERROR = "git-planner/error@1"
# Result of a call that was carried out, and of whose result nothing more can be shown.
DONE = {"schema": "git-planner/mcp-done@1"}
_CONTROL = {*map(chr, range(0x20)), "\x7f"} - {"\n", "\t", "\r"}


def answer_request(run_command: RunCommand, data: bytes, reply: Reply) -> None:
    """Answer the request of one call: a JSON document with the tool's name and its arguments.

    Args:
        run_command: runs a command line of git-planner in this process.
        data: the request.
        reply: takes the answer; work in the background goes on after it.
    """
    request = json.loads(data)
    call = Call(run_command, reply)
    try:
        if "resource" in request:
            call.read_resource(request["resource"])
        elif "resources" in request:
            call.list_resources(request["resources"])
        else:
            call.carry_out(request["tool"], request["arguments"])
    except PlannerError as error:
        call.answer({"error": _error_of(error.document())})


class Call:
    """A call while it is carried out."""

    def __init__(self, run_command: RunCommand, reply: Reply) -> None:
        self._run_command, self._reply = run_command, reply
        self._is_answered = False
        self.place: dict[str, Any] = {}

    def answer(self, outcome: Mapping[str, Any]) -> None:
        """Answer the call, once."""
        if not self._is_answered:
            self._is_answered = True
            self._reply(json.dumps({**self.place, **outcome}).encode("utf-8", "backslashreplace"))

    def carry_out(self, name: str, arguments: dict[str, Any]) -> None:
        """Check a call and carry it out.

        Raises:
            PlannerError: the call is refused.
        """
        tool = find_tool(name)
        _check_arguments(tool, arguments)
        repo = _enter(arguments["repo_path"])
        self.place = {"repository": _place_of(repo)}
        expected, branch = arguments.get("expected_branch"), self.place["repository"]["branch"]
        if expected is not None and expected != branch:
            raise PlannerError(
                "E_BRANCH",
                f"'{repo.place}' has {branch or 'no branch'} checked out, not '{expected}'",
                hint="check it out, or call with the branch that is meant",
            )
        if "handle" in arguments and arguments.get("action") in ("result", "stop"):
            act = jobs.job_state if arguments["action"] == "result" else jobs.stop_job
            self.answer({"result": act(repo, arguments["handle"])})
            return
        if arguments.get("action") in ("result", "stop") and "handle" in tool.properties:
            raise PlannerError("E_USAGE", "the action needs 'handle'", hint="add the handle of 'start'")
        command = tool.line(arguments)
        if tool.starts(arguments):
            self._start(repo, tool, arguments, command)
        elif "idempotency_key" in arguments and tool.changes(arguments):
            with held_key(repo, arguments["idempotency_key"], self._identity(tool, arguments)) as held:
                self.answer(self._once(repo, tool, arguments, command, held))
        else:
            self.answer(self._run(command, tool, arguments))

    def read_resource(self, uri: str) -> None:
        """Answer with the text of a resource.

        Raises:
            PlannerError: there is none at this address.
        """
        address = resources.parse_address(uri)
        _enter(address.repo_path)
        read = {}
        for name, command in address.kind.commands(*address.parts).items():
            outcome = self._run(command)
            if "error" in outcome:
                self.answer(outcome)
                return
            read[name] = outcome["result"]
        text = resources.render_resource(address.kind, read)
        self.answer({"text": text, "media_type": address.kind.media_type})

    def list_resources(self, folder: str) -> None:
        """Answer with the plans of the repository around a folder: names and addresses."""
        repo = _enter(folder)
        plans = self._run(Command("git-plan", ["list"]))["result"]["plans"][:MOST_OF_PAGE]
        named = [
            (plan["name"], resources.address_of("plan", str(repo.place), plan["name"])) for plan in plans
        ]
        self.answer({"plans": named})

    def _identity(self, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what must be the same when a key comes again."""
        worktree = self.place["repository"]["worktree"]
        return {"tool": tool.name, "arguments": {**arguments, "repo_path": worktree}}

    def _once(
        self, repo: Repository, tool: Tool, arguments: Mapping[str, Any], command: Command, held: HeldKey
    ) -> dict[str, Any]:
        """Carry out a call, unless one with its key was; return the outcome."""
        if held.entry is not None and held.entry.outcome is not None:
            return held.entry.outcome
        if held.entry is not None and is_committed(repo, held.operation):
            outcome = self._after_crash(tool, arguments, held)
        else:
            held.begin()
            with named_operation(held.operation):
                outcome = self._run(command, tool, arguments)
        if "error" in outcome:
            held.forget()
        else:
            held.end(outcome)
        return outcome

    def _start(self, repo: Repository, tool: Tool, arguments: Mapping[str, Any], command: Command) -> None:
        """Answer a call with the handle of its work, then do the work, unless it was begun before."""
        key, handle = arguments.get("idempotency_key"), jobs.new_handle()
        with contextlib.ExitStack() as stack:
            if key is not None:
                held = stack.enter_context(held_key(repo, key, self._identity(tool, arguments)))
                held.begin()
                handle = f"job-{held.operation}"
            call = {"tool": tool.name, "program": command.program, "argv": command.argv()}
            is_first = jobs.begin_job(repo, handle, call)
        self.answer({"result": jobs.job_state(repo, handle)})
        if is_first:
            jobs.end_job(repo, handle, self._run(command))

    def _after_crash(self, tool: Tool, arguments: Mapping[str, Any], held: HeldKey) -> dict[str, Any]:
        """Return what a call did that was killed after its commit."""
        if tool.name == "task_create":
            from git_planner.rules.tasks.task import derive_uid

            listed = self._run(Command("git-plan", ["task", "list", *_plan_of(arguments)]))
            uid = derive_uid("operation", held.operation)
            result = listed.get("result", {})
            for task in result.get("tasks", ()):
                if task["uid"] == uid:
                    shown = {"schema": "git-planner/task-shown@1", "plan": result["plan"], "task": task}
                    return {"result": shown, "exit": 0}
        shown_by = tool.shown(arguments)
        if shown_by is None:
            return {"result": dict(DONE), "exit": 0}
        return self._run(shown_by)

    def _run(
        self, command: Command, tool: Tool | None = None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run a command and return its outcome: a result, or an error. A tool's list is cut to one page."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = self._run_command(command.program, command.argv())
        document = _parse(out.getvalue(), err.getvalue(), status)
        if document.get("schema") == _ERROR:
            return {"error": _error_of(document), "exit": status}
        outcome: dict[str, Any] = {"result": document, "exit": status}
        if tool is not None and arguments is not None:
            outcome |= _page(tool, arguments, document)
        is_change = tool is not None and arguments is not None and tool.changes(arguments)
        return _bounded(outcome, is_change=is_change)


def _plan_of(arguments: Mapping[str, Any]) -> list[str]:
    return [f"--plan={arguments['plan']}"] if "plan" in arguments else []


def _check_arguments(tool: Tool, arguments: Any) -> None:
    """Refuse arguments that do not match the tool's schema, and texts that no command line can have.

    Raises:
        PlannerError: E_USAGE, with one detail per problem.
    """
    problems = documents.list_problems(input_schema(tool), arguments)
    problems += [] if problems else list(_bad_texts(arguments, ""))
    if problems:
        raise PlannerError(
            "E_USAGE",
            f"the arguments of '{tool.name}' are not valid: {problems[0]}",
            hint="see the tool's input schema",
            details=problems[:10],
        )


def _bad_texts(value: Any, path: str) -> list[str]:
    if isinstance(value, str):
        if _CONTROL & set(value):
            return [f"{path}: holds control characters"]
        return [] if value.isascii() or _is_unicode(value) else [f"{path}: is not valid Unicode"]
    if isinstance(value, list):
        return [fault for place, item in enumerate(value) for fault in _bad_texts(item, f"{path}/{place}")]
    if isinstance(value, dict):
        return [fault for name, item in value.items() for fault in _bad_texts(item, f"{path}/{name}")]
    return []


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _enter(path: str) -> Repository:
    """Change to a repository's worktree, whatever the server's environment says.

    Raises:
        PlannerError: E_NOT_A_REPOSITORY.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise PlannerError(
            "E_NOT_A_REPOSITORY",
            f"'{path[:200]}' is not a folder",
            hint="give 'repo_path' a folder of a repository",
        )
    for name in (*STARTING, "GIT_PREFIX", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)
    repo = open_repository(folder.resolve())
    os.chdir(repo.place)
    return open_repository()


def _place_of(repo: Repository) -> dict[str, Any]:
    """Return the primary root of a repository, the worktree of the call, and its branch."""
    root = main_folder(repo) or (repo.common.parent if repo.common.name == ".git" else repo.common)
    return {"root": str(root), "worktree": str(repo.top) if repo.top else None, "branch": repo.head_branch()}


def _parse(out: str, err: str, status: int) -> dict[str, Any]:
    """Return the document that a command printed; an error if it printed none."""
    with contextlib.suppress(ValueError):
        document = json.loads(out)
        if isinstance(document, dict):
            return document
    message = (
        " ".join(err.split())[-300:] or f"the command ended with status {status} and printed no document"
    )
    return PlannerError("E_INTERNAL", message).document()


def _error_of(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document.get(name) for name in ("code", "message", "hint", "details")}


def _page(tool: Tool, arguments: Mapping[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Cut the list of a document to one page, and return the cursor of the next one."""
    if document.get("schema") == "git-planner/task-rows@1":
        following = document.pop("next")
        return {"next_cursor": following} if following else {}
    name = tool.listed(arguments)
    if name is None or not isinstance(document.get(name), list):
        return {}
    first = _place(arguments.get("cursor", "0"))
    last = first + arguments.get("limit", PAGE)
    items = document[name]
    document[name] = items[first:last]
    return {"next_cursor": str(last)} if len(items) > last else {}


def _place(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise PlannerError(
            "E_USAGE", f"{cursor[:80]!r} is no cursor", hint="take 'next_cursor' of the page before"
        )
    return int(cursor)


def _bounded(outcome: dict[str, Any], *, is_change: bool) -> dict[str, Any]:
    """Refuse a result that is too large; that of a change is left out, since the change was made."""
    size = len(json.dumps(outcome["result"]))
    if size <= MAX_RESULT:
        return outcome
    if is_change:
        return {"result": {**DONE, "left_out_bytes": size}, "exit": outcome["exit"]}
    error = PlannerError(
        "E_TOO_LARGE",
        f"the result has {size:,} bytes; at most {MAX_RESULT:,} are returned",
        hint="ask for less: a smaller 'limit', or one item",
    )
    return {"error": _error_of(error.document()), "exit": outcome["exit"]}
