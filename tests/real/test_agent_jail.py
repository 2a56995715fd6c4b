"""The real codex in its jail: edits land, and nothing else does, whatever its own sandbox allows."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from git_planner.agents.codex.agents import CodexImplementer
from git_planner.agents.confinement import confine
from git_planner.agents.contract import Sandbox
from git_planner.config.settings import read_settings
from tests.agents.cases import Progress, brief, policy
from tests.real.conftest import Place
from tests.support.servers import openai_responses
from tests.support.servers.openai_responses import codex_home, serving

pytestmark = pytest.mark.real

COMMANDS = """\
git status --porcelain --branch >status.txt
git update-ref refs/heads/mine HEAD && echo ref >>works.txt
git config user.name Mallory && echo config >>works.txt
(echo x >"$(git rev-parse --path-format=absolute --git-common-dir)/hooks/pre-commit") && echo hook >>works.txt
(echo x >"$HOME/.bashrc") && echo home >>works.txt
(env -i setsid -f sleep 7654321)
touch works.txt
"""


@pytest.mark.parametrize("sandbox", ["workspace-write", "danger-full-access"])
def test_codex_edits_but_writes_to_no_repository_and_leaves_no_daemon(
    place: Place, codex: Path, sandbox: Sandbox
) -> None:
    lab = place.lab
    lab.commit("the readme", {"README.md": "hello\n"})
    branch = f"iter/0001-{sandbox}"
    lab.git("branch", branch)
    worktree, refs = lab.worktree(sandbox, branch), lab.refs()
    turns = (
        openai_responses.edits("README.md", "hello", "hello, faster"),
        openai_responses.runs(COMMANDS),
        openai_responses.says("Done."),
    )
    lab.env["STUB_API_KEY"] = "stub-key"
    with serving(*turns) as server, lab.entered():
        codex_home(place.folder / "codex", server.port)
        settings = read_settings(lab.repo, codex=str(codex), codex_home=place.folder / "codex")
        agent = CodexImplementer(settings, confine(lab.repo, policy("{sandbox: required}")))
        agent.implement(brief(worktree, place.folder / sandbox, sandbox=sandbox), Progress().append)
    assert (worktree / "README.md").read_text() == "hello, faster\n"
    assert (worktree / "status.txt").read_text().startswith(f"## {branch}\n")
    assert (worktree / "works.txt").read_text() == ""
    assert lab.refs() == refs
    assert str(agent.confined_by).startswith("bubblewrap ")
    daemons = [
        entry for entry in psutil.process_iter(["cmdline"]) if "7654321" in (entry.info["cmdline"] or ())
    ]
    assert daemons == []
    assert place.leftovers() == place.processes() == []
