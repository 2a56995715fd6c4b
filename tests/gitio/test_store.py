"""The store on real repositories of every kind: what it writes and refuses, and that races lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import git as gitpython
import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import git as spawns
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Delete, Edits, Message, Move, Snapshot, Store, Tag, Write
from git_planner.rules.refnames import MAX_NUMBER, next_number
from tests.support.lab import Lab
from tests.support.sweeps import sampled

REF = "refs/heads/plan/x"
FILE = ".plans/x/plan.json"


def append(line: str) -> Callable[[Snapshot], Edits]:
    """A decision that adds a line to FILE."""
    return lambda seen: {FILE: (seen.read(FILE) or b"") + line.encode() + b"\n"}


def test_edit_makes_a_branch_from_its_base_and_then_adds_to_it(lab: Lab) -> None:
    base = lab.repo.resolve("HEAD")
    with lab.undisturbed():
        lab.store.edit(REF, append("one"), Message("plan: begin", (("Planner-Op", "begin"),)), base=base)
        lab.store.edit(REF, append("two"), Message("plan: go on"))
    assert lab.show(f"plan/x:{FILE}") == "one\ntwo\n"
    assert lab.git("log", "--format=%s|%(trailers:key=Planner-Op,valueonly,separator=%x2C)", "plan/x") == (
        "plan: go on|\nplan: begin|begin\nfirst|"
    )
    assert lab.git("diff", "--name-status", "main", "plan/x") == f"A\t{FILE}"
    lab.fsck()


def test_an_edit_that_changes_nothing_makes_no_commit(lab: Lab) -> None:
    tip = lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    assert lab.store.edit(REF, lambda _: {}, Message("none")) == tip
    assert lab.store.edit(REF, lambda seen: {FILE: seen.read(FILE)}, Message("same")) == tip
    assert lab.store.edit("refs/heads/plan/none", lambda _: {}, Message("none")) is None
    assert "refs/heads/plan/none" not in lab.refs()


def test_removal_takes_empty_folders_along_and_nothing_else(lab: Lab) -> None:
    lab.store.edit(REF, lambda _: {"a/b/c": b"1", "a/d": b"2", "e": b"3"}, Message("make"), base="HEAD")
    lab.store.edit(REF, lambda _: {"a/b/c": None, "e": None, "not/there": None}, Message("remove"))
    assert lab.git("ls-tree", "-r", "--name-only", "plan/x").split() == ["README.md", "a/d"]
    lab.store.edit(REF, lambda _: {"a": b"file where a folder was", "README.md": None}, Message("swap"))
    assert lab.git("ls-tree", "-r", "--name-only", "plan/x").split() == ["a"]
    lab.fsck()


def test_modes_and_other_entries_survive_a_splice(lab: Lab) -> None:
    lab.commit("odd", {"dir/run.sh": "#!/bin/sh\n", "dir/ünïcode": "x"})
    (lab.path / "dir/run.sh").chmod(0o755)
    (lab.path / "dir/link").symlink_to("run.sh")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{lab.git('rev-parse', 'HEAD')},dir/module")
    lab.git("add", "dir/run.sh", "dir/link")
    lab.git("commit", "-qm", "odder")
    before = lab.git("ls-tree", "-r", "main").splitlines()
    lab.store.edit(REF, lambda _: {"dir/new": b"n"}, Message("new"), base="HEAD")
    after = lab.git("ls-tree", "-r", "plan/x").splitlines()
    assert [line for line in after if not line.endswith("dir/new")] == before


def test_the_decision_is_taken_again_when_a_rival_was_faster(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    seen: list[bytes | None] = []

    def change(snapshot: Snapshot) -> Edits:
        seen.append(snapshot.read(FILE))
        if len(seen) == 1:
            lab.rival(REF, FILE, "one\nrival\n")
        return append("two")(snapshot)

    lab.store.edit(REF, change, Message("two"))
    assert seen == [b"one\n", b"one\nrival\n"]
    assert lab.show(f"plan/x:{FILE}") == "one\nrival\ntwo\n"


def test_a_new_branch_is_never_made_over_a_rivals(lab: Lab) -> None:
    calls = []

    def change(snapshot: Snapshot) -> Edits:
        calls.append(snapshot.tip)
        if len(calls) == 1:
            lab.rival(REF, FILE, "rival\n")
        return append("mine")(snapshot)

    lab.store.edit(REF, change, Message("mine"), base="HEAD")
    assert calls[0] is None
    assert calls[1] is not None
    assert lab.show(f"plan/x:{FILE}") == "rival\nmine\n"


def test_a_branch_that_never_stands_still_ends_in_a_conflict(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    count = iter(range(1000))

    def change(snapshot: Snapshot) -> Edits:
        lab.rival(REF, "other", f"{next(count)}")
        return append("mine")(snapshot)

    with pytest.raises(PlannerError) as caught:
        Store(lab.repo, tries=10).edit(REF, change, Message("mine"))
    assert (caught.value.code, caught.value.exit) == ("E_CONFLICT", 5)
    assert lab.show(f"plan/x:{FILE}") == "one\n"


def test_refs_move_together_or_not_at_all(lab: Lab) -> None:
    base = lab.repo.resolve("HEAD")
    best, tag = "refs/heads/iter/best", "refs/tags/best/5-a-i1"
    write = Write(REF, {FILE: b"1"}, Message("one"), base)
    lab.store.transact([REF, best, tag], lambda _: [write, Move(best, base), Tag(tag, base, "best: 5")])
    assert lab.git("cat-file", "-t", tag) == "tag"
    before = lab.refs()
    again = [Write(REF, {FILE: b"2"}, Message("two")), Tag(tag, base, "again")]
    with pytest.raises(PlannerError) as caught:
        lab.store.transact([REF, tag], lambda _: again)
    assert caught.value.code == "E_GIT"
    assert "already exists" in caught.value.message
    assert lab.refs() == before
    lab.store.transact([REF, best], lambda _: [Write(REF, {FILE: b"3"}, Message("three")), Delete(best)])
    assert best not in lab.refs()
    lab.fsck()


def test_numbers_are_reserved_once_and_skip_those_in_use(lab: Lab) -> None:
    def reserve(*taken: int) -> int:
        return lab.store.reserve("refs/planner/numbers/iter/", next_number, taken)

    assert [reserve(), reserve(7, 3), reserve(), reserve(MAX_NUMBER), reserve()] == [1, 8, 9, 10, 11]
    # Another writer may have the last number reserved, too.
    lab.git("update-ref", f"refs/planner/numbers/iter/{MAX_NUMBER}", "HEAD")
    assert [reserve(), reserve(MAX_NUMBER - 1, 20)] == [12, 21]


@pytest.mark.parametrize("kind", [("--bare",), ("--object-format=sha256",), ()])
def test_every_kind_of_repository(make_lab: Callable[..., Lab], kind: tuple[str, ...]) -> None:
    lab = make_lab(*kind)
    with lab.entered():
        lab.store.edit(REF, append("one"), Message("one"))
        many = {f"experiments/records/{number:03d}.json": b"{}\n" for number in range(12)}
        lab.store.edit(REF, lambda _: many, Message("many"))
        assert lab.store.read_all([REF, "refs/heads/none"], "experiments/records") == {
            REF: {name.rsplit("/", 1)[1]: content for name, content in many.items()},
            "refs/heads/none": {},
        }
        assert lab.show(f"plan/x:{FILE}") == "one\n"
        lab.fsck()


def test_the_environment_of_a_hook_does_not_lead_astray(lab: Lab, tmp_path: Path) -> None:
    elsewhere = Lab(_folder(tmp_path / "elsewhere"))
    hostile = {
        "GIT_INDEX_FILE": str(tmp_path / "no-such-index"),
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_PREFIX": "sub/",
        "GIT_NAMESPACE": "foo",
    }
    repo = open_repository(lab.path)
    os.environ.update(hostile, GIT_DIR=str(elsewhere.path / ".git"))
    try:
        Store(repo).edit(REF, append("one"), Message("one"), base="HEAD")
        assert open_repository().common == elsewhere.path / ".git"
    finally:
        for name in (*hostile, "GIT_DIR"):
            del os.environ[name]
    assert lab.show(f"plan/x:{FILE}") == "one\n"
    assert "refs/heads/plan/x" not in elsewhere.refs()


def test_hooks_path_and_linked_worktrees_do_not_matter(lab: Lab) -> None:
    hooks = _folder(lab.root / "hooks")
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    lab.git("config", "core.hooksPath", str(hooks))
    lab.git("branch", "side")
    side = lab.worktree("side", "side")
    with lab.undisturbed():
        Store(open_repository(side)).edit(REF, append("one"), Message("one"), base="HEAD")
    assert lab.show(f"plan/x:{FILE}") == "one\n"


def test_an_unborn_repository_and_no_repository_are_told_clearly(
    make_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    lab = make_lab(first=False)
    with lab.entered(), pytest.raises(PlannerError) as caught:
        lab.repo.resolve("HEAD")
    assert caught.value.code == "E_UNBORN"
    nowhere = _folder(tmp_path / "nowhere")
    with lab.entered(nowhere), pytest.raises(PlannerError) as caught:
        open_repository()
    assert caught.value.code == "E_NOT_A_REPOSITORY"


def test_a_missing_identity_is_told_clearly(lab: Lab) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        del os.environ[name]
    lab.git("config", "user.useConfigOnly", "true")
    with pytest.raises(PlannerError) as caught:
        lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    assert caught.value.code == "E_IDENTITY"


def test_a_date_that_git_cannot_read_is_named(lab: Lab) -> None:
    lab.env["GIT_COMMITTER_DATE"] = "4102444800 -1200"
    with lab.entered(), pytest.raises(PlannerError, match="invalid date format: 4102444800") as caught:
        lab.repo.ident()
    assert caught.value.hint == "unset GIT_COMMITTER_DATE and GIT_AUTHOR_DATE"


# -- a branch that is checked out ---------------------------------------------------------------------------
def test_a_checked_out_branch_takes_its_worktree_along(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    place = lab.worktree("person", "plan/x")
    (place / "README.md").write_text("being edited\n")
    (place / "notes.txt").write_text("untracked\n")
    lab.store.edit(REF, append("two"), Message("two"))
    assert (place / FILE).read_text() == "one\ntwo\n"
    assert lab.git("status", "--porcelain", cwd=place).splitlines() == ["M README.md", "?? notes.txt"]


def test_a_checked_out_branch_with_changes_in_the_way_does_not_move(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    place = lab.worktree("person", "plan/x")
    ways: list[tuple[str, Callable[[], object], str]] = [
        ("modified", lambda: (place / FILE).write_text("mine\n"), FILE),
        ("staged", lambda: lab.git("add", FILE, cwd=place), FILE),
        ("locked", lambda: (lab.path / ".git/worktrees/person/index.lock").write_text(""), "index.lock"),
    ]
    for _, spoil, named in ways:
        spoil()
        with lab.undisturbed(), pytest.raises(PlannerError) as caught:
            lab.store.edit(REF, append("two"), Message("two"))
        assert caught.value.code == "E_CHECKED_OUT"
        assert named in caught.value.message
        assert str(place) in caught.value.message
        assert lab.show(f"plan/x:{FILE}") == "one\n"
    (lab.path / ".git/worktrees/person/index.lock").unlink()


def test_an_untracked_file_where_ours_would_land_is_not_overwritten(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="HEAD")
    place = lab.worktree("person", "plan/x")
    (place / "new.json").write_text("precious\n")
    with pytest.raises(PlannerError) as caught:
        lab.store.edit(REF, lambda _: {"new.json": b"ours\n"}, Message("two"))
    assert caught.value.code == "E_CHECKED_OUT"
    assert (place / "new.json").read_text() == "precious\n"


# -- kill -9, races, a full disk ----------------------------------------------------------------------------
EDIT = """
import sys
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Message, Store
name, count, serialize, path = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "serialize", sys.argv[4]
store = Store(open_repository(), serialize=serialize)
for number in range(count):
    line = f"{name} {number}\\n".encode()
    change = lambda seen: {path: (seen.read(path) or b"") + line}
    store.edit("refs/heads/plan/x", change, Message("add"), base="main")
