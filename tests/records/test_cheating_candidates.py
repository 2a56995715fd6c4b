"""Candidates that cheat, break or hang: what each of them is recorded as."""

from __future__ import annotations

import json
import time
from typing import Any

import psutil
import pytest

from git_planner.errors import PlannerError
from git_planner.flows.guard.trusted_base import find_state
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import record_commit
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import BENCH, POLICY, TEST, attempt, iteration, project
from tests.support.lab import Lab

PYTEST = POLICY.replace(
    "{run: [python, -m, unittest, -v, tests.test_value], proof: unittest",
    "{run: [python, -m, pytest, -q, -p, 'no:cacheprovider', tests], proof: junit",
)


def measured(lab: Lab, ref: str = "HEAD", **options: Any) -> Record:
    """Record without progress."""
    return record_commit(lab.repo, ref, progress=lambda _: None, **options).record


def judged(lab: Lab, ref: str = "HEAD") -> tuple[str, str | None, float | None]:
    """Verdict, reason and value."""
    result = measured(lab, ref)
    return result.verdict, result.reason, result.value


def candidate(lab: Lab, files: dict[str, str | bytes | None], number: int = 1) -> None:
    """An iteration with one commit of these files."""
    iteration(lab, number, "main")
    lab.commit("try", files)


def test_a_number_on_stderr_is_not_read(lab: Lab) -> None:
    project(lab)
    candidate(lab, {"src/value.py": "import sys\nprint('CYCLES: 1', file=sys.stderr)\nVALUE = 100\n"})
    assert judged(lab) == ("within_noise", None, 100.0)


def test_a_second_number_on_stdout_makes_it_ambiguous(lab: Lab) -> None:
    project(lab)
    candidate(lab, {"src/value.py": "import atexit\natexit.register(print, 'CYCLES: 1')\nVALUE = 100\n"})
    result = measured(lab)
    assert (result.verdict, result.reason, result.metrics, result.summary) == (
        "invalid",
        "ambiguous_metric",
        (),
        "the metric was printed with different values: 'cycles' was printed with 2 values: 100, 1",
    )


def test_leaving_early_with_success_is_no_proof(lab: Lab) -> None:
    project(lab)
    candidate(lab, {"src/value.py": "import os\nprint('CYCLES: 1', flush=True)\nos._exit(0)\n"})
    result = measured(lab)
    assert (result.verdict, result.reason) == ("invalid", "no_proof")
    assert (
        result.summary
        == "no proof that the tests ran: unittest's line 'Ran N tests' appears 0 times, not once"
    )


def test_leaving_early_with_success_leaves_no_report(lab: Lab) -> None:
    project(lab, PYTEST)
    candidate(lab, {"src/value.py": "import os\nos._exit(0)\n"})
    result = measured(lab)
    assert (result.reason, result.summary) == (
        "no_proof",
        "no proof that the tests ran: the tests left no report",
    )
    assert read_ledger(lab.repo, "default")[0].tests is not None


@pytest.mark.parametrize("policy", [POLICY, PYTEST], ids=["unittest", "junit"])
def test_a_failing_class_setup_proves_nothing(lab: Lab, policy: str) -> None:
    setup = "    @classmethod\n    def setUpClass(cls):\n        assert VALUE < 200\n\n"
    test = TEST.replace("    def test_is_positive", f"{setup}    def test_is_positive")
    project(lab, policy, **{"tests/test_value.py": test})
    candidate(lab, {"src/value.py": "VALUE = 300\n"})
    verdict, reason, value = judged(lab)
    assert (verdict, value) == ("invalid", None)
    assert reason == ("no_proof" if policy is POLICY else "incorrect")


def test_required_tests_must_have_run(lab: Lab) -> None:
    policy = POLICY.replace(
        "proof: unittest", "proof: unittest, require: [tests/test_value.py::ValueTest::test_gone]"
    )
    project(lab, policy)
    candidate(lab, {"src/value.py": "VALUE = 50\n"})
    assert judged(lab) == ("unmeasured", "red_base", None)
    assert judged(lab, "main") == ("invalid", "no_proof", None)


