"""The backbone: reference-transaction judges every move of a branch of ours, however it is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from git_planner.flows.hooks import uninstall
from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab, hook
from tests.support.lab import Lab

BAD = "error: guarded paths would change on 'iter/0001-next' (E_GUARD)\n  changed: tests/test_code.py\n"


def evil(lab: Lab) -> str:
    """A commit on no branch of ours that changes a test."""
    lab.git("branch", "-f", "evil", ITERATION)
    lab.git("checkout", "-q", "evil")
    commit = lab.commit("evil", {"tests/test_code.py": "def test(): pass\n"})
    lab.git("checkout", "-q", "main")
    return commit


def test_while_head_is_elsewhere(lab: Lab) -> None:
    begun(guarded_lab(lab))
    commit, before = evil(lab), lab.git("rev-parse", ITERATION)
    for words in (
        ("branch", "-f", ITERATION, "evil"),
        ("update-ref", f"refs/heads/{ITERATION}", commit),
        ("fetch", "-q", ".", f"+evil:{ITERATION}"),
        ("push", "-q", ".", f"+evil:{ITERATION}"),
        ("checkout", "-q", "-B", ITERATION, "evil"),
    ):
        result = lab.run_git(*words)
        assert (result.status != 0, BAD in result.err, lab.git("rev-parse", ITERATION)) == (
            True,
            True,
            before,
        )


def test_a_rebase_with_a_detached_head(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.commit("code", {"src/code.py": "print(2)\n"})
    before = lab.git("rev-parse", ITERATION)
    change = "echo 2 >tests/test_code.py; git commit -q -a --amend --no-edit --no-verify"
    result = lab.run_git("rebase", "-q", "--exec", change, "HEAD~1")
    assert (result.status != 0, BAD in result.err, lab.git("rev-parse", ITERATION)) == (True, True, before)


def test_onto_a_newer_base(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.commit("code", {"src/code.py": "print(2)\n"})
    old = lab.git("rev-parse", "main")
    lab.git("checkout", "-q", "main")
    lab.commit("newer tests", {"tests/test_code.py": "def test(): assert 1\n"})
    lab.git("checkout", "-q", ITERATION)
    lab.git("rebase", "-q", "main")
    assert lab.show(f"{ITERATION}:tests/test_code.py") == "def test(): assert 1\n"
    # Going back to older tests is no way to take newer ones over.
    lab.git("branch", "stale", old)
    lab.git("checkout", "-q", "stale")
    lab.git("checkout", "-q", ITERATION, "--", ".advisor", "src")
    lab.git("commit", "-q", "-m", "older tests, newer code")
    assert lab.run_git("branch", "-f", "iter/0002-old", "stale").status != 0


def test_the_state_is_as_the_iteration_began(lab: Lab) -> None:
    begun(guarded_lab(lab))
    lab.git("rm", "-q", "--cached", ".advisor/state.json")
    result = lab.run_git("commit", "-q", "--no-verify", "-m", "no state")
    assert (result.status, "changed since the iteration started: .advisor/state.json" in result.err) == (
        128,
        True,
    )


def test_trusted_copies_are_written_once(lab: Lab) -> None:
    begun(guarded_lab(lab))
    ref, start = "refs/planner/iterations/0001", lab.git("rev-parse", ITERATION)
    once = f"error: '{ref}' is immutable: it records how the iteration started (E_GUARD)\n"
    for words in ((ref, "main"), ("-d", ref), ("-d", ref, start)):
        result = lab.run_git("update-ref", *words)
        assert (result.status != 0, result.err.startswith(once)) == (True, True)
    lab.git("pack-refs", "--all")
    for words in (("-d", ref), ("-d", ref, start)):
        assert lab.run_git("update-ref", *words).status != 0
    assert lab.refs()[ref] == start


def test_a_start_needs_its_proof(lab: Lab) -> None:
    begun(guarded_lab(lab))
    start = lab.git("rev-parse", ITERATION)
    code = lab.commit("code", {"src/code.py": "print(2)\n"})
    commit = evil(lab)
    for oid in (code, commit, lab.git("rev-parse", f"{start}^{{tree}}")):
        result = lab.run_git("update-ref", "refs/planner/iterations/0002", oid)
        assert (result.status, "cannot be the start of an iteration" in result.err) == (128, True)
    lab.git("update-ref", "refs/planner/iterations/0002", start)


def test_housekeeping_passes(lab: Lab) -> None:
    begun(guarded_lab(lab))
    for number in range(12):
        lab.git("branch", f"iter/00{number + 10}-x")
    before = lab.refs()
    result = lab.run_git("pack-refs", "--all", "--prune")
    assert (result.status, result.err) == (0, "")
    result = lab.run_git("gc", "-q", "--prune=now")
    assert (result.status, result.err, lab.refs()) == (0, "", before)
    lab.git("checkout", "-q", "main")
    lab.git("branch", "-q", "-D", ITERATION)


@pytest.mark.parametrize("ordinary", [False, True])
def test_a_hook_that_was_there_goes_on(lab: Lab, ordinary: bool) -> None:
    theirs = hook(lab.path / ".git/hooks/reference-transaction", 'echo "$1" >>"$LOG"; cat >>"$LOG"')
    text = theirs.read_text()
    lab.env["LOG"] = str(lab.root / "log")

    def log_of_a_commit(branch: str) -> str:
        lab.git("checkout", "-q", branch)
        (lab.root / "log").write_text("")
        lab.git("commit", "-q", "--allow-empty", "-m", "x")
        log = (lab.root / "log").read_text()
        for name, value in (("OLD", "HEAD~1"), ("NEW", "HEAD")):
            log = log.replace(lab.git("rev-parse", value), name)
        return log.replace(f"refs/heads/{branch}", "BRANCH")

    with lab.entered():
        # What git passes differs from version to version.
        alone = log_of_a_commit("main")
        assert "prepared\n" in alone
        assert "OLD NEW BRANCH\n" in alone
        guarded_lab(lab, ordinary=ordinary)
        assert [log_of_a_commit(branch) for branch in ("main", ITERATION)] == [alone] * 2
        uninstall.uninstall_hooks(lab.repo)
        assert theirs.read_text() == text


def test_sha256(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("--object-format=sha256")
    with lab.entered():
        begun(guarded_lab(lab))
        evil(lab)
        assert BAD in lab.run_git("branch", "-f", ITERATION, "evil").err
        assert lab.run_git("pack-refs", "--all", "--prune").err == ""
