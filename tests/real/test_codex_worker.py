"""A worker of the real codex in a window of tmux: started, suspended, resumed by its thread, finished."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.board.session_lab import run, sessions, tell, wait_for, wait_until
from tests.delegation.scripted_agent import RESULT_COMMAND, set_up_lab, task
from tests.real.conftest import Place
from tests.support.lab import Lab
from tests.support.servers.openai_responses import Turn, codex_home, falls_silent, items, says, serving
from tests.support.servers.tmux import end_server

pytestmark = pytest.mark.real

ONE = ("Make it smaller", "--write-scope", "src/**")
# codex's shell has a PATH of its own.
REPORT = f"{Path(sys.executable).parent}/{RESULT_COMMAND} --status done --summary 'did it'"


def runs(command: str) -> Turn:
    """Return a turn in which a model of code mode runs a command."""
    script = f"text(await tools.exec_command({json.dumps({'cmd': command})}))"
    call = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "exec", "input": script}
    return items(call)


@pytest.fixture
def lab(place: Place, codex: Path) -> Iterator[Lab]:
    """A laboratory outside /tmp and /dev, which codex's sandbox replaces, with a tmux server of its own."""
    folder = place.folder / f"worker-{secrets.token_hex(4)}"
    folder.mkdir()
    laboratory = Lab(folder)
    socket = f"git-planner-test-{secrets.token_hex(8)}"
    laboratory.env |= {
        "GIT_PLANNER_TMUX_SOCKET": socket,
        "GIT_PLANNER_CODEX": str(codex),
        "GIT_PLANNER_CODEX_HOME": str(place.folder / "codex"),
        "GIT_PLANNER_WORKER_MODEL": "gpt-6-sol",
        "STUB_API_KEY": "stub-key",
    }
    with laboratory.entered():
        yield laboratory
    laboratory.run("git-plan", "shutdown")
    end_server(socket)


def test_a_worker_of_codex_is_suspended_and_goes_on(lab: Lab, place: Place) -> None:
    set_up_lab(lab, ONE)
    # One of the requests may be for a title.
    begins, reports = runs("echo 1 >src/begun"), runs(f"echo 90 >src/value; {REPORT}")
    with serving(begins, begins, falls_silent(), again=True) as stub:
        codex_home(place.folder / "codex", stub.port)
        started = run(lab, "worker", "spawn", "task_001", "--backend", "tmux")
        wait_until(lab, lambda: any(lab.root.glob("repo.iter/*/src/begun")))
        assert "## Task task_001: Make it smaller" in stub.script.prompts()[0]
        suspended = run(lab, "suspend")["sessions"][0]
        thread = suspended["thread"]
        assert (suspended["state"], bool(thread)) == ("suspended", True)
    with serving(reports, reports, says("Done."), again=True) as stub:
        codex_home(place.folder / "codex", stub.port)
        tell(lab, "resume")
        ended = wait_for(lab, "state", "ended")
        assert "## Task task_001: Make it smaller" in stub.script.prompts()[0]
    assert (ended["session"], ended["outcome"], ended["thread"]) == (started["session"], "done", thread)
    assert lab.show(f"{ended['branch']}:src/value") == "90\n"
    assert lab.show(f"{ended['branch']}:src/begun") == "1\n"
    assert task(lab).status == "agent_done"


@pytest.mark.parametrize("last", [falls_silent(), says("Ready.")], ids=["in a turn", "idle"])
def test_ctrl_c_that_is_sent_to_codex_ends_its_session(lab: Lab, place: Place, last: Turn) -> None:
    set_up_lab(lab, ONE)
    begins = runs("echo 1 >src/begun")
    # As the menu of Ctrl-C sends it; this tmux server has one window.
    keys = ("tmux", "-L", lab.env["GIT_PLANNER_TMUX_SOCKET"], "send-keys", "-t", ":", "C-c")
    with serving(begins, begins, last, again=True) as stub:
        codex_home(place.folder / "codex", stub.port)
        run(lab, "worker", "spawn", "task_001", "--backend", "tmux")
        wait_until(lab, lambda: any(lab.root.glob("repo.iter/*/src/begun")))
        # The first stops codex's turn; codex ends at another one within a moment, and its session with it.
        wait_until(lab, lambda: lab.run_program(*keys).status or sessions(lab)[-1]["state"] != "running")
        ended = wait_for(lab, "state", "ended")
    assert ended["outcome"] == "no_result"
    assert task(lab).status == "blocked"
    kept = re.search(r"kept as '(\S+)'", "\n".join(task(lab).notes))
    assert kept is not None, task(lab).notes
    assert lab.show(f"{kept[1]}:src/begun") == "1\n"
