"""A rolling best that was moved by hand or with the hooks off: noticed everywhere, brought back, or kept."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.lab import Lab, Ran
from tests.support.small_campaign import POLICY

BEST = "refs/heads/iter/best"
COPY = "refs/planner/bests/default"


def with_best(lab: Lab) -> str:
    """Make a campaign whose agent takes one off the value, with a best of 98; return the best's commit."""
    lab.prepare("a best of 98", _make_best)
    assert lab.refs()[BEST] == lab.refs()[COPY]
    return lab.refs()[BEST]


def _make_best(lab: Lab) -> None:
    # The policy is in git's objects, where a path would stay that of the first laboratory.
    policy = POLICY.format(agent="SCRIPT", timeout=20).replace(
        '"SCRIPT"', "-c, 'echo $(($(cat value)-1)) >value'"
    )
    lab.commit("campaign", {".git-planner.yml": policy, "value": "100\n", "tests/test_it": "guarded\n"})
    for slug in ("x", "y"):
        assert lab.run("git-iterate", "--slug", slug).status == 0


def commit_on(lab: Lab, start: str, value: int, path: str = "value") -> str:
    """Commit a value on a start by hand; return the commit."""
    lab.git("checkout", "-q", "--detach", start)
    commit = lab.commit(f"{value} by hand", {path: f"{value}\n"})
    lab.git("checkout", "-q", "main")
    return commit


def forward(lab: Lab) -> None:
    lab.git("update-ref", BEST, commit_on(lab, "iter/best", 500))


def forward_in_guarded_files(lab: Lab) -> None:
    lab.git("update-ref", BEST, commit_on(lab, "iter/best", 1, "tests/test_it"))


def back(lab: Lab) -> None:
    lab.git("branch", "-f", "iter/best", "iter/best~1")


def sideways(lab: Lab) -> None:
    lab.git("branch", "-f", "iter/best", commit_on(lab, "main", 500))


def gone(lab: Lab) -> None:
    lab.git("branch", "-D", "iter/best")


def symbolic(lab: Lab) -> None:
    lab.git("symbolic-ref", BEST, "refs/heads/main")


def dangling(lab: Lab) -> None:
    lab.git("symbolic-ref", BEST, "refs/heads/nowhere")


def no_commit(lab: Lab) -> None:
    (lab.path / ".git" / BEST).write_text(lab.git("rev-parse", "main:value") + "\n")


def missing(lab: Lab) -> None:
    (lab.path / ".git" / BEST).write_text("1" * 40 + "\n")


def damaged(lab: Lab) -> None:
    (lab.path / ".git" / BEST).write_text("\0" * 41)


WAYS = {
    forward: "was moved forward by another program, to ",
    forward_in_guarded_files: "was moved forward by another program, to ",
    back: "was moved back by another program, to ",
    sideways: "was moved to another line of commits by another program, to ",
    gone: "is gone",
    symbolic: "was replaced by a symbolic ref to 'refs/heads/main'",
    dangling: "was replaced by a symbolic ref to 'refs/heads/nowhere'",
    no_commit: "names something that is no commit",
    missing: "names a commit that does not exist",
    damaged: "is damaged",
}


@pytest.mark.parametrize("move", WAYS, ids=lambda move: move.__name__)
def test_a_best_that_somebody_moved_is_noticed_and_comes_back(lab: Lab, move: Callable[[Lab], None]) -> None:
    best = with_best(lab)
    main = lab.refs()["refs/heads/main"]
    move(lab)
    iterated = lab.run("git-iterate")
    assert (iterated.status, "(E_BEST_MOVED)" in iterated.err) == (3, True), iterated.err
    assert f"'iter/best' {WAYS[move]}" in iterated.err
    assert f"git-planner left it at {best[:12]}" in iterated.err
    assert "git iterate best restore" in iterated.err
    assert lab.run("git-iterate", "best", "ensure").status == 3
    for words in (("git-plan", "lint"), ("git-planner", "doctor"), ("git-record", "best")):
        ran = lab.run(*words)
        assert f"'iter/best' {WAYS[move]}" in ran.out + ran.err, words
        if move is missing and words == ("git-plan", "lint"):
            # Git lists no branches with their commits then.
            assert (ran.status, "(E_BROKEN_REF)" in ran.err) == (3, True)
            assert "hint: 'git planner doctor' says what can be brought back" in ran.err
            continue
        assert "git iterate best restore" in ran.out + ran.err, words
    restored = lab.run("git-iterate", "best", "restore", "--json")
    assert restored.status == 0, restored.err
    assert json.loads(restored.out)["commit"] == best
    again = lab.run("git-iterate")
    assert again.status == 0, again.err
    assert (lab.refs()["refs/heads/main"], "symref" in lab.show(BEST)) == (main, False)
    assert lab.git("show", "iter/best:value") == "97"
    assert lab.run("git-iterate", "best", "restore").out.endswith(": is where it was left\n")


def keep(lab: Lab, commit: str) -> Ran:
    """Move the best to a commit by hand, and measure it as the hint says."""
    lab.git("branch", "-f", "iter/best", commit)
    stderr = lab.run("git-iterate").err
    assert f"to keep {commit[:12]}, measure it: 'git record iter/best'" in stderr
    return lab.run("git-record", "iter/best")


