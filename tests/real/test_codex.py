"""The real codex with a loopback server: planning, implementing, logging in, and every failure.

Each failure ends in its documented error within the deadline, keeps the attempt's files and leaves no
process.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from git_planner.agents.answer_loop import PlanningAgent
from git_planner.agents.codex.agents import CodexImplementer, CodexTransport, api_planner, codex_planner
from git_planner.agents.codex.login import LoginKind, find_chatgpt_login, read_login_kind
from git_planner.agents.confinement import Confinement, confine
from git_planner.agents.contract import Answer, PlanningRequest, Usage, Workplace
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.host.marks import alive
from git_planner.rules.iterations.stop import TRANSIENT_AGENT_CODES
from tests.agents.cases import DIRECTIVE, Progress, brief, outcome, policy, request, variables
from tests.support.lab import Lab
from tests.support.servers import openai_responses
from tests.support.servers.openai_responses import Server, Turn, codex_home, serving

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
CODEX = Path(
    os.environ.get("GIT_PLANNER_TEST_CODEX", ROOT / ".real" / "codex" / "node_modules" / ".bin" / "codex")
)
NO_KEYS = {"CODEX_API_KEY": None, "OPENAI_API_KEY": None, "CODEX_HOME": None, "CODEX_HOME_PLANNER": None}
ALG = {"alg": "none"}
KEPT = ["command.json", "outcome.json", "prompt.md", "stderr", "stdout"]


@pytest.fixture
def home() -> Iterator[Path]:
    """Provide a folder for a CODEX_HOME; codex does not put its tools below the system's temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="git-planner-codex-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _sealed(lab: Lab, home: Path) -> Iterator[None]:
    assert CODEX.exists(), f"no codex at {CODEX}: run 'make test-real', or set GIT_PLANNER_TEST_CODEX"
    with variables(STUB_API_KEY="stub-key", **NO_KEYS):
        yield
    assert running(home) == [], "a process of codex was left running"


