"""Gates through the real programs: three verdicts, deadlines, signals, floods and left processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_planner.config.policy_file import policy_at
from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.tournament.gates.run_gates import prune_logs
from git_planner.flows.tournament.gates.side_effects import observe_effects
from git_planner.rules.policy.gates import Gate
from git_planner.rules.tournament import gate as gate_rule
from tests.foundation.fake_keys import LETTERS, drawn
from tests.support.lab import Lab

MakeLab = Callable[..., Lab]
HEAD = """\
schema: git-planner/policy@1
guard: ["tests/**"]
scope: {allow: ["src/**"]}
correctness: {run: [python, -m, unittest, -v, tests.test_value], proof: unittest, timeout: 60}
"""
TEST = """\
import unittest
from src.value import VALUE
class ValueTest(unittest.TestCase):
    def test_is_positive(self):
        self.assertGreater(VALUE, 0)
"""
FILES = {
    "src/__init__.py": "",
    "src/value.py": "VALUE = 1\n",
    "tests/__init__.py": "",
    "tests/test_value.py": TEST,
}


def project(lab: Lab, gates: str = "") -> Lab:
    """Commit a project with gates on main, and check a branch 'work' out."""
    lab.commit("policy", {**FILES, ".git-planner.yml": f"{HEAD}{gates}"})
    lab.git("checkout", "-q", "-b", "work")
    return lab


def gated(lab: Lab, *words: str, gate_set: str = "shipping") -> tuple[int, dict[str, Any]]:
    """Run gates on HEAD; return the exit status and the report."""
    ran = lab.run("git-bo4", "gate", "--set", gate_set, "--ref", "HEAD", "--json", *words)
    assert ran.out, ran.err
    return ran.status, json.loads(ran.out)["refs"][0]


def verdicts(report: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return name, verdict and code of the gates of a report."""
    return [(result["name"], result["verdict"], result["code"]) for result in report["results"]]


def test_a_good_change_passes_the_default_gates(make_lab: MakeLab) -> None:
    lab = project(make_lab())
    lab.commit("better", {"src/value.py": "VALUE = 2\n"})
    status, report = gated(lab)
    assert (status, report["passed"], report["code"]) == (0, True, None)
    assert verdicts(report) == [(name, "passed", None) for name in ("guard", "scope", "tests")]
    assert gated(lab, gate_set="conceptual")[0] == 0


@pytest.mark.parametrize(
    ("files", "expected", "code"),
    [
        ({"src/value.py": "VALUE = -1\n"}, ["passed", "passed", "failed"], "E_TEST"),
        ({"other.py": ""}, ["passed", "failed", "passed"], "E_SCOPE"),
        ({"tests/test_value.py": ""}, ["failed", "passed", "skipped"], "E_GUARD"),
    ],
)
def test_a_bad_change_fails_the_gate_that_is_for_it(
    make_lab: MakeLab, files: dict[str, str], expected: list[str], code: str
) -> None:
    lab = project(make_lab())
    lab.commit("worse", files)
    status, report = gated(lab)
    assert (status, [verdict for _, verdict, _ in verdicts(report)], report["code"]) == (1, expected, code)


SHELL = "{{name: {name}, run: [sh, -c, '{script}'], timeout: {timeout}}}"


def shell(script: str, name: str = "check", timeout: float = 60) -> str:
    """Return the policy's gates with one shell command."""
    return "gates: {shipping: [" + SHELL.format(name=name, script=script, timeout=timeout) + "]}\n"