"""


@pytest.mark.parametrize("checked_out", [False, True])
@pytest.mark.parametrize("after", [False, True])
@sampled(3)
def test_killed_at_any_call_the_branch_is_old_or_new(
    lab: Lab, checked_out: bool, after: bool, stride: int
) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="main")
    place = lab.worktree("person", "plan/x") if checked_out else None
    # Whether the call does its work decides which ones are met.
    for call in range(1 + after, 40, stride):
        before = lab.show(f"plan/x:{FILE}")
        env = lab.crash_after(call, after=after)
        done = lab.run_program(sys.executable, "-c", EDIT, "kill", "1", "serialize", FILE, env=env)
        text = lab.show(f"plan/x:{FILE}")
        assert text in (before, before + "kill 0\n")
        lab.fsck()
        lab.store.edit(REF, append("next"), Message("next"))
        assert lab.show(f"plan/x:{FILE}") == text + "next\n"
        if place is not None:
            assert (place / FILE).read_text() == text + "next\n"
            assert lab.git("status", "--porcelain", cwd=place) == ""
        if done.status == 0:
            assert call > 5
            return
    raise AssertionError("the command never came to its end")


# All wait for the lock or retry at any time. More edits per writer show no more: it is the number of writers
# that makes them meet.
@pytest.mark.parametrize(
    ("writers", "edits", "mode"),
    [
        (8, 5, "serialize"),
        (4, 5, "concurrent"),
        pytest.param(16, 12, "serialize", marks=pytest.mark.real),
        pytest.param(6, 10, "concurrent", marks=pytest.mark.real),
    ],
)
def test_writers_at_once_lose_nothing(lab: Lab, writers: int, edits: int, mode: str) -> None:
    lab.git("config", "gc.auto", "0")
    started = [
        subprocess.Popen([sys.executable, "-c", EDIT, str(number), str(edits), mode, FILE])
        for number in range(writers)
    ]
    assert [process.wait() for process in started] == [0] * writers
    lines = lab.show(f"plan/x:{FILE}").splitlines()
    assert sorted(lines) == sorted(f"{number} {edit}" for number in range(writers) for edit in range(edits))
    assert lab.git("rev-list", "--count", "main..plan/x") == str(writers * edits)


def test_a_full_disk_loses_nothing_and_is_told(lab: Lab) -> None:
    disk = _folder(lab.root / "disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        small = Lab.__new__(Lab)
        small.__dict__.update(lab.__dict__, path=disk / "repo")
        lab.git("clone", "-q", "--bare", str(lab.path), str(disk / "repo"))
        store = Store(open_repository(disk / "repo"))
        store.edit(REF, append("one"), Message("one"), base="main")
        with pytest.raises(PlannerError) as caught:
            _fill(store)
        assert caught.value.code == "E_NO_SPACE"
        assert small.show(f"plan/x:{FILE}") == "one\n"
        small.fsck()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


# -- another reader -----------------------------------------------------------------------------------------
def test_gitpython_reads_what_the_store_wrote(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("plan: one", (("Planner-Op", "test"),)), base="main")
    repo = gitpython.Repo(lab.path)
    commit = repo.commit("plan/x")
    assert commit.message == "plan: one\n\nPlanner-Op: test\n"
    assert (commit.tree / FILE).data_stream.read() == b"one\n"
    assert [str(parent) for parent in commit.parents] == [lab.git("rev-parse", "main")]
    assert sorted(blob.path for blob in commit.tree.traverse() if blob.type == "blob") == [FILE, "README.md"]


def test_an_edit_costs_five_calls_of_git_whatever_its_size(lab: Lab) -> None:
    lab.store.edit(REF, append("one"), Message("one"), base="main")
    for count in (1, 7, 200):
        store = lab.store
        before = spawns.spawned
        files = {f"deep/{number % 5}/{number}": b"%d" % number for number in range(count)}
        store.edit(REF, lambda _, edits=files: edits, Message("two"))  # type: ignore[misc]
        # A reader of objects, the tips, the new objects, the commit, and the move.
        assert spawns.spawned - before == 5, count
    assert len(lab.git("ls-tree", "-r", "plan/x", "deep").splitlines()) == 200
    lab.fsck()


def test_a_snapshot_costs_one_reader_of_objects(lab: Lab) -> None:
    tip = lab.store.edit(REF, append("one"), Message("one"), base="main")
    store = lab.store
    before = spawns.spawned
    with store.repo.git.batch() as batch:
        assert store.snapshot(REF, batch).tip == tip
        assert store.snapshot(REF, batch).read(FILE) == b"one\n"
        moved = lab.rival(REF, FILE, "two\n")
        assert (store.snapshot(REF, batch).tip, store.snapshot("refs/heads/none", batch).tip) == (moved, None)
        lab.git("pack-refs", "--all")
        assert store.snapshot(REF, batch).tip == moved
    assert spawns.spawned - before == 1


def test_only_new_lines_of_a_document_are_masked(lab: Lab) -> None:
    old, new = f"ghp_{'a1B2' * 9}", f"ghp_{'c3D4' * 9}"
    lab.rival(REF, "x.json", f'{{\n"a": "{old}",\n"b": 1\n}}\n')
    lab.store.edit(
        REF,
        lambda seen: {"x.json": (seen.read("x.json") or b"").replace(b" 1", f' "{new}"'.encode())},
        Message("x"),
    )
    # What somebody else has committed is in the history already.
    assert lab.show("plan/x:x.json") == f'{{\n"a": "{old}",\n"b": "[redacted:github-token]"\n}}\n'
    document = f'{{\n"b": "{new}"\n}}\n'.encode()
    lab.store.edit(REF, lambda _: {"new.json": document, "x.md": old.encode()}, Message("y"))
    assert new not in lab.show("plan/x:new.json")
    assert old not in lab.show("plan/x:x.md")


def _fill(store: Store) -> None:
    for number in range(100):
        noise = {f"noise/{number}": os.urandom(60_000)}
        store.edit(REF, lambda _, edits=noise: edits, Message("noise"))  # type: ignore[misc]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