def running(home: Path) -> list[psutil.Process]:
    """Return the live processes of a codex with this home, which is in their environment."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(home) in process.environ().get("CODEX_HOME", "") and alive(process):
                processes.append(process)
    return processes


def settings_of(lab: Lab, home: Path, **flags: Any) -> Settings:
    return read_settings(lab.repo, codex=str(CODEX), codex_home=home, codex_home_api=home, **flags)


def jail_of(lab: Lab) -> Confinement:
    """Return the jail that codex runs in."""
    return confine(lab.repo, policy("{sandbox: required}"))


def workplace(lab: Lab, settings: Settings) -> Workplace:
    """Return what a planner is made from."""
    return Workplace(policy(), settings, jail_of(lab))


def planner(lab: Lab, home: Path) -> PlanningAgent:
    return PlanningAgent(
        CodexTransport("codex", settings_of(lab, home), jail_of(lab), find_chatgpt_login), backoff=0.05
    )


def ask(lab: Lab, home: Path, **changes: Any) -> tuple[Answer, PlanningRequest]:
    asked = request(lab.root, working_dir=lab.path, **changes)
    return planner(lab, home).plan(asked, Progress().append), asked


def test_a_planner_turn_with_a_schema(lab: Lab, home: Path) -> None:
    with serving(openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port)
        done, asked = ask(lab, home, model="gpt-5.5")
    assert done.document == DIRECTIVE
    assert (done.model, done.attempts, done.usage) == ("gpt-5.5", 1, Usage(100, 20))
    sent = server.script.requests[0]
    assert sent["model"] == "gpt-5.5"
    assert sent["text"]["format"] == {
        "type": "json_schema",
        "strict": True,
        "name": "codex_output_schema",
        "schema": asked.strict_schema,
    }
    assert server.script.prompts()[0].endswith(asked.prompt)
    assert server.script.keys == ["stub-key"]
    kept = asked.folder / "attempt-1"
    assert sorted(path.name for path in kept.iterdir()) == sorted([*KEPT, "last_message"])
    assert json.loads((kept / "stdout").read_text().splitlines()[-1])["type"] == "turn.completed"
    assert outcome(asked.folder, 1)["usage"] == {"input": 100, "output": 20}
    assert outcome(asked.folder, 1)["thread"]


def test_a_planner_cannot_write(lab: Lab, home: Path) -> None:
    with serving(
        openai_responses.runs("echo x > README.md; echo y > new"), openai_responses.answers(DIRECTIVE)
    ) as server:
        codex_home(home, server.port)
        ask(lab, home)
    assert len(server.script.requests) == 2
    assert lab.git("status", "--porcelain") == ""


def test_a_planner_needs_no_repository(lab: Lab, home: Path) -> None:
    bare = lab.root / "export"
    bare.mkdir()
    with serving(openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port)
        asked = request(lab.root, working_dir=bare)
        assert planner(lab, home).plan(asked, Progress().append).document == DIRECTIVE


def test_a_planning_plan(lab: Lab, home: Path) -> None:
    step = {"title": "t", "intent": "i", "actions": ["a"], "validation": ["v"], "files": ["src/a.py"]}
    null = {"dependencies": None, "risks": None, "references": None}
    document = {
        "schema": "git-planner/planning-plan@1",
        "plan_summary": "s",
        "rationale": "r",
        "focus_metrics": ["cycles"],
        "guardrails": ["g"],
        "risks": ["r"],
        "validation": ["v"],
        "steps": [{"id": "one", **step, **null}],
        "handoff_notes": None,
        "fallback_plan": None,
    }
    with serving(openai_responses.answers(document)) as server:
        codex_home(home, server.port)
        done, _ = ask(lab, home, kind="planning-plan")
    assert done.document["steps"] == [{"id": "one", **step}]
    assert "handoff_notes" not in done.document


def test_a_refused_answer_is_corrected(lab: Lab, home: Path) -> None:
    wrong = {**DIRECTIVE, "step_plan": ["only one"]}
    with serving(openai_responses.answers(wrong), openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port)
        done, asked = ask(lab, home)
    assert (done.attempts, done.usage) == (2, Usage(200, 40))
    assert "- /step_plan: has " in server.script.prompts()[1]
    assert '"only one"' in server.script.prompts()[1]
    assert [outcome(asked.folder, number)["result"] for number in (1, 2)] == ["refused", "accepted"]


def test_gives_up_on_an_answer_that_stays_wrong(lab: Lab, home: Path) -> None:
    with serving(openai_responses.says("I would rather talk."), again=True) as server:
        codex_home(home, server.port)
        with pytest.raises(PlannerError) as caught:
            ask(lab, home)
    assert caught.value.code == "E_ANSWER"
    assert caught.value.message.endswith("(after 3 attempts)")
    assert len(server.script.requests) == 3


def test_an_implementer_turn_edits_the_worktree(lab: Lab, home: Path) -> None:
    progress = Progress()
    turns = (
        openai_responses.runs("cat README.md"),
        openai_responses.edits("README.md", "hello", "hello, faster"),
        openai_responses.runs("echo made > made.txt"),
        openai_responses.says("I made it faster."),
    )
    lab.git("branch", "iter/0001-next")
    worktree = lab.worktree("worktree", "iter/0001-next")
    with serving(*turns) as server:
        codex_home(home, server.port)
        agent = CodexImplementer(settings_of(lab, home), jail_of(lab))
        done = agent.implement(brief(worktree, lab.root / "log", effort="high"), progress.append)
    assert (worktree / "README.md").read_text() == "hello, faster\n"
    assert (worktree / "made.txt").read_text() == "made\n"
    assert (done.summary, done.usage) == ("I made it faster.", Usage(400, 80))
    assert done.thread
    assert progress[0] == "codex works with its own model provider"
    assert f"update {worktree / 'README.md'}" in progress
    assert any("cat README.md" in message for message in progress)
    assert server.script.requests[0]["reasoning"]["effort"] == "high"
    assert server.script.prompts()[0].endswith("Carry it out: ümlaut.")


def test_an_implementer_cannot_write_elsewhere(lab: Lab, home: Path) -> None:
    # It may write to the sandbox's own temporary folders, so the forbidden folder is beside the home.
    outside = home / "outside"
    outside.mkdir()
    with serving(openai_responses.runs(f"echo x > {outside}/x"), openai_responses.says("done")) as server:
        codex_home(home / "home", server.port)
        CodexImplementer(settings_of(lab, home / "home"), jail_of(lab)).implement(
            brief(lab.path, lab.root / "log"), Progress().append
        )
    assert list(outside.iterdir()) == []


def test_a_failed_implementer_raises_its_error(lab: Lab, home: Path) -> None:
    with serving(openai_responses.edits("README.md", "hello", "half"), openai_responses.fails(401)) as server:
        codex_home(home, server.port)
        agent = CodexImplementer(settings_of(lab, home), jail_of(lab))
        with pytest.raises(PlannerError) as caught:
            agent.implement(brief(lab.path, lab.root / "log"), Progress().append)
    assert caught.value.code == "E_CODEX_AUTH"
    assert (lab.root / "log" / "stdout").stat().st_size > 0


@dataclass(frozen=True)
class Failure:
    """A behaviour of the service, and the expected error."""

    turns: tuple[Turn, ...]
    code: str
    message: str
    requests: int
    seconds: float = 60


LIMIT = {"error": {"type": "usage_limit_reached", "message": "spent"}}
FAILURES = {
    "401": Failure((openai_responses.fails(401),), "E_CODEX_AUTH", "unexpected status 401 Unauthorized", 1),
    "403": Failure((openai_responses.fails(403),), "E_CODEX_AUTH", "unexpected status 403 Forbidden", 1),
    "404": Failure((openai_responses.fails(404),), "E_CODEX_REQUEST", "unexpected status 404 Not Found", 1),
    "400": Failure((openai_responses.fails(400),), "E_CODEX_REQUEST", "codex failed: stub says 400", 1),
    "429": Failure(
        (openai_responses.fails(429),), "E_CODEX_RATE", "429 Too Many Requests (after 2 attempts)", 2
    ),
    "usage limit": Failure((openai_responses.fails(429, LIMIT),), "E_CODEX_QUOTA", "usage limit", 1),
    "500": Failure((openai_responses.fails(500),), "E_CODEX_SERVER", "high demand", 2),
    "503": Failure((openai_responses.fails(503),), "E_CODEX_SERVER", "status 503", 2),
    "cut stream": Failure((openai_responses.cuts(),), "E_CODEX_STREAM", "stream disconnected", 2),
    "silent stream": Failure((openai_responses.falls_silent(),), "E_CODEX_STREAM", "idle timeout", 2),
    "quota": Failure(
        (openai_responses.failed("insufficient_quota", "x"),), "E_CODEX_QUOTA", "Quota exceeded", 1
    ),
    "rate": Failure((openai_responses.failed("rate_limit_exceeded", "x"),), "E_CODEX_RATE", "rate limit", 2),
    "too long": Failure(
        (openai_responses.failed("context_length_exceeded", "x"),), "E_CODEX_REQUEST", "room", 1
    ),
    "incomplete": Failure((openai_responses.stops_short(),), "E_CODEX_INCOMPLETE", "max_output_tokens", 2),
    "empty": Failure((openai_responses.says(""),), "E_CODEX_EMPTY", "without an answer", 2),
    "never answers": Failure((openai_responses.never_answers(),), "E_DEADLINE", "ended after", 1, seconds=3),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_ends_as_documented(lab: Lab, home: Path, name: str) -> None:
    case = FAILURES[name]
    began = time.monotonic()
    with serving(*case.turns, again=True) as server:
        codex_home(home, server.port, idle=1)
        with pytest.raises(PlannerError) as caught:
            ask(lab, home, seconds=case.seconds, attempts=2)
    assert caught.value.code == case.code
    assert case.message in caught.value.message
    assert len(server.script.requests) == case.requests
    assert time.monotonic() - began < case.seconds + 60
    assert case.requests == 1 or case.code in TRANSIENT_AGENT_CODES
    for number in range(1, case.requests + 1):
        attempt = lab.root / "run" / f"attempt-{number}"
        assert set(KEPT) <= {path.name for path in attempt.iterdir()}
        assert outcome(lab.root / "run", number)["code"] == case.code
    assert lab.git("status", "--porcelain") == ""


def test_a_refused_connection_ends(lab: Lab, home: Path) -> None:
    codex_home(home, openai_responses.closed_port())
    with pytest.raises(PlannerError) as caught:
        ask(lab, home, seconds=15, attempts=2)
    assert caught.value.code == "E_CODEX_NETWORK"
    assert caught.value.message == "codex failed: Connection failed: error sending request (after 2 attempts)"


def test_retry_after_is_waited_for(lab: Lab, home: Path) -> None:
    busy = openai_responses.fails(429, headers={"Retry-After": "2"})
    with serving(busy, openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port, retries=1)
        done, _ = ask(lab, home)
    assert done.attempts == 1
    assert server.script.times[1] - server.script.times[0] > 1.5


def test_a_service_that_recovers_is_used(lab: Lab, home: Path) -> None:
    with serving(
        openai_responses.fails(500), openai_responses.cuts(), openai_responses.answers(DIRECTIVE)
    ) as server:
        codex_home(home, server.port)
        done, asked = ask(lab, home)
    assert done.attempts == 3
    assert [outcome(asked.folder, number).get("code") for number in (1, 2, 3)] == [
        "E_CODEX_SERVER",
        "E_CODEX_STREAM",
        None,
    ]


def test_a_running_command_ends_with_the_deadline(lab: Lab, home: Path) -> None:
    with serving(openai_responses.runs("sleep 61"), again=True) as server:
        codex_home(home, server.port)
        agent = CodexImplementer(settings_of(lab, home), jail_of(lab))
        with pytest.raises(PlannerError) as caught:
            agent.implement(brief(lab.path, lab.root / "log", seconds=3), Progress().append)
    assert caught.value.code == "E_DEADLINE"
    assert [
        process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "61"]
    ] == []


def test_a_missing_key_of_a_provider_is_an_error(lab: Lab, home: Path) -> None:
    codex_home(home, openai_responses.closed_port())
    with variables(STUB_API_KEY=None), pytest.raises(PlannerError) as caught:
        ask(lab, home)
    assert caught.value.code == "E_CODEX_AUTH"
    assert caught.value.message == "codex failed: Missing environment variable: `STUB_API_KEY`."


@pytest.mark.parametrize(
    "text", ["model = ", 'model_provider = "nobody"\n', 'sandbox_mode = "everything"\nmodel_provider = "x"\n']
)
def test_a_configuration_that_codex_refuses(lab: Lab, home: Path, text: str) -> None:
    (home / "config.toml").write_text(text)
    (home / "auth.json").write_text(json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-stub"}))
    with variables(CODEX_API_KEY="sk"), pytest.raises(PlannerError) as caught:
        api_planner(workplace(lab, settings_of(lab, home))).plan(
            request(lab.root, working_dir=lab.path), Progress().append
        )
    assert caught.value.code == "E_CODEX_CONFIG"


def login(home: Path, key: str | None = None) -> None:
    """Log a home in: with an API key by codex itself, or with a fake ChatGPT login."""
    home.mkdir(parents=True, exist_ok=True)
    if key is not None:
        env = {**os.environ, "CODEX_HOME": str(home)}
        argv = [str(CODEX), "login", "--with-api-key"]
        subprocess.run(argv, input=key.encode(), env=env, check=True, capture_output=True)
        return
    claims = {"https://api.openai.com/auth": {"chatgpt_account_id": "a", "chatgpt_plan_type": "pro"}}
    head, body = (
        base64.urlsafe_b64encode(json.dumps(x).encode()).decode().rstrip("=") for x in (ALG, claims)
    )
    token = f"{head}.{body}.x"
    tokens = {"id_token": token, "access_token": token, "refresh_token": "r", "account_id": "a"}
    auth = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens}
    (home / "auth.json").write_text(json.dumps({**auth, "last_refresh": "2026-11-21T00:00:00Z"}))


def test_kinds_of_login(home: Path) -> None:
    assert read_login_kind(home, str(CODEX)) is LoginKind.NONE
    login(home)
    assert read_login_kind(home, str(CODEX)) is LoginKind.CHATGPT
    (home / "auth.json").write_text("broken")
    assert read_login_kind(home, str(CODEX)) is LoginKind.BROKEN
    (home / "auth.json").unlink()
    login(home, "sk-stub-0123456789abcdef")
    with variables(OPENAI_API_KEY="sk-other", CODEX_API_KEY="sk-other"):
        assert read_login_kind(home, str(CODEX)) is LoginKind.API_KEY
    codex_home(home, 1)
    assert read_login_kind(home, str(CODEX)) is LoginKind.PROVIDER


def test_keys_in_the_environment_are_no_login_for_codex(lab: Lab, home: Path) -> None:
    with (
        variables(OPENAI_API_KEY="sk-other", CODEX_API_KEY="sk-other"),
        pytest.raises(PlannerError) as caught,
    ):
        find_chatgpt_login(settings_of(lab, home), lab.path)
    assert caught.value.code == "E_CODEX_AUTH"
    assert caught.value.message == f"codex is not logged in: '{home}' has no login"
    assert caught.value.hint == f"run: CODEX_HOME='{home}' codex login"


def test_the_api_planner_needs_a_key(lab: Lab, home: Path) -> None:
    login(home)
    with pytest.raises(PlannerError) as caught:
        api_planner(workplace(lab, settings_of(lab, home))).plan(
            request(lab.root, working_dir=lab.path), Progress().append
        )
    assert caught.value.code == "E_CODEX_AUTH"
    assert caught.value.message == f"'{home}' has a ChatGPT login, and an API key is needed"
    assert outcome(lab.root / "run", 1)["result"] == "failed"


def built_in(home: Path, server: Server) -> None:
    """Point codex's built-in provider at a server."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(
        f'openai_base_url = "http://127.0.0.1:{server.port}/v1"\ncheck_for_update_on_startup = false\n'
        "[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n"
    )


