"""Clients of cloud services, with a program that speaks both dialects."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from git_planner.agents.cloud.attempts import MOST_ATTEMPTS, AttemptsClient
from git_planner.agents.cloud.choose_client import CloudClient, choose_client
from git_planner.agents.cloud.cloud_cli import PASSING, open_cli
from git_planner.errors import PlannerError
from git_planner.rules.tournament.source import PolledVariant, PollResult, TaskRequest
from tests.foundation.fake_keys import LETTERS, drawn

PROGRAM = Path(__file__).parents[2] / "support" / "servers" / "cloud_program.py"
DIFF = "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+1\n"
VARIANTS = [
    {"variant_index": 1, "status": "completed", "diff": DIFF},
    {"variant_index": 2, "status": "failed", "diff": None},
    {"variant_index": 3, "status": "Completed", "diff": DIFF.replace("+1\n", "+3\n"), "report": ["done"]},
]


@contextmanager
def client(
    folder: Path,
    dialect: str,
    polls: Sequence[str] = ("ready",),
    variants: Sequence[Any] = VARIANTS,
    *,
    choose: str = "auto",
    seconds: float = 20,
    **extra: Any,
) -> Iterator[CloudClient]:
    """Yield the client of a service with one task, 'task_1'."""
    tasks = [*extra.pop("before", []), {"id": "task_1", "polls": list(polls), "variants": list(variants)}]
    (folder / "tasks.json").write_text(json.dumps({"tasks": tasks, **extra}))
    command = shlex.join([sys.executable, str(PROGRAM), dialect, str(folder / "tasks.json")])
    with open_cli(command, seconds=seconds) as cli:
        yield choose_client(cli, choose)
        assert list(cli.folder.glob("error.log")) == []


def calls(folder: Path) -> list[str]:
    """Return the calls of the program."""
    return (folder / "tasks.json.calls").read_text().splitlines()


def test_variants_with_numbers_of_their_own(tmp_path: Path) -> None:
    with client(tmp_path, "variants") as service:
        assert service.poll("task_1") == PollResult(
            "ready",
            "ready",
            (
                PolledVariant(1, "ready", "completed"),
                PolledVariant(2, "failed", "failed"),
                PolledVariant(3, "ready", "Completed"),
            ),
        )
        payload = service.fetch("task_1", 3)
        assert payload.patch == DIFF.replace("+1\n", "+3\n").encode()
        assert payload.report == {"task_id": "task_1", "variant_index": 3, "messages": ["done"]}
        assert payload.metadata == {"variant_index": 3, "status": "Completed"}
        with pytest.raises(PlannerError) as caught:
            service.fetch("task_1", 2)
        assert "variant 2 has no diff" in caught.value.message


def test_attempts_that_are_counted_by_their_diffs(tmp_path: Path) -> None:
    with client(tmp_path, "attempts") as service:
        assert service.poll("task_1") == PollResult(
            "ready",
            "ready",
            (
                PolledVariant(1, "ready", "ready"),
                PolledVariant(2, "ready", "ready"),
                PolledVariant(3, "failed", "no diff"),
            ),
        )
        assert service.fetch("task_1", 2).patch == DIFF.replace("+1\n", "+3\n").encode()


@pytest.mark.parametrize("dialect", ["attempts", "variants"])
def test_a_task_is_started_with_the_prompt_on_stdin(tmp_path: Path, dialect: str) -> None:
    with client(tmp_path, dialect) as service:
        assert service.start(TaskRequest("--go\n\u00e4", "Env 1", "main", 4)) == "task_1"
    assert (tmp_path / "tasks.json.prompt").read_text() == "--go\n\u00e4"
    line = {
        "attempts": "exec --env Env 1 --branch main --attempts 4 -",
        "variants": "new --env Env 1 --base main --best-of 4",
    }
    assert calls(tmp_path)[-1] == line[dialect]


def test_too_many_attempts_and_no_environment(tmp_path: Path) -> None:
    with client(tmp_path, "attempts") as service:
        for request in (TaskRequest("go", "env", None, 5), TaskRequest("go", None, None, 1)):
            with pytest.raises(PlannerError) as caught:
                service.start(request)
            assert caught.value.code == "E_USAGE"
    assert calls(tmp_path) == ["--help"]


@pytest.mark.parametrize("dialect", ["attempts", "variants"])
def test_no_value_is_taken_for_an_option(tmp_path: Path, dialect: str) -> None:
    with client(tmp_path, dialect) as service:
        for act in (
            lambda: service.poll("--help"),
            lambda: service.fetch("-x", 1),
            lambda: service.start(TaskRequest("go", "--help", None, 1)),
            lambda: service.start(TaskRequest("go", "env", "-b", 1)),
        ):
            with pytest.raises(PlannerError) as caught:
                act()
            assert caught.value.code == "E_NAME"
    assert calls(tmp_path) == ["--help"]


def test_pages_are_followed_and_never_twice(tmp_path: Path) -> None:
    others = [{"id": f"task_x{number}", "polls": ["ready"], "variants": []} for number in range(5)]
    with client(tmp_path, "attempts", ("pending",), before=others, page=2) as service:
        assert service.poll("task_1").state == "pending"
    assert calls(tmp_path)[1:] == ["list --json", "list --json --cursor 2", "list --json --cursor 4"]
    (tmp_path / "tasks.json.calls").unlink()
    with client(tmp_path, "attempts", ("pending",), before=others, page=2, cursor="2") as service:
        assert service.poll("task_1") == PollResult("pending", "PENDING")
        assert service.poll("task_1").state == "pending"
    again = ["status task_1", "status task_1"]
    assert calls(tmp_path)[1:] == ["list --json", "list --json --cursor 2", *again]


@pytest.mark.parametrize("dialect", ["attempts", "variants"])
def test_a_forgotten_task_is_not_known(tmp_path: Path, dialect: str) -> None:
    with client(tmp_path, dialect, ("!gone",)) as service:
        assert service.poll("task_1") == PollResult("unknown", "", known=False)
        with pytest.raises(PlannerError) as caught:
            service.fetch("task_1", 1)
    assert caught.value.code in ("E_CLOUD_TASK", "E_CODEX_REQUEST")


@pytest.mark.parametrize(
    ("word", "code", "words"),
    [
        ("!500", "E_CODEX_SERVER", "500 Internal Server Error"),
        ("!429", "E_CODEX_RATE", "429 Too Many Requests"),
        ("!garbled", "E_CLOUD_ANSWER", "printed no JSON"),
        ("!denied", "E_CODEX_AUTH", "Not signed in"),
    ],
)
@pytest.mark.parametrize("dialect", ["attempts", "variants"])
def test_faults_of_the_service(tmp_path: Path, dialect: str, word: str, code: str, words: str) -> None:
    with client(tmp_path, dialect, (word,)) as service, pytest.raises(PlannerError) as caught:
        service.poll("task_1")
    assert caught.value.code == code
    assert words in caught.value.message
    assert (code in PASSING) == (word != "!denied")


def test_a_call_that_hangs_is_ended(tmp_path: Path) -> None:
    with (
        client(tmp_path, "variants", ("!hang",), choose="variants", seconds=1) as service,
        pytest.raises(PlannerError) as caught,
    ):
        service.poll("task_1")
    assert caught.value.code == "E_DEADLINE"


def test_numbers_from_outside_are_checked(tmp_path: Path) -> None:
    indices = ["/../../keep", 0, -1, True, 2.0, None, "3", 3, 10**9, "..", [1]]
    variants = [{"variant_index": index, "status": "completed", "diff": DIFF} for index in indices]
    with client(tmp_path, "variants", variants=variants) as service:
        result = service.poll("task_1")
    assert result.variants == (PolledVariant(3, "ready", "completed"),)
    assert len(result.notes) == 10


@pytest.mark.parametrize("program", ["no-such-program", "/dev/null/x", "python3 -c 'print(1)'", "", "'"])
def test_a_program_that_is_no_client(program: str) -> None:
    with pytest.raises(PlannerError) as caught, open_cli(program, seconds=20) as cli:
        choose_client(cli)
    assert caught.value.code in ("E_MISSING_TOOL", "E_USAGE")
    assert caught.value.hint


def test_a_token_in_a_message_of_the_client_is_masked() -> None:
    key = f"sk-{drawn(LETTERS, 40)}"
    program = shlex.join(["sh", "-c", f"echo 'error: rejected: Bearer {key}' >&2; exit 1", "x"])
    with open_cli(program, seconds=20) as cli, pytest.raises(PlannerError) as caught:
        cli.output("list")
    assert key not in str(caught.value)
    assert "rejected" in caught.value.message


def test_a_message_cannot_make_thousands_of_variants() -> None:
    listed = json.dumps({"tasks": [{"id": "task_1", "status": "ready", "attempt_total": 2}]})
    script = f"case $2 in list) echo '{listed}';; *) echo error: only 900000 attempts >&2; exit 1;; esac"
    with open_cli(shlex.join(["sh", "-c", script, "x"]), seconds=20) as cli:
        assert len(AttemptsClient(cli).poll("task_1").variants) == MOST_ATTEMPTS