@pytest.mark.parametrize(
    ("gates", "verdict", "code", "message"),
    [
        (shell("exit 0"), "passed", None, ""),
        (shell("echo no >&2; exit 3", "lint"), "failed", "E_LINT", "ended with status 3: no"),
        (shell("exit 1", "types"), "failed", "E_TYPES", "ended with status 1"),
        (shell("exit 1", "build"), "failed", "E_BUILD", "ended with status 1"),
        (shell("kill -9 $$"), "failed", "E_GATE", "was ended by signal 9"),
        (shell("sleep 60", timeout=0.5), "failed", "E_DEADLINE", "took more than 0.5 seconds"),
        (shell("sleep 60 & sleep 60", timeout=0.5), "failed", "E_DEADLINE", "took more than 0.5 seconds"),
        (shell("(setsid sleep 60 &) ; exit 0"), "passed", None, ""),
        (shell("exit 64"), "skipped", "E_GATE_SKIPPED", "the command ended with status 64"),
        (shell("echo SKIP no tool; exit 0", "tests"), "skipped", "E_GATE_SKIPPED", "SKIP no tool"),
        (shell("echo TEST_SKIPPED x"), "skipped", "E_GATE_SKIPPED", "TEST_SKIPPED x"),
        (shell("echo SKIPPED is another word"), "passed", None, ""),
        (shell("yes | head -c 40000000"), "passed", None, ""),
        (
            "gates: {shipping: [{name: lint, run: [no-such-linter]}]}\n",
            "skipped",
            "E_GATE_SKIPPED",
            "no-such-linter",
        ),
    ],
)
def test_a_command_has_one_of_three_verdicts(
    make_lab: MakeLab, gates: str, verdict: str, code: str | None, message: str
) -> None:
    lab = project(make_lab(), gates)
    status, report = gated(lab)
    result = report["results"][0]
    assert (status, result["verdict"], result["code"]) == (0 if verdict == "passed" else 1, verdict, code)
    assert message in result["message"]
    if verdict == "failed":
        assert (lab.path / ".git" / result["log"]).is_dir()
    assert result["seconds"] < 20


def test_a_gate_that_is_not_required_may_be_skipped_but_one_must_pass(make_lab: MakeLab) -> None:
    optional = "{name: lint, run: [no-such-linter], required: false}"
    lab = project(make_lab(), f"gates: {{shipping: [guard, {optional}], conceptual: [{optional}]}}\n")
    assert gated(lab)[0] == 0
    status, report = gated(lab, gate_set="conceptual")
    assert (status, report["code"]) == (1, "E_GATE_SKIPPED")


def test_tests_without_a_command_are_skipped_and_do_not_pass(make_lab: MakeLab) -> None:
    lab = make_lab()
    policy = (
        HEAD.replace("correctness", "# correctness")
        + "metrics: [{name: m, run: [m], better: lower, pattern: (1)}]\n"
    )
    lab.commit("policy", {**FILES, ".git-planner.yml": policy})
    status, report = gated(lab)
    assert (status, [name for name, _, _ in verdicts(report)]) == (0, ["guard", "scope"])
    policy += "gates: {shipping: [guard, scope, tests]}\n"
    lab.commit("named", {".git-planner.yml": policy})
    status, report = gated(lab)
    assert (status, report["code"]) == (1, "E_GATE_SKIPPED")
    assert verdicts(report)[2] == ("tests", "skipped", "E_GATE_SKIPPED")


@pytest.mark.parametrize(
    ("gates", "problem"),
    [
        ("{shipping: [lint]}", "/gates/shipping/0: 'lint' needs its command"),
        ("{shipping: [guard, guard]}", "/gates/shipping/1: 'guard' is the name of an earlier gate"),
        ("{shipping: []}", "/gates/shipping"),
        ("{shipping: [{name: guard, run: [x]}]}", "/gates/shipping/0/run: 'guard' has no command"),
        ("{shipping: [{name: x, run: [x], effects: [Network]}]}", "are for the gate 'side_effects'"),
        ("{shipping: [{name: X, run: [x]}]}", "/gates/shipping/0/name"),
        ("{shipping: [5]}", "/gates/shipping/0"),
        ("{other: [guard]}", "/gates"),
    ],
)
def test_a_policy_with_wrong_gates_is_refused(make_lab: MakeLab, gates: str, problem: str) -> None:
    lab = project(make_lab(), f"gates: {gates}\n")
    ran = lab.run("git-bo4", "gate", "--ref", "HEAD", "--json")
    assert ran.status == 2
    assert problem in json.loads(ran.out)["message"]


def test_gates_come_from_the_trusted_base_not_from_the_change(make_lab: MakeLab) -> None:
    lab = project(make_lab(), "gates: {shipping: [guard, tests]}\n")
    lab.commit("cheat", {".git-planner.yml": HEAD + shell("exit 0"), "src/value.py": "VALUE = -1\n"})
    status, report = gated(lab)
    assert (status, report["code"]) == (1, "E_GUARD")