@pytest.mark.parametrize("source", ["variable", "alias", "file", "stored"])
def test_the_api_planner_uses_the_right_key(lab: Lab, home: Path, source: str) -> None:
    with serving(openai_responses.answers(DIRECTIVE)) as server:
        built_in(home, server)
        if source == "stored":
            login(home, "sk-stored")
        elif source == "file":
            (lab.path / ".env").write_text("CODEX_API_KEY=sk-file\n")
        else:
            login(home)  # a key has precedence over a ChatGPT login of the same home
        keys = {"variable": "CODEX_API_KEY", "alias": "OPENAI_API_KEY"}
        env = {keys[source]: f"sk-{source}"} if source in keys else {}
        with variables(**env):
            asked = replace(request(lab.root, working_dir=lab.path), folder=lab.repo.private("runs", "0001"))
            done = api_planner(workplace(lab, settings_of(lab, home))).plan(asked, Progress().append)
    assert server.script.keys == [f"sk-{source}"]
    assert (done.model, server.script.requests[0]["model"]) == ("gpt-5.2-pro", "gpt-5.2-pro")
    logs = b"".join(path.read_bytes() for path in asked.folder.rglob("*") if path.is_file())
    assert f"sk-{source}".encode() not in logs


def test_the_implementer_uses_the_stored_login_and_not_a_variable(lab: Lab, home: Path) -> None:
    with serving(openai_responses.says("done")) as server:
        built_in(home, server)
        login(home, "sk-stored")
        progress = Progress()
        with variables(CODEX_API_KEY="sk-variable", OPENAI_API_KEY="sk-variable"):
            agent = CodexImplementer(settings_of(lab, home), jail_of(lab))
            agent.implement(brief(lab.path, lab.root / "log", model="gpt-5.5"), progress.append)
    assert server.script.keys == ["sk-stored"]
    assert progress == ["codex works with its API key"]


def test_a_profile_is_used(lab: Lab, home: Path) -> None:
    with serving(openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port)
        (home / "deep.config.toml").write_text('model = "gpt-5.5-deep"\n')
        mine = replace(settings_of(lab, home), codex_profile="deep")
        codex_planner(workplace(lab, mine)).plan(request(lab.root, working_dir=lab.path), Progress().append)
    assert server.script.requests[0]["model"] == "gpt-5.5-deep"


def test_what_is_kept_is_for_its_owner_only(lab: Lab, home: Path) -> None:
    with serving(openai_responses.answers(DIRECTIVE)) as server:
        codex_home(home, server.port)
        _, asked = ask(lab, home)
    attempt = asked.folder / "attempt-1"
    assert stat.S_IMODE(attempt.stat().st_mode) == 0o700
    ours = {stat.S_IMODE((attempt / name).stat().st_mode) for name in KEPT}
    assert ours == {0o600}
