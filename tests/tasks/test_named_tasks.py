"""Tasks that messages name: people's, git's, and those of hosting sites that squash."""

from __future__ import annotations

import pytest

from git_planner.rules.tasks.named_tasks import named_tasks, quoted_plan, squashed_tasks

GITHUB = "* task_001: do it\n\n* task_002: and that\n\n---------\n\nCo-authored-by: A <a@example.com>\n"
WITH_TRAILERS = (
    "* do it\n\nwhy\n\nPlanner-Task: task_001\nPlanner-Plan: parser\n\n* and that\n\nPlanner-Task: task_002\n"
)


@pytest.mark.parametrize(
    ("subject", "trailers", "expected"),
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
def test_names(subject: str, trailers: list[str], expected: tuple[str, ...]) -> None:
    assert named_tasks(subject, trailers) == expected


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        ("A feature (#12)", GITHUB, ("task_001", "task_002")),
        ("A feature, retitled", "\n" + GITHUB, ("task_001", "task_002")),
        ("A feature (#12)", WITH_TRAILERS, ("task_001", "task_002")),
        (
            "Merge branch 'iter/0001-x' into 'main'",
            "\ntask_001: do it\n\nSee merge request a/b!7",
            ("task_001",),
        ),
        ("A feature", "- task_001: do it\n\nSee merge request a/b!7", ("task_001",)),
        ("Merged in iter/0001-x (pull request #3)", "task_001: do it\n\nApproved-by: A", ("task_001",)),
        ("Merge pull request #3 from a/iter/0001-x", "task_001: do it", ("task_001",)),
        ("A feature (pull request #3)", "* task_001: do it\n* TASK-2: x", ("task_001", "TASK-2")),
        ("Merged PR 12: task_001: do it", "about the task", ("task_001",)),
        ("A feature", "* task_001: x\n\nReviewed-on: https://git.example/a/b/pulls/3", ("task_001",)),
        (
            "Squashed commit of the following:",
            "\n\ncommit 1\n\n    task_001: a\n\n        task_9: code\n",
            ("task_001",),
        ),
        # People write of tasks, too.
        ("do it", "task_001: it is for this", ()),
        ("do it", "see also:\n\n* task_001: still open\n", ()),
        ("do it (#12)", "it is what task_001: needs\n\n> * task_003: quoted\n  * task_004: below", ()),
        ("do it", "write\n\nPlanner-Task: task_001\n\ninto the message", ()),
        ("'" * 5000 + " task_1", "See merge request !" + "!" * 5000 + "\ntask", ()),
    ],
)
def test_names_in_the_message_of_a_squash_merge(subject: str, body: str, expected: tuple[str, ...]) -> None:
    assert squashed_tasks(subject, body) == expected


def test_the_plan_in_the_middle_of_a_message() -> None:
    assert (quoted_plan(WITH_TRAILERS), quoted_plan(GITHUB)) == ("parser", None)
