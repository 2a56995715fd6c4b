"""Hostile agents: what they start ends with them, and in their jail they write to their worktree only."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterationResult
from git_planner.host import agent_jail
from git_planner.host.jail import Jail
from tests.support.lab import Lab
from tests.support.small_campaign import POLICY, agent_file, attempt, campaign

HERE = agent_jail.find("auto", os.environ["PATH"])
needs_jail = pytest.mark.skipif(not isinstance(HERE, Jail), reason=f"the jail of this machine: {HERE.shown}")

# A daemon that nothing but its parents leads to. When the changes are committed, it rewrites the tests.
DAEMON = """\
(env -i PATH="$PATH" START="$(git rev-parse HEAD)" setsid sh -c 'echo $$ >"{pid}"
while [ "$(git rev-parse HEAD)" = $START ]; do sleep 0.05; done
while :; do echo hacked >tests/test_it; done' &)
until [ -s "{pid}" ]; do :; done
echo 90 >value
"""


def jailed(lab: Lab, script: str, keys: str = "sandbox: required") -> IterationResult:
    """Run one iteration with an agent in a jail."""
    campaign(lab)
    policy = POLICY.format(agent=agent_file(lab), timeout=20).replace("sandbox: off", keys)
    lab.commit("the jail", {".git-planner.yml": policy})
    return attempt(lab, script, slug="x")


def output(lab: Lab) -> list[str]:
    """Return the lines that the agent printed."""
    return (lab.path / ".git/planner/runs/0001/implement/stdout").read_text().splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has child subreapers")
def test_a_daemon_without_session_and_environment_ends_with_its_agent(lab: Lab) -> None:
    campaign(lab)
    pid = lab.root / "pid"
    result = attempt(lab, DAEMON.format(pid=pid))
    assert not psutil.pid_exists(int(pid.read_text()))
    assert (result.record.verdict, result.record.files) == ("improved", ("value",))


@needs_jail
def test_a_daemon_in_the_jail_ends_with_its_agent(lab: Lab) -> None:
    result = jailed(lab, DAEMON.format(pid="notes").replace("notes", "/tmp/pid"))
    assert (result.record.verdict, result.record.files) == ("improved", ("value",))
    assert [entry for entry in psutil.process_iter() if _is_in(lab, entry)] == []


def _is_in(lab: Lab, entry: psutil.Process) -> bool:
    """Return whether a process works in a worktree of a laboratory."""
    try:
        return Path(entry.cwd()).is_relative_to(lab.root / "repo.iter") and entry.status() != "zombie"
    except psutil.Error:
        return False


# Attempts of an agent to write outside of its worktree, each in a shell of its own.
WRITES = {
    "a ref": "git update-ref refs/heads/mine HEAD",
    "a commit": "git commit -q --allow-empty -m mine",
    "a loose ref": "git rev-parse HEAD >{repo}/.git/refs/heads/mine",
    "a hook": "echo 'touch /pwned' >{repo}/.git/hooks/pre-commit",
    "the configuration": "git config core.fsmonitor /tmp/x",
    "a configuration file": "echo x >>{repo}/.git/config",
    "its own git directory": 'echo x >"$(git rev-parse --git-dir)/config.worktree"',
    "its own git file": "rm -f .git && git init -q",
    "a git file that leads elsewhere": "echo 'gitdir: /tmp/x' >.git",
    "files of the person": "echo x >{repo}/value",
    "another worktree": "echo x >{other}/value",
    "beside its worktree": "echo x >../planted",
    "the home": "echo x >{home}/.bashrc",
    "the system": "echo x >/etc/planted",
    "the log of its run": "echo x >{repo}/.git/planner/runs/0001/implement/prompt.md",
    "more rights": "unshare -Ur mount -o remount,bind,rw /",
    "another process": "kill -0 {pid}",
    "a temporary file of another": "cat {temporary}",
}


@needs_jail
def test_an_agent_in_the_jail_writes_to_its_worktree_only(lab: Lab) -> None:
    lab.git("branch", "other")
    facts = {
        "repo": lab.path,
        "other": lab.worktree("other", "other"),
        "home": lab.home,
        "pid": os.getpid(),
        "temporary": "/tmp/git-planner-test-secret",
    }
    secret = Path("/tmp/git-planner-test-secret")
    secret.write_text("of another")
    before, config = lab.refs(), (lab.path / ".git/config").read_text()
    script = [f"({write.format(**facts)}) 2>/dev/null && echo '{name}'" for name, write in WRITES.items()]
    script += [
        "git status --porcelain; git log -1 --format=%H; cat {home}/.gitconfig | head -1".format(**facts)
    ]
    script += ['touch "$TMPDIR/a" /tmp/b /var/tmp/c && echo temporary', "echo 90 >value"]
    try:
        result = jailed(lab, "\n".join(script))
    finally:
        secret.unlink()
    assert output(lab) == [
        lab.refs()["refs/planner/iterations/0001"],
        "[maintenance]",
        "temporary",
    ]
    assert (result.record.verdict, result.record.files) == ("improved", ("value",))
    assert {ref for ref in lab.refs() if ref.startswith("refs/heads/")} - {*before} == {
        "refs/heads/iter/0001-x",
        "refs/heads/iter/best",
        "refs/heads/plan/default",
    }
    assert (lab.path / ".git/config").read_text() == config
    assert result.record.agents["implementer"]["sandbox"] == HERE.shown
    shown = lab.run("git-iterate", "show", "1")
    assert f"sandbox    {HERE.shown}\n" in shown.out
    assert HERE.shown in lab.run("git-record", "show", result.record.id).out


@needs_jail
def test_in_place_git_and_virtual_environments_are_read_only(lab: Lab) -> None:
    campaign(lab)
    policy = POLICY.format(agent=agent_file(lab), timeout=20).replace("sandbox: off", "sandbox: required")
    lab.commit("the jail", {".git-planner.yml": policy, ".gitignore": ".venv\n"})
    (lab.path / ".venv/lib").mkdir(parents=True)
    (lab.path / ".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    writes = ("echo x >.venv/lib/planted.pth", "mv .venv away", "echo x >.git/config", "echo 90 >value")
    result = attempt(lab, "\n".join(f"({write}) 2>/dev/null" for write in writes), in_place=True)
    assert result.record.verdict == "improved"
    assert sorted(path.name for path in (lab.path / ".venv").rglob("*")) == ["lib", "pyvenv.cfg"]


@needs_jail
def test_with_the_key_an_agent_may_write_to_git(lab: Lab) -> None:
    script = "echo 90 >value; git commit -qam mine && git branch mine && echo committed"
    result = jailed(lab, script, "{sandbox: required, git: read-write}".strip("{}").replace(", ", "\n  "))
    assert output(lab) == ["committed"]
    assert lab.refs()["refs/heads/mine"]
    assert result.record.agents["implementer"]["sandbox"] == f"{HERE.shown}, git read-write"


@needs_jail
def test_a_person_may_open_further_folders(lab: Lab) -> None:
    (lab.home / "cache").mkdir()
    with lab.entered():
        lab.git("config", "planner.agentWrite", f"/no/such/folder:{lab.home / 'cache'}")
    jailed(lab, f"echo x >{lab.home}/cache/new && echo cached; echo 90 >value")
    assert output(lab) == ["cached"]
    assert (lab.home / "cache/new").exists()


def test_where_a_sandbox_is_required_and_does_not_work_nobody_is_paid(lab: Lab) -> None:
    campaign(lab)
    paid, broken = lab.root / "paid", lab.root / "bin/bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    policy = POLICY.format(agent=agent_file(lab), timeout=20)
    policy = policy.replace("sandbox: off\n  planner: offline", "sandbox: required\n  planner: command")
    policy = policy.replace("{implementer:", f'{{planner: {{run: [touch, "{paid}"]}}, implementer:')
    lab.commit("the jail", {".git-planner.yml": policy})
    lab.env["PATH"] = f"{broken.parent}:{lab.env['PATH']}"
    why = "bubblewrap does not work here: No permissions to create new namespace"
    message = f"the policy requires a sandbox for agents, and there is none: {why}"
    for argv in (
        ("git-iterate",),
        ("git-plan", "command"),
        ("git-plan", "research"),
        ("git-plan", "delegate"),
    ):
        ran = lab.run(*argv, "--json")
        assert (json.loads(ran.out)["code"], json.loads(ran.out)["message"]) == ("E_SANDBOX", message), argv
    assert not paid.exists()


@needs_jail
def test_a_program_that_does_not_exist_is_named_as_without_a_jail(lab: Lab) -> None:
    campaign(lab)
    policy = POLICY.format(agent="x", timeout=20).replace("sandbox: off", "sandbox: required")
    lab.commit("the jail", {".git-planner.yml": policy.replace("[sh,", "[no-such-agent,")})
    with pytest.raises(PlannerError) as caught:
        attempt(lab, "")
    assert (caught.value.code, caught.value.message) == ("E_MISSING_TOOL", "'no-such-agent' is not on PATH")
