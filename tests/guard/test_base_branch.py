"""The trusted base branch: other branches with usual names cannot replace it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.plans.base_commit import find_base
from tests.support.lab import Lab
from tests.support.workshop import POLICY, workshop

FORGED = {"tests/size.py": "print('SIZE: 1')\n"}


def forged(lab: Lab, base: str, onto: str) -> str:
    """Make a commit off all branches that changes the tests, and whose policy names another base."""
    lab.git("checkout", "-q", "--detach", onto)
    commit = lab.commit("tidy", {**FORGED, ".git-planner.yml": POLICY.replace("base: main", f"base: {base}")})
    lab.git("checkout", "-q", onto)
    return commit


def trusts(lab: Lab, commit: str) -> bool:
    """Return whether a commit has the guarded content of a commit of the base branch."""
    return GuardChecker(lab.repo).find_anchor(commit)[0] is not None


def renamed(lab: Lab, name: str) -> Lab:
    """Return a policy with another base branch."""
    workshop(lab)
    lab.git("branch", "-m", "main", name)
    lab.commit("policy", {".git-planner.yml": POLICY.replace("base: main", f"base: {name}")})
    return lab


def test_a_tag_called_like_the_base_is_none(lab: Lab) -> None:
    workshop(lab)
    real = lab.git("rev-parse", "main")
    commit = forged(lab, "helper", "main")
    lab.git("branch", "helper", commit)
    for tag in ("main", "master", "origin/main", "origin/HEAD"):
        lab.git("tag", tag, commit)
    assert not trusts(lab, commit)
    assert GuardChecker(lab.repo).base_tips() == [real]
    assert GuardChecker(lab.repo, "main").base_tips() == [real]
    assert find_base(lab.repo, "default", None).oid == real
    ran = lab.run("git-planner", "check", "--range", f"{real}..{commit}", "--json")
    assert (ran.status, json.loads(ran.out)["ok"]) == (1, False)
    recorded = lab.run("git-record", commit, "--json")
    assert json.loads(recorded.out)["record"]["verdict"] == "invalid"


def test_a_tag_called_like_the_base_does_not_renew_the_best(lab: Lab) -> None:
    workshop(lab)
    assert lab.run("git-iterate").status == 0
    commit = forged(lab, "helper", "main")
    lab.git("branch", "helper", commit)
    lab.git("tag", "main", commit)
    assert lab.run("git-iterate").status == 0
    assert lab.show("refs/heads/iter/best:tests/size.py") == lab.show("refs/heads/main:tests/size.py")
    assert lab.show("refs/heads/iter/best:src/size.txt") == "80\n"


@pytest.mark.parametrize("name", ["main", "master"])
def test_a_new_branch_of_a_usual_name_is_not_trusted(lab: Lab, name: str) -> None:
    real = "master" if name == "main" else "main"
    renamed(lab, real)
    commit = forged(lab, name, real)
    lab.git("branch", name, commit)
    for ask in (lambda: trusts(lab, commit), lambda: find_base(lab.repo, "default", None)):
        with pytest.raises(PlannerError, match="ambiguous base branch") as caught:
            ask()
        assert caught.value.code == "E_BASE"
        assert sorted(caught.value.details) == ["'main' says 'main'", "'master' says 'master'"]
    ran = lab.run("git-record", "HEAD", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (2, "E_BASE")
    lab.git("config", "planner.base", real)
    assert not trusts(lab, commit)
    assert lab.run("git-record", "HEAD").status == 0


def test_a_branch_of_a_usual_name_without_a_policy_has_no_say(lab: Lab) -> None:
    renamed(lab, "master")
    lab.git("checkout", "-q", "--orphan", "main")
    commit = lab.commit("tidy", {**FORGED, ".git-planner.yml": None})
    lab.git("checkout", "-q", "master")
    assert not trusts(lab, commit)
    assert find_base(lab.repo, "default", None).ref == "master"


def test_what_a_remote_calls_its_head_has_to_agree(lab: Lab) -> None:
    other = renamed(lab, "develop").clone("clone")
    with other.entered():
        assert GuardChecker(other.repo).base_branch is not None
        assert find_base(other.repo, "default", None).ref == "develop"
        commit = forged(other, "main", "develop")
        other.git("branch", "main", commit)
        with pytest.raises(PlannerError) as caught:
            trusts(other, commit)
        assert caught.value.code == "E_BASE"
        other.git("config", "planner.base", "refs/heads/develop")
        assert not trusts(other, commit)


def test_only_remotes_that_the_base_is_shared_with_have_a_say(lab: Lab) -> None:
    workshop(lab)
    commit = forged(lab, "main", "main")
    lab.git("update-ref", "refs/remotes/elsewhere/main", commit)
    lab.git("update-ref", "refs/remotes/origin/elsewhere/main", commit)
    assert not trusts(lab, commit)
    lab.git("config", "branch.main.remote", "elsewhere")
    assert trusts(lab, commit)
    lab.git("config", "--unset", "branch.main.remote")
    lab.git("config", "planner.remote", "elsewhere")
    assert trusts(lab, commit)


def test_main_may_say_that_another_branch_is_the_base(lab: Lab) -> None:
    workshop(lab)
    lab.commit("policy", {".git-planner.yml": POLICY.replace("base: main", "base: develop")})
    lab.git("branch", "develop")
    base = GuardChecker(lab.repo).base_branch
    assert base == ("develop", [lab.git("rev-parse", "develop")])


@pytest.mark.parametrize("value", ["nope", "refs/tags/v1", "v1"])
def test_a_base_that_is_no_branch_is_an_error(lab: Lab, value: str) -> None:
    workshop(lab)
    lab.git("tag", "v1")
    lab.git("config", "planner.base", value)
    ran = lab.run("git-record", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (2, "E_BASE")
    findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
    assert ("error", "base-unclear") in [(finding["severity"], finding["code"]) for finding in findings]


def test_the_doctor_says_where_only_the_policy_knows_the_base(make_lab: Callable[..., Lab]) -> None:
    lab = renamed(make_lab(), "trunk")
    with lab.entered():
        findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
        (finding,) = [entry for entry in findings if entry["code"] == "base-guessed"]
        assert finding["fix"] == "git config planner.base trunk"
        lab.git("config", "planner.base", "trunk")
        findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
        assert [finding for finding in findings if finding["code"].startswith("base-")] == []
