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

from git_planner.engines.git_data import bundle_result, take_commit
from git_planner.errors import PlannerError
from git_planner.flows.guard.staged import check_guard
from git_planner.gitio import agent_worktree, objects
from git_planner.gitio.content.patched_trees import patched_trees
from git_planner.gitio.content.read_content import read_content
from git_planner.gitio.fresh import fresh_objects, held_packs
from git_planner.gitio.remote import fetch
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Message, Move, Step, Store, Tag, Write
from git_planner.rules.refnames import next_number
from tests.hooks.hooked_repository import guarded_lab
from tests.support.gc_race import race
from tests.support.lab import GIT, Lab
from tests.support.sweeps import sampled

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


def write_all_of_a_store(lab: Lab) -> None:
    write_all(lab.store)
    check_all(lab)


def disturb(lab: Lab, script: str, condition: str) -> None:
    """Put a git on PATH that runs a script before it does its work, if a condition holds."""
    folder = lab.root / "disturbed"
    folder.mkdir(exist_ok=True)
    program, objects = folder / "git", "GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES"
    program.write_text(
        f'#!/bin/sh\nprintf . >>"{folder}/count"\ncalls=$(wc -c <"{folder}/count")\n'
        f"if {condition}; then (exec >/dev/null 2>&1; unset GIT_INDEX_FILE {objects}\n"
        f'cd "{lab.path}" && {script})\nfi\nexec "{GIT}" "$@"\n'
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


def commit_of_an_agent(lab: Lab) -> None:
    branch = "refs/heads/iter/0001-a"
    lab.git("update-ref", branch, "main")
    folder = lab.worktree("place", "iter/0001-a")
    (folder / "deep").mkdir()
    (folder / "deep/work.txt").write_text("work\n")
    start, place = lab.repo.resolve("main"), agent_worktree.at(folder, lab.repo)
    assert place is not None
    tree = read_content(place, start).tree
    agent_worktree.keep(lab.repo, SIDE, tree, start, "kept\n")
    agent_worktree.commit(place, branch, start, tree, "work\n", sign_seconds=60)
    assert lab.show(f"{SIDE}:deep/work.txt") == lab.show("iter/0001-a:deep/work.txt") == "work\n"


def merge_of_two_branches(lab: Lab) -> None:
    git, base = lab.repo.git, lab.repo.resolve("main")
    sides = []
    for name in ("ours", "theirs"):
        with git.batch() as batch:
            tree = objects.splice(git, batch, base, {f"{name}/file": name.encode()})
        sides.append(objects.commit_tree(git, tree, (base,), f"{name}\n"))
    Store(lab.repo).transact([SIDE, REF], lambda _: [Move(SIDE, sides[0]), Move(REF, sides[1])])
    tree, conflicts = objects.merge_trees(lab.repo, *sides)
    assert conflicts == ()
    with git.batch() as batch:
        tree = objects.splice(git, batch, tree, {"more": b"more"})
    merged = objects.commit_tree(git, tree, tuple(sides), "merged\n")
    Store(lab.repo).transact([SIDE], lambda _: [Move(SIDE, merged)])
    contents = [lab.show(f"{SIDE}:{path}") for path in ("ours/file", "theirs/file", "more")]
    assert contents == ["ours", "theirs", "more"]


def trees_of_patches(lab: Lab) -> None:
    patches = [
        f"diff --git a/new/{n} b/new/{n}\nnew file mode 100644\n--- /dev/null\n+++ b/new/{n}\n"
        f"@@ -0,0 +1 @@\n+line {n}\n".encode()
        for n in range(3)
    ]
    trees = patched_trees(lab.repo, "main", patches)
    base = lab.repo.resolve("main")
    plain = [
        objects.PlainCommit(tree.tree, (base,), "patch", "A <a@b.invalid>", 10**9)
        for tree in trees
        if not isinstance(tree, PlannerError)
    ]
    oids = objects.write_commits(lab.repo.git, plain)
    refs = [f"{SIDE}/{number}" for number in range(len(oids))]
    moves = [Move(ref, oid) for ref, oid in zip(refs, oids, strict=True)]
    Store(lab.repo).transact(refs, lambda _: moves)
    assert [lab.show(f"{SIDE}/{n}:new/{n}") for n in range(3)] == [f"line {n}\n" for n in range(3)]


def bundle_of_a_job(lab: Lab) -> None:
    copy = lab.root / "copy.git"
    lab.git("clone", "-q", "--bare", ".", str(copy))
    worker = open_repository(copy)
    with worker.git.batch() as batch:
        tree = objects.splice(worker.git, batch, worker.resolve("main"), {"made/there": b"there"})
    commit = objects.commit_tree(worker.git, tree, (worker.resolve("main"),), "made\n")
    bundle = bundle_result(worker, [commit], [worker.resolve("main")])
    assert take_commit(lab.repo, commit, bundle) == commit
    lab.git("gc", "--quiet", "--prune=now")
    Store(lab.repo).transact([SIDE], lambda _: [Move(SIDE, commit)])
    assert lab.show(f"{SIDE}:made/there") == "there"


WRITERS = (write_all_of_a_store, commit_of_an_agent, merge_of_two_branches, trees_of_patches, bundle_of_a_job)


@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_lost_when_a_gc_ends_before_every_call_of_git(
    lab: Lab, write: Callable[[Lab], None]
) -> None:
    with lab.entered():
        disturb(lab, REPACK, "true")
        write(lab)
        calm(lab)
    lab.fsck()
    assert list((lab.path / ".git/objects/pack").glob("*.keep")) == []


@sampled(17, 1)
@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_lost_when_a_gc_ends_before_one_call_of_git(
    make_lab: Callable[..., Lab], write: Callable[[Lab], None], stride: int
) -> None:
    for call in range(1, 200, stride):
        lab = make_lab()
        with lab.entered():
            disturb(lab, REPACK, f"[ $calls -eq {call} ]")
            write(lab)
            calls = calm(lab)
        lab.fsck()
        if calls < call:
            break
    assert calls < call, "the command never came to its end"


def start_gc(lab: Lab) -> None:
    """Make the lock of a gc that runs."""
    (lab.path / ".git/gc.pid").write_text(f"{os.getpid()} {os.uname().nodename}")


def loose(lab: Lab) -> set[Path]:
    return set((lab.path / ".git/objects").glob("[0-9a-f][0-9a-f]/*"))


def test_a_gc_that_read_the_refs_before_deletes_nothing_that_is_needed(lab: Lab) -> None:
    before = loose(lab)
    start_gc(lab)
    write_all(lab.store)
    number = lab.store.reserve(NUMBERS, next_number)
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


def test_what_is_fetched_beside_a_gc_is_no_loose_object(lab: Lab) -> None:
    other = lab.root / "other.git"
    lab.git("clone", "-q", "--bare", ".", str(other))
    lab.git("remote", "add", "other", str(other))
    store = Store(open_repository(other))
    before = loose(lab)
    for number, ref in enumerate((REF, f"{REF}-2")):
        store.edit(ref, lambda _: {FILE: b"one\n"}, Message(ref), base="main")
        if number:
            start_gc(lab)
        fetch(lab.repo, "other", [f"{ref}:{ref}"], lambda _: None)
        assert bool(loose(lab) - before) == (number == 0)
        before = loose(lab)
    assert lab.show(f"{REF}-2:{FILE}") == "one\n"


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
    texts = {"old": held_packs._KEEP, "young": held_packs._KEEP, "foreign": "fetch-pack 1 on x"}
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
        lab.git("gc", "--quiet", "--prune=now")
        assert lab.run_git("cat-file", "-e", tree).status == 0
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


def test_staged_changes_are_checked_although_a_gc_ends_before_every_call_of_git(lab: Lab) -> None:
    guarded_lab(lab, install=False)
    (lab.path / "src/new").write_text("new\n")
    lab.git("add", "src/new")
    with lab.entered():
        disturb(lab, REPACK, "true")
        check_guard()
        (lab.path / "tests/run.sh").write_text("exit\n")
        lab.git("add", "tests/run.sh")
        with pytest.raises(PlannerError) as caught:
            check_guard()
    assert (caught.value.code, caught.value.details[0]) == ("E_GUARD", "changed: tests/run.sh")
    # What was written for the check is gone.
    assert list((lab.path / ".git/planner/fresh").iterdir()) == []
    lab.fsck()