def push_line(lab: Lab, branch: str, oid: str | None = None) -> str:
    """Return the line that git gives to 'pre-push' for a branch."""
    return f"refs/heads/{branch} {oid or lab.git('rev-parse', branch)} refs/heads/{branch} {'0' * 40}\n"


def test_as_a_pre_push_check_git_itself_refuses_the_push(make_lab: MakeLab) -> None:
    lab = project(make_lab())
    remote = lab.root / "remote.git"
    lab.git("init", "-q", "--bare", str(remote))
    hook = lab.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    script = "import sys; from git_planner import cli; sys.exit(cli.main('git-bo4', sys.argv[1:]))"
    words = "gate --set shipping --pre-push"
    hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{script}" {words}\n')
    hook.chmod(0o755)
    lab.commit("worse", {"src/value.py": "VALUE = -1\n"})
    pushed = lab.run_git("push", "-q", str(remote), "work")
    assert pushed.status != 0
    assert lab.git("ls-remote", str(remote)) == ""
    lab.commit("better", {"src/value.py": "VALUE = 2\n"})
    assert lab.run_git("push", "-q", str(remote), "work").status == 0
    assert lab.git("ls-remote", str(remote)).endswith("refs/heads/work")


def test_a_push_gates_each_commit_once_and_passes_over_what_is_no_code(make_lab: MakeLab) -> None:
    lab = project(make_lab(), "gates: {shipping: [guard]}\n")
    lab.git("branch", "again")
    lab.git("branch", "plan/x")
    lab.git("branch", "bo4/x/run")
    lab.git("tag", "v1")
    lines = [push_line(lab, name) for name in ("work", "again", "plan/x", "bo4/x/run")]
    lines += [f"refs/tags/v1 {lab.git('rev-parse', 'v1')} refs/tags/v1 {'0' * 40}\n"]
    lines += [f"(delete) {'0' * 40} refs/heads/gone {lab.git('rev-parse', 'work')}\n"]
    ran = lab.run("git-bo4", "gate", "--set", "shipping", "--pre-push", "--json", stdin="".join(lines))
    document = json.loads(ran.out)
    assert (ran.status, document["passed"]) == (0, True)
    assert [entry["ref"] for entry in document["refs"]] == ["refs/heads/work", "refs/heads/again"]
    assert document["skipped"] == ["refs/heads/plan/x", "refs/heads/bo4/x/run", "refs/tags/v1"]
    nothing = lab.run("git-bo4", "gate", "--pre-push")
    assert (nothing.status, nothing.out) == (0, "")


@pytest.mark.parametrize(
    "name", ["refs/heads/plan/x", "refs/heads/bo4/x/run", "refs/tags/v1", "refs/other/x"]
)
def test_code_that_is_pushed_to_a_branch_is_gated_whatever_its_name_is_here(
    make_lab: MakeLab, name: str
) -> None:
    lab = project(make_lab(), "gates: {shipping: [guard]}\n")
    lab.commit("cheat", {"tests/test_value.py": "\n"})
    lab.git("update-ref", name, "HEAD")
    line = f"{name} {lab.git('rev-parse', 'HEAD')} refs/heads/main {'0' * 40}\n"
    ran = lab.run("git-bo4", "gate", "--set", "shipping", "--pre-push", "--json", stdin=line)
    document = json.loads(ran.out)
    assert (ran.status, document["passed"], document["skipped"]) == (1, False, []), document


@pytest.mark.parametrize("text", ["hello\n", "refs/heads/x abc refs/heads/x abc\n", "x" * 2_000_000])
def test_stdin_that_is_not_of_a_push_is_refused(make_lab: MakeLab, text: str) -> None:
    ran = project(make_lab()).run("git-bo4", "gate", "--pre-push", "--json", stdin=text)
    assert (ran.status, json.loads(ran.out)["code"]) == (2, "E_USAGE")


