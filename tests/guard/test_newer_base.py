"""An iteration that merged a newer base is measured by that base, and checked by it in hooks and CI."""

from __future__ import annotations

import json

from git_planner.flows.guard.check_range import check_range
from git_planner.flows.records.record import record_commit
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import BENCH, POLICY, TEST, attempt, project
from tests.support.lab import Lab

STRICTER = TEST + "\n    def test_is_small(self):\n        self.assertLess(VALUE, 1000)\n"


def recorded(lab: Lab, ref: str = "HEAD") -> Record:
    """Record a commit without advancing the best."""
    return record_commit(lab.repo, ref, advance=False, progress=lambda _: None).record


def goes_on(lab: Lab, message: str, files: dict[str, str]) -> str:
    """Commit to main; the iteration stays checked out."""
    branch = lab.git("symbolic-ref", "--short", "HEAD")
    lab.git("checkout", "-q", "main")
    commit = lab.commit(message, files)
    lab.git("checkout", "-q", branch)
    return commit


def agreed(lab: Lab, record: Record, base: str) -> None:
    """Check that record and check agree about HEAD."""
    assert (record.valid, record.base, record.violations) == (True, base, ())
    assert check_range(lab.repo).ok


def test_merged(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    before = recorded(lab)
    # Newer tests, and a file that no iteration may change.
    new = goes_on(lab, "newer", {"tests/test_value.py": STRICTER, "docs/news.md": "news\n"})
    lab.git("merge", "-q", "-m", "newer base", "main")
    record = recorded(lab)
    agreed(lab, record, new)
    assert record.files == ("src/value.py",)
    assert record.instrument != before.instrument
    assert record.tests is not None
    assert (record.tests.collected, record.iteration) == (3, 1)


def test_rebased(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    new = goes_on(lab, "newer", {"tests/test_value.py": STRICTER})
    lab.git("rebase", "-q", "main")
    record = recorded(lab)
    agreed(lab, record, new)
    assert (record.iteration, record.files) == (1, ("src/value.py",))


def test_rebased_in_a_clone_that_has_no_copy_of_the_start(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    new = goes_on(lab, "newer", {"tests/test_value.py": STRICTER})
    lab.git("rebase", "-q", "main")
    lab.git("update-ref", "-d", "refs/planner/iterations/0001")
    record = recorded(lab)
    agreed(lab, record, new)
    assert "could not be confirmed" in record.notes[0]


def test_a_newer_policy_counts(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    lab.commit("more", {"src/other.py": "X = 1\n"})
    policy = POLICY.replace('forbid: ["src/frozen.py"]', 'forbid: ["src/other.py"]')
    new = goes_on(lab, "policy", {".git-planner.yml": policy})
    assert recorded(lab).valid
    lab.git("merge", "-q", "-m", "newer base", "main")
    record = recorded(lab)
    assert (record.reason, record.violations, record.base) == ("scope", ("forbidden: src/other.py",), new)


def test_a_merged_proposal_is_taken_in_whole_or_not_at_all(lab: Lab) -> None:
    """With the new benchmark and the old test, the guarded content is that of no base commit."""
    project(lab)
    attempt(lab, 1, 90)
    goes_on(lab, "newer", {"tests/test_value.py": STRICTER, "tests/bench.py": BENCH + "# newer\n"})
    lab.git("merge", "-q", "-m", "newer base", "main")
    assert recorded(lab).valid
    lab.commit("old test", {"tests/test_value.py": TEST})
    record = recorded(lab)
    assert (record.verdict, record.reason) == ("invalid", "guard")
    assert not check_range(lab.repo).ok


def test_an_older_base_is_none(lab: Lab) -> None:
    """Old tests may come back by a rebase, by a merge of an old base, or by a plain change."""
    old = project(lab)
    lab.commit("newer", {"tests/test_value.py": STRICTER})
    attempt(lab, 1, 90)
    start, tip = lab.git("rev-parse", "HEAD~1"), lab.git("rev-parse", "HEAD")
    lab.git("rebase", "-q", "--onto", old, "main")
    rebased = lab.git("rev-parse", "HEAD")
    side = lab.git("commit-tree", f"{old}^{{tree}}", "-p", old, "-m", "a side branch")
    lab.git("checkout", "-q", "-B", "iter/0001-next", tip)
    lab.git("checkout", "-q", old, "--", "tests")
    tree = lab.git("write-tree")
    merged = lab.git("commit-tree", tree, "-p", tip, "-p", old, "-p", side, "-m", "an older base")
    alone = lab.git("commit-tree", tree, "-p", start, "-m", "old tests")
    lab.git("reset", "-q", "--hard", tip)
    for commit in (rebased, merged, alone):
        lab.git("branch", "-q", "-f", "iter/0001-next-2", commit)
        record = recorded(lab, commit)
        assert (record.verdict, record.reason) == ("invalid", "guard"), commit
        assert record.base == lab.git("rev-parse", "main")


def test_a_state_that_was_changed_on_the_way_is_no_start(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    goes_on(lab, "newer", {"tests/test_value.py": STRICTER})
    lab.git("rebase", "-q", "main")
    state = {**json.loads(lab.show("HEAD:.advisor/state.json")), "threshold": 1000.0}
    lab.commit("forged", {".advisor/state.json": canonical_json.dumps(state)})
    done = lab.run("git-record")
    assert (done.status, "E_STATE" in done.err) == (3, True)
