"""Work that a hosting site merged by a squash or a rebase, its branch deleted: it is on the base branch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.lab import Lab
from tests.support.workshop import workshop
from tests.tasks.test_follow_branch import commit_change, head, status_and_commits, sync, task, verify_task

WORK = "iter/0001-work"
MESSAGES = {
    "GitHub": "A feature (#12)\n\n* task_001: do it\n\n* task_002: do that\n",
    "GitHub with trailers": "A feature (#12)\n\n* a\n\nPlanner-Task: task_001, task_002\n\n* b\n\nwhy\n",
    "GitLab": "Merge branch 'iter/0001-work' into 'main'\n\nA feature\n\nSee merge request group/project!7",
    "Bitbucket": "Merged in iter/0001-work (pull request #3)\n\n* task_001: do it\n* task_002: do that",
    "without names": "A feature\n",
}
# What the sites' revert buttons write; without a number the commit itself is named.
REVERTS = {
    "GitHub": 'Revert "A feature" (#99)\n\nReverts me/it#12',
    "GitHub with trailers": 'Revert "A feature" (#99)\n\nReverts me/it#12',
    "GitLab": "Revert \"Merge branch 'iter/0001-work' into 'main'\"\n\nThis reverts merge request !7",
}


@pytest.fixture
def lab_with_work(lab: Lab) -> Iterator[Lab]:
    """Make a plan of two tasks, both verified on one branch, with main checked out again."""
    workshop(lab)
    lab.commit("a long file", {"src/long.txt": "".join(f"{number}\n" for number in range(40))})
    for number in (1, 2):
        assert lab.run("git-plan", "task", "add", f"do {number}", "--verify", "true").status == 0
    lab.git("switch", "-q", "-c", WORK)
    for number in (1, 2):
        commit_change(lab, f"task_00{number}: do it", f"{100 - number}\n")
        sync(lab)
        verify_task(lab, number)
    lab.git("switch", "-q", "main")
    yield lab
    assert sync(lab)["changes"] == []


def squash_merge(lab: Lab, message: str) -> str:
    lab.git("merge", "-q", "--squash", WORK)
    lab.git("commit", "-q", "-m", message)
    lab.git("branch", "-q", "-D", WORK)
    return head(lab)


@pytest.mark.parametrize(
    ("site", "base_moved"), [*((site, True) for site in MESSAGES), ("without names", False)]
)
def test_a_verified_task_stays_done(lab_with_work: Lab, site: str, base_moved: bool) -> None:
    lab = lab_with_work
    if base_moved:
        lab.commit("the base moves", {"README.md": "new\n"})
    squashed = squash_merge(lab, MESSAGES[site])
    lab.commit("the base moves on", {"src/size.txt": "50\n"})
    sync(lab)
    assert [status_and_commits(lab, number) for number in (1, 2)] == [("done", [squashed])] * 2
    assert [task(lab, number)["attempt"] for number in (1, 2)] == [1, 1]
    # The evidence outlives the commit that was verified.
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("gc", "-q", "--prune=now")
    assert sync(lab)["changes"] == []
    lab.commit(REVERTS.get(site, f"Revert\n\nThis reverts commit {squashed}."), {"src/size.txt": "100\n"})
    sync(lab)
    assert (task(lab)["status"], task(lab)["attempt"]) == ("todo", 2)


def test_a_rebase_merge(lab_with_work: Lab) -> None:
    lab = lab_with_work
    lab.commit("the base moves", {"README.md": "new\n"})
    lab.git("cherry-pick", f"{WORK}~2..{WORK}")
    lab.git("branch", "-q", "-D", WORK)
    sync(lab)
    assert [status_and_commits(lab, number) for number in (1, 2)] == [
        ("done", [head(lab, "HEAD~1")]),
        ("done", [head(lab)]),
    ]
    evidence = task(lab)["evidence"][-1]
    assert (evidence["commit"], evidence["tree"]) == (head(lab, "HEAD~1"), head(lab, "HEAD~1^{tree}"))
    assert evidence["note"].startswith("the change that was verified at ")


def test_only_a_remote_has_the_merge(lab_with_work: Lab) -> None:
    lab = lab_with_work
    lab.git("switch", "-q", "-c", "site")
    lab.commit("the base moves", {"README.md": "new\n"})
    squashed = squash_merge(lab, "A feature")
    lab.git("update-ref", "refs/remotes/origin/main", squashed)
    lab.git("switch", "-q", "main")
    lab.git("branch", "-q", "-D", "site")
    sync(lab)
    assert status_and_commits(lab) == ("done", [squashed])


def test_more_was_merged_than_was_verified(lab_with_work: Lab) -> None:
    lab = lab_with_work
    lab.git("switch", "-q", WORK)
    commit_change(lab, "of no task", "60\n")
    lab.git("switch", "-q", "main")
    squashed = squash_merge(lab, "A feature")
    sync(lab)
    assert [status_and_commits(lab, number) for number in (1, 2)] == [("done", [squashed])] * 2


def test_unverified_work_stays_work(lab_with_work: Lab) -> None:
    lab = lab_with_work
    assert lab.run("git-plan", "task", "add", "do 3").status == 0
    lab.git("switch", "-q", WORK)
    commit_change(lab, "task_003: do it", "70\n")
    sync(lab)
    lab.git("switch", "-q", "main")
    squashed = squash_merge(lab, "A feature")
    sync(lab)
    assert status_and_commits(lab, 3) == ("agent_done", [squashed])


def test_the_base_has_something_else(lab_with_work: Lab) -> None:
    lab = lab_with_work
    lab.git("merge", "-q", "--squash", WORK)
    (lab.path / "src/size.txt").write_text("60\n")
    lab.git("commit", "-q", "-a", "-m", "A feature (#12)\n\n* task_001: do it\n")
    lab.git("branch", "-q", "-D", WORK)
    sync(lab)
    # What was merged is not what was verified; and task 2 is not named.
    assert [status_and_commits(lab, number) for number in (1, 2)] == [
        ("agent_done", [head(lab)]),
        ("todo", []),
    ]


def test_the_branch_is_deleted_unmerged(lab_with_work: Lab) -> None:
    lab_with_work.git("branch", "-q", "-D", WORK)
    sync(lab_with_work)
    assert [status_and_commits(lab_with_work, number)[0] for number in (1, 2)] == ["todo", "todo"]