def test_a_renamed_test_class_is_caught_twice(lab: Lab) -> None:
    project(lab)
    renamed = TEST.replace("class ValueTest", "class Other")
    candidate(lab, {"tests/test_value.py": renamed, "src/value.py": "VALUE = 5\n"})
    assert judged(lab) == ("invalid", "guard", None)
    # A test class of the candidate's own code that vanishes is not under guard, and is missed all the same.
    lab.git("checkout", "-q", "main")
    shared = "import unittest\nclass Shared(unittest.TestCase):\n    def test_shared(self):\n        pass\n"
    lab.commit("shared", {"src/cases.py": shared, "tests/test_value.py": "from src.cases import *\n" + TEST})
    candidate(lab, {"src/cases.py": shared.replace("Shared", "Renamed")}, 2)
    result = measured(lab)
    assert (result.reason, result.summary) == (
        "tests_shrank",
        "fewer tests were collected than before: 1 tests were not collected: 'src.cases.Shared.test_shared'",
    )


RUNNER = """\
import os, sys
sys.path.insert(0, ".")
from src.cases import CASES
folder = os.getcwd()
tests = [f'<testcase classname="test" name="{name}"/>' for name in CASES]
tests += [f'<testcase classname="{folder}/a.test.js" name="b"/>']
open(sys.argv[1], "w").write(f"<testsuites>{''.join(tests)}</testsuites>")
"""


def test_equal_ids_and_temporary_folders_in_ids(lab: Lab) -> None:
    policy = POLICY.replace(
        "[python, -m, unittest, -v, tests.test_value], proof: unittest",
        "[python, tests/runner.py, '{proof}'], proof: junit",
    ).replace("families:", "jail: off\nfamilies:")
    project(lab, policy, **{"src/cases.py": "CASES = ['x', 'x', 'y']\n", "tests/runner.py": RUNNER})
    assert judged(lab, "main")[0] == "baseline"
    candidate(lab, {"src/value.py": "VALUE = 50\n"})
    assert judged(lab) == ("improved", None, 50)
    candidate(lab, {"src/value.py": "VALUE = 40\n", "src/cases.py": "CASES = ['x', 'y']\n"}, 2)
    result = measured(lab)
    assert (result.reason, result.summary) == (
        "tests_shrank",
        "fewer tests were collected than before: 1 tests were not collected: 'test::x № 2'",
    )


def test_tests_that_are_skipped_now_are_missed(lab: Lab) -> None:
    test = TEST.replace(
        "    def test_is_whole", "    @unittest.skipIf(VALUE < 60, 'no')\n    def test_is_whole"
    )
    project(lab, **{"tests/test_value.py": test})
    candidate(lab, {"src/value.py": "VALUE = 50\n"})
    assert judged(lab) == ("invalid", "tests_shrank", None)


@pytest.mark.parametrize(
    ("files", "violation"),
    [
        ({"tests/bench.py": "print('CYCLES: 1')\n"}, "changed: tests/bench.py"),
        ({"tests/bench.py": None}, "deleted: tests/bench.py"),
        ({"tests/deep/down/random.pyc": b"\0"}, "added: tests/deep/down/random.pyc"),
        ({".git-planner.yml": POLICY.replace("lower", "higher")}, "changed: .git-planner.yml"),
        ({"tests/\n.py": "x"}, r"added: 'tests/\n.py'"),
    ],
)
def test_guarded_paths(lab: Lab, files: dict[str, str | bytes | None], violation: str) -> None:
    project(lab)
    lab.commit("ignore", {".gitignore": "*.pyc\n"})
    iteration(lab, 1, "main")
    for name, content in files.items():
        if name.endswith(".pyc"):
            (lab.path / name).parent.mkdir(parents=True)
            (lab.path / name).write_bytes(b"\0")
            lab.git("add", "--force", name)
            lab.git("commit", "-q", "-m", "try")
        else:
            lab.commit("try", {name: content})
    result = measured(lab)
    assert (result.verdict, result.reason, result.violations) == ("invalid", "guard", (violation,))
    assert (result.metrics, result.tests, result.environment_digest) == ((), None, None)
    # It was refused without running anything, so not even the base was measured.
    assert [record.reason for record in read_ledger(lab.repo, "default")] == ["guard"]
    assert measured(lab) == result


