"""A tournament whose variant the real codex makes on this host, killed in the middle and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.real.conftest import Place
from tests.support.lab import command_line
from tests.support.servers import openai_responses
from tests.support.servers.openai_responses import codex_home, serving
from tests.support.small_campaign import campaign

pytestmark = pytest.mark.real

RUN = ("git-bo4", "run", "--prompt", "Make the value smaller.", "--run", "speed", "--best-of", "1")


def test_a_killed_tournament_pays_codex_once(place: Place, codex: Path) -> None:
    lab = place.lab
    campaign(lab)
    lab.env |= {
        "GIT_PLANNER_CODEX": str(codex),
        "GIT_PLANNER_CODEX_HOME": str(place.folder / "home"),
        "GIT_PLANNER_IMPLEMENTER": "codex",
        "STUB_API_KEY": "stub-key",
    }
    mark = place.folder / "go"
    turns = (
        openai_responses.edits("value", "100", "80"),
        # The sandbox hides nothing that may be read.
        openai_responses.runs(f"for i in $(seq 300); do [ -e {mark} ] && break; sleep 0.2; done"),
        openai_responses.says("I made it smaller."),
    )
    with serving(*turns) as server:
        codex_home(place.folder / "home", server.port)
        first = subprocess.Popen(command_line(*RUN), cwd=lab.path, env=lab.env, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 90
        while not any(path.read_text() == "80\n" for path in lab.root.glob("repo.iter/bo4-*/value")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        mark.touch()
        ran = lab.run(*RUN, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["run"]["selection"]["variant"] == 1
    assert lab.show("bo4/speed/winner:value") == "80\n"
    assert "Make the value smaller." in server.script.prompts()[0]
    assert lab.git("log", "-1", "--format=%(trailers:key=Assisted-by,valueonly)", "bo4/speed/v1").strip()
    listed = json.loads(lab.run("git-plan", "runs", "--json").out)["runs"]
    assert [(item["run"]["task"], item["run"]["outcome"], item["run"]["attempt"]) for item in listed] == [
        ("speed/v1", "done", 1)
    ]
    assert place.processes() == []
