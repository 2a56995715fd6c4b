"""Added modules that shadow standard ones."""

from __future__ import annotations

import re

import pytest

from git_planner.flows.guard.check_range import check_range
from git_planner.flows.guard.compare_trees import STANDARD
from git_planner.flows.records.record import record_commit
from git_planner.rules.guard.guard import imported_name
from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab
from tests.support.benchmark_project import BENCH, POLICY, attempt, project
from tests.support.lab import Lab
from tests.support.small_campaign import attempt as trial
from tests.support.small_campaign import campaign

FILE, LINK, MODULE = "100644", "120000", "160000"


@pytest.mark.parametrize(
    ("path", "mode", "answer"),
    [
        ("random.py", FILE, True),
        ("src/random.py", FILE, True),
        ("lib/statistics/__init__.py", FILE, True),
        ("json.cpython-311-x86_64-linux-gnu.so", FILE, True),
        ("_json.so", FILE, True),
        ("pytest/__init__.py", FILE, True),
        ("json", LINK, True),
        ("src/json", MODULE, True),
        ("src", LINK, True),
        ("json", FILE, False),
        ("json/data.txt", FILE, False),
        ("json/inner.py", FILE, False),
        ("random.txt", FILE, False),
        ("pkg/random.py", FILE, False),
        ("src/pkg/random.py", FILE, False),
        ("test/__init__.py", FILE, False),
        ("randomly.py", FILE, False),
        ("pkg", LINK, False),
    ],
)
def test_names(path: str, mode: str, answer: bool) -> None:
    assert (imported_name(path, mode) in ("", *STANDARD)) == answer


def test_a_clock_of_the_candidate_s_own_is_never_run(lab: Lab) -> None:
    """The benchmark imports 'random' for its payload; the candidate adds one that makes it small."""
    bench = 'import sys\nsys.path.insert(0, ".")\nimport random\n' + BENCH.replace(
        '"CYCLES:", VALUE', '"CYCLES:", VALUE + random.randint(1000, 1000)'
    )
    project(lab, POLICY.replace('allow: ["src/**"], ', ""), **{"tests/bench.py": bench})
    attempt(lab, 1, 100)
    lab.commit("small", {"random.py": "def randint(a, b):\n    return 1\n"})
    done = record_commit(lab.repo, "HEAD", progress=lambda _: None).record
    assert (done.verdict, done.reason) == ("invalid", "guard")
    assert done.violations == ("added under the name of a standard module: random.py",)
    findings = check_range(lab.repo).findings
    assert [(finding.code, finding.path) for finding in findings] == [("shadow", "random.py")]


def test_what_the_base_has_is_the_project_s_own(lab: Lab) -> None:
    policy = POLICY.replace('allow: ["src/**"], ', "") + 'unguard: ["turtle.py", "html/**"]\n'
    project(lab, policy, **{"cgi.py": "A = 1\n", "src/queue.py": "B = 1\n"})
    attempt(lab, 1, 90)
    lab.commit("own", {"cgi.py": "A = 2\n", "src/queue.py": "B = 2\n"})
    lab.commit("let go", {"turtle.py": "C = 1\n", "html/__init__.py": "", "html/page.py": ""})
    done = record_commit(lab.repo, "HEAD", progress=lambda _: None).record
    assert (done.verdict, done.violations) == ("improved", ())


def test_the_hook_asks_python_for_such_names_only(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.commit("first", {"src/code.py": "print(2)\n"})
    for script in (*lab.path.glob(".git/**/reference-transaction"), *lab.path.glob(".git/**/pre-commit")):
        text = script.read_text()
        script.write_text(re.sub(r"(?m)^python=.*$", "python=/gone", text))
    lab.commit("others", {"src/newer.py": "", "pkg/json.py": "", "json/data.txt": "", "src.txt.gz/x": ""})
    before = lab.git("rev-parse", ITERATION)
    for path in ("json.py", "src/time.py", "lib/statistics/__init__.py"):
        (lab.path / path).parent.mkdir(parents=True, exist_ok=True)
        (lab.path / path).write_text("")
        lab.git("add", path)
        done = lab.run_git("commit", "-q", "-m", "shadow")
        assert (done.status != 0, "its Python does not exist" in done.err) == (True, True), path
        lab.git("rm", "-q", "-f", path)
    assert lab.git("rev-parse", ITERATION) == before


def test_an_implementer_s_is_refused_and_kept(lab: Lab) -> None:
    campaign(lab)
    done = trial(lab, "echo 1 >value; echo 'x = 1' >json.py", slug="x")
    assert (done.record.verdict, done.record.reason) == ("invalid", "guard")
    assert (done.record.violations, done.kept) == (("added: json.py",), "refs/planner/refused/0001")