def test_events_of_a_commit_are_appended_to_a_file_and_valid(make_lab: MakeLab) -> None:
    lab = project(make_lab(), "gates: {shipping: [guard, {name: lint, run: [sh, -c, 'exit 1']}]}\n")
    path = lab.root / "events.ndjson"
    for _ in range(2):
        assert gated(lab, "--events-out", str(path), "--strict-events")[0] == 1
    ran = lab.run("git-bo4", "events", "validate", "--in", str(path), "--strict", "--json")
    assert (ran.status, json.loads(ran.out)["events"]) == (0, 10)
    names = [json.loads(line)["event"] for line in path.read_text().splitlines()[:5]]
    assert names == ["GATES_START", "LINT_START", "LINT_FAIL", "GATES_SUMMARY", "GATES_FAIL"]
    lines = lab.run("git-bo4", "events", "summary", "--in", str(path)).out
    assert "failed   E_LINT 4 times" in lines
    # A stream that was rewritten is refused.
    path.write_text(path.read_text().replace("LINT_FAIL", "LINT_PASS", 1))
    ran = lab.run("git-bo4", "gate", "--ref", "HEAD", "--events-out", str(path), "--strict-events", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (1, "E_EVENT_SCHEMA")
    ran = lab.run("git-bo4", "events", "validate", "--in", str(path))
    assert ran.status == 1
    assert "line 4: 'prev' is not the digest of the line before" in ran.out


def test_a_verdict_is_one_of_three_whatever_the_refusal() -> None:
    gate = Gate("tests")
    for reason in ("missing_tool", "no_jail", "submodule"):
        assert gate_rule.refused_result(gate, reason, "why").verdict == "skipped"
    for reason in ("timeout", "crash", "incorrect", "no_proof", "tests_shrank"):
        assert gate_rule.refused_result(gate, reason, "why").verdict == "failed"


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
PYTHON = {
    "declared": "import pathlib; pathlib.Path('out').mkdir(); pathlib.Path('out/x').write_text('x')",
    "open": "open('src/x', 'w')",
    "raw": "import os; os.open('src/x', os.O_CREAT | os.O_WRONLY)",
    "copy": "import shutil; shutil.copyfile('src/value.py', 'src/x')",
    "rename": "import os; os.rename('src/value.py', 'src/x')",
    "link": "import os; os.makedirs('out'); os.symlink('../src', 'out/s'); open('out/s/x', 'w')",
    "child": "import subprocess; subprocess.run(['sh', '-c', 'echo > src/x'])",
    "orphan": "import subprocess; subprocess.run(['sh', '-c', '(sleep 0.2; echo > src/x) & wait'])",
    "network": "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9))",
    "shell": "import subprocess; subprocess.run(['sh', '-c', ':'])",
    "temporary": "import tempfile; tempfile.NamedTemporaryFile().write(b'x'); open('/dev/null', 'w')",
    "untraced": (
        "import ctypes, os, signal\n"
        "if os.uname().machine != 'x86_64': open('src/x', 'w')\n"
        "elif ctypes.CDLL(None).syscall(56, 0x00800000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:\n"
        "    open('src/x', 'w')\n"
        "    os._exit(0)\n"
    ),
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind('src/s')",
    "times": "import os; os.utime('src/value.py', (1, 1))",
    "mode": "import os; f = os.open('src/value.py', os.O_RDONLY); os.fchmod(f, 0o600)",
    "skip": "open('src/x', 'w'); raise SystemExit(64)",
}
NODE = {
    "open": "import { writeFileSync } from 'node:fs'; writeFileSync('src/x', '');",
    "raw": "import { openSync } from 'node:fs'; openSync('src/x', 'w');",
    "copy": "import { copyFileSync } from 'node:fs'; copyFileSync('src/value.py', 'src/x');",
    "promise": "import { writeFile } from 'node:fs/promises'; await writeFile('src/x', '');",
    "network": "import { connect } from 'node:net'; connect(9, '127.0.0.1').on('error', () => {});",
}
FORBIDDEN = ("failed", "E_SIDEEFFECTS_FORBIDDEN")
UNDECLARED = ("failed", "E_SIDEEFFECTS_DECLARATION")
OUTCOMES = {
    "declared": ("passed", None),
    "temporary": ("passed", None),
    "network": UNDECLARED,
    "shell": UNDECLARED,
}


def observed(lab: Lab, file: str, text: str, run: str) -> dict[str, Any]:
    """Run the gate 'side_effects' on a command; return its result."""
    gate = f"{{name: side_effects, run: {run}, effects: ['FS:write'], write: ['out/**'], timeout: 60}}"
    lab.commit("policy", {**FILES, file: text, ".git-planner.yml": f"{HEAD}gates: {{shipping: [{gate}]}}\n"})
    result: dict[str, Any] = gated(lab)[1]["results"][0]
    return result


@needs_strace
@pytest.mark.parametrize("name", PYTHON)
def test_effects_of_python_and_its_children_are_seen_from_outside(make_lab: MakeLab, name: str) -> None:
    result = observed(make_lab(), "tests/run.py", PYTHON[name], "[python, tests/run.py]")
    assert (result["verdict"], result["code"]) == OUTCOMES.get(name, FORBIDDEN), result["message"]


@needs_strace
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("name", NODE)
def test_effects_of_node_are_seen_from_outside(make_lab: MakeLab, name: str) -> None:
    result = observed(make_lab(), "tests/run.mjs", NODE[name], "[node, tests/run.mjs]")
    assert (result["verdict"], result["code"]) == OUTCOMES.get(name, FORBIDDEN), result["message"]


@needs_strace
def test_a_shell_s_effects_are_summed_up(make_lab: MakeLab) -> None:
    script = (
        "mkdir out; for n in 1 2 3 4 5 6 7; do : >out/$n; done; : >src/x; git --version; : >'out/a\"b>é'\n"
    )
    lab = make_lab()
    result = observed(lab, "tests/run.sh", script, "[sh, tests/run.sh]")
    effects = result["effects"]
    assert effects["observed_operations"] == ["FS:write", "Process:git", "Process:shell"]
    assert effects["undeclared_operations"] == ["Process:git", "Process:shell"]
    assert (effects["fs_write"]["count"], effects["fs_write"]["outside_module_root"]) == (10, 1)
    assert effects["fs_write"]["sample_paths"][0] == {"path": "src/x", "inside_module_root": False}
    assert effects["processes"]["categories"]["Process:git"] == {
        "count": 1,
        "sample_commands": ["git --version"],
    }
    path = lab.root / "events.ndjson"
    gated(lab, "--events-out", str(path), "--strict-events")
    names = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert names[1:4] == ["TEST_START", "SIDEEFFECTS_SUMMARY", "TEST_FAIL"]


def test_without_an_observer_the_gate_is_skipped_and_does_not_pass(make_lab: MakeLab) -> None:
    lab = make_lab()
    tools = lab.root / "tools"
    tools.mkdir()
    for tool in ("git", "python", "true", "sh"):
        os.symlink(shutil.which(tool) or sys.executable, tools / tool)
    lab.env["PATH"] = str(tools)
    result = observed(lab, "tests/run.py", PYTHON["open"], "[python, tests/run.py]")
    assert (result["verdict"], result["code"]) == ("skipped", "E_GATE_SKIPPED")
    assert result["message"] == "nothing observes side effects: strace is not installed"


@needs_strace
def test_effects_outside_a_sandbox_are_seen_too(make_lab: MakeLab) -> None:
    lab = make_lab()
    outside = lab.root / "outside"
    policy = f"{HEAD}jail: 'off'\n"
    for script, outcome in (
        ("mkdir out; : >out/x", ("passed", None)),
        (f": >{outside}", FORBIDDEN),
        (f"mkdir out; ln -s {lab.root} out/link; : >out/link/outside", FORBIDDEN),
        (f": <{lab.home}/.gitconfig", UNDECLARED),
    ):
        gate = f"{{name: side_effects, run: [sh, -c, '{script}'], effects: ['FS:write', 'Process:shell']}}"
        lab.commit("policy", {**FILES, ".git-planner.yml": f"{policy}gates: {{shipping: [{gate}]}}\n"})
        result = gated(lab)[1]["results"][0]
        assert (result["verdict"], result["code"]) == outcome, (script, result["message"])


@needs_strace
@pytest.mark.parametrize(
    ("script", "verdict", "code"),
    [
        ("while :; do : >/tmp/x; done", "failed", "E_SIDEEFFECTS_FORBIDDEN"),
        ("kill -9 $$", "failed", "E_GATE"),
        ("exit 64", "skipped", "E_GATE_SKIPPED"),
        ("sleep 60", "failed", "E_DEADLINE"),
    ],
)
def test_an_observed_command_is_bounded_like_others(
    make_lab: MakeLab, script: str, verdict: str, code: str
) -> None:
    lab = project(make_lab())
    with lab.entered():
        repo = lab.repo
        logs = lab.root / "logs"
        logs.mkdir()
        runner = CommandRunner(repo, policy_at(repo, "HEAD"), logs)
        gate = Gate("side_effects", ("sh", "-c", script), 2.0, effects=("Process:shell",))
        result = observe_effects(
            runner, gate, repo.resolve("HEAD", "tree"), "HEAD", lambda _: None, most=100_000
        )
    assert (result.verdict, result.code) == (verdict, code), result.message
    assert not list(logs.glob("*.trace"))


@needs_strace
def test_a_module_declares_its_effects(make_lab: MakeLab) -> None:
    lab = make_lab()
    manifest = {"id": "cache", "version": "1.0.0", "provides": ["Cache@1"], "side_effects": []}
    gate = "{name: side_effects, run: [sh, -c, ': >modules/cache/x'], module: modules/cache}"
    policy = {".git-planner.yml": f"{HEAD}gates: {{shipping: [{gate}]}}\n"}
    for effects, outcome in (([], UNDECLARED), (["FS:write"], ("passed", None)), (["Magic"], UNDECLARED)):
        text = json.dumps({**manifest, "side_effects": effects})
        lab.commit("module", {**FILES, **policy, "modules/cache/module.json": text})
        result = gated(lab)[1]["results"][0]
        assert (result["verdict"], result["code"]) == outcome, result["message"]
    # A change cannot allow itself more than its trusted base does, unless the module is new.
    lab.commit("strict", {"modules/cache/module.json": json.dumps(manifest)})
    lab.git("checkout", "-q", "-b", "work")
    text = json.dumps({**manifest, "side_effects": ["FS:write"]})
    lab.commit("more", {"modules/cache/module.json": text})
    assert gated(lab)[1]["code"] == "E_SIDEEFFECTS_DECLARATION"


def test_no_secret_of_a_gate_is_kept_or_printed(make_lab: MakeLab) -> None:
    key = "ghp_" + drawn(LETTERS, 36)
    half = len(key) // 2
    script = f"k={key[:half]}; k=$k{key[half:]}; echo key $k >&2; git --version $k; mkdir $k; exit 1"
    lab = make_lab()
    gate = f"{{name: side_effects, run: [sh, -c, '{script}'], effects: ['FS:write', 'Process:git']}}"
    lab.commit("policy", {**FILES, ".git-planner.yml": f"{HEAD}gates: {{shipping: [{gate}]}}\n"})
    path = lab.root / "events.ndjson"
    words = ("gate", "--set", "shipping", "--ref", "HEAD", "--events-out", str(path))
    texts = [lab.run("git-bo4", *words, *more).out for more in ((), ("--json",))]
    texts += [
        file.read_text() for file in (lab.path / ".git" / "planner" / "gates").rglob("*") if file.is_file()
    ]
    assert len(texts) > 3
    assert not [text for text in (*texts, path.read_text()) if key in text]


def test_nothing_is_left_of_a_gate(make_lab: MakeLab) -> None:
    lab = project(make_lab(), shell("(setsid sleep 61 &) ; sleep 62", timeout=0.5))
    gated(lab)
    assert list((lab.path / ".git").rglob("running-*")) == []
    commands = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline") if _is_readable(entry)]
    assert not any(b"sleep\x0061" in command or b"sleep\x0062" in command for command in commands)


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_the_logs_of_the_last_gates_are_kept(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / f"shipping-{number:016x}"
        place.mkdir()
        os.utime(place, (number, number))
    (tmp_path / "running-x").mkdir()
    prune_logs(tmp_path, 2)
    assert sorted(path.name[-3:] for path in tmp_path.iterdir()) == ["002", "003", "g-x"]
