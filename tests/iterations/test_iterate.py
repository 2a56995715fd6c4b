"""One iteration with agents of every kind: what is committed, what is set aside, what is recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations import iterate as flow
from git_planner.flows.iterations.iterate import IterateOptions, LoopOptions, iterate
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.records.ledger import read_ledger
from tests.support.lab import Lab
from tests.support.small_campaign import agent, attempt, campaign, hush, sound


def test_an_improvement_becomes_the_best(lab: Lab) -> None:
    campaign(lab)
    with lab.undisturbed(allow=["0001-lower"]):
        result = attempt(lab, "echo 90 >value; mkdir notes; echo why >notes/a", slug="lower")
    assert (result.record.verdict, result.record.value, result.advanced) == ("improved", 90.0, True)
    assert result.record.files == ("notes/a", "value")
    refs = lab.refs()
    tip = refs["refs/heads/iter/0001-lower"]
    assert refs["refs/heads/iter/best"] == tip == result.record.commit
    assert lab.git("rev-parse", "best/90-lower-i1^{commit}") == tip
    assert lab.git("log", "-1", "--format=%(trailers)", tip) == (
        f"Planner-Directive: {result.state.directive_digest}\n"
        "Planner-Run: iter/0001-lower\n"
        "Assisted-by: command:default"
    )
    assert lab.git("diff-tree", "-r", "--name-only", "main", tip).split() == [
        ".advisor/state.json",
        "notes/a",
        "value",
    ]
    assert [record.kind for record in read_ledger(lab.repo, "default")] == ["baseline", "attempt"]
    assert result.record.agents == {
        "planner": {"name": "offline", "model": "offline"},
        "implementer": {
            "name": "command",
            "model": None,
            "sandbox": "none (turned off by the policy)",
        },
    }
    sound(lab)


def test_the_next_one_starts_from_the_best(lab: Lab) -> None:
    campaign(lab)
    first = attempt(lab, "echo 90 >value")
    second = attempt(lab, "echo 95 >value")
    assert (second.record.verdict, second.state.base) == ("worse", first.record.commit)
    assert lab.git("rev-parse", "iter/best") == first.record.commit
    assert lab.git("rev-parse", "iter/0002-auto") == second.record.commit


GUARDED = {
    "changed": "echo 1 >tests/test_it",
    "removed": "rm -r tests",
    "added": "echo x >tests/new",
    "linked": "rm -r tests; ln -s /tmp tests",
    "mode": "chmod +x tests/test_it",
    "policy": "echo 'base: x' >>.git-planner.yml",
    "state": "echo '{}' >.advisor/state.json",
    "beside state": "echo x >.advisor/more",
    "hidden in the index": "git update-index --assume-unchanged tests/test_it; echo 1 >tests/test_it",
    "committed": "echo 1 >tests/test_it; git commit -qam own",
    "committed and taken back": "echo 1 >tests/test_it; git commit -qm a tests; git revert --no-edit HEAD",
    "amended": "echo 1 >value; git commit -qa --amend -m mine",
    "elsewhere": "git checkout -q -b mine; echo 1 >tests/test_it; git commit -qam own",
}


@pytest.mark.parametrize("script", GUARDED.values(), ids=GUARDED.keys())
def test_what_the_guard_refuses_is_kept_but_never_on_the_branch(lab: Lab, script: str) -> None:
    campaign(lab)
    result = attempt(lab, f"echo 1 >value; {script}", slug="x")
    refs = lab.refs()
    assert (result.record.verdict, result.record.reason) == ("invalid", "guard")
    assert result.record.violations
    assert refs["refs/heads/iter/0001-x"] == refs["refs/planner/iterations/0001"]
    assert refs["refs/planner/refused/0001"] == result.record.commit
    assert lab.show("refs/planner/refused/0001:value") == "1\n"
    assert (
        lab.git("log", "-1", "--format=%(trailers:key=Planner-Reason,valueonly)", result.record.commit)
        == "guard"
    )
    assert "refs/heads/iter/best" not in refs or refs["refs/heads/iter/best"] == result.state.base
    assert result.worktree is not None
    assert lab.git("status", "--porcelain", cwd=result.worktree) == ""
    sound(lab)


SPOILED = {
    "nothing": ("true", "no_change"),
    "failed": ("exit 3", "implementer_failed"),
    "failed half way": ("echo 1 >value; exit 3", "implementer_failed"),
    "late": ("echo 1 >value; sleep 30", "timeout"),
    "worktree gone": ('cd ..; rm -rf "$OLDPWD"', "implementer_failed"),
    "empty repository inside": ("git init -q sub", "no_change"),
}


@pytest.mark.parametrize(("script", "reason"), SPOILED.values(), ids=SPOILED.keys())
def test_an_attempt_that_came_to_nothing_is_recorded(lab: Lab, script: str, reason: str) -> None:
    campaign(lab, timeout=2 if reason == "timeout" else 60)
    result = attempt(lab, script, slug="x")
    assert result.record.reason == reason
    assert not result.record.valid
    refs = lab.refs()
    assert refs["refs/heads/iter/0001-x"] == refs["refs/planner/iterations/0001"]
    if "echo 1" in script:
        assert lab.show("refs/planner/refused/0001:value") == "1\n"
    assert [iteration.phase for iteration in list_iterations(lab.repo)] == ["recorded"]
    sound(lab)


def test_an_agent_that_commits_by_itself_is_believed_in_what_it_made(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo 80 >value; git commit -qam own; echo 70 >value", slug="own")
    assert (result.record.verdict, result.record.value) == ("improved", 70.0)
    subjects = lab.git("log", "--format=%s", "main..iter/0001-own").splitlines()
    assert subjects[1] == "own"
    clean = attempt(lab, "echo 60 >value; git commit -qam all", slug="own")
    assert (clean.record.verdict, clean.record.value) == ("improved", 60.0)
    assert lab.git("log", "-1", "--format=%(trailers:key=Planner-Run,valueonly)", "iter/0002-own") == (
        "iter/0002-own"
    )


TAMPERED = {
    "without its link": "echo 50 >value; rm .git",
    "with a repository of its own": "rm .git; git init -q; echo 50 >value",
    "on another branch": "git checkout -q -b side; echo 50 >value",
    "detached": "git checkout -q --detach; echo 50 >value; git commit -qam own",
    "in a merge": "git merge -q --no-commit --no-ff main~1 -s ours; echo 50 >value",
    "with a lock": 'touch "$(git rev-parse --git-dir)/index.lock"; echo 50 >value',
    "with hidden changes": "git update-index --skip-worktree value; echo 50 >value",
    "staged": "echo 50 >value; git add value; ",
    "with ignored files": "echo '*.o' >.git/info/exclude 2>/dev/null; echo 50 >value",
}


@pytest.mark.parametrize("script", TAMPERED.values(), ids=TAMPERED.keys())
def test_content_counts_whatever_was_done_to_the_worktree(lab: Lab, script: str) -> None:
    campaign(lab)
    result = attempt(lab, script, slug="x")
    assert (result.record.verdict, result.record.value) == ("improved", 50.0), result.record
    tip = lab.git("rev-parse", "iter/0001-x")
    assert tip == result.record.commit
    assert lab.git("rev-list", "--merges", f"main..{tip}") == ""
    sound(lab)


def test_writing_outside_the_worktree_moves_nothing_of_ours(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo mine >../stray; echo 90 >value")
    assert result.record.verdict == "improved"
    assert (lab.root / "repo.iter" / "stray").read_text() == "mine\n"


def test_outside_the_scope_is_invalid_on_the_branch(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo 1 >value; echo x >README.md", slug="x")
    assert (result.record.verdict, result.record.reason) == ("invalid", "scope")
    assert lab.git("rev-parse", "iter/0001-x") == result.record.commit


def test_an_error_that_would_come_again_is_told_and_can_be_resumed(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("[sh,", "[./no-such-program,")
    lab.commit("another agent", {".git-planner.yml": policy})
    with pytest.raises(PlannerError) as caught:
        iterate(lab.repo, IterateOptions(), hush)
    assert caught.value.code == "E_MISSING_TOOL"
    assert [(iteration.number, iteration.phase) for iteration in list_iterations(lab.repo)] == [
        (1, "planned")
    ]


def test_a_loop_goes_on_after_invalid_attempts_and_ends_by_its_rule(lab: Lab) -> None:
    campaign(lab)
    counter = lab.root / "turn"
    agent(
        lab,
        f'n=$(cat "{counter}" 2>/dev/null || echo 0); n=$((n+1)); echo $n >"{counter}"\n'
        "case $n in 1) echo 90 >value;; 2) echo 1 >tests/test_it;; 3) exit 1;; *) echo 8$n >value;; esac",
    )
    messages: list[str] = []
    outcome = flow.loop(lab.repo, LoopOptions(IterateOptions(), count=5), messages.append)
    verdicts = [line for line in messages if re.match(r"attempt \d: ", line)]
    assert [line.split(": ")[1] for line in verdicts] == [
        *("improved", "invalid", "unmeasured", "improved", "worse")
    ]
    # Each is messages as it falls, before the next attempt begins.
    assert messages.index(verdicts[0]) < messages.index("attempt 2")
    assert [(result.record.verdict, result.record.value) for result in outcome.attempts] == [
        ("improved", 90.0),
        ("invalid", None),
        ("unmeasured", None),
        ("improved", 84.0),
        ("worse", 85.0),
    ]
    assert [result.record.reason for result in outcome.attempts] == [
        None,
        "guard",
        "implementer_failed",
        None,
        None,
    ]
    assert (outcome.best_before, outcome.best_after, outcome.stopped, outcome.exit) == (
        None,
        84.0,
        "5 of 5 attempts are done",
        0,
    )
    assert [result.worktree is not None for result in outcome.attempts] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("options", "script", "attempts", "stopped"),
    [
        ({"invalid": 2}, "true", 2, "2 attempts in a row gave no valid result"),
        ({"plateau": 2}, "mkdir -p notes; echo $$ >notes/a", 2, "2 valid attempts in a row"),
        ({"wall": 0.0}, "true", 0, "0 of 0 seconds are used"),
    ],
)
def test_loops_end_for_every_reason(
    lab: Lab, options: dict[str, float], script: str, attempts: int, stopped: str
) -> None:
    campaign(lab)
    agent(lab, script)
    result = flow.loop(lab.repo, LoopOptions(IterateOptions(), **options), hush)  # type: ignore[arg-type]
    assert (len(result.attempts), result.stopped.startswith(stopped)) == (attempts, True), result.stopped


def test_a_loop_ends_at_its_threshold(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "echo $(($(cat value) - 5)) >value")
    result = flow.loop(lab.repo, LoopOptions(IterateOptions(goal="threshold", threshold=91)), hush)
    assert (result.stopped, result.best_after, len(result.attempts)) == ("the threshold is met", 90.0, 2)


def test_two_plans_at_once_have_two_bests(lab: Lab) -> None:
    campaign(lab)
    one = attempt(lab, "echo 90 >value", plan="one")
    two = attempt(lab, "echo 95 >value", plan="two")
    assert (one.record.verdict, two.record.verdict) == ("improved", "improved")
    refs = lab.refs()
    assert refs["refs/heads/iter/best-one"] == one.record.commit
    assert refs["refs/heads/iter/best-two"] == two.record.commit


@pytest.mark.parametrize("kind", ["bare", "sha256", "linked", "detached"])
def test_every_kind_of_repository(make_lab: Callable[..., Lab], kind: str) -> None:
    lab = make_lab(*(["--object-format=sha256"] if kind == "sha256" else []))
    with lab.entered():
        campaign(lab)
        cwd = lab.path
        if kind == "bare":
            lab.git("clone", "-q", "--bare", str(lab.path), str(lab.root / "bare.git"))
            cwd = lab.root / "bare.git"
        elif kind == "linked":
            lab.git("branch", "side")
            cwd = lab.worktree("side", "side")
        elif kind == "detached":
            lab.git("checkout", "-q", "--detach")
        agent(lab, "echo 90 >value")
        result = lab.run("git-iterate", "--slug", "x", "--json", cwd=cwd)
        assert result.status == 0, result.err
        assert lab.git("rev-parse", "iter/best", cwd=cwd) == lab.git("rev-parse", "iter/0001-x", cwd=cwd)
        beside = lab.root / ("bare.iter" if kind == "bare" else "repo.iter")
        assert (beside / "0001-x" / "value").read_text() == "90\n"


def test_worktrees_never_lie_inside_the_repository(lab: Lab) -> None:
    campaign(lab)
    lab.git("config", "planner.worktrees", str(lab.path / "inside"))
    with pytest.raises(PlannerError) as caught:
        attempt(lab, "echo 90 >value")
    assert caught.value.code == "E_USAGE"
    assert not (lab.path / "inside").exists()


def test_a_dirty_tree_does_not_matter_unless_in_place(lab: Lab, tmp_path: Path) -> None:
    campaign(lab)
    (lab.path / "value").write_text("7\n")
    (lab.path / "new").write_text("mine\n")
    with lab.undisturbed(allow=["0001-auto"]):
        assert attempt(lab, "echo 90 >value").record.value == 90.0
    with pytest.raises(PlannerError) as caught:
        attempt(lab, "echo 80 >value", in_place=True)
    assert (caught.value.code, caught.value.details) == ("E_DIRTY", ("value", "new"))
    assert len(list_iterations(lab.repo)) == 1


def test_a_clone_knows_iterations_by_their_branches(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 90 >value", slug="x")
    lab.git("branch", "iter/0007-broken", "main")
    other = lab.clone("other")
    for name in ("iter/0001-x", "plan/default", "iter/0007-broken"):
        other.git("branch", name, f"origin/{name}")
    other.rival("refs/heads/iter/0007-broken", ".advisor/state.json", "{}")
    with other.entered():
        iterations = [
            (iteration.number, iteration.phase, iteration.start) for iteration in list_iterations(other.repo)
        ]
    assert iterations == [(1, "recorded", None)]


def test_a_red_base_stops_before_anyone_is_paid(lab: Lab) -> None:
    campaign(lab, start="no number")
    agent(lab, f"touch '{lab.root}/paid'; echo 90 >value")
    ran = lab.run("git-iterate")
    assert (ran.status, (lab.root / "paid").exists()) == (4, False)
    assert "error: the base is red: the metric was not printed" in ran.err
    assert "--from-red" in ran.err
    assert not [ref for ref in lab.refs() if ref.startswith("refs/heads/iter/")]
    ran = lab.run("git-iterate", "--from-red")
    assert (ran.status, (lab.root / "paid").exists()) == (0, True), ran.err
    assert "improved. cost 90 points, the first valid result" in ran.out


def test_a_folder_for_worktrees_inside_the_repository_is_refused_before_anyone_is_paid(lab: Lab) -> None:
    campaign(lab)
    lab.git("config", "planner.worktrees", "places")
    before = lab.refs()
    ran = lab.run("git-iterate")
    assert (ran.status, ran.err.startswith("error: "), "lies inside" in ran.err) == (2, True, True), ran.err
    assert lab.refs() == before


def test_a_branch_with_the_last_number_does_not_end_all_iterations(lab: Lab) -> None:
    campaign(lab)
    lab.git("update-ref", "refs/remotes/origin/iter/999999999-theirs", "HEAD")
    lab.git("update-ref", "refs/remotes/origin/plan/999999999-theirs", "HEAD")
    assert attempt(lab, "echo 90 >value", slug="ours").state.branch == "iter/0001-ours"
    assert "plan/0001-" in lab.run("git-plan", "manual", "pack").out
