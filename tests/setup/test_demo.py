"""The demo: its scripted attempts do what their names say, and get the expected verdicts."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from git_planner.flows.setup.demo import make_repository
from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab, Ran

# Patch -> its cycles on top of the best before it, whether the tests pass, and the verdict.
EXPECTED = {
    "0001-keep-the-key-in-registers": (708, True, "improved"),
    "0002-count-in-units-of-eight": (88, True, "invalid"),
    "0003-pack-operations-into-bundles": (456, True, "improved"),
    "0004-split-the-shifts": (584, True, "worse"),
    "0005-two-sets-of-registers": (233, True, "improved"),
    "0006-drop-the-last-shift": (169, False, "invalid"),
    "0007-number-the-sets-backwards": (233, True, "within_noise"),
    "0008-four-sets-of-registers": (123, True, "improved"),
}


@dataclass(frozen=True)
class DemoRun:
    """One demo as a person sees it: how the command ended, its folder, its CPU time in seconds."""

    lab: Lab
    ran: Ran
    folder: Path
    seconds: float

    def git(self, *argv: str) -> str:
        """Run git in the demo repository."""
        return self.lab.git(*argv, cwd=self.folder / "kernel")

    def run_command(self, *argv: str) -> Ran:
        """Run a git-planner command in the demo repository."""
        return self.lab.spawn(*argv, cwd=self.folder / "kernel")


def cpu_seconds() -> float:
    """Return the CPU time of the finished children, which other work on the machine does not lengthen."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """Run the demo once."""
    lab = Lab(tmp_path_factory.mktemp("demo"))
    folder = lab.root / "shown"
    began = cpu_seconds()
    ran = lab.spawn("git-planner", "demo", str(folder))
    return DemoRun(lab, ran, folder, cpu_seconds() - began)


def test_each_patch_applies_to_the_best_before_it(lab: Lab) -> None:
    place = make_repository(lab.root / "kernel").place
    results = {}
    for patch in sorted(place.glob("patches/*.patch")):
        lab.git("apply", str(patch), cwd=place)
        bench = lab.run_program(sys.executable, "-B", "-m", "tests.bench", cwd=place)
        tests = lab.run_program(
            sys.executable, "-B", "-m", "unittest", "discover", "-s", "tests", "-t", ".", cwd=place
        )
        verdict = EXPECTED[patch.stem][2]
        results[patch.stem] = (int(bench.out.removeprefix("CYCLES: ")), tests.status == 0, verdict)
        if verdict == "improved":
            lab.git("commit", "-q", "-a", "-m", patch.stem, cwd=place)
        else:
            lab.git("checkout", "-q", ".", cwd=place)
    assert results == EXPECTED


def test_the_simulator_waits_for_loads_and_counts_slots(lab: Lab) -> None:
    place = make_repository(lab.root / "kernel").place
    code = (
        "import simulator\n"
        "soon = [[['load', 'x', 0]], [['xor', 'y', 'x', 1]], [['store', 1, 'y']]]\n"
        "print(simulator.run(soon, [6, 0]))\n"
        "print(simulator.run([[['load', 'x', 0], ['store', 1, 5]], [['shr', 'x', 8, 1]]], [6, 0]))\n"
        "simulator.run([[['load', 'x', 0], ['load', 'y', 0]]], [6])\n"
    )
    ran = lab.run_program(sys.executable, "-c", code, cwd=place)
    assert ran.out == "([6, 7], 5)\n([6, 5], 4)\n"
    assert ran.err.splitlines()[-1] == "ValueError: bundle 0 has more than 1 operations for load"


def test_every_attempt_has_the_expected_verdict(demo_run: DemoRun) -> None:
    assert demo_run.ran.status == 0, demo_run.ran.err
    records = canonical_json.loads(demo_run.run_command("git-record", "log", "--json").out, "log")["records"]
    verdicts = {row["iteration"]: row["verdict"] for row in records if row["kind"] == "attempt"}
    assert verdicts == {number: row[2] for number, row in enumerate(EXPECTED.values(), start=1)}
    reasons = {row["iteration"]: row["reason"] for row in records if row["verdict"] == "invalid"}
    assert reasons == {2: "guard", 6: "incorrect"}


def test_the_best_wins_and_the_tests_stay(demo_run: DemoRun) -> None:
    tags = demo_run.git(
        "for-each-ref", "--sort=refname", "--format=%(refname:short)", "refs/tags"
    ).splitlines()
    assert tags == ["best/123-next-i8", "best/233-next-i5", "best/456-next-i3", "best/708-next-i1"]
    assert demo_run.git("rev-parse", "iter/best") == demo_run.git("rev-parse", "best/123-next-i8^{commit}")
    assert demo_run.git("diff", "--stat", "main", "iter/best", "--", "tests", "simulator.py") == ""
    assert demo_run.git("show", "refs/planner/refused/0002:tests/bench.py").endswith("// 8)")


def test_the_repository_is_left_clean(demo_run: DemoRun) -> None:
    assert demo_run.git("status", "--porcelain") == ""
    assert demo_run.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert demo_run.git("fsck", "--no-dangling") == ""
    assert (demo_run.folder / "cycles.svg").read_bytes().startswith(b"<?xml")


def test_the_printed_table(demo_run: DemoRun) -> None:
    out = demo_run.ran.out
    heading, rule, *rest = out.strip("\n").splitlines()
    assert heading.split() == ["iteration", "what", "was", "tried", "verdict", "cycles", "delta", "reason"]
    assert set(rule) == {"-", " "}
    assert [line.split()[0] for line in rest[:9]] == ["-", *map(str, range(1, 9))]
    assert "cycles over the iterations" in out
    assert f"  cd {demo_run.folder / 'kernel'}\n" in out
    assert f'  export PATH="{Path(sys.prefix, "bin")}:$PATH"\n' in out
    assert demo_run.seconds < 60


def test_the_suggested_commands_work(demo_run: DemoRun) -> None:
    lines = [
        line for line in demo_run.ran.out.split("Look around:")[1].splitlines() if line.startswith("  git ")
    ]
    assert len(lines) >= 6
    for line in lines:
        argv = line.partition("#")[0].split()
        is_own = argv[1] in ("plan", "iterate", "record", "planner")
        ran = (
            demo_run.run_command(f"git-{argv[1]}", *argv[2:])
            if is_own
            else demo_run.lab.run_git(*argv[1:], cwd=demo_run.folder / "kernel")
        )
        assert (ran.status, ran.out != "") == (0, True), (line, ran)


def test_a_folder_that_is_not_empty_is_left_alone(lab: Lab) -> None:
    (lab.root / "mine").mkdir()
    (lab.root / "mine" / "file").write_text("mine")
    ran = lab.run("git-planner", "demo", str(lab.root / "mine"))
    place = lab.root / "mine"
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        f"error: '{place}' is not an empty folder, and the demo overwrites nothing (E_USAGE)\n"
        "hint: name a new folder, or none: 'git planner demo'\n"
    )
    assert [path.name for path in place.iterdir()] == ["file"]
