"""Time of the MCP server: its start, and calls in a plan with 5,000 tasks."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.tasks import MANY, fill
from tests.bench.timing import Figure
from tests.support.lab import command_line

ASKED, ASKED_START = 300, 3000


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the start of a server, and calls of one that runs."""
    repo = root / "many"
    fill(repo, env, MANY)
    rounds = 15 // fewer
    yield Figure("MCP: start to the answer of initialize", ASKED_START, _start(repo, env, rounds), "ms")
    with Server(repo, env) as server:
        server.initialise()
        for name, tool, arguments in (
            ("task list, first page", "tasks_list", {}),
            ("task list, last page", "tasks_list", {"cursor": f"task_{MANY - 50:03d}"}),
            ("task list, ready", "tasks_list", {"ready": True}),
            ("show a task", "task_show", {"task": "task_2500"}),
        ):
            series = [server.call(tool, {"repo_path": str(repo), **arguments}) for _ in range(rounds + 1)]
            yield Figure(
                f"MCP: {name}, {MANY:,} tasks",
                ASKED,
                statistics.median(series[1:]),
                "ms",
                f"first: {series[0]:.0f} ms",
            )


def _start(repo: Path, env: Mapping[str, str], rounds: int) -> float:
    series = []
    for _ in range(rounds):
        began = time.perf_counter()
        with Server(repo, env) as server:
            server.initialise()
            series.append((time.perf_counter() - began) * 1000)
    return statistics.median(series)


class Server:
    """A server whose client is this process."""

    def __init__(self, repo: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command_line("git-planner", "mcp", "serve"),
            cwd=repo,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        document = json.loads(self.process.stdout.readline())
        result: dict[str, Any] = document["result"]
        return result

    def initialise(self) -> None:
        """Shake hands."""
        client = {"name": "bench", "version": "1"}
        self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        assert self.process.stdin is not None
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def call(self, tool: str, arguments: Mapping[str, Any]) -> float:
        """Call a tool; return the time in milliseconds."""
        began = time.perf_counter()
        result = self.ask("tools/call", name=tool, arguments=dict(arguments))
        took = (time.perf_counter() - began) * 1000
        if result["isError"]:
            raise SystemExit(result)
        return took
