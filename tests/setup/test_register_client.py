"""`git planner mcp register`, `unregister` and `plugin`: a person's files keep everything else."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from git_planner.flows.setup.client_files import CLIENTS
from git_planner.flows.setup.register_client import registrations
from git_planner.host.machine import own_program
from git_planner.rules.policy.interactive_client import SERVER_VARIABLES
from tests.support.lab import Lab

CONFIG = """\
# mine
model = "gpt-5.5"   # the large one

[mcp_servers.notes]  # notes
command = "notes"
"""
SETTINGS = """\
{
\t// mine
\t"theme": "dark",
\t"mcpServers": {
\t\t"notes": {"command": "notes", "args": ["a", /* b */ "c",]}, // notes
\t},
}
"""


def run(lab: Lab, *argv: str, status: int = 0) -> dict[str, Any]:
    ran = lab.run("git-planner", "mcp", *argv, "--json")
    assert ran.status == status, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def file_of(lab: Lab, client: str, scope: Any) -> Path:
    return CLIENTS[client][scope].path(lab.env, lab.path)


EVERY = [(client, scope) for client, scopes in CLIENTS.items() for scope in scopes]


@pytest.mark.parametrize(("client", "scope"), EVERY)
def test_what_was_registered_is_taken_out_without_trace(lab: Lab, client: str, scope: str) -> None:
    path = file_of(lab, client, scope)
    chosen = ("--client", client, "--scope", scope)
    printed = run(lab, "register", *chosen, "--print")
    assert (printed["state"], printed["path"], path.exists()) == ("printed", str(path), False)
    before = CONFIG if path.suffix == ".toml" else SETTINGS
    for content in (None, before):
        if content is not None:
            path.write_text(content)
            path.chmod(0o600)
        assert run(lab, "register", *chosen)["state"] == "written"
        written = path.read_text()
        assert run(lab, "register", *chosen)["state"] == "kept"
        assert path.read_text() == written
        with lab.entered():
            assert f"{client} ({scope})" in registrations(lab.path)
        if content is not None:
            assert path.stat().st_mode & 0o777 == 0o600
            for line in content.splitlines():
                assert line in written
        assert run(lab, "unregister", *chosen)["state"] == "removed"
        assert (path.read_text() if path.exists() else None) == content
        assert run(lab, "unregister", *chosen)["state"] == "absent"


def test_the_entries_of_the_clients(lab: Lab) -> None:
    program = own_program("git-planner")
    assert Path(program).is_absolute()
    run(lab, "register", "--approve")
    table = tomllib.loads(file_of(lab, "codex", "user").read_text())["mcp_servers"]["git-planner"]
    assert table == {
        "command": program,
        "args": ["mcp", "serve"],
        "env_vars": [*SERVER_VARIABLES],
        "startup_timeout_sec": 30,
        "default_tools_approval_mode": "approve",
    }
    assert lab.run("git-planner", "mcp", "register", "--client", "claude").out == (
        '{\n  "mcpServers": {\n    "git-planner": {\n      "command": "git-planner",\n'
        '      "args": [\n        "mcp",\n        "serve"\n      ]\n    }\n  }\n}\n'
    )
    for client, keys, entry in (
        ("gemini", "mcpServers", {"command": program, "args": ["mcp", "serve"], "trust": True}),
        ("opencode", "mcp", {"type": "local", "command": [program, "mcp", "serve"], "enabled": True}),
    ):
        approve = ["--approve"] if client == "gemini" else []
        run(lab, "register", "--client", client, *approve)
        assert json.loads(file_of(lab, client, "user").read_text()) == {keys: {"git-planner": entry}}
    refused = run(lab, "register", "--client", "claude", "--approve", status=2)
    assert refused["message"] == "'claude' has no setting in this file for calls without asking"
    assert run(lab, "register", "--client", "claude", "--scope", "user", status=2)["code"] == "E_USAGE"


def test_homes_that_a_variable_moves(lab: Lab) -> None:
    for client, variable, name in (
        ("codex", "CODEX_HOME", "config.toml"),
        ("qwen", "QWEN_HOME", "settings.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.json"),
    ):
        lab.env[variable] = str(lab.root / client)
        run(lab, "register", "--client", client)
        assert (lab.root / client / name).exists()


def test_registering_again_with_other_words_changes_the_entry(lab: Lab) -> None:
    path = file_of(lab, "codex", "user")
    run(lab, "register")
    path.write_text(path.read_text() + "[mcp_servers.later]\ncommand = 'x'\n")
    assert run(lab, "register", "--approve")["state"] == "written"
    servers = tomllib.loads(path.read_text())["mcp_servers"]
    assert servers["git-planner"]["default_tools_approval_mode"] == "approve"
    assert servers["later"] == {"command": "x"}
    # What a person added to the entry stays.
    path.write_text(
        CONFIG
        + run(lab, "register", "--print")["entry"]
        + "enabled = false\n\n[mcp_servers.git-planner.env]\nA = 'b'\n# end\n[x]\n"
    )
    assert run(lab, "register")["state"] == "kept"
    assert run(lab, "register", "--approve")["state"] == "written"
    entry = tomllib.loads(path.read_text())["mcp_servers"]["git-planner"]
    assert (entry["enabled"], entry["env"], entry["default_tools_approval_mode"]) == (
        False,
        {"A": "b"},
        "approve",
    )
    run(lab, "unregister")
    assert path.read_text() == CONFIG + "# end\n[x]\n"
    gemini = file_of(lab, "gemini", "user")
    for approve in ([], ["--approve"], []):
        run(lab, "register", "--client", "gemini", *approve)
    assert json.loads(gemini.read_text())["mcpServers"]["git-planner"]["trust"] is True


BROKEN = [
    ("codex", "[mcp_servers.git-planner]\ncommand = 'other'\n", "has another server 'git-planner'"),
    ("codex", "mcp_servers = {}\n", "cannot be changed"),
    (
        "codex",
        "mcp_servers = { git-planner = { command = 'git-planner', args = ['mcp', 'serve'] } }\n",
        "cannot be",
    ),
    ("gemini", '{"mcpServers": {"git-planner": {"command": "other"}}}', "has another server 'git-planner'"),
    ("codex", "a = \n", "cannot be changed"),
    ("codex", b"\xff\xfe", "it is not UTF-8"),
    ("gemini", b"\xff\xfe", "it is not UTF-8"),
    ("gemini", "{", "line 1 of the file is not JSON: a name in double quotes is expected"),
    ("gemini", '{"mcpServers": []}', "line 1 of the file is not JSON: an object is expected"),
    ("gemini", "[]", "an object is expected"),
    ("gemini", '{"a": 1} {}', "the text goes on after its value"),
    ("gemini", "{'a': 1}", "a name in double quotes is expected"),
    ("gemini", "[" * 5000, "it is nested too deeply"),
]


def test_files_that_cannot_be_changed_stay_as_they_are(lab: Lab) -> None:
    for client, content, message in BROKEN:
        path = file_of(lab, client, "user")
        path.parent.mkdir(exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
        for command in ("register", "unregister"):
            ran = lab.run("git-planner", "mcp", command, "--client", client, "--json")
            if command == "register":
                error = json.loads(ran.out)
                assert message in error["message"], error
                assert error["code"] == "E_REGISTRATION"
            assert path.read_bytes() == data
    path = file_of(lab, "codex", "user")
    path.write_text(BROKEN[0][1])
    assert run(lab, "unregister", status=3)["code"] == "E_REGISTRATION"
    path.unlink()
    os.mkfifo(path)
    assert run(lab, "register", status=4)["code"] == "E_UNWRITABLE"
    path.unlink()
    path.mkdir()
    assert run(lab, "register", status=4)["code"] == "E_UNWRITABLE"


def test_a_server_that_a_person_added_alike_is_kept(lab: Lab) -> None:
    path = file_of(lab, "codex", "user")
    path.parent.mkdir(exist_ok=True)
    path.write_text(run(lab, "register", "--print")["entry"])
    assert run(lab, "register")["state"] == "kept"


def test_links_out_of_the_worktree_are_refused(lab: Lab) -> None:
    outside = lab.root / "outside.json"
    (lab.path / ".mcp.json").symlink_to(outside)
    assert run(lab, "register", "--client", "claude", status=3)["code"] == "E_REGISTRATION"
    (lab.root / "elsewhere").mkdir()
    (lab.path / "plugins").symlink_to(lab.root / "elsewhere")
    assert run(lab, "plugin", status=3)["code"] == "E_REGISTRATION"
    assert (outside.exists(), list((lab.root / "elsewhere").iterdir())) == (False, [])
    assert not (lab.path / ".agents").exists()


def test_the_plugin_of_codex(lab: Lab) -> None:
    printed = run(lab, "plugin", "--print")
    assert lab.git("status", "--porcelain") == ""
    done = run(lab, "plugin")
    assert done == printed
    assert sorted(done["written"]) == sorted(done["files"])
    for name, text in done["files"].items():
        assert (lab.path / name).read_text() == text
        json.loads(text)
    assert run(lab, "plugin")["written"] == []
    assert (
        "next: codex plugin add git-planner@git-planner-local\n"
        in lab.run("git-planner", "mcp", "plugin").out
    )
    market = lab.path / ".agents" / "plugins" / "marketplace.json"
    market.write_text('{"name": "ours", "note": 1, "plugins": [{"name": "other"}]}\n')
    assert run(lab, "plugin")["written"] == [".agents/plugins/marketplace.json"]
    merged = json.loads(market.read_text())
    assert (merged["note"], [plugin["name"] for plugin in merged["plugins"]]) == (1, ["other", "git-planner"])
    assert run(lab, "plugin")["marketplace"] == "ours"
    (lab.path / "plugins" / "git-planner" / ".mcp.json").write_text("{}")
    assert run(lab, "plugin", status=3)["code"] == "E_REGISTRATION"
    market.write_text("[]")
    assert run(lab, "plugin", status=3)["code"] == "E_REGISTRATION"


def test_registration_needs_no_repository(lab: Lab) -> None:
    ran = lab.run("git-planner", "mcp", "register", cwd=lab.root)
    assert ran.status == 0, ran.err
    ran = lab.run("git-planner", "mcp", "register", "--client", "claude", cwd=lab.root)
    assert "the scope 'project' needs a worktree" in ran.err