def test_modes_links_renames_and_submodules_are_changes_too(lab: Lab) -> None:
    project(lab)
    tip = lab.git("rev-parse", "HEAD")
    for number, (commands, expected) in enumerate(
        [
            ([("update-index", "--chmod=+x", "tests/bench.py")], ("mode 100644 to 100755: tests/bench.py",)),
            (
                [("mv", "tests/bench.py", "src/bench.py")],
                ("deleted: tests/bench.py", "added under the name of a guarded module: src/bench.py"),
            ),
            (
                [("update-index", "--add", "--cacheinfo", f"160000,{tip},tests/sub")],
                ("added submodule: tests/sub",),
            ),
        ],
        1,
    ):
        iteration(lab, number, "main")
        for command in commands:
            lab.git(*command)
        lab.git("commit", "-q", "-m", "try")
        lab.git("checkout", "-q", "-f", "HEAD")
        result = measured(lab)
        assert (result.reason, result.violations) == ("guard", expected)
        lab.git("checkout", "-q", "-f", "main")


def test_a_link_in_place_of_the_tests(lab: Lab) -> None:
    project(lab)
    iteration(lab, 1, "main")
    lab.git("mv", "tests", "src/tests")
    (lab.path / "tests").symlink_to("src/tests")
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "try")
    result = measured(lab)
    assert (result.reason, len(result.violations)) == ("guard", 5)
    assert result.violations[-1] == "added under the name of a guarded module: src/tests/__init__.py"


@pytest.mark.parametrize(
    ("files", "violations"),
    [
        ({"other.py": ""}, ("not allowed: other.py",)),
        ({"src/frozen.py": "x = 1\n"}, ("forbidden: src/frozen.py",)),
        ({"src/deep/down.py": "", "setup.py": ""}, ("not allowed: setup.py",)),
        ({".advisor/notes.md": ""}, ("not allowed: .advisor/notes.md",)),
        ({"srcs/a.py": ""}, ("not allowed: srcs/a.py",)),
    ],
)
def test_the_scope(lab: Lab, files: dict[str, str | bytes | None], violations: tuple[str, ...]) -> None:
    project(lab)
    candidate(lab, files)
    result = measured(lab)
    assert (result.verdict, result.reason, result.violations) == ("invalid", "scope", violations)


def test_a_pattern_that_leads_out_is_refused_in_the_policy(lab: Lab) -> None:
    project(lab, POLICY.replace('["src/**"]', '["../**"]'))
    lab.git("checkout", "-q", "-b", "topic")
    with pytest.raises(PlannerError) as caught:
        measured(lab)
    assert caught.value.code == "E_POLICY"


def test_an_odd_path_is_named_in_the_record(lab: Lab) -> None:
    project(lab)
    iteration(lab, 1, "main")
    odd = b"src/a\xff.txt".decode("utf-8", "surrogateescape")
    (lab.path / odd).write_text("x")
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "try")
    assert measured(lab).files == ("src/a\\xff.txt",)


def test_a_submodule_among_the_guarded_paths(lab: Lab) -> None:
    project(lab)
    tip = lab.git("rev-parse", "HEAD")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{tip},tests/sub")
    lab.git("commit", "-q", "-m", "sub")
    result = record_commit(lab.repo, "HEAD", progress=lambda _: None)
    assert (result.record.verdict, result.record.reason, result.exit) == ("unmeasured", "submodule", 4)
    assert result.record.summary == "a guarded path is a submodule, which is not measured: 'tests/sub'"


