"""Loopback service of `codex cloud`, as codex 0.150 asks for it, and a login that it accepts."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.servers.loopback import Handler, Server, running


@dataclass
class CloudTask:
    """One task: its status, and the diffs of its attempts (None: an attempt that failed)."""

    id: str
    status: str = "completed"
    diffs: list[str | None] = field(default_factory=list)


@dataclass
class CloudScript:
    """Tasks, the newest first, with the size of a page; every request is kept.

    `faults` are the statuses of the next requests, `forgotten` tasks that are listed no more.
    """

    tasks: list[CloudTask] = field(default_factory=list)
    page: int = 20
    faults: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    repeat: bool = False

    def task(self, name: str) -> CloudTask | None:
        """Return a task by its id."""
        return next((task for task in self.tasks if task.id == name), None)


class CloudHandler(Handler):
    """One request of codex."""

    server: Server[CloudScript]

    def do_GET(self) -> None:
        """Answer a question."""
        script = self.server.script
        address = urlsplit(self.path)
        script.requests.append(f"GET {self.path}")
        if self._is_refused():
            return
        parts = address.path.removeprefix("/backend-api/wham/").split("/")
        if parts[0] == "environments":
            self.reply(200, [{"id": "env_1", "label": "Demo", "is_pinned": False, "task_count": 1}])
        elif parts == ["tasks", "list"]:
            self.reply(200, self._page(parse_qs(address.query)))
        elif (task := script.task(parts[1])) is None:
            self.reply(404, {"detail": "Task not found"})
        elif parts[-1] == "sibling_turns":
            turns = [_turn(task, place) for place in range(1, len(task.diffs))]
            self.reply(200, {"sibling_turns": turns})
        else:
            self.reply(200, _details(task))

    def do_POST(self) -> None:
        """Make a task."""
        script = self.server.script
        script.requests.append(f"POST {self.path}")
        script.bodies.append(self.body())
        if self._is_refused():
            return
        attempts = script.bodies[-1].get("metadata", {}).get("best_of_n", 1)
        task = CloudTask(f"task_e_{len(script.tasks) + 1}", "pending", [None] * attempts)
        script.tasks.insert(0, task)
        self.reply(200, {"task": {"id": task.id}})

    def _is_refused(self) -> bool:
        script = self.server.script
        if not str(self.headers["authorization"]).startswith("Bearer "):
            self.reply(401, {"detail": "who are you"})
            return True
        if script.faults:
            self.reply(script.faults.pop(0), {"detail": "not now"})
            return True
        return False

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        script = self.server.script
        start = int(query.get("cursor", ["0"])[0])
        size = min(script.page, int(query.get("limit", ["20"])[0]))
        more = start + size < len(script.tasks)
        cursor = str(start if script.repeat else start + size) if more else None
        return {"items": [_item(task) for task in script.tasks[start : start + size]], "cursor": cursor}


def _item(task: CloudTask) -> dict[str, Any]:
    siblings = [f"{task.id}-{place}" for place in range(1, len(task.diffs))]
    return {
        "id": task.id,
        "title": "Do it",
        "archived": False,
        "has_unread_turn": False,
        "has_generated_title": True,
        "created_at": 1.7e9,
        "updated_at": 1.7e9,
        "task_status_display": {
            "latest_turn_status_display": {"turn_status": task.status, "sibling_turn_ids": siblings},
            "environment_label": "Demo",
        },
    }


def _turn(task: CloudTask, place: int) -> dict[str, Any]:
    diff = task.diffs[place] if task.diffs else None
    output = [{"type": "output_diff", "diff": diff}] if diff is not None else []
    status = task.status if diff is not None or task.status != "completed" else "failed"
    return {
        "id": f"{task.id}-{place}",
        "attempt_placement": place,
        "turn_status": status,
        "sibling_turn_ids": [f"{task.id}-{other}" for other in range(1, len(task.diffs))],
        "output_items": output,
    }


def _details(task: CloudTask) -> dict[str, Any]:
    turn = _turn(task, 0)
    has_diff = bool(turn["output_items"])
    return {
        "task": _item(task),
        "current_user_turn": None,
        "current_assistant_turn": turn,
        "current_diff_task_turn": turn if has_diff else None,
    }


@contextmanager
def cloud_service(script: CloudScript, home: Path) -> Iterator[dict[str, str]]:
    """Run the service; yield the environment with which codex uses it, with a login in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    token = ".".join((_part({"alg": "none"}), _part(_claims()), "c2ln"))
    tokens = {"id_token": token, "access_token": token, "refresh_token": "r", "account_id": "account-1"}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    login = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": stamp}
    (home / "auth.json").write_text(json.dumps(login))
    with running(script, CloudHandler) as server:
        yield {
            "CODEX_HOME": str(home),
            "CODEX_CLOUD_TASKS_BASE_URL": f"http://127.0.0.1:{server.port}/backend-api",
        }


def _claims() -> dict[str, Any]:
    account = {"chatgpt_account_id": "account-1", "chatgpt_plan_type": "pro"}
    return {"exp": int(time.time()) + 10**6, "email": "a@example.com", "https://api.openai.com/auth": account}


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
