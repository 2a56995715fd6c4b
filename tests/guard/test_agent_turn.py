"""During an agent's turn, moves of the planner's refs that the planner did not make are undone and told."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.folders import remove_folder
from git_planner.gitio.repository import TURNS
from git_planner.gitio.store import Delete, Message, Move, Snapshot, Store
from git_planner.rules.refnames import next_number
from git_planner.turn_notes import noted_moves
from tests.support import small_campaign
from tests.support.lab import GIT, Lab

PLAN, BEST, TAG = "refs/heads/plan/default", "refs/heads/iter/best", "refs/tags/best/1-next-i9"
OWN, OTHER = "refs/heads/iter/0001-own", "refs/heads/iter/0002-other"


@pytest.fixture
def moved(lab: Lab) -> tuple[str, str]:
    """Two commits; the plan, the best and two iterations stand at the first."""
    first = lab.git("rev-parse", "HEAD")
    second = lab.commit("second", {"a": "a"})
    for ref in (PLAN, BEST, OWN, OTHER, "refs/planner/claims/default/task_001"):
        lab.git("update-ref", ref, first)
    return first, second


def test_moves_of_the_agent_are_undone_kept_and_told(lab: Lab, moved: tuple[str, str]) -> None:
    first, second = moved
    messages: list[str] = []
    with lab.entered():
        before = lab.refs()
        with suppress(KeyboardInterrupt), agent_turn(lab.repo, OWN, messages.append) as turn:
            for ref in (PLAN, BEST, TAG, OWN):
                lab.git("update-ref", ref, second)
            lab.git("update-ref", "-d", "refs/planner/claims/default/task_001")
            lab.git("update-ref", "-d", OTHER)
            raise KeyboardInterrupt
        after = lab.refs()
        undone = {ref: oid for ref, oid in after.items() if ref.startswith("refs/planner/undone/")}
        assert {ref: oid for ref, oid in after.items() if ref not in undone} == {**before, OWN: second}
        assert set(undone.values()) == {second}
        assert len(undone) == 3
        assert turn.notes == tuple(messages)
        removed = "'iter/0002-other' was removed while the agent worked, not by git-planner"
        assert messages[0] == f"{removed}, and was put back"
        assert len(messages) == 5
        assert not list(lab.repo.private(TURNS).iterdir())
        assert first == after[PLAN]


def test_moves_of_git_planner_and_of_people_stay(lab: Lab, moved: tuple[str, str]) -> None:
    _, second = moved
    messages: list[str] = []
    with lab.entered():
        # Left by a process that was killed.
        lab.repo.private(TURNS).mkdir(parents=True)
        lab.repo.private(TURNS, "abandoned").write_text("")
        with agent_turn(lab.repo, OWN, messages.append):
            assert [path.name for path in lab.repo.private(TURNS).iterdir()] != ["abandoned"]
            ours = lab.store.edit(PLAN, lambda _: {"x": b"1"}, Message("ours"))
            lab.store.transact([BEST], lambda _: [Move(BEST, second)])
            assert lab.store.reserve("refs/planner/numbers/iter/", next_number) == 1
            # A person's commit on another iteration.
            lab.git("update-ref", OTHER, second)
        refs = lab.refs()
        assert (messages, refs[PLAN], refs[BEST], refs[OTHER]) == ([], ours, second, second)
        assert "refs/planner/numbers/iter/0001" in refs
        # What the agent moved on from our move goes back to that.
        with agent_turn(lab.repo, OWN, messages.append):
            ours = lab.store.edit(PLAN, lambda _: {"x": b"2"}, Message("ours again"))
            lab.git("update-ref", PLAN, second)
        assert (lab.refs()[PLAN], len(messages)) == (ours, 1)


def test_a_move_that_was_noted_before_the_turn_began_stays(lab: Lab, moved: tuple[str, str]) -> None:
    messages: list[str] = []
    is_turn_at_work, is_move_made = threading.Event(), threading.Event()
    moving, go_on = lab.root / "moving", lab.root / "go-on"
    slow_git = lab.root / "slow" / "git"
    slow_git.parent.mkdir()
    slow_git.write_text(
        f"""#!/bin/sh
