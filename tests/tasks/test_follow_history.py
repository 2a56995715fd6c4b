"""How tasks follow from history: names, reverts, rewrites; and that asking twice is asking once."""

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
    named_tasks,
    read_commit,
    task_tips,
)
from git_planner.rules.tasks.task import STATUSES, Task, TaskEvidence
from git_planner.rules.tasks.transitions import check_followed_task
from tests.tasks.test_task_rules import task

AT = "2026-11-28T12:00:00Z"


def oid(number: int) -> str:
    return f"{number:040x}"


def proof(
    commit: int, tree: int, *, ok: bool = True, attempt: int = 1, kind: Any = "verified"
) -> TaskEvidence:
    return TaskEvidence(kind, AT, "me", attempt, oid(commit), oid(tree), ok=ok)


@pytest.mark.parametrize(
    ("subject", "trailers", "found"),
    [
        ("task_001: x", [], ("task_001",)),
        ("TASK-1 : x", [], ("TASK-1",)),
        ("squash! fixup! task_001: x", [], ("task_001",)),
        ("task_001 x", [], ()),
        ("a task_001: x", [], ()),
        ("", ["task_001", "TASK-2, task_3;task_001"], ("task_001", "TASK-2", "task_3")),
        ("task_1: x", ["task_1", "nonsense", "task_"], ("task_1",)),
        ("task_99999999999: x", [], ("task_99999999999",)),
    ],
)
def test_names(subject: str, trailers: list[str], found: tuple[str, ...]) -> None:
    assert named_tasks(subject, trailers) == found


def test_a_commit_is_read_from_its_message() -> None:
    body = f"why\n\nThis reverts commit {oid(7)}.\nAnd this: This reverts commit {oid(8)}\n"
    read = read_commit(
        oid(1), oid(2), f"{oid(3)} {oid(4)}", subject="TASK-7: x", tasks="task_8\n", plan="p\n", body=body
    )
    assert read == HistoryCommit(oid(1), oid(2), (oid(3), oid(4)), (7, 8), "p", (oid(7),))
    nobody = read_commit(oid(1), oid(2), "", subject="task_99999999999: x", tasks="", plan="", body="")
    assert nobody == HistoryCommit(oid(1), oid(2))
    squashed = "\n\ncommit 1\n\n    task_001: a\n    \n    Planner-Task: task_3\n        task_9: code\n"
    text = read_commit(
        oid(1), oid(2), "", subject="Squashed commit of the following:", tasks="", plan="", body=squashed
    )
    assert text.tasks == (1, 3)


def line(*commits: HistoryCommit) -> list[HistoryCommit]:
    """Commits one on top of the other, as git lists them: the last first."""
    found: list[HistoryCommit] = []
    for each in commits:
        found.insert(0, each._replace(parents=(found[0].oid,) if found else ()))
    return found


def work(
    number: int, *, tree: int | None = None, tasks: tuple[int, ...] = (1,), **more: Any
) -> HistoryCommit:
    return HistoryCommit(oid(number), oid(tree or number), (), tasks, **more)


def local(ref: str, number: int, **more: Any) -> HistoryBranch:
    return HistoryBranch(f"refs/heads/{ref}", oid(number), **more)


def seen(
    commits: list[HistoryCommit], *branches: HistoryBranch, lost: tuple[str, ...] = (), plan: str = "p"
) -> History:
    return build_history(commits, branches, plan, "p", lost)


def test_reverts_and_reverts_of_reverts() -> None:
    commits = line(
        work(1), work(2, tasks=(), reverts=(oid(1),)), work(3, tasks=(), reverts=(oid(2),)), work(4)
    )
    for tip, standing in ((1, {1}), (2, set()), (3, {1}), (4, {1, 4})):
        found = seen(commits, local("x", tip))
        assert {int(each.oid, 16) for each in found.work.get(1, ())} == standing
    # On another branch it stands.
    assert seen(commits, local("x", 2), local("y", 1)).reverted == {}
    assert seen(commits, local("main", 2, trunk=True), local("y", 1)).reverted == {oid(1): oid(2)}


def test_a_commit_cannot_take_back_what_comes_after_it() -> None:
    commits = line(work(1, tasks=(), reverts=(oid(2), oid(1), oid(99))), work(2))
    assert seen(commits, local("x", 2)).reverted == {}


def test_whose_a_commit_is() -> None:
    commits = line(work(1), work(2), work(3, plan="q"), work(4))
    one = local("iter/0001-x", 4, plan="q", base=oid(1))
    assert [each.oid for each in seen(commits, one).work[1]] == [oid(1)]
    assert [each.oid for each in seen(commits, one, plan="q").work[1]] == [oid(2), oid(3), oid(4)]
    # Merged, they are still the iteration's.
    merged = (one, local("main", 4, trunk=True))
    assert [each.oid for each in seen(commits, *merged).work[1]] == [oid(1)]