def test_a_nested_repository_whose_commit_is_nowhere_does_not_win(lab: Lab) -> None:
    project(lab)
    candidate(lab, {"src/value.py": "VALUE = 90\n"})
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{lab.git('rev-parse', 'HEAD')},src/nested")
    lab.git("commit", "-q", "-m", "nested")
    result = measured(lab)
    assert (result.verdict, result.reason) == ("invalid", "unfit")
    assert result.violations == ("submodule at a commit that is on no remote branch or tag: src/nested",)


def test_an_infinite_loop_meets_the_deadline(lab: Lab) -> None:
    project(lab, POLICY.replace("timeout: 20}\nmetrics", "timeout: 1.5}\nmetrics"))
    candidate(lab, {"src/value.py": "while True: pass\n"})
    began = time.monotonic()
    result = record_commit(lab.repo, "HEAD", progress=lambda _: None)
    assert time.monotonic() - began < 15
    assert (result.record.verdict, result.record.reason, result.exit) == ("unmeasured", "timeout", 124)


def test_a_tool_that_is_missing(lab: Lab) -> None:
    project(lab, POLICY.replace("[python, tests/bench.py]", "[no-such-tool, tests/bench.py]"))
    result = record_commit(lab.repo, "main", progress=lambda _: None)
    assert (result.record.verdict, result.record.reason, result.exit) == ("unmeasured", "missing_tool", 4)
    assert result.record.summary == (
        "a program or module that the policy names is not installed: 'no-such-tool' is not on PATH"
    )


def test_a_relative_path_entry_is_not_searched(lab: Lab) -> None:
    project(lab, POLICY.replace("[python, tests/bench.py]", "[mytool]"))
    lab.git("checkout", "-q", "-b", "topic")
    lab.commit("tool", {"src/mytool": "#!/bin/sh\necho CYCLES: 1\n"})
    lab.git("update-index", "--chmod=+x", "src/mytool")
    lab.git("commit", "-q", "-m", "executable")
    lab.env["PATH"] = f"src::.:{lab.env['PATH']}"
    with lab.entered():
        assert judged(lab, "main") == ("unmeasured", "missing_tool", None)
        assert measured(lab).reason == "no_baseline"


def test_a_grandchild_that_was_left_behind_is_ended(lab: Lab) -> None:
    project(lab)
    # A length that no other sleep on this machine has.
    length = f"300.{time.time_ns()}"
    forking = (
        "import os, sys\nif 'bench' in sys.argv[0] and os.fork() == 0:\n    os.setsid()\n"
        f"    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '{length}'])\n    os._exit(0)\n"
        "VALUE = 100\n"
    )
    candidate(lab, {"src/value.py": forking})
    assert judged(lab) == ("within_noise", None, 100.0)
    processes = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if length in (process.info["cmdline"] or [])
    ]
    assert processes == []


def test_one_run_leaves_nothing_for_the_next(lab: Lab) -> None:
    project(lab)
    # While the tests run, the candidate replaces the benchmark and plants modules in home and tree.
    evil = (
        "import os, pathlib, sys\n"
        "for place in ('tests/bench.py', 'sitecustomize.py', os.path.expanduser('~/x.py')):\n"
        "    pathlib.Path(place).write_text(\"print('CYCLES: 1')\")\n"
        "VALUE = 100\n"
    )
    candidate(lab, {"src/value.py": evil})
    assert judged(lab) == ("within_noise", None, 100.0)


