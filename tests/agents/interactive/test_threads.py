"""Threads, found in the files of clients."""

from __future__ import annotations

import json
import os
from pathlib import Path

from git_planner.agents.interactive.clients import CODEX
from git_planner.agents.interactive.threads import find_thread
from git_planner.rules.policy.interactive_client import ThreadFiles

IDS = [f"01a22d15-6081-7620-96df-7fa9e684b9{number:02d}" for number in range(10)]
CWD = Path("/srv/ä")


def rollout(home: Path, number: int, cwd: Path, prompt: str, at: float) -> None:
    """Write the file of a thread as codex does."""
    folder = home / "sessions" / "2026" / "11" / "30"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-2026-11-30T15-31-45-{IDS[number]}.jsonl"
    rows = [{"type": "session_meta", "payload": {"cwd": str(cwd)}}, {"payload": {"text": prompt}}]
    path.write_text("".join(json.dumps(row, ensure_ascii=bool(number % 2)) + "\n" for row in rows))
    os.utime(path, (at, at))


def test_finds_the_newest_thread_of_a_folder_with_its_marker(tmp_path: Path) -> None:
    home = tmp_path / "a [b]*"
    for number, (cwd, prompt, at) in enumerate(
        [(CWD, "run r1", 100), (CWD, "run r2", 200), (Path("/srv"), "r1", 300), (CWD, "of the person", 400)]
    ):
        rollout(home, number, cwd, prompt, at)
    environ = {"CODEX_HOME": str(home), "HOME": str(tmp_path)}

    def thread(since: float, marker: str = "", cwd: Path = CWD) -> str | None:
        return find_thread(CODEX.threads, environ, cwd=cwd, since=since, marker=marker)

    assert [thread(0, "run r1"), thread(0, "run r2"), thread(0)] == [IDS[0], IDS[1], IDS[3]]
    assert thread(0, cwd=Path("/srv")) == IDS[2]
    assert thread(150, "run r1") is thread(403) is thread(0, "r9") is thread(0, cwd=tmp_path) is None
    assert thread(201.5, "run r2") == IDS[1]


def test_the_home_counts_if_the_variable_is_not_set(tmp_path: Path) -> None:
    rollout(tmp_path / ".codex", 4, CWD, "x", 100)
    assert find_thread(CODEX.threads, {"HOME": str(tmp_path), "CODEX_HOME": ""}, cwd=CWD, since=0) == IDS[4]
    assert find_thread(CODEX.threads, {}, cwd=CWD, since=0) is None
    assert find_thread(None, {"HOME": str(tmp_path)}, cwd=CWD, since=0) is None


def test_an_id_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"cwd": str(CWD), "session": "abc-1"}))
    (tmp_path / "t.json").write_bytes(b"\xff" * 100)
    (tmp_path / "u.json").mkdir()
    threads = ThreadFiles(("~/*.json",), r'"session": "([a-z0-9-]+)"')
    assert find_thread(threads, {"HOME": str(tmp_path)}, cwd=CWD, since=0) == "abc-1"
