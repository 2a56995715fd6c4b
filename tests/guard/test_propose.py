"""`git planner guard propose`, and the merge of a proposal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.propose import propose
from git_planner.flows.hooks import install
from git_planner.flows.measuring.candidate_tree import build_candidate
from git_planner.flows.plans.base_commit import find_base
from git_planner.rules import refnames
from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab


def test_nothing_but_the_branch_changes(lab: Lab) -> None:
    begun(guarded_lab(lab))
    (lab.path / "tests/test_code.py").write_text("def test(): assert 2\n")
    (lab.path / "tests/test_new.py").write_text("def test(): assert 3\n")
    (lab.path / "src/code.py").write_text("print(9)\n")
    lab.git("add", "tests/test_new.py")
    with lab.undisturbed():
        done = lab.run("git-planner", "guard", "propose", "-m", "Test more", "--json")
    document = json.loads(done.out)
    assert (document["branch"], document["base"], document["paths"]) == (
        "plan/guard-test-more",
        "main",
        ["tests/test_code.py", "tests/test_new.py"],
    )
    assert lab.git("log", "--format=%s", "main..plan/guard-test-more") == "Test more"
    assert lab.git("diff", "--name-only", "main", "plan/guard-test-more").split() == document["paths"]
    one = propose(lab.repo, "Test more", ["tests/test_new.py"])
    assert (one.branch, one.paths) == ("plan/guard-test-more-2", ("tests/test_new.py",))


def test_the_best_takes_a_merged_proposal_over(lab: Lab) -> None:
    """After the merge, the new tests count, with a new baseline."""
    guarded_lab(lab, install=False)
    lab.git("checkout", "-q", "main")
    lab.git("branch", "-q", "-D", ITERATION)
    iteration(lab, 1, "main")
    install.install_hooks(lab.repo)
    lab.git("commit", "-q", "--allow-empty", "-m", "better")
    lab.git("branch", "iter/best")
    lab.git("checkout", "-q", "main")
    (lab.path / "tests/test_code.py").write_text("def test(): assert 2\n")
    branch = propose(lab.repo, "Test two", ()).branch
    old = find_base(lab.repo, "default", None).oid
    lab.git("restore", "tests")
    lab.git("merge", "-q", "--ff-only", branch)
    lab.git("checkout", "-q", "iter/best")
    lab.git("merge", "-q", "-m", "newer tests", "main")
    new = find_base(lab.repo, "default", None).oid
    assert new == lab.git("rev-parse", "iter/best") != old

    def instrument(commit: str) -> str:
        base = trusted_base.base_subject(trusted_base.find_subject(lab.repo, commit, "default"))
        return build_candidate(
            lab.repo, replace(base, base=commit, policy=policy_at(lab.repo, commit))
        ).instrument

    assert instrument(new) == instrument("main") != instrument(old)


def test_nothing_to_propose(lab: Lab) -> None:
    begun(guarded_lab(lab))
    (lab.path / "src/code.py").write_text("print(9)\n")
    with pytest.raises(PlannerError) as caught:
        propose(lab.repo, None, ())
    assert caught.value.code == "E_NO_CHANGE"


def test_a_base_that_went_on(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.git("checkout", "-q", "main")
    lab.commit("newer", {"tests/test_code.py": "def test(): assert 1\n"})
    lab.git("checkout", "-q", ITERATION)
    (lab.path / "tests/test_code.py").write_text("def test(): assert 2\n")
    with pytest.raises(PlannerError) as caught:
        propose(lab.repo, None, ())
    assert caught.value.code == "E_MERGE"


def test_nobody_trusts_a_proposal_before_it_is_merged(lab: Lab) -> None:
    begun(guarded_lab(lab))
    (lab.path / "tests/test_code.py").write_text("def test(): assert 2\n")
    branch = propose(lab.repo, "Test two", ()).branch
    lab.git("restore", "tests")
    with pytest.raises(PlannerError) as caught:
        find_base(lab.repo, "default", branch)
    assert caught.value.code == "E_GUARD"
    assert lab.run_git("branch", "iter/0002-x", branch).status != 0
    assert lab.run_git("branch", "plan/other", branch).status != 0
    with pytest.raises(PlannerError) as caught:
        refnames.check_plan_name("guard-test-two")
    assert caught.value.code == "E_NAME"
    before = build_candidate(lab.repo, trusted_base.find_subject(lab.repo, "main", None)).instrument
    lab.git("checkout", "-q", "main")
    lab.git("merge", "-q", "--ff-only", branch)
    assert find_base(lab.repo, "default", branch).oid == lab.git("rev-parse", "main")
    assert lab.run_git("branch", "iter/0002-x", branch).status == 0
    assert build_candidate(lab.repo, trusted_base.find_subject(lab.repo, "main", None)).instrument != before
