"""The client of `codex cloud` with the real codex 0.150 and a loopback service."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from git_planner.agents.cloud.choose_client import CloudClient, choose_client
from git_planner.agents.cloud.cloud_cli import open_cli
from git_planner.errors import PlannerError
from git_planner.rules.tournament.source import PolledVariant, PollResult, TaskRequest
from tests.real.conftest import Place, fetched
from tests.support.servers.codex_cloud import CloudScript, CloudTask, cloud_service
from tests.support.small_campaign import campaign

pytestmark = pytest.mark.real
DIFF = "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+1\n"


@pytest.fixture(scope="session")
def codex_cloud() -> Path:
    """Return the path of the codex that accepts a loopback service."""
    return fetched("codex-cloud/node_modules/.bin/codex")


@contextmanager
def client(codex: Path, place: Place, script: CloudScript) -> Iterator[CloudClient]:
    """Yield the client of a service; codex leaves nothing in its working folder."""
    with (
        place.lab.entered(),
        cloud_service(script, place.folder / "codex-home") as env,
        open_cli(str(codex), env=env, seconds=60) as cli,
    ):
        yield choose_client(cli)
        assert list(cli.folder.iterdir()) == []


def test_start_poll_and_fetch(codex_cloud: Path, place: Place) -> None:
    script = CloudScript()
    with client(codex_cloud, place, script) as service:
        task = service.start(TaskRequest("--dash first\nand 'quotes'", "demo", "main", 3))
        assert task == "task_e_1"
        body = script.bodies[0]
        assert body["input_items"][0]["content"][0]["text"] == "--dash first\nand 'quotes'"
        assert (body["new_task"]["branch"], body["metadata"]) == ("main", {"best_of_n": 3})
        working = tuple(PolledVariant(number, "pending", "pending") for number in (1, 2, 3))
        assert service.poll(task) == PollResult("pending", "pending", working)
        script.tasks[0].status, script.tasks[0].diffs = (
            "completed",
            [DIFF.format("a"), None, DIFF.format("c")],
        )
        assert service.poll(task) == PollResult(
            "ready",
            "ready",
            (
                PolledVariant(1, "ready", "ready"),
                PolledVariant(2, "ready", "ready"),
                PolledVariant(3, "failed", "no diff"),
            ),
        )
        # The second attempt failed, so the second diff is that of the third.
        patches = [service.fetch(task, number).patch for number in (1, 2)]
        assert patches == [DIFF.format("a").encode(), DIFF.format("c").encode()]
        script.tasks[0].diffs = [None, None]
        assert [variant.state for variant in service.poll(task).variants] == ["failed", "failed"]
        script.tasks[0].status = "failed"
        assert service.poll(task).state == "failed"


def test_old_repeated_and_forgotten_tasks(codex_cloud: Path, place: Place) -> None:
    script = CloudScript([CloudTask(f"task_{n}", diffs=[DIFF.format("a")]) for n in range(5)], page=2)
    with client(codex_cloud, place, script) as service:
        assert service.poll("task_4").state == "ready"
        lists = [line for line in script.requests if "/list" in line]
        assert [line.partition("cursor=")[2] for line in lists] == ["", "2", "4"]
        script.repeat, script.tasks[4].id = True, "task_old"
        assert service.poll("task_old").state == "ready"
        assert service.poll("task_gone") == PollResult("unknown", "", known=False)
        with pytest.raises(PlannerError) as caught:
            service.fetch("task_gone", 1)
        assert caught.value.code == "E_CLOUD_TASK"


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "E_CODEX_RATE"), (500, "E_CODEX_SERVER"), (401, "E_CODEX_AUTH"), (403, "E_CODEX_AUTH")],
)
def test_faults(codex_cloud: Path, place: Place, status: int, code: str) -> None:
    script = CloudScript([CloudTask("task_1", diffs=[DIFF.format("a")])], faults=[status] * 9)
    with client(codex_cloud, place, script) as service, pytest.raises(PlannerError) as caught:
        service.poll("task_1")
    assert caught.value.code == code
    assert str(status) in caught.value.message


def test_no_login_and_no_environment(codex_cloud: Path, place: Place) -> None:
    with client(codex_cloud, place, CloudScript()) as service:
        with pytest.raises(PlannerError) as caught:
            service.start(TaskRequest("go", "no such", None, 1))
        assert "environment 'no such' not found" in caught.value.message
        (place.folder / "codex-home" / "auth.json").unlink()
        with pytest.raises(PlannerError) as caught:
            service.poll("task_1")
        assert (caught.value.code, caught.value.message.partition("failed: ")[2][:13]) == (
            "E_CODEX_AUTH",
            "Not signed in",
        )


def test_watch_and_harvest(codex_cloud: Path, place: Place) -> None:
    lab = place.lab
    campaign(lab)
    script = CloudScript()
    patch = "diff --git a/value b/value\n--- a/value\n+++ b/value\n@@ -1 +1 @@\n-100\n+{0}\n"

    def answer() -> None:
        while not script.tasks:
            time.sleep(0.05)
        script.faults += [500, 429]
        script.tasks[0].diffs = [patch.format(90), None, patch.format(80), patch.format(90)]
        script.tasks[0].status = "completed"

    with cloud_service(script, place.folder / "codex-home") as env:
        lab.env |= {**env, "CODEX_BIN": str(codex_cloud)}
        words = ("--env", "Demo", "--prompt", "make it faster", "--run", "speed", "--json")
        assert lab.run("git-bo4", "new", *words).status == 0
        thread = threading.Thread(target=answer)
        thread.start()
        with lab.undisturbed():
            ran = lab.run("git-bo4", "watch", "speed", "--json")
            assert ran.status == 0, ran.out
            ran = lab.run("git-bo4", "harvest", "speed", "--json")
            assert ran.status == 0, ran.out
        thread.join()
    variants = json.loads(ran.out)["variants"]
    assert [variant["state"] for variant in variants] == ["harvested", "harvested", "harvested", "failed"]
    assert [variant["same_as"] for variant in variants] == [None, None, 1, None]
    assert lab.show("bo4/speed/v2:value") == "80\n"
    assert script.bodies[0]["new_task"]["branch"] == "main"
    folder = lab.root / ".codex-cloud" / "variants" / "task_e_1" / "turn1" / "var2"
    assert (folder / "patch.diff").read_text() == patch.format(80)
