"""Task statuses from the Git history: names, reverts and rewrites; advancing is idempotent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.tasks.follow_history import (
    History,
    HistoryBranch,
    HistoryCommit,
    advance_task,
    build_history,
    find_proof,
    read_commit,
    task_tips,
)
from git_planner.rules.tasks.task import STATUSES, Task, TaskEvidence
from git_planner.rules.tasks.transitions import check_followed_task
from tests.tasks.test_task_rules import task

AT = "2026-11-28T12:00:00Z"


def oid(number: int) -> str:
    return f"{number:040x}"


def make_evidence(
    commit: int, tree: int, *, ok: bool = True, attempt: int = 1, kind: Any = "verified"
) -> TaskEvidence:
    return TaskEvidence(kind, AT, "me", attempt, oid(commit), oid(tree), ok=ok)


def test_a_commit_is_read_from_its_message() -> None:
    body = f"why\n\nThis reverts commit {oid(7)}.\nAnd this: This reverts commit {oid(8)}\n"
    commit = read_commit(
        oid(1), oid(2), f"{oid(3)} {oid(4)}", subject="TASK-7: x", tasks="task_8\n", plan="p\n", body=body
    )
    assert commit == HistoryCommit(oid(1), oid(2), (oid(3), oid(4)), (7, 8), "p", (oid(7),))
    unnamed = read_commit(oid(1), oid(2), "", subject="task_99999999999: x", tasks="", plan="", body="")
    assert unnamed == HistoryCommit(oid(1), oid(2))
    squashed = "\n\ncommit 1\n\n    task_001: a\n    \n    Planner-Task: task_3\n        task_9: code\n"
    squash_commit = read_commit(
        oid(1), oid(2), "", subject="Squashed commit of the following:", tasks="", plan="", body=squashed
    )
    assert squash_commit.tasks == (1, 3)


def chain_commits(*commits: HistoryCommit) -> list[HistoryCommit]:
    """Chain commits, each on top of the one before; newest first, as git lists them."""
    chain: list[HistoryCommit] = []
    for commit in commits:
        chain.insert(0, commit._replace(parents=(chain[0].oid,) if chain else ()))
    return chain


def make_commit(
    number: int, *, tree: int | None = None, tasks: tuple[int, ...] = (1,), **more: Any
) -> HistoryCommit:
    return HistoryCommit(oid(number), oid(tree or number), (), tasks, **more)


def local_branch(ref: str, number: int, **more: Any) -> HistoryBranch:
    return HistoryBranch(f"refs/heads/{ref}", oid(number), **more)


def make_history(
    commits: list[HistoryCommit], *branches: HistoryBranch, lost: tuple[str, ...] = (), plan: str = "p"
) -> History:
    return build_history(commits, branches, plan, "p", lost)


def test_reverts_and_reverts_of_reverts() -> None:
    commits = chain_commits(
        make_commit(1),
        make_commit(2, tasks=(), reverts=(oid(1),)),
        make_commit(3, tasks=(), reverts=(oid(2),)),
        make_commit(4),
    )
    for tip, standing in ((1, {1}), (2, set()), (3, {1}), (4, {1, 4})):
        work_history = make_history(commits, local_branch("x", tip))
        assert {int(commit.oid, 16) for commit in work_history.work.get(1, ())} == standing
    # On another branch the work is not reverted.
    assert make_history(commits, local_branch("x", 2), local_branch("y", 1)).reverted == {}
    assert make_history(commits, local_branch("main", 2, trunk=True), local_branch("y", 1)).reverted == {
        oid(1): oid(2)
    }


def test_a_commit_cannot_revert_a_later_one() -> None:
    commits = chain_commits(make_commit(1, tasks=(), reverts=(oid(2), oid(1), oid(99))), make_commit(2))
    assert make_history(commits, local_branch("x", 2)).reverted == {}


def test_the_plan_of_a_commit() -> None:
    commits = chain_commits(make_commit(1), make_commit(2), make_commit(3, plan="q"), make_commit(4))
    iteration = local_branch("iter/0001-x", 4, plan="q", base=oid(1))
    assert [commit.oid for commit in make_history(commits, iteration).work[1]] == [oid(1)]
    assert [commit.oid for commit in make_history(commits, iteration, plan="q").work[1]] == [
        oid(2),
        oid(3),
        oid(4),
    ]
    # Merged commits still belong to the iteration.
    merged = (iteration, local_branch("main", 4, trunk=True))
    assert [commit.oid for commit in make_history(commits, *merged).work[1]] == [oid(1)]


def test_remote_branches_count_where_no_local_one_has_the_work() -> None:
    commits = [make_commit(2), make_commit(1)]
    remote = HistoryBranch("refs/remotes/origin/x", oid(1), remote=True)
    assert [commit.oid for commit in make_history(commits, remote).work[1]] == [oid(1)]
    combined = make_history(commits, remote, local_branch("x", 2))
    assert [commit.oid for commit in combined.work[1]] == [oid(2)]
    assert combined.is_in_effect(oid(1))


def test_evidence_covers_the_last_commit() -> None:
    commits = chain_commits(make_commit(1), make_commit(2))
    done = task(status="done", commits=(oid(1),), evidence=(make_evidence(1, 1),))
    assert advance_task(done, make_history(commits, local_branch("x", 1))) == (done, None)
    after, why = advance_task(done, make_history(commits, local_branch("x", 2)))
    assert (after.status, after.commits, "another tree" in str(why)) == ("agent_done", (oid(1), oid(2)), True)
    assert task_tips(after, make_history(commits, local_branch("x", 2))) == (oid(2),)
    # Without the second commit, the verified first one counts again.
    restored, _ = advance_task(after, make_history(commits, local_branch("x", 1), lost=(oid(2),)))
    assert (restored.status, restored.commits, restored.attempt) == ("done", (oid(1),), 1)


def test_failed_evidence_counts() -> None:
    failed = task(
        status="agent_done", commits=(oid(1),), evidence=(make_evidence(1, 1), make_evidence(1, 1, ok=False))
    )
    work_history = make_history(chain_commits(make_commit(1)), local_branch("x", 1))
    assert (advance_task(failed, work_history), find_proof(failed, work_history)) == ((failed, None), None)
    older = task(status="agent_done", attempt=2, commits=(oid(1),), evidence=(make_evidence(1, 1),))
    assert advance_task(older, work_history) == (older, None)


def test_a_sign_off_is_valid_until_the_work_is_gone() -> None:
    done = task(status="done", commits=(oid(1),), evidence=(make_evidence(1, 1, kind="manual"),))
    commits = chain_commits(
        make_commit(1), make_commit(2), make_commit(3, tasks=(), reverts=(oid(1), oid(2)))
    )
    assert advance_task(done, make_history(commits, local_branch("x", 2)))[0].status == "done"
    after, why = advance_task(done, make_history(commits, local_branch("x", 3)))
    assert (after.status, after.attempt, after.commits) == ("todo", 2, ())
    assert why == f"{oid(1)[:12]} was reverted by {oid(3)[:12]}"


def test_unknown_commits_are_kept() -> None:
    foreign = task(status="agent_done", commits=(oid(50),))
    assert advance_task(foreign, make_history([])) == (foreign, None)
    assert advance_task(foreign, make_history([], lost=(oid(50),)))[0].status == "todo"


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Task, History]:
    """Draw an arbitrary task, and a history with branches, merges, reverts and lost commits."""
    count = draw(st.integers(1, 8))
    commits: list[HistoryCommit] = []
    for number in range(1, count + 1):
        parents = draw(st.lists(st.integers(1, number - 1), max_size=2, unique=True)) if number > 1 else []
        reverts = draw(st.lists(st.integers(1, count), max_size=2))
        tree = draw(st.integers(1, 3))
        tasks = draw(st.sampled_from([(), (1,), (1,), (2,)]))
        plan = draw(st.sampled_from([None, None, "p", "q"]))
        commit = HistoryCommit(
            oid(number), oid(tree), tuple(map(oid, parents)), tasks, plan, tuple(map(oid, reverts))
        )
        commits.insert(0, commit)
    branches = [
        HistoryBranch(
            f"refs/heads/b{index}",
            oid(draw(st.integers(1, count))),
            draw(st.sampled_from([None, "p", "q"])),
            draw(st.sampled_from([None, oid(1), oid(2)])),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for index in range(draw(st.integers(0, 4)))
    ]
    listed = draw(st.lists(st.integers(1, count + 3), unique=True, max_size=6))
    lost = draw(st.lists(st.sampled_from([count + 1, count + 2, 1, 2]), max_size=3))
    evidence = tuple(
        make_evidence(
            draw(st.integers(1, count)),
            draw(st.integers(1, 3)),
            ok=draw(st.booleans()),
            attempt=draw(st.integers(1, 2)),
            kind=draw(st.sampled_from(["verified", "verified", "manual"])),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    drawn_task = task(
        status=draw(st.sampled_from(STATUSES)),
        attempt=draw(st.integers(1, 2)),
        commits=tuple(map(oid, listed)),
        evidence=evidence,
    )
    return drawn_task, build_history(commits, branches, "p", "p", map(oid, lost))


@given(worlds())
def test_advancing_is_idempotent(world: tuple[Task, History]) -> None:
    before, work_history = world
    after, why = advance_task(before, work_history)
    assert (why is None) == (after == before)
    assert advance_task(after, work_history) == (after, None)
    assert len(set(after.commits)) == len(after.commits)
    if after.status not in ("deferred", "cancelled"):
        assert all(work_history.is_in_effect(commit_id) for commit_id in after.commits)
    if after.status == "done" and before.status != "done":
        assert find_proof(after, work_history) is not None
    check_followed_task(before.document(), after.document())


def test_only_followed_fields_may_change() -> None:
    before = task(owner="me", branch="x", run=None).document()
    for name, value in (
        ("title", "another"),
        ("verify", [["true"]]),
        ("evidence", [{}]),
        ("owner", "you"),
        ("status", "delegated"),
        ("attempt", 0),
        ("reason", "x" * 20_001),
        ("commits", ["../../x"]),
    ):
        with pytest.raises(PlannerError, match=name):
            check_followed_task(before, {**before, name: value})
    check_followed_task(before, {**before, "owner": None, "status": "agent_done", "commits": [oid(1)]})


def read(number: int, parents: tuple[int, ...], subject: str, body: str = "") -> HistoryCommit:
    """Read a commit from its message."""
    names = " ".join(map(oid, parents))
    return read_commit(oid(number), oid(number), names, subject=subject, tasks="", plan="", body=body)


BUTTON = "Reverts me/it#12"
REVERTED = {
    "GitHub, squashed": ("task_001: a (#12)", "", 'Revert "task_001: a (#12)" (#13)', BUTTON),
    "GitHub, title changed": ("task_001: a (#12)", "", 'Revert "a" (#13)', f"\n{BUTTON}\n"),
    "GitLab": (
        "Title",
        "task_001: a\n\nSee merge request me/it!12",
        'Revert "Title"',
        "This reverts merge request !12",
    ),
    "GitHub, merged": ("Merge pull request #12 from me/x", "task_001: a", 'Revert "a" (#13)', BUTTON),
    "git": (
        "Merge branch 'x'",
        "",
        'Revert "Merge"',
        f"This reverts commit {oid(3)}, reversing\nchanges made to {oid(1)}.",
    ),
}


@pytest.mark.parametrize("site", REVERTED)
def test_a_request_that_was_reverted_on_the_base_branch(site: str) -> None:
    subject, body, revert, why = REVERTED[site]
    is_merge = subject.startswith("Merge ")
    commits = [
        read(4, (3,), revert, why),
        read(3, (1, 2) if is_merge else (1,), subject, body),
        *([read(2, (1,), "task_001: do it")] if is_merge else []),
        read(1, (), "first (#12)"),
    ]
    branches = (local_branch("main", 4, trunk=True), *([local_branch("x", 2)] if is_merge else []))
    reverted = make_history(commits, *branches).reverted
    assert reverted.keys() == ({oid(2), oid(3)} if is_merge else {oid(3)})
    assert set(reverted.values()) == {oid(4)}
    # A revert of the revert brings it back.
    again = read(5, (4,), f'Revert "{revert}" (#14)', f"This reverts commit {oid(4)}.")
    assert make_history(
        [again, *commits], local_branch("main", 5, trunk=True), *branches[1:]
    ).reverted.keys() == {oid(4)}


@pytest.mark.parametrize("subject", ["task_002: like it", "Reverts things"])
def test_a_message_that_only_speaks_of_a_reverted_request_reverts_nothing(subject: str) -> None:
    commits = [read(2, (1,), subject, "Reverts me/it#12"), read(1, (), "task_001: do it (#12)")]
    assert make_history(commits, local_branch("main", 2, trunk=True)).reverted == {}
