"""`git gc --prune=now` beside writers: what a ref points to is there, whenever a gc deletes objects."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import agent_worktree, fresh_objects, objects
from git_planner.gitio.content.read_content import read_content
from git_planner.gitio.store import Message, Move, Step, Store, Tag, Write
from tests.support.gc_race import race
from tests.support.lab import GIT, Lab

REF, FILE = "refs/heads/plan/x", ".plans/x/plan.json"
SIDE, TAG, NUMBERS = "refs/planner/side", "refs/tags/best/1-a-i1", "refs/planner/numbers/iter/"
# What a gc does that read the refs before they moved.
PRUNE = f'"{GIT}" prune --expire=now'
MOVES_REFS = '[ "$7" = update-ref ] || [ "$6" = update-ref ] || [ "$5" = update-ref ]'
REPACK = f'"{GIT}" repack -adlq; {PRUNE}'


def write_all(writer: Store) -> None:
    """Write every kind of object: blobs, trees, commits of the store and of its caller, a tag."""
    git, base = writer.repo.git, writer.repo.resolve("main")
    with git.batch() as batch:
        tree = objects.splice(git, batch, base, {"side/a": b"a", "side/b/c": b"c"})
    first = objects.commit_tree(git, tree, (base,), "one\n")
    side = objects.commit_tree(git, tree, (first,), "two\n")
    edits = {f"many/{number}": b"%d" % number for number in range(6)}
    steps: Sequence[Step] = [
        Write(REF, {FILE: b"one\n", **edits}, Message("one"), base),
        Move(SIDE, side),
        Tag(TAG, base, "best"),
    ]
    writer.transact([REF, SIDE, TAG], lambda _: steps)


def check_all(lab: Lab) -> None:
    assert lab.show(f"plan/x:{FILE}") == "one\n"
    assert lab.show(f"{SIDE}:side/b/c") == "c"
    assert lab.git("cat-file", "-t", TAG) == "tag"
    lab.fsck()


def disturb(lab: Lab, script: str, condition: str) -> None:
    """Put a git on PATH that runs a script before it does its work, if a condition holds."""
    folder = lab.root / "disturbed"
    folder.mkdir(exist_ok=True)
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\nprintf . >>"{folder}/count"\ncalls=$(wc -c <"{folder}/count")\n'
        f'if {condition}; then (cd "{lab.path}" && {script}) >/dev/null 2>&1; fi\nexec "{GIT}" "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{lab.env['PATH']}"


def calm(lab: Lab) -> int:
    """Take that git away; return how often it was called."""
    os.environ["PATH"] = lab.env["PATH"]
    count = lab.root / "disturbed/count"
    calls = len(count.read_text())
    count.unlink()
    return calls


@pytest.mark.parametrize(("kind", "first"), [((), 1), (("--object-format=sha256",), 2)])
def test_objects_that_are_deleted_between_two_calls_are_written_again(
    make_lab: Callable[..., Lab], kind: tuple[str, ...], first: int
) -> None:
    lab = make_lab(*kind)
    with lab.entered():
        for call in range(first, 60, 3):
            disturb(lab, PRUNE, f"[ $calls -eq {call} ]")
            write_all(lab.store)
            check_all(lab)
            if calm(lab) < call:
                return
            for ref in (REF, SIDE, TAG):
                lab.git("update-ref", "-d", ref)
            shutil.rmtree(lab.path / ".git/planner/tips")
    raise AssertionError("the command never came to its end")


def start_gc(lab: Lab) -> None:
    """Make the lock of a gc that runs."""
    (lab.path / ".git/gc.pid").write_text(f"{os.getpid()} {os.uname().nodename}")


def loose(lab: Lab) -> set[Path]:
    return set((lab.path / ".git/objects").glob("[0-9a-f][0-9a-f]/*"))


def test_a_gc_that_read_the_refs_before_deletes_nothing_that_is_needed(lab: Lab) -> None:
    before = loose(lab)
    start_gc(lab)
    write_all(lab.store)
    number = lab.store.reserve(NUMBERS)
    for path in loose(lab) - before:
        path.unlink()
    check_all(lab)
    assert lab.git("cat-file", "-t", f"{NUMBERS}{number:04d}") == "blob"
    assert list((lab.path / ".git/objects/pack").glob("*.keep")) == []


def test_a_gc_that_repacks_before_the_refs_move_keeps_what_they_will_need(lab: Lab) -> None:
    start_gc(lab)
    disturb(lab, REPACK, MOVES_REFS)
    write_all(lab.store)
    calm(lab)
    check_all(lab)


def test_a_gc_that_starts_while_the_refs_move_is_seen(lab: Lab) -> None:
    before = loose(lab)
    with lab.entered():
        disturb(lab, f"echo {os.getpid()} {os.uname().nodename} >.git/gc.pid", MOVES_REFS)
        write_all(lab.store)
        calm(lab)
    assert (lab.path / ".git/gc.pid").exists()
    for path in loose(lab) - before:
        path.unlink()
    check_all(lab)


def test_what_begins_after_the_refs_have_moved_keeps_what_they_reach(lab: Lab) -> None:
    write_all(lab.store)
    for command in (("prune", "--expire=now"), ("repack", "-adq"), ("gc", "--quiet", "--prune=now")):
        lab.git(*command)
        check_all(lab)


def test_without_a_gc_no_pack_is_made(lab: Lab) -> None:
    write_all(lab.store)
    assert list((lab.path / ".git/objects/pack").glob("*")) == []
    lock = lab.path / ".git/gc.pid"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for text, age in ((f"{ended.pid} {os.uname().nodename}", 0), ("1 elsewhere", 13 * 3600)):
        lock.write_text(text)
        os.utime(lock, (time.time() - age,) * 2)
        assert not fresh_objects.is_gc_running(lab.path / ".git")
    lock.write_text("1 elsewhere")
    assert fresh_objects.is_gc_running(lab.path / ".git")


def test_a_mark_of_a_killed_process_is_removed_and_those_of_others_stay(lab: Lab) -> None:
    folder = lab.path / ".git/objects/pack"
    folder.mkdir(exist_ok=True)
    texts = {"old": fresh_objects._KEEP, "young": fresh_objects._KEEP, "foreign": "fetch-pack 1 on x"}
    for name, text in texts.items():
        (folder / f"pack-{name}.keep").write_text(f"{text}\n")
    for name in ("old", "foreign"):
        os.utime(folder / f"pack-{name}.keep", (0, 0))
    start_gc(lab)
    write_all(lab.store)
    assert sorted(path.name for path in folder.glob("*.keep")) == ["pack-foreign.keep", "pack-young.keep"]


def test_an_agents_content_is_kept_and_committed_although_it_was_deleted(lab: Lab) -> None:
    lab.git("branch", "iter/0001-a")
    folder = lab.worktree("place", "iter/0001-a")
    (folder / "deep").mkdir()
    repo, start = lab.repo, lab.repo.resolve("main")
    place = agent_worktree.at(folder, repo)
    assert place is not None
    for number in range(2):
        (folder / "deep/work.txt").write_text(f"work {number}\n")
        tree = read_content(place, start).tree
        lab.git("prune", "--expire=now")
        assert lab.run_git("cat-file", "-e", tree).status == 1
        if number == 0:
            agent_worktree.keep(repo, SIDE, tree, start, "kept\n")
            assert lab.show(f"{SIDE}:deep/work.txt") == "work 0\n"
        else:
            agent_worktree.commit(place, "refs/heads/iter/0001-a", start, tree, "work\n", sign_seconds=60)
            assert lab.show("iter/0001-a:deep/work.txt") == "work 1\n"
        lab.fsck()


def test_a_plan_whose_objects_are_missing_is_not_taken_for_an_empty_one(lab: Lab) -> None:
    write_all(lab.store)
    writer = Store(lab.repo, restore_pauses=(0.01,))
    tip = lab.refs()[REF]
    oids = lab.git("rev-parse", f"{tip}:{FILE}", f"{tip}:.plans", f"{tip}^{{tree}}").split()
    for oid in oids:
        (lab.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
        with pytest.raises(PlannerError) as caught:
            writer.edit(REF, lambda seen: {FILE: (seen.read(FILE) or b"") + b"two\n"}, Message("two"))
        assert caught.value.code == "E_GIT"
        assert lab.refs()[REF] == tip


def test_writers_beside_a_gc_lose_nothing(lab: Lab) -> None:
    writers, edits = 4, 5
    kept, rounds = race(lab.path, lab.env, writers, edits)
    assert kept == writers * edits
    assert rounds > 0
    lab.fsck()
