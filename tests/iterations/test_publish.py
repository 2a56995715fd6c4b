"""Branches for pull requests, what led to a commit, and tidying up."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterateOptions
from git_planner.flows.iterations.provenance import find_provenance, show_iteration
from git_planner.flows.iterations.prune import prune_worktrees
from git_planner.flows.iterations.publish import publish_iteration
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.rules.records.record import Record
from tests.iterations.test_best import rival, there, with_origin
from tests.support.lab import Lab
from tests.support.small_campaign import agent, attempt, campaign, hush


def published(lab: Lab, which: str = "best", **more: object) -> str:
    """Publish and return the branch's tip."""
    settings = {"plan": None, "branch": None, "push": False, **more}
    return publish_iteration(lab.repo, which, hush, **settings).commit  # type: ignore[arg-type]


def test_a_clean_branch_holds_the_code_only(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 90 >value", slug="one")
    second = attempt(lab, "echo 80 >value; mkdir notes; echo x >notes/a", slug="two")
    lab.commit("main moves on", {"README.md": "hello again\n"})
    with lab.undisturbed():
        tip = published(lab)
    assert lab.git("rev-parse", "pr/0002-two") == tip
    assert lab.git("rev-parse", f"{tip}^") == lab.git("rev-parse", "main")
    assert lab.git("diff-tree", "-r", "--name-only", "main", tip).split() == ["notes/a", "value"]
    assert lab.show(f"{tip}:README.md") == "hello again\n"
    body = lab.git("log", "-1", "--format=%B", tip)
    assert body.endswith(
        "With what it builds on: iter/0001-one.\n\n"
        f"Planner-Directive: {second.state.directive_digest}\n"
        "Planner-Run: iter/0002-two\n"
        "Assisted-by: command:default"
    )
    assert published(lab) == tip


def test_the_text_tells_what_a_reviewer_asks(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 1 >tests/test_it", slug="bad")
    result = attempt(lab, "echo 80 >value", slug="good")
    text = publish_iteration(lab.repo, "2", hush, plan=None, branch="mine", push=False).body
    for line in (
        "| cost (lower is better) | 100 points | 80 points | -20 (-20.0%) |",
        f"- Instrument: `{result.record.instrument}`",
        f"- Reproduce: `git record verify {result.record.commit}`",
    ):
        assert line in text.splitlines()
    assert "- `iter/0001-bad`: invalid, guarded paths changed." in text


def test_what_cannot_be_published_says_why(lab: Lab) -> None:
    campaign(lab)
    with pytest.raises(PlannerError) as caught:
        published(lab)
    assert caught.value.code == "E_NO_RECORD"
    attempt(lab, "echo 1 >tests/test_it", slug="bad")
    attempt(lab, "echo 80 >value", slug="good")
    for which, code in (("1", "E_NO_RECORD"), ("9", "E_UNKNOWN_REF"), ("worst", "E_USAGE")):
        with pytest.raises(PlannerError) as caught:
            published(lab, which)
        assert caught.value.code == code
    for branch in ("iter/0009-x", "plan/x", "a..b", "-x", "main"):
        with pytest.raises(PlannerError) as caught:
            published(lab, branch=branch)
        assert caught.value.code == "E_NAME"
    lab.commit("another way", {"value": "77\n"})
    with pytest.raises(PlannerError) as caught:
        published(lab)
    assert (caught.value.code, caught.value.exit, caught.value.details) == ("E_MERGE", 3, ("value",))
    assert "refs/heads/pr/0002-good" not in lab.refs()


def test_publishing_again_after_the_base_moved_replaces_ours_and_pushes_under_a_lease(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 80 >value", slug="x")
    first = published(lab, push=True)
    lab.commit("main moves on", {"README.md": "again\n"})
    second = published(lab, push=True)
    assert first != second == there(bare, lab)["refs/heads/pr/0001-x"]


def test_what_a_person_made_of_a_publication_stays(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 80 >value", slug="x")
    published(lab)
    place = lab.worktree("pr", "pr/0001-x")
    (place / "value").write_text("79\n")
    lab.git("commit", "-qa", "--amend", "--no-edit", cwd=place)
    amended = lab.git("rev-parse", "pr/0001-x")
    with pytest.raises(PlannerError) as caught:
        published(lab)
    assert (caught.value.code, "--force" in str(caught.value.hint)) == ("E_CONFLICT", True)
    assert lab.git("rev-parse", "pr/0001-x") == amended
    lab.commit("more of it", {"notes/a": "x\n"}, cwd=place)
    with pytest.raises(PlannerError):
        published(lab)
    assert published(lab, force=True) != amended
    assert (place / "value").read_text() == "80\n"
    lab.git("commit", "-q", "--amend", "-m", "In better words\n\nPlanner-Run: iter/0001-x", cwd=place)
    assert published(lab) == lab.git("rev-parse", "pr/0001-x")
    assert lab.git("log", "-1", "--format=%s", "pr/0001-x") == "In better words"


def test_a_push_goes_over_nothing_but_what_was_published(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 80 >value", slug="x")
    first = published(lab, push=True)
    other = rival(lab, bare)
    other.git("checkout", "-q", "pr/0001-x")
    for what in (
        ("--allow-empty", "-m", "a colleague's"),
        ("--amend", "--allow-empty", "--no-edit", "--date=1"),
    ):
        other.git("reset", "-q", "--hard", first)
        (other.path / "value").write_text("79\n")
        other.git("commit", "-qa", *what)
        other.git("push", "-q", "-f", "origin", "pr/0001-x")
        theirs = there(bare, lab)["refs/heads/pr/0001-x"]
        with pytest.raises(PlannerError) as caught:
            published(lab, push=True)
        assert (caught.value.code, caught.value.exit) == ("E_CONFLICT", 5)
        assert there(bare, lab)["refs/heads/pr/0001-x"] == theirs
    assert published(lab, push=True, force=True) == there(bare, lab)["refs/heads/pr/0001-x"] == first
    lab.commit("main moves on", {"README.md": "again\n"})
    published(lab)
    assert published(lab, push=True) == there(bare, lab)["refs/heads/pr/0001-x"] != first


def squash_merge(lab: Lab, tip: str) -> str:
    """Merge a branch as a hosting site's squash button would, with a message of its own."""
    lab.git("merge", "-q", "--squash", tip)
    lab.git("commit", "-q", "-m", "Faster (#12)")
    return lab.git("rev-parse", "HEAD")


def test_why_finds_the_iteration_of_every_kind_of_commit(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo 90 >value; git commit -qam own; echo 80 >value", slug="x")
    tip = published(lab)
    numbers = {
        "the tip": (result.record.commit, "trailer"),
        "on the way": (f"{result.record.commit}~1", "state"),
        "published": (tip, "trailer"),
        "the number": ("1", "number"),
        "squashed": (squash_merge(lab, tip), "patch"),
        "a path": ("value", "patch"),
    }
    for what, (name, how) in numbers.items():
        answer = find_provenance(lab.repo, name)
        assert answer.iteration is not None, what
        assert (answer.iteration.number, answer.how) == (1, how), what
        assert isinstance(answer.record, Record), what
        assert answer.record.id == result.record.id
    assert find_provenance(lab.repo, "main~2").iteration is None
    for name in ("no-such-thing", "", "../value"):
        with pytest.raises(PlannerError) as caught:
            find_provenance(lab.repo, name)
        assert caught.value.code == "E_UNKNOWN_REF"


def test_a_path_is_one_from_where_the_person_is(lab: Lab) -> None:
    campaign(lab)
    published_one = attempt(lab, "mkdir -p notes; echo new >notes/value", slug="x")
    lab.git("checkout", "-q", published_one.record.commit)
    for name in ("value", "../notes/value"):
        ran = lab.run("git-iterate", "why", name, "--json", cwd=lab.path / "notes")
        assert json.loads(ran.out)["commit"] == published_one.record.commit, ran.err


def test_why_finds_what_several_iterations_made_together(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 90 >value", slug="x")
    attempt(lab, "mkdir notes; echo 1 >notes/a; echo 80 >value", slug="y")
    tip = published(lab)
    lab.commit("main moves on", {"README.md": "again\n"})
    answer = find_provenance(lab.repo, squash_merge(lab, tip))
    assert answer.iteration is not None
    assert (answer.iteration.number, answer.how) == (2, "range")


def test_show_lists_what_was_kept(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo said; echo 80 >value", slug="x")
    shown = show_iteration(lab.repo, 1)
    assert shown.iteration.phase == "recorded"
    assert (Path(shown.folder) / "implement" / "stdout").read_text() == "said\n"
    assert {"implement/command.json", "implement/prompt.md", "implement/stdout"} <= {*shown.files}


def test_prune_removes_only_what_is_finished_clean_and_ours(lab: Lab) -> None:
    campaign(lab)
    places = {slug: lab.root / "repo.iter" / f"{n:04d}-{slug}" for n, slug in enumerate(("a", "b", "c"), 1)}
    attempt(lab, "echo 90 >value", slug="a")
    attempt(lab, "echo 1 >tests/test_it", slug="b")
    attempt(lab, "echo 80 >value", slug="c")
    (places["c"] / "mine").write_text("a person's\n")
    policy = (lab.path / ".git-planner.yml").read_text()
    lab.commit("a broken agent", {".git-planner.yml": policy.replace("[sh,", "[./no-such-program,")})
    with pytest.raises(PlannerError):
        attempt(lab, "true", slug="d", from_ref="main")
    other = lab.worktree("elsewhere", "plan/default")
    foreign = lab.root / "repo.iter" / "folder"
    foreign.mkdir()
    why_kept = {place.path.name: place.why for place in prune_worktrees(lab.repo, hush, dry_run=True).places}
    assert why_kept == {
        "0001-a": None,
        "0002-b": None,
        "0003-c": "it has uncommitted changes (1)",
        "0004-d": "the iteration is not finished (planned)",
    }
    assert places["a"].is_dir()
    result = prune_worktrees(lab.repo, hush, dry_run=False)
    assert result.freed > 0
    assert [place.is_dir() for place in places.values()] == [False, False, True]
    assert other.is_dir()
    assert foreign.is_dir()
    assert (lab.root / "repo.iter" / "0004-d").is_dir()
    subprocess.run(["rm", "-r", str(places["c"])], check=True)
    assert [
        place.path.name
        for place in prune_worktrees(lab.repo, hush, dry_run=False).places
        if place.why is None
    ] == ["0003-c"]
    agent(lab, "echo 70 >value")
    with pytest.raises(PlannerError):
        resume_iteration(lab.repo, 4, IterateOptions(), hush)
