"""A cloud service as a program, for tests: `python cloud_program.py DIALECT TASKS.json cloud COMMAND …`.

DIALECT is 'variants' (new, list, show, export, diff) or 'attempts' (exec, list, status, diff --attempt).

TASKS.json: {"page": 20, "tasks": [{"id", "polls": ["pending", "ready"], "variants": [{"variant_index",
"status", "diff", "report"}], "prompt", "updated_at"}]}; the last two may be missing. The n-th poll (`list`,
and `status` of a task that is not listed) shows the n-th word of "polls", the last one for ever. The words
'!500', '!429', '!garbled', '!hang', '!denied' and '!gone' are faults of that call. Beside the file, '.calls'
has a line for every call, and '.prompt' the last prompt.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

HELP = {
    "variants": "Usage: codex cloud\n\n  new\n  list\n  show\n  export\n  diff\n",
    "attempts": "Usage: codex cloud\n\n  exec\n  status\n  list\n  apply\n  diff\n",
}
FAULTS = {
    "!500": "Error: http error: list_tasks failed: GET http://x failed: 500 Internal Server Error; body=",
    "!429": "Error: http error: list_tasks failed: GET http://x failed: 429 Too Many Requests; body=",
    "!denied": "Not signed in. Please run 'codex login' to sign in with ChatGPT, then re-run 'codex cloud'.",
}


def fail(message: str, status: int = 1) -> NoReturn:
    """End with a message."""
    print(message, file=sys.stderr)
    sys.exit(status)


class Service:
    """One call of the program."""

    def __init__(self, dialect: str, path: Path) -> None:
        self.dialect, self.path = dialect, path
        self.data: dict[str, Any] = json.loads(path.read_text())
        self.calls = path.with_name(path.name + ".calls")

    def run(self, args: list[str]) -> None:
        """Carry out a command."""
        earlier = self.calls.read_text().splitlines() if self.calls.exists() else []
        with self.calls.open("a") as file:
            file.write(" ".join(args) + "\n")
        polls = sum(line.startswith(("list", "status")) and "--cursor" not in line for line in earlier)
        # All else belongs to the poll before.
        self.polls = polls if args[0] in ("list", "status") and "--cursor" not in args else max(0, polls - 1)
        Path("error.log").write_text("as the real client does\n")
        if args[:1] == ["--help"]:
            print(HELP[self.dialect])
        elif args[0] in ("new", "exec"):
            Path(f"{self.path}.prompt").write_text(sys.stdin.read())
            task = self.data["tasks"][-1]["id"]
            print(f"Created task {task}" if args[0] == "new" else f"https://x.example/codex/tasks/{task}")
        elif args[0] == "list":
            self.list_tasks(args)
        elif args[0] == "status":
            word = self.word(self.task(args[1]))
            print(f"[{word.upper()}] title\nlabel\nno diff")
            sys.exit(word != "ready")
        elif args[0] == "show":
            task = self.task(args[1])
            variants = [{key: value for key, value in v.items() if key != "report"} for v in task["variants"]]
            prompt = {"prompt": task["prompt"]} if "prompt" in task else {}
            print(json.dumps({"task_id": task["id"], "variants": variants, **prompt}))
        elif args[0] == "export":
            self.export(int(args[2]), Path(args[4]), self.task(args[5]))
        else:
            self.diff(args)

    def word(self, task: dict[str, Any]) -> str:
        """Return the status of a task at this poll, or fail."""
        words = task["polls"]
        word: str = words[min(self.polls, len(words) - 1)]
        if word in FAULTS:
            fail(FAULTS[word])
        if word == "!hang":
            time.sleep(600)
        if word == "!garbled":
            print("<html>busy</html>")
            sys.exit(0)
        return word

    def task(self, name: str) -> dict[str, Any]:
        """Return a task by its id, or fail."""
        for task in self.data["tasks"]:
            if task["id"] == name and self.word(task) != "!gone":
                return dict(task)
        fail(f"Error: http error: get_task failed: GET http://x/{name} failed: 404 Not Found; body=")

    def list_tasks(self, args: list[str]) -> None:
        """Print a page of tasks."""
        entries = [
            {"id": task["id"], "status": self.word(task), "attempt_total": max(1, len(task["variants"]))}
            | ({"updated_at": task["updated_at"]} if "updated_at" in task else {})
            for task in self.data["tasks"]
            if self.word(task) != "!gone"
        ]
        size = self.data.get("page", 20)
        start = int(args[args.index("--cursor") + 1]) if "--cursor" in args else 0
        cursor = str(start + size) if start + size < len(entries) else None
        cursor = self.data.get("cursor", cursor)
        print(json.dumps({"tasks": entries[start : start + size], "cursor": cursor}))

    def export(self, number: int, folder: Path, task: dict[str, Any]) -> None:
        """Write the files of a variant."""
        variant = next(v for v in task["variants"] if v["variant_index"] == number)
        if not variant.get("diff"):
            fail(f"Error: variant {number} has no diff")
        place = folder / f"var{number}"
        place.mkdir(parents=True)
        (place / "patch.diff").write_bytes(variant["diff"].encode("utf-8", "surrogateescape"))
        report = {"task_id": task["id"], "variant_index": number, "messages": variant.get("report", [])}
        (place / "report.json").write_text(json.dumps(report))
        print(f"Exported to {place}")

    def diff(self, args: list[str]) -> None:
        """Print a diff; 'attempts' counts only those that there are."""
        task = self.task(args[1])
        if self.dialect == "variants":
            wanted = [v.get("diff") for v in task["variants"] if v["variant_index"] == int(args[3])]
            print((wanted or [None])[0] or fail("Error: no diff"), end="")
            return
        if not 1 <= int(args[3]) <= 4:
            fail(f"error: invalid value '{args[3]}' for '--attempt <N>': attempts must be between 1 and 4", 2)
        diffs = [variant["diff"] for variant in task["variants"] if variant.get("diff")]
        if not diffs:
            fail(f"Error: No diff available for task {args[1]}; it may still be running.")
        if int(args[3]) > len(diffs):
            fail(f"Error: Attempt {args[3]} not available; only {len(diffs)} attempt(s) found")
        sys.stdout.buffer.write(diffs[int(args[3]) - 1].encode("utf-8", "surrogateescape"))


def main(argv: list[str]) -> None:
    """Run one call."""
    if argv[2:3] != ["cloud"]:
        fail("error: unrecognized subcommand", 2)
    Service(argv[0], Path(argv[1])).run(argv[3:])


if __name__ == "__main__":
    main(sys.argv[1:])