def test_what_others_have_counts_where_nothing_is_here() -> None:
    commits = [work(2), work(1)]
    remote = HistoryBranch("refs/remotes/origin/x", oid(1), remote=True)
    assert [each.oid for each in seen(commits, remote).work[1]] == [oid(1)]
    both = seen(commits, remote, local("x", 2))
    assert [each.oid for each in both.work[1]] == [oid(2)]
    assert both.is_in_effect(oid(1))


def test_evidence_is_for_the_last_of_the_work() -> None:
    commits = line(work(1), work(2))
    done = task(status="done", commits=(oid(1),), evidence=(proof(1, 1),))
    assert advance_task(done, seen(commits, local("x", 1))) == (done, None)
    after, why = advance_task(done, seen(commits, local("x", 2)))
    assert (after.status, after.commits, "another tree" in str(why)) == ("agent_done", (oid(1), oid(2)), True)
    assert task_tips(after, seen(commits, local("x", 2))) == (oid(2),)
    # Away with the second: the first is as it was verified.
    again, _ = advance_task(after, seen(commits, local("x", 1), lost=(oid(2),)))
    assert (again.status, again.commits, again.attempt) == ("done", (oid(1),), 1)


def test_evidence_against_it_counts() -> None:
    bad = task(status="agent_done", commits=(oid(1),), evidence=(proof(1, 1), proof(1, 1, ok=False)))
    found = seen(line(work(1)), local("x", 1))
    assert (advance_task(bad, found), find_proof(bad, found)) == ((bad, None), None)
    older = task(status="agent_done", attempt=2, commits=(oid(1),), evidence=(proof(1, 1),))
    assert advance_task(older, found) == (older, None)


def test_a_persons_word_stands_until_the_work_is_gone() -> None:
    done = task(status="done", commits=(oid(1),), evidence=(proof(1, 1, kind="manual"),))
    commits = line(work(1), work(2), work(3, tasks=(), reverts=(oid(1), oid(2))))
    assert advance_task(done, seen(commits, local("x", 2)))[0].status == "done"
    after, why = advance_task(done, seen(commits, local("x", 3)))
    assert (after.status, after.attempt, after.commits) == ("todo", 2, ())
    assert why == f"{oid(1)[:12]} was reverted by {oid(3)[:12]}"


def test_what_is_not_known_here_stays() -> None:
    far = task(status="agent_done", commits=(oid(50),))
    assert advance_task(far, seen([])) == (far, None)
    assert advance_task(far, seen([], lost=(oid(50),)))[0].status == "todo"


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Task, History]:
    """A task as anybody may have left it, and a history with branches, merges, reverts and lost commits."""
    count = draw(st.integers(1, 8))
    commits: list[HistoryCommit] = []
    for number in range(1, count + 1):
        parents = draw(st.lists(st.integers(1, number - 1), max_size=2, unique=True)) if number > 1 else []
        reverts = draw(st.lists(st.integers(1, count), max_size=2))
        tree = draw(st.integers(1, 3))
        tasks = draw(st.sampled_from([(), (1,), (1,), (2,)]))
        plan = draw(st.sampled_from([None, None, "p", "q"]))
        made = HistoryCommit(
            oid(number), oid(tree), tuple(map(oid, parents)), tasks, plan, tuple(map(oid, reverts))
        )
        commits.insert(0, made)
    branches = [
        HistoryBranch(
            f"refs/heads/b{place}",
            oid(draw(st.integers(1, count))),
            draw(st.sampled_from([None, "p", "q"])),
            draw(st.sampled_from([None, oid(1), oid(2)])),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for place in range(draw(st.integers(0, 4)))
    ]
    listed = draw(st.lists(st.integers(1, count + 3), unique=True, max_size=6))
    lost = draw(st.lists(st.sampled_from([count + 1, count + 2, 1, 2]), max_size=3))
    evidence = tuple(
        proof(
            draw(st.integers(1, count)),
            draw(st.integers(1, 3)),
            ok=draw(st.booleans()),
            attempt=draw(st.integers(1, 2)),
            kind=draw(st.sampled_from(["verified", "verified", "manual"])),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    one = task(
        status=draw(st.sampled_from(STATUSES)),
        attempt=draw(st.integers(1, 2)),
        commits=tuple(map(oid, listed)),
        evidence=evidence,
    )
    return one, build_history(commits, branches, "p", "p", map(oid, lost))


@given(worlds())
def test_asking_twice_is_asking_once(world: tuple[Task, History]) -> None:
    before, found = world
    after, why = advance_task(before, found)
    assert (why is None) == (after == before)
    assert advance_task(after, found) == (after, None)
    assert len(set(after.commits)) == len(after.commits)
    if after.status not in ("deferred", "cancelled"):
        assert all(found.is_in_effect(each) for each in after.commits)
    if after.status == "done" and before.status != "done":
        assert find_proof(after, found) is not None
    check_followed_task(before.document(), after.document())


def test_only_what_follows_may_have_changed() -> None:
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
