"""Tasks and plans as documents, to be merged and edited in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OID = "a" * 40


def task(number: int, uid: str | None = None, **fields: Any) -> dict[str, Any]:
    """A task that nobody has begun, with other values where they are named."""
    document: dict[str, Any] = {
        "id": f"task_{number:03d}",
        "uid": uid or f"uid{number:08d}",
        "title": f"task {number}",
        "intent": "",
        "status": "todo",
        "reason": None,
        "step": None,
        "spec": None,
        "owner": None,
        "attempt": 1,
        "run": None,
        "base": None,
        "branch": None,
        "handoff": None,
    }
    lists = ("actions", "read_scope", "write_scope", "dependencies", "acceptance", "verify", "risks")
    document |= {name: [] for name in (*lists, "references", "inputs", "commits", "evidence", "notes")}
    return document | fields


def plan(*tasks: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan of these tasks."""
    document: dict[str, Any] = {
        "schema": "git-planner/plan@1",
        "name": "default",
        "goal": "be fast",
        "base": OID,
        "base_ref": "main",
        "created_at": "2026-11-21T10:00:00Z",
        "constraints": [],
        "acceptance": [],
        "planning_plan": None,
    }
    return document | {"tasks": [dict(other) for other in tasks]} | fields


def evidence(minute: int, *, ok: bool = True, attempt: int = 1) -> dict[str, Any]:
    """One piece of evidence."""
    return {
        "kind": "verified",
        "at": f"2026-11-21T11:{minute:02d}:00Z",
        "by": "A U Thor <author@example.com>",
        "attempt": attempt,
        "commit": OID,
        "tree": OID,
        "ok": ok,
        "runs": [{"run": ["make", "test"], "status": 0, "seconds": 1.5, "output": "b" * 64}],
        "note": None,
    }


def question(minute: int, answer: str | None = None) -> dict[str, Any]:
    """One question, answered or open."""
    at = f"2026-11-21T12:{minute:02d}:00Z"
    reply = {"at": at, "by": "boss", "text": answer} if answer else None
    return {
        "at": at,
        "by": "agent",
        "summary": f"which {minute}?",
        "details": [],
        "next": None,
        "answer": reply,
    }
