"""The rolling best: made, brought forward, tagged from its record, and published against real rivals."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations import best
from git_planner.flows.iterations.iterate import IterateOptions, iterate
from git_planner.flows.records.ledger import read_ledger
from tests.support.lab import Lab
from tests.support.small_campaign import agent, attempt, campaign, hush

BEST = "refs/heads/iter/best"
PLAN = "refs/heads/plan/default"


def with_origin(lab: Lab) -> Path:
    """Give a campaign a bare remote that holds its main."""
    bare = lab.root / "origin.git"
    lab.git("init", "-q", "--bare", "-b", "main", str(bare))
    lab.git("remote", "add", "origin", str(bare))
    lab.git("push", "-q", "origin", "main")
    return bare


def rival(lab: Lab, bare: Path) -> Lab:
    """Another person's clone of the remote, in a laboratory of its own."""
    other = lab.beside("rival")
    other.ticks += 50
    other.root.mkdir()
    lab.git("clone", "-q", str(bare), str(other.path))
    agent(other, "true")
    policy = (other.path / ".git-planner.yml").read_text()
    assert str(lab.root / "agent.sh") in policy
    return other


def there(bare: Path, lab: Lab) -> dict[str, str]:
    """The refs of the remote."""
    lines = lab.git("for-each-ref", "--format=%(refname) %(objectname)", cwd=bare).splitlines()
    return dict(line.split(" ") for line in lines)


def pull(lab: Lab) -> None:
    """Pull the plan of the remote."""
    assert lab.run("git-plan", "pull").status == 0


def measure_and_push(lab: Lab) -> None:
    """Measure the best of the remote, which diverged from this one, and keep the better of both."""
    assert "(E_CONFLICT)" in lab.run("git-iterate", "best", "ensure").err
    assert lab.run("git-iterate", "best", "push").status == 0


def test_ensure_makes_the_best_at_its_base(lab: Lab) -> None:
    campaign(lab)
    ensured = best.ensure_best(lab.repo, None, hush)
    assert (ensured.branch, ensured.commit, ensured.did) == (
        "iter/best",
        lab.git("rev-parse", "main"),
        "created",
    )
    assert best.ensure_best(lab.repo, None, hush).did == "unchanged"
    tip = lab.commit("more", {"notes/a": "x\n"})
    forwarded = best.ensure_best(lab.repo, None, hush)
    assert (forwarded.commit, forwarded.did) == (tip, "forwarded")


