"""Attacks from within the jail: one per candidate, and the record shows that it gained nothing."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from pathlib import Path

import psutil
import pytest

from git_planner.config.policy_file import policy_at
from git_planner.flows.measuring.environment import describe_site
from git_planner.flows.planning.ask_planner import PlanOptions, make_iteration
from git_planner.flows.records.record import record_commit
from git_planner.flows.records.recorder import RecordResult
from git_planner.host import jail
from git_planner.host.jail import Jail
from tests.support.benchmark_project import POLICY, iteration, project
from tests.support.lab import Lab

WITHOUT = POLICY + "jail: off\n"
REQUIRED = POLICY + "jail: required\n"
PYTEST = REQUIRED.replace(
    "{run: [python, -m, unittest, -v, tests.test_value], proof: unittest",
    "{run: [python, -m, pytest, -q, -p, 'no:cacheprovider', tests], proof: junit",
)
HERE = jail.find("auto", os.environ["PATH"])
needs_jail = pytest.mark.skipif(not isinstance(HERE, Jail), reason=f"the jail of this machine: {HERE.shown}")


def measured(lab: Lab, ref: str = "HEAD") -> RecordResult:
    """Record without progress messages."""
    return record_commit(lab.repo, ref, progress=lambda _: None)


def candidate(lab: Lab, code: str, policy: str = REQUIRED, **files: str) -> RecordResult:
    """Return the record of an iteration whose 'src/value.py' is this code."""
    project(lab, policy, **files)
    iteration(lab, 1, "main")
    lab.commit("try", {"src/value.py": code})
    return measured(lab)


def judged(done: RecordResult) -> tuple[str, str | None, float | None]:
    """Return verdict, reason and value."""
    return done.record.verdict, done.record.reason, done.record.value


def output_of(done: RecordResult) -> str:
    """Return the output of the benchmark."""
    assert done.logs is not None
    return (done.logs / "cycles-1.stdout").read_text()


# Attempts of a candidate and their results: expressions, evaluated when the benchmark imports them.
TRIES = {
    "network": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "address": "socket.getaddrinfo('example.com', 443)",
    "unix": "(lambda s: s.connect(UNIX))(socket.socket(socket.AF_UNIX))",
    "home": "os.listdir(HOME)",
    "secret": "open(HOME + '/.netrc').read()",
    "repository": "os.listdir(REPO)",
    "objects": "os.listdir(REPO + '/.git')",
    "root": "open('/etc/shadow').read()",
    "write": "open('/usr/planted', 'w')",
    "outside": "open(HOME + '/planted', 'w')",
    "above": "open('/measured/planted', 'w')",
    "report": "open('/measured/results/proof.xml', 'w')",
    "tool": "open(sys.prefix + '/planted', 'w')",
    "device": "open('/dev/mem', 'rb')",
    "mount": "subprocess.run(['mount', '-t', 'tmpfs', 'x', '/usr'], check=True, capture_output=True)",
    "others": "(lambda n: os.kill(n, 0))(OTHER)",
}


@needs_jail
def test_nothing_outside_can_be_read_written_or_reached(lab: Lab, tmp_path: Path) -> None:
    (lab.home / ".netrc").write_text("password x")
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
        server.bind(("127.0.0.1", 0))
        server.listen()
        local.bind(str(tmp_path / "socket"))
        local.listen()
        facts = {
            "PORT": server.getsockname()[1],
            "UNIX": str(tmp_path / "socket"),
            "HOME": str(lab.home),
            "REPO": str(lab.path),
            "OTHER": os.getpid(),
        }
        lines = [
            "import os, socket, subprocess, sys",
            *(f"{name} = {value!r}" for name, value in facts.items()),
        ]
        for name, attempt in TRIES.items():
            lines += [f"try:\n    {attempt}\n    print('{name}: done')", "except Exception:", "    pass"]
        done = candidate(lab, "\n".join([*lines, "VALUE = 100", ""]))
    assert judged(done) == ("within_noise", None, 100.0)
    assert output_of(done) == "CYCLES: 100\n"
    assert not (lab.home / "planted").exists()
    assert done.record.environment["jail"] == HERE.shown


def test_without_a_jail_the_same_tries_are_seen_to_work(lab: Lab) -> None:
    lab.home.joinpath(".netrc").write_text("password x")
    code = f"print('home:', open({str(lab.home / '.netrc')!r}).read())\nVALUE = 100\n"
    done = candidate(lab, code, WITHOUT)
    assert output_of(done) == "home: password x\nCYCLES: 100\n"
    assert done.record.environment["jail"] == "none (turned off by the policy)"


@needs_jail
def test_a_number_of_its_own_on_stdout_or_stderr(lab: Lab) -> None:
    code = "import sys\nprint('CYCLES: 1', file=sys.stderr)\nVALUE = 100\n"
    assert judged(candidate(lab, code)) == ("within_noise", None, 100.0)
    lab.commit("again", {"src/value.py": "print('CYCLES: 1')\nVALUE = 100\n"})
    assert judged(measured(lab)) == ("invalid", "ambiguous_metric", None)


@needs_jail
@pytest.mark.parametrize("policy", [REQUIRED, PYTEST], ids=["unittest", "junit"])
def test_leaving_with_success_from_an_exit_handler(lab: Lab, policy: str) -> None:
    code = "import atexit, os\natexit.register(os._exit, 0)\nVALUE = 0\n"
    verdict, reason, value = judged(candidate(lab, code, policy))
    assert (verdict, value) == ("invalid", None)
    assert reason == "incorrect"


@needs_jail
def test_a_report_of_its_own_is_overwritten_by_the_real_one(lab: Lab) -> None:
    code = (
        "import pathlib, sys\n"
        "for word in sys.argv:\n"
        "    if word.startswith('--junit-xml='):\n"
        "        pathlib.Path(word.partition('=')[2]).write_text('<testsuite/>')\n"
        "VALUE = -1\n"
    )
    assert judged(candidate(lab, code, PYTEST)) == ("invalid", "incorrect", None)


@needs_jail
def test_byte_code_that_shadows_a_test(lab: Lab) -> None:
    plant = (
        "import os, py_compile, pathlib\n"
        "source = pathlib.Path('tests/planted.py')\n"
        "source.write_text('print(\"CYCLES: 1\")')\n"
        "for name in ('bench.pyc', '__pycache__/bench.cpython-311.pyc', 'test_value.pyc'):\n"
        "    py_compile.compile(str(source), cfile='tests/' + name)\n"
        "VALUE = 100\n"
    )
    assert judged(candidate(lab, plant)) == ("within_noise", None, 100.0)
    # Committed, it is refused before anything runs.
    (lab.path / "src/value.pyc").write_bytes(b"\0")
    lab.git("add", "--force", "src/value.pyc")
    lab.git("commit", "-q", "-m", "byte code")
    assert judged(measured(lab)) == ("invalid", "guard", None)


@needs_jail
def test_variables_it_sets_reach_no_other_run(lab: Lab) -> None:
    code = (
        "import os, pathlib, sys\n"
        "print('seen:', os.environ.get('PLANTED'), 'PYTHONPATH' in os.environ, 'x' in sys.path)\n"
        "os.environ.update(PLANTED='yes', PYTHONPATH='x')\n"
        "for name in ('.bashrc', '.profile', '.pythonrc', 'sitecustomize.py'):\n"
        "    pathlib.Path(os.path.expanduser('~'), name).write_text('export PLANTED=yes')\n"
        "VALUE = 100\n"
    )
    done = candidate(lab, code)
    assert judged(done) == ("within_noise", None, 100.0)
    assert output_of(done) == "seen: None False False\nCYCLES: 100\n"


@needs_jail
def test_no_process_outlives_its_run(lab: Lab) -> None:
    mark = f"planted-{os.getpid()}-{time.monotonic_ns()}"
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.environ.clear()\n"
        f"        os.execve('/bin/sh', ['sh', '-c', 'sleep 300 # {mark}'], {{}})\n"
        "    os._exit(0)\n"
        "VALUE = 100\n"
    )
    assert judged(candidate(lab, code)) == ("within_noise", None, 100.0)
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if mark in line] == []


@needs_jail
def test_a_run_can_tell_the_next_one_nothing(lab: Lab) -> None:
    """Files that a candidate leaves to slow the base down, or to recognise its run, are gone."""
    places = (
        "/tmp/planted",
        "/var/tmp/planted",
        "/dev/shm/planted",
        "../planted",
        "../home/planted",
        "planted",
    )
    code = (
        "import os, pathlib\n"
        f"for place in {places!r}:\n"
        "    if os.path.exists(place):\n"
        "        print('CYCLES: 1')\n"
        f"for place in {places!r}:\n"
        "    try:\n"
        "        pathlib.Path(place).write_text('I was here')\n"
        "    except OSError:\n"
        "        pass\n"
        "print(os.getcwd(), os.uname().nodename)\n"
        "VALUE = 100\n"
    )
    done = candidate(lab, code, REQUIRED.replace("repeats: 1", "repeats: 3"))
    assert judged(done) == ("within_noise", None, 100.0)
    assert output_of(done) == "/measured/tree measured\nCYCLES: 100\n"
    assert [
        name for name in ("/tmp/planted", "/var/tmp/planted", "/dev/shm/planted") if os.path.exists(name)
    ] == []


# A harness that keeps the candidate in a process of its own: docs/sandbox.md recommends this shape.
SEALED = """\
import subprocess, sys
nonce = sys.stdin.readline().strip()
code = "import sys; sys.path.insert(0, '.'); from src.value import VALUE; sys.stdout.write(str(VALUE))"
asked = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print("CYCLES", nonce, int(asked.stdout))
"""
SEALED_POLICY = re.sub(r"pattern: 'CYCLES: ", "pattern: 'CYCLES {nonce} ", POLICY)


def test_a_sealed_harness_is_read_by_its_secret(lab: Lab) -> None:
    project(lab, SEALED_POLICY, **{"tests/bench.py": SEALED})
    assert judged(measured(lab, "main")) == ("baseline", None, 100.0)


@pytest.mark.parametrize(
    "spoof",
    [
        "print('CYCLES {nonce} 1', flush=True)",
        "open(f'/proc/{os.getppid()}/fd/1', 'w').write('CYCLES {nonce} 1')",
        "print(' '.join(['CYCLES', sys.stdin.readline(), '1']))",
        "print(subprocess.getoutput('cat /proc/*/environ /proc/*/cmdline'))",
    ],
)
def test_a_candidate_of_a_sealed_harness_cannot_speak_for_it(lab: Lab, spoof: str) -> None:
    code = f"import os, subprocess, sys\nif 'unittest' not in str(sys.argv):\n    {spoof}\nVALUE = 100\n"
    done = candidate(lab, code, SEALED_POLICY, **{"tests/bench.py": SEALED})
    assert done.record.value is None or done.record.value == 100.0
    assert done.record.verdict != "improved"


def test_a_candidate_in_the_harness_s_own_process_can_speak_for_it(lab: Lab) -> None:
    """The limit of any jail (docs/sandbox.md): a candidate controls a harness in its own process."""
    forge = "if 'bench' in sys.argv[0]:\n    print('CYCLES: 1', flush=True)\n    os._exit(0)\n"
    code = f"import os, sys\n{forge}VALUE = 100\n"
    assert judged(candidate(lab, code, POLICY)) == ("improved", None, 1.0)


def test_a_jail_that_is_required_and_not_there(lab: Lab) -> None:
    project(lab, REQUIRED)
    folder = lab.root / "programs"
    folder.mkdir()
    for name in ("git", "python", "sh"):
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    lab.env["PATH"] = str(folder)
    with lab.entered():
        done = measured(lab, "main")
        assert (judged(done), done.exit) == (("unmeasured", "no_jail", None), 4)
        assert done.record.summary == (
            "the policy asks for a jail, and there is none: bubblewrap is not installed"
        )


@needs_jail
def test_results_of_inside_and_outside_are_not_mixed(lab: Lab) -> None:
    project(lab)
    sites = {}
    for mode in ("auto", "required", "off"):
        commit = lab.commit(mode, {".git-planner.yml": POLICY + f"jail: {mode}\n"})
        sites[mode] = describe_site(lab.repo, policy_at(lab.repo, commit)).digest
    assert sites["auto"] == sites["required"] != sites["off"]


@needs_jail
def test_tools_in_odd_places_are_there(lab: Lab) -> None:
    """A virtual environment in the repository, a program under the home, and an explicitly readable one."""
    assert isinstance(HERE, Jail)
    env = lab.path / ".venv"
    (env / "bin").mkdir(parents=True)
    (env / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (env / "bin/tool").write_text('#!/bin/sh\ncat "$(dirname "$0")/../part" "$EXTRA"\n')
    (env / "bin/tool").chmod(0o755)
    (env / "part").write_text("part ")
    extra = lab.home / "extra"
    extra.write_text("extra")
    (lab.home / "private").write_text("x")
    place = lab.root / "place"
    for name in ("tree", "home", "tmp"):
        (place / name).mkdir(parents=True)
    argv, within = jail.confined(
        HERE,
        ["sh", "-c", f"tool; ls {lab.home} {lab.path}; ls -a {lab.path}"],
        {"PATH": f"{env / 'bin'}:{os.defpath}", "EXTRA": str(extra)},
        place,
        hidden=[lab.path],
        shown=[extra],
    )
    ran = lab.run_program(*argv, env=within)
    assert ran.out.split() == ["part", "extra" + f"{lab.home}:", "extra", f"{lab.path}:", ".", "..", ".venv"]


def test_a_program_that_is_not_there_inside_is_named(lab: Lab) -> None:
    project(lab, POLICY.replace("[python, tests/bench.py]", "[./tests/gone]"))
    assert judged(measured(lab, "main")) == ("unmeasured", "missing_tool", None)


@needs_jail
def test_a_profile_is_made_in_the_jail_too(lab: Lab) -> None:
    code = f"import json, os; print(json.dumps([os.getcwd(), os.path.exists({str(lab.path)!r})]))"
    policy = REQUIRED + "profile: {run: [python, tests/profile.py]}\nagents: {planner: offline}\n"
    project(lab, policy, **{"tests/profile.py": code + "\n"})
    planned = make_iteration(lab.repo, PlanOptions(), lambda _: None)
    assert planned.packet["performance_profile"] == ["/measured/tree", False]