case "$*" in *update-ref*--stdin*) : >'{moving}'; while ! [ -e '{go_on}' ]; do sleep 0.01; done ;; esac
exec '{GIT}' "$@"
"""
    )
    slow_git.chmod(0o755)
    lab.env["PATH"] = f"{slow_git.parent}{os.pathsep}{lab.env['PATH']}"

    def take_turn() -> None:
        while not moving.exists():
            is_move_made.wait(0.01)
        with agent_turn(lab.repo, OWN, messages.append):
            is_turn_at_work.set()
            assert is_move_made.wait(60)

    def let_go() -> None:
        # A turn that does not wait for the move reads the refs in this time.
        is_turn_at_work.wait(0.5)
        go_on.touch()

    turn, releaser = threading.Thread(target=take_turn), threading.Thread(target=let_go)
    with lab.entered():
        turn.start()
        releaser.start()
        ours = lab.store.edit(PLAN, lambda _: {"x": b"1"}, Message("ours"))
        is_move_made.set()
        turn.join()
        releaser.join()
    assert (messages, lab.refs()[PLAN]) == ([], ours)


def test_a_move_of_ours_that_lost_its_race_is_no_goal(lab: Lab, moved: tuple[str, str]) -> None:
    messages: list[str] = []

    def decide(_: Snapshot) -> dict[str, bytes]:
        # The agent is faster than our move, which is noted before it is tried.
        lab.git("update-ref", PLAN, moved[1])
        return {"x": b"2"}

    with lab.entered():
        with agent_turn(lab.repo, OWN, messages.append):
            ours = lab.store.edit(PLAN, lambda _: {"x": b"1"}, Message("ours"))
            with pytest.raises(PlannerError):
                Store(lab.repo, tries=1).edit(PLAN, decide, Message("lost"))
        assert (lab.refs()[PLAN], len(messages)) == (ours, 1)
        # The same without a move that was made.
        with agent_turn(lab.repo, OWN, messages.append), pytest.raises(PlannerError):
            Store(lab.repo, tries=1).edit(PLAN, decide, Message("lost"))
        assert (lab.refs()[PLAN], len(messages)) == (ours, 2)
        # A move to where ours would have gone is the agent's, too.
        notes = lab.repo.private(TURNS)
        with (
            agent_turn(lab.repo, OWN, messages.append),
            noted_moves(notes, [(PLAN, moved[1])]) as take_back,
        ):
            lab.git("update-ref", PLAN, moved[1])
            take_back()
        assert (lab.refs()[PLAN], len(messages)) == (ours, 3)


def test_an_agent_cannot_put_a_ref_back_to_where_its_turn_began(lab: Lab, moved: tuple[str, str]) -> None:
    messages: list[str] = []
    claim = "refs/planner/claims/default/task_002"
    with lab.entered(), agent_turn(lab.repo, OWN, messages.append):
        ours = lab.store.edit(PLAN, lambda _: {"x": b"1"}, Message("ours"))
        lab.store.transact([OTHER], lambda _: [Move(OTHER, moved[1])])
        lab.store.transact([claim], lambda _: [Move(claim, moved[1])])
        for ref in (PLAN, OTHER):
            lab.git("update-ref", ref, moved[0])
        lab.git("update-ref", "-d", claim)
    refs = lab.refs()
    assert (refs[PLAN], refs[OTHER], refs[claim]) == (ours, moved[1], moved[1])
    assert len(messages) == 3


def test_a_move_that_a_killed_process_only_noted_is_none(lab: Lab, moved: tuple[str, str]) -> None:
    messages: list[str] = []
    with lab.entered(), agent_turn(lab.repo, OWN, messages.append):
        (notes,) = lab.repo.private(TURNS).iterdir()
        with notes.open("a") as file:
            file.write(f"\n{moved[1]} {PLAN}\n")
    assert (messages, lab.refs()[PLAN]) == ([], moved[0])


def test_what_we_removed_and_an_agent_made_again_is_removed(lab: Lab, moved: tuple[str, str]) -> None:
    messages: list[str] = []
    claim = "refs/planner/claims/default/task_001"
    with lab.entered(), agent_turn(lab.repo, OWN, messages.append):
        lab.store.transact([claim], lambda _: [Move(claim, moved[1])])
        lab.store.transact([claim], lambda _: [Delete(claim)])
        lab.git("update-ref", claim, moved[0])
    assert (claim in lab.refs(), len(messages)) == (False, 1)


def test_a_forged_best_of_an_implementer_does_not_last(lab: Lab) -> None:
    small_campaign.campaign(lab)
    forging = f"echo 90 >value; git -C '{lab.path}' update-ref {BEST} HEAD; git tag best/1-x-i9; true"
    with lab.entered():
        result = small_campaign.attempt(lab, forging)
    assert result.record.verdict == "improved"
    refs = lab.refs()
    assert (refs[BEST], "refs/tags/best/1-x-i9" in refs) == (result.record.commit, False)


SABOTAGE = {
    "removed": 'rm -r "$turns"',
    "made pipes": 'for turn in "$turns"/*; do rm "$turn"; mkfifo "$turn"; done',
    "emptied": 'for turn in "$turns"/*; do : >"$turn"; done',
}


@pytest.mark.parametrize("script", SABOTAGE.values(), ids=SABOTAGE.keys())
def test_an_agent_that_removes_the_notes_of_its_turn_gains_nothing(lab: Lab, script: str) -> None:
    small_campaign.campaign(lab)
    turns = f"turns='{lab.path}/.git/planner/turns'"
    forging = f"echo 110 >value; {turns}; {script}; git tag {TAG.removeprefix('refs/tags/')}; true"
    for number in (1, 2):
        result = small_campaign.attempt(lab, forging, slug=f"x{number}")
        assert (result.record.verdict, TAG in lab.refs()) == ("worse", False)
        assert "'best/1-next-i9' was made while the agent worked" in result.record.notes[0]


@pytest.mark.usefixtures("moved")
def test_moves_of_this_process_are_known_although_its_notes_are_gone(lab: Lab) -> None:
    messages: list[str] = []
    with agent_turn(lab.repo, OWN, messages.append):
        remove_folder(lab.repo.private(TURNS))
        ours = lab.store.edit(PLAN, lambda _: {"x": b"1"}, Message("ours"))
    assert (lab.refs()[PLAN], messages) == (ours, [])
