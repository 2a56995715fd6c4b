"""What a packet holds: the repository, the files, the profile and the past, each from git alone."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from git_planner.flows.planning.ask_planner import make_iteration
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.flows.planning.packet import code_context
from tests.support.lab import Lab
from tests.support.recorded_history import keep, record
from tests.support.workshop import POLICY, workshop


def hush(_: str) -> None:
    """Say nothing."""


def packet(lab: Lab, **options: Any) -> dict[str, Any]:
    """The packet of a new iteration."""
    return dict(make_iteration(lab.repo, PlanOptions(**options), hush).packet)


def policy(lab: Lab, *more: str) -> None:
    """Add lines to the policy."""
    lab.commit("policy", {".git-planner.yml": POLICY + "".join(f"{line}\n" for line in more)})


def profiled(lab: Lab, code: str, timeout: float = 20) -> Any:
    """The profile that a Python program gives."""
    run = json.dumps([sys.executable, "-I", "-S", "-c", code])
    policy(workshop(lab), f"profile: {{run: {run}, timeout: {timeout}}}")
    return packet(lab)["performance_profile"]


def test_a_first_packet(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    document = packet(lab, slug="next", model="m", hint="look at the loop")
    changing = ("strategy_family_constraints", "experiment_summary", "schema", "timestamp")
    assert {name: value for name, value in document.items() if name not in changing} == {
        "iteration": 1,
        "plan": "default",
        "branch": "iter/0001-next",
        "base": base,
        "base_ref": "main",
        "repo": {"origin_url": None, "github_web_url": None, "base": base, "worktree_path": None},
        "goal": "best",
        "goal_text": "Make 'size' lower and keep every test passing.",
        "threshold": None,
        "metric": {"name": "size", "unit": "lines", "better": "lower"},
        "best": None,
        "aspiration": None,
        "plateau_valid_iters_since_best": None,
        "constraints": {
            "allow": ["src/**"],
            "forbid": [],
            "guard": ["tests/**", ".git-planner.yml"],
            "notes": [],
        },
        "acceptance_criteria": [],
        "iteration_hint": "look at the loop",
        "cold_start": True,
        "base_context": {
            "commit": base,
            "summary": "a number, its tests and its policy",
            "highlights": [],
            "evaluation_summary": None,
            "metrics": [],
            "extra_context": {},
        },
        "inspirations": [],
        "experiment_log_tail": [],
        "code_context": {},
        "performance_profile": None,
        "planner_model": "m",
    }


def test_a_packet_tells_the_past(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    other = lab.git("commit-tree", "HEAD^{tree}", "-m", "other")
    rows = [
        record(1, base, 90.0, "shrink"),
        record(2, other, 80.0, "shrink"),
        record(3, "c" * 40, None, "shrink"),
    ]
    keep(lab, *rows)
    document = packet(lab, log_tail=2, goal="best")
    assert (document["best"], document["aspiration"], document["plateau_valid_iters_since_best"]) == (
        80.0,
        79.0,
        0,
    )
    assert document["cold_start"] is False
    rule = document["strategy_family_constraints"]
    assert (rule["blocked_families"], rule["allowed_families"]) == (["family:shrink"], ["family:reuse"])
    assert [item["iteration"] for item in document["experiment_log_tail"]] == [2, 3]
    assert document["experiment_log_tail"][1]["reason"] == "guarded paths changed"
    assert [inspiration["commit"] for inspiration in document["inspirations"]] == [other]
    assert document["base_context"]["evaluation_summary"] == "size=90.0"
    assert document["iteration_hint"].startswith("3 attempt(s) so far. The best is 80 lines.")
    assert document["experiment_summary"]["invalid_counts"] == {"total": 1, "guard": 1}


def test_the_offline_planner_keeps_to_the_family_rule(lab: Lab) -> None:
    workshop(lab)
    keep(lab, *(record(number, "c" * 40, None, "shrink") for number in (1, 2)))
    state = make_iteration(lab.repo, PlanOptions(), hush).state
    assert state.directive.strategy_family == "family:reuse"


def test_context_files_are_bounded_and_never_binary(lab: Lab) -> None:
    base = workshop(lab).commit(
        "files",
        {
            "src/big.txt": "x" * 60_000,
            "src/data.bin": b"\0\1",
            "src/latin.txt": b"\xe9",
            "src/deep/a.py": "a\n",
            "src/k\u00e4se.py": "k\n",
            "other.py": "not asked for\n",
        },
    )
    (lab.path / "src/link").symlink_to("/etc/passwd")
    base = lab.commit("a link", {"src/size.txt": "100\n"})
    lab.git("add", "src/link")
    lab.git("commit", "-q", "--amend", "--no-edit")
    context = code_context(lab.repo, lab.git("rev-parse", "HEAD"), ["src/**"])
    assert base
    assert context == {
        "src/big.txt": "x" * 48_000 + "\n(cut: 48,000 of 60,000 characters)",
        "src/data.bin": "(binary: 2 bytes)",
        "src/deep/a.py": "a\n",
        "src/k\u00e4se.py": "k\n",
        "src/latin.txt": "(not UTF-8: 1 bytes)",
        "src/size.txt": "100\n",
    }
    assert code_context(lab.repo, "HEAD", []) == {}


def test_context_files_have_one_limit_together(lab: Lab) -> None:
    files = {f"src/{number}.txt": "y" * 45_000 for number in range(6)}
    base = workshop(lab).commit("files", files)
    context = code_context(lab.repo, base, ["src/?.txt"])
    assert [len(text) > 40_000 for text in context.values()] == [True] * 3 + [False] * 3
    assert context["src/3.txt"].endswith("\n(cut: 25,000 of 45,000 characters)")
    assert context["src/4.txt"] == "(left out: 45,000 bytes)"


def test_the_profile_is_of_the_base_and_away_from_the_person(lab: Lab) -> None:
    code = (
        "import json, os; open('made', 'w'); "
        "print(json.dumps([open('src/size.txt').read(), os.path.exists('.git'), 'HOME' in os.environ, "
        "'GIT_COMMITTER_NAME' in os.environ]))"
    )
    with lab.undisturbed(allow=["repo"]):
        profile = profiled(lab, code)
    assert profile == ["100\n", False, True, False]
    assert not (lab.path / "made").exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; sys.exit('no counters here')", "status 1: no counters here"),
        ("print('NaN')", "is not accepted"),
        ("print('x' * 100000)", "at most 65,536 are read"),
        ("import time; time.sleep(30)", "no answer within 0.3 s"),
    ],
)
def test_a_profile_that_fails_is_told_to_the_planner(lab: Lab, code: str, error: str) -> None:
    profile = profiled(lab, code, timeout=0.3 if "sleep" in code else 20)
    assert list(profile) == ["error"]
    assert error in profile["error"]


def test_a_profile_program_that_is_missing(lab: Lab) -> None:
    policy(workshop(lab), "profile: {run: [no-such-program], timeout: 5}")
    assert "no-such-program" in packet(lab)["performance_profile"]["error"]