@pytest.mark.parametrize("start", ["iter/best", "main"])
def test_a_better_commit_that_a_person_made_stays_the_best_once_measured(lab: Lab, start: str) -> None:
    with_best(lab)
    commit = commit_on(lab, start, 50)
    recorded = keep(lab, commit)
    assert (recorded.status, "improved" in recorded.out) == (0, True), recorded.err
    assert lab.refs()[COPY] == commit
    assert lab.run("git-iterate").status == 0
    assert lab.git("show", "iter/best:value") == "49"


@pytest.mark.parametrize("start", ["iter/best", "main", "iter/best~1"])
def test_a_worse_commit_does_not_become_the_best_by_being_moved_to(lab: Lab, start: str) -> None:
    best = with_best(lab)
    recorded = keep(lab, commit_on(lab, start, 99))
    assert (recorded.status, "worse" in recorded.out) == (0, True), recorded.err
    assert "'git iterate best restore' brings it back" in recorded.out + recorded.err
    assert lab.refs()[COPY] == best
    assert lab.run("git-iterate").status == 3


def test_a_known_older_best_does_not_become_the_best_again(lab: Lab) -> None:
    best = with_best(lab)
    older = lab.git("rev-parse", "best/99-x-i1^{commit}")
    recorded = keep(lab, older)
    assert "'git iterate best restore' brings it back" in recorded.out + recorded.err
    assert lab.refs()[COPY] == best


def test_a_person_may_begin_again_at_the_base(lab: Lab) -> None:
    with_best(lab)
    assert keep(lab, lab.git("rev-parse", "main")).status == 0
    assert lab.refs()[COPY] == lab.refs()["refs/heads/main"]
    assert lab.run("git-iterate", "best", "ensure").status == 0


def test_an_equal_commit_that_follows_the_best_is_kept(lab: Lab) -> None:
    with_best(lab)
    commit = commit_on(lab, "iter/best", 1, "notes/a")
    assert keep(lab, commit).status == 0
    assert lab.refs()[COPY] == commit
    assert lab.run("git-iterate").status == 0


def test_guarded_changes_by_hand_are_not_kept(lab: Lab) -> None:
    best = with_best(lab)
    recorded = keep(lab, commit_on(lab, "iter/best", 1, "tests/test_it"))
    assert recorded.status == 1, recorded.err
    assert lab.refs()[COPY] == best
    assert lab.run("git-iterate").status == 3


def test_another_attempt_is_recorded_beside_a_moved_best_and_does_not_move_it(lab: Lab) -> None:
    best = with_best(lab)
    commit = lab.commit("better", {"value": "50\n"}, cwd=lab.root / "repo.iter" / "0002-y")
    back(lab)
    moved = lab.refs()[BEST]
    recorded = lab.run("git-record", "iter/0002-y")
    assert recorded.status == 0, recorded.err
    assert "'iter/best' was not advanced: it was moved back by another program" in recorded.out
    assert (lab.refs()[BEST], lab.refs()[COPY]) == (moved, best)
    assert lab.run("git-iterate", "best", "restore").status == 0
    assert lab.run("git-record", "iter/0002-y").status == 0
    assert lab.refs()[BEST] == commit == lab.refs()[COPY]


def test_what_a_rejected_best_goes_back_to_is_restored(lab: Lab) -> None:
    best = with_best(lab)
    sideways(lab)
    moved = lab.refs()[BEST]
    assert lab.run("git-record", "reject", best, "--why", "luck").status == 0
    assert lab.refs()[BEST] == moved
    assert lab.run("git-iterate", "best", "restore").status == 0
    assert lab.refs()[BEST] == lab.git("rev-parse", "best/99-x-i1^{commit}")


def test_the_best_of_another_plan_has_its_own_place(lab: Lab) -> None:
    best = with_best(lab)
    assert lab.run("git-iterate", "--plan", "other").status == 0
    other = lab.refs()["refs/heads/iter/best-other"]
    lab.git("branch", "-f", "iter/best-other", best)
    refused = lab.run("git-iterate", "--plan", "other")
    assert "git iterate best restore --plan other" in refused.err
    assert lab.run("git-iterate", "best", "restore", "--plan", "other").status == 0
    assert (lab.refs()["refs/heads/iter/best-other"], lab.refs()[BEST]) == (other, best)


def test_a_best_that_follows_the_base_branch_is_in_place(lab: Lab) -> None:
    with_best(lab)
    lab.git("merge", "-q", "--ff-only", "iter/best")
    commit = lab.commit("more", {"notes/b": "x\n"})
    lab.git("branch", "-f", "iter/best", "main")
    assert lab.run("git-iterate", "best", "ensure").status == 0
    assert lab.refs()[COPY] == commit
    assert lab.run("git-iterate").status == 0


def test_a_best_that_is_checked_out_and_changed_is_not_restored_over_work(lab: Lab) -> None:
    with_best(lab)
    forward(lab)
    lab.git("checkout", "-q", "iter/best")
    (lab.path / "value").write_text("my work\n")
    refused = lab.run("git-iterate", "best", "restore")
    assert (refused.status, "(E_CHECKED_OUT)" in refused.err) == (3, True)
    lab.git("checkout", "-q", "--", "value")
    assert lab.run("git-iterate", "best", "restore").status == 0
    assert (lab.path / "value").read_text() == "98\n"