def test_ensure_takes_the_remote_one_and_never_goes_back(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    result = attempt(lab, "echo 90 >value")
    assert best.ensure_best(lab.repo, None, hush).did == "unchanged"
    best.push_best(lab.repo, None, hush)
    other = rival(lab, bare)
    pull(other)
    with other.entered():
        taken = best.ensure_best(other.repo, None, hush)
    assert (taken.commit, taken.did) == (result.record.commit, "fetched")
    second = attempt(lab, "echo 80 >value")
    assert best.ensure_best(lab.repo, None, hush).did == "ahead"
    best.push_best(lab.repo, None, hush)
    with other.entered():
        assert best.ensure_best(other.repo, None, hush).commit == second.record.commit


def test_a_fresh_clone_goes_on_from_the_shared_best(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    result = attempt(lab, "echo 90 >value", slug="x")
    best.push_best(lab.repo, None, hush)
    other = rival(lab, bare)
    agent(lab, "echo $(($(cat value) - 1)) >value")
    pull(other)
    with other.entered():
        second = iterate(other.repo, IterateOptions(slug="y"), hush)
        assert (second.state.base, second.state.base_ref) == (result.record.commit, "iter/best")
        assert other.git("rev-parse", "iter/best") == second.record.commit
        best.push_best(other.repo, None, hush)
    assert there(bare, lab)[BEST] == second.record.commit


def test_a_shared_best_that_the_base_does_not_vouch_for_is_no_start(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    lab.git("checkout", "-q", "-b", "iter/best")
    lab.commit("easier", {"tests/test_it": "true\n"})
    lab.git("push", "-q", "origin", "iter/best")
    other = rival(lab, bare)
    # It is set aside with its name, and the rest works.
    agent(lab, "echo 90 >value")
    note = "set aside: 'origin/iter/best' has other guarded files than the base branch"
    iterated = other.run("git-iterate")
    assert (iterated.status, note in iterated.err) == (0, True), iterated.err
    assert "tests/test_it" in iterated.err
    assert other.git("rev-parse", "iter/best~2") == other.git("rev-parse", "main")
    note = "'iter/best' of 'origin' has other guarded files than the base branch ('tests/test_it')"
    for verb in ("ensure", "push"):
        shared = other.run("git-iterate", "best", verb)
        assert (shared.status, f"{note} and is not followed" in shared.out + shared.err) == (0, True), verb
    assert there(bare, lab)[BEST] == lab.git("rev-parse", "iter/best")
    assert there(bare, lab)[PLAN] == other.git("rev-parse", "plan/default")


def test_a_best_that_was_measured_elsewhere_moves_nothing_here_until_it_is_measured(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    other = rival(lab, bare)
    best.ensure_best(other.repo, None, hush)
    attempt(lab, "echo 90 >value")
    best.push_best(lab.repo, None, hush)
    before = other.refs()[BEST]
    pushed = other.run("git-iterate", "best", "push")
    note = "'iter/best' of 'origin' was not measured here ('git iterate best ensure' measures it)"
    assert (pushed.status, f"{note} and is not followed" in pushed.out) == (0, True), pushed.err
    assert (other.refs()[BEST], there(bare, lab)[BEST]) == (before, lab.refs()[BEST])
    ensured = other.run("git-iterate", "best", "ensure")
    assert "was not measured here: it is measured first" in ensured.err
    assert other.refs()[BEST] == lab.refs()[BEST] == other.refs()["refs/planner/bests/default"]


def test_a_forged_best_of_the_remote_is_measured_and_set_aside(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 90 >value")
    lab.git("checkout", "-q", "--detach", "iter/best")
    worse = lab.commit("worse", {"value": "500\n"})
    lab.git("push", "-q", "origin", f"{worse}:{BEST}")
    lab.git("checkout", "-q", "main")
    before = lab.refs()[BEST]
    ensured = lab.run("git-iterate", "best", "ensure")
    assert (ensured.status, "is worse, measured here" in ensured.err) == (0, True), ensured.err
    pushed = lab.run("git-iterate", "best", "push")
    assert (pushed.status, "is worse, measured here, and is not followed" in pushed.out) == (0, True)
    assert (lab.refs()[BEST], there(bare, lab)[BEST]) == (before, worse)


def test_a_lost_tag_is_made_again_from_the_record_alone(lab: Lab) -> None:
    campaign(lab)
    with pytest.raises(PlannerError) as caught:
        best.tag_best(lab.repo, None)
    assert caught.value.code == "E_NO_RECORD"
    result = attempt(lab, "echo 90 >value", slug="x")
    assert not best.tag_best(lab.repo, None).made
    lab.git("tag", "-d", "best/90-x-i1")
    again = best.tag_best(lab.repo, None)
    assert (again.tag, again.commit, again.made) == ("best/90-x-i1", result.record.commit, True)
    lab.git("tag", "-f", "best/90-x-i1", "main")
    with pytest.raises(PlannerError) as caught:
        best.tag_best(lab.repo, None)
    assert caught.value.code == "E_TAG"


def test_push_publishes_best_tags_and_ledger_together(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 90 >value", slug="x")
    dry = best.push_best(lab.repo, None, hush, dry_run=True)
    assert sorted(dry.moved) == [BEST, PLAN, "refs/tags/best/90-x-i1"]
    assert list(there(bare, lab)) == ["refs/heads/main"]
    tags = best.push_best(lab.repo, None, hush, tags_only=True)
    assert list(tags.moved) == ["refs/tags/best/90-x-i1"]
    result = best.push_best(lab.repo, None, hush, branches=True)
    assert sorted(result.moved) == ["refs/heads/iter/0001-x", BEST, PLAN]
    here = lab.refs()
    assert {ref: here[ref] for ref in there(bare, lab)} == there(bare, lab)
    assert best.push_best(lab.repo, None, hush).moved == {}


@pytest.mark.parametrize(("ours", "theirs", "winner"), [(80, 90, "ours"), (90, 80, "theirs")])
def test_two_clones_that_went_different_ways_agree(lab: Lab, ours: int, theirs: int, winner: str) -> None:
    campaign(lab)
    bare = with_origin(lab)
    other = rival(lab, bare)
    with other.entered():
        agent(lab, f"echo {theirs} >value")
        lost = iterate(other.repo, IterateOptions(slug="theirs"), hush)
        best.push_best(other.repo, None, hush)
    mine = attempt(lab, f"echo {ours} >value", slug="ours")
    before = lab.refs()
    dry = best.push_best(lab.repo, None, hush, dry_run=True)
    assert lab.refs() == before
    result = best.push_best(lab.repo, None, hush)
    assert (dry.moved.keys(), dry.notes) == (result.moved.keys(), result.notes)
    assert dry.moved.get(BEST) == result.moved.get(BEST)
    assert len(lab.git("rev-list", "--parents", "-1", "plan/default").split()) == 3
    if winner == "theirs":
        assert BEST not in result.moved
        measure_and_push(lab)
    assert "the ledgers of 'plan/default' were merged" in result.notes
    top = mine if winner == "ours" else lost
    assert lab.git("rev-parse", "iter/best") == top.record.commit == there(bare, lab)[BEST]
    tags = {f"refs/tags/best/{ours}-ours-i1", f"refs/tags/best/{theirs}-theirs-i1"}
    assert tags <= there(bare, lab).keys()
    ids = sorted([*(record.id for record in read_ledger(lab.repo, "default"))])
    # A best of another clone was measured here, too.
    assert len(ids) == (4 if winner == "ours" else 5)
    assert there(bare, lab)[PLAN] == lab.refs()[PLAN]
    if winner == "ours":
        measure_and_push(other)
    assert other.run("git-iterate", "best", "push").status == 0
    with other.entered():
        assert set(ids) <= {record.id for record in read_ledger(other.repo, "default")}
        assert other.git("rev-parse", "iter/best") == top.record.commit
    lab.fsck()


def test_a_push_that_loses_the_race_while_it_runs_is_made_good(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    other = rival(lab, bare)
    with other.entered():
        agent(lab, "echo 95 >value")
        iterate(other.repo, IterateOptions(slug="theirs"), hush)
    attempt(lab, "echo 90 >value", slug="ours")
    # Between our question and our push, the rival's push goes through.
    hook = lab.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    once = lab.root / "once"
    hook.write_text(
        f'#!/bin/sh\n[ -e "{once}" ] && exit 0\ntouch "{once}"\n'
        f'env -u GIT_DIR git -C "{other.path}" push -q origin iter/best plan/default best/95-theirs-i1\n'
    )
    hook.chmod(0o755)
    messages: list[str] = []
    result = best.push_best(lab.repo, None, messages.append)
    assert "'origin' was updated concurrently (attempt 1 of 5)" in messages
    assert "the local 'iter/best' is better; that of 'origin' stays reachable by its tag" in result.notes
    assert there(bare, lab)[BEST] == lab.git("rev-parse", "iter/best")
    assert len(read_ledger(lab.repo, "default")) == 4


def test_a_branch_goes_only_where_nothing_is_lost(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 90 >value", slug="x")
    attempt(lab, "echo 80 >value", slug="y")
    best.push_best(lab.repo, None, hush, branches=True)
    other = rival(lab, bare)
    other.git("checkout", "-q", "iter/0001-x")
    theirs = other.commit("a colleague's", {"notes/a": "x\n"})
    other.git("push", "-q", "origin", "iter/0001-x")
    lab.git("push", "-q", "origin", "+main:iter/0002-y")
    note = "'iter/0001-x' has other commits on 'origin' and is not pushed"
    for dry_run in (True, False):
        result = best.push_best(lab.repo, None, hush, branches=True, dry_run=dry_run)
        assert list(result.moved) == ["refs/heads/iter/0002-y"]
        assert result.notes == (note,)
    assert there(bare, lab)["refs/heads/iter/0001-x"] == theirs
    assert there(bare, lab)["refs/heads/iter/0002-y"] == lab.git("rev-parse", "iter/0002-y")


def test_a_dry_run_moves_what_the_real_one_moves(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 90 >value", slug="x")
    best.push_best(lab.repo, None, hush)
    other = rival(lab, bare)
    pull(other)
    with other.entered():
        agent(lab, "echo 80 >value")
        best.ensure_best(other.repo, None, hush)
        iterate(other.repo, IterateOptions(slug="y"), hush)
        best.push_best(other.repo, None, hush)
    second = there(bare, lab)[BEST]
    assert lab.run("git-plan", "pull").status == 0
    lab.git("fetch", "-q", "origin", second)
    assert lab.run("git-record", second, "--no-advance").status == 0
    assert lab.run("git-plan", "push").status == 0
    before = lab.refs()
    dry = best.push_best(lab.repo, None, hush, dry_run=True)
    assert (dry.moved, lab.refs()) == ({}, before)
    result = best.push_best(lab.repo, None, hush)
    assert (result.moved, result.notes) == (dry.moved, dry.notes)
    assert "'iter/best' follows 'origin'" in result.notes


def test_a_rival_that_is_always_faster_ends_in_a_conflict(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    attempt(lab, "echo 90 >value")
    hook = lab.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nunset $(git rev-parse --local-env-vars)\ncd '{bare}'\n"
        "tip=$(git rev-parse -q --verify refs/heads/plan/default || git rev-parse main)\n"
        "new=$(git commit-tree -p $tip -m rival $tip^{tree})\ngit update-ref refs/heads/plan/default $new\n"
    )
    hook.chmod(0o755)
    with pytest.raises(PlannerError) as caught:
        best.push_best(lab.repo, None, hush)
    assert (caught.value.code, caught.value.exit) == ("E_CONFLICT", 5)
    assert BEST not in there(bare, lab)


def test_a_best_of_the_remote_without_a_record_is_left_and_the_rest_is_pushed(lab: Lab) -> None:
    campaign(lab)
    bare = with_origin(lab)
    other = rival(lab, bare)
    other.commit("by hand", {"value": "1\n"})
    other.git("push", "-q", "origin", "HEAD:iter/best")
    attempt(lab, "echo 90 >value")
    result = best.push_best(lab.repo, None, hush)
    assert "was not measured here" in result.notes[0]
    assert there(bare, lab)[BEST] == other.git("rev-parse", "HEAD")
    assert PLAN in there(bare, lab)


def test_push_without_a_remote_says_so(lab: Lab) -> None:
    campaign(lab)
    with pytest.raises(PlannerError) as caught:
        best.push_best(lab.repo, None, hush)
    assert (caught.value.code, caught.value.exit) == ("E_REMOTE", 4)


def test_a_disputed_best_of_the_remote_is_not_followed_and_goes_back_there(lab: Lab) -> None:
    campaign(lab)
    bare, base = with_origin(lab), lab.git("rev-parse", "main")
    record = attempt(lab, "echo 90 >value").record
    assert lab.run("git-iterate", "best", "push").status == 0
    assert lab.run("git-record", "reject", record.id, "--why", "luck").status == 0
    ran = lab.run("git-iterate", "best", "ensure")
    assert (ran.status, "is at a disputed record and is not followed" in ran.err) == (0, True)
    assert lab.refs()[BEST] == base
    pushed = lab.run("git-iterate", "best", "push")
    assert pushed.status == 0, pushed.err
    assert there(bare, lab)[BEST] == base