def test_the_environment_is_pinned(lab: Lab) -> None:
    bench = (
        "import json, os\n"
        "print(json.dumps({'n': 1, 'env': sorted(os.environ), 'seen': os.environ.get('SEEN')}))\n"
    )
    policy = POLICY.replace("pattern: 'CYCLES: (\\d+)'", "pointer: /n") + "environment: [SEEN]\n"
    project(lab, policy, **{"tests/bench.py": bench})
    lab.env |= {"SEEN": "yes", "PYTHONPATH": "/evil", "SECRET": "x", "LD_PRELOAD": ""}
    with lab.entered():
        result = record_commit(lab.repo, "main", progress=lambda _: None)
    assert result.logs is not None
    printed = json.loads((result.logs / "cycles-1.stdout").read_text())
    assert printed["seen"] == "yes"
    assert set(printed["env"]) - {"GIT_PLANNER_MARK", "LC_CTYPE", "PWD"} == {
        "HOME",
        "LANG",
        "LC_ALL",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONNOUSERSITE",
        "SEEN",
        "SOURCE_DATE_EPOCH",
        "TMPDIR",
        "TZ",
    }
    assert "yes" not in canonical_json.dumps(result.record.document()).decode()
    lab.env["SEEN"] = "other"
    with lab.entered():
        assert record_commit(lab.repo, "main", progress=lambda _: None).cached is False


def test_repeats_that_disagree(lab: Lab) -> None:
    project(lab, POLICY.replace("repeats: 1", "repeats: 4"))
    candidate(lab, {"src/value.py": "import time\nVALUE = time.time_ns()\n"})
    assert judged(lab) == ("invalid", "unsteady_metric", None)


@pytest.mark.parametrize("case", ["changed", "deleted", "forged", "moved", "unlike"])
def test_a_state_that_is_not_the_one_it_began_with(lab: Lab, case: str) -> None:
    project(lab)
    state = iteration(lab, 1, "main", trusted=case != "unlike")
    if case == "deleted":
        lab.commit("try", {".advisor/state.json": None})
    elif case == "moved":
        lab.git("checkout", "-q", "-B", "iter/0001-next", "main")
        lab.commit("try", {"src/value.py": "VALUE = 1\n"})
    else:
        code = lab.commit("try", {"tests/bench.py": BENCH + "# mine\n", "src/value.py": "VALUE = 1\n"})
        forged = {
            **state.document(),
            "base": code if case != "changed" else state.base,
            "created_at": "2030-01-01T00:00:00Z",
        }
        more = {"src/value.py": "VALUE = 2\n"} if case == "unlike" else {}
        lab.commit("begin", {".advisor/state.json": canonical_json.dumps(forged), **more})
    for ref in ("HEAD", "iter/0001-next"):
        with pytest.raises(PlannerError) as caught:
            find_state(lab.repo, ref)
        assert (caught.value.code, caught.value.exit) == ("E_STATE", 3)
    with pytest.raises(PlannerError, match="does not have the state its iteration started with"):
        measured(lab)
    assert "refs/heads/plan/default" not in lab.refs()


def test_output_that_is_too_long_to_read(lab: Lab) -> None:
    project(lab)
    candidate(
        lab, {"src/value.py": "import sys\nif 'bench' in sys.argv[0]: print('x' * 17_000_000)\nVALUE = 1\n"}
    )
    assert judged(lab) == ("invalid", "no_metric", None)


def test_a_pipe_in_place_of_the_report_is_not_waited_for(lab: Lab) -> None:
    policy = POLICY.replace(
        "{run: [python, -m, unittest, -v, tests.test_value], proof: unittest",
        "{run: [mkfifo, '{proof}'], proof: junit",
    )
    project(lab, policy)
    assert judged(lab, "main") == ("invalid", "no_proof", None)


def test_a_crash_says_what_it_said(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, "1 / 0 if 'bench' in __import__('sys').argv[0] else 1")
    result = measured(lab)
    assert (result.verdict, result.reason) == ("unmeasured", "crash")
    assert result.summary == (
        "the benchmark crashed: 'cycles' ended with status 1; stderr: ZeroDivisionError: division by zero"
    )
