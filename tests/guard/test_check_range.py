"""`git planner check --range`, a bare repository that checks pushes, and the template of its hook."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab


def start(lab: Lab) -> Lab:
    """Prepare main with a policy and an iteration, without hooks."""
    guarded_lab(lab, install=False)
    lab.git("checkout", "-q", "main")
    lab.git("branch", "-q", "-D", ITERATION)
    iteration(lab, 1, "main", trusted=False)
    return lab


def verdict(lab: Lab, *arguments: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Return exit status and findings of a check."""
    done = lab.run("git-planner", "check", *arguments, "--json")
    document = json.loads(done.out)
    assert document["schema"] == "git-planner/check@1"
    assert document["ok"] == (done.status == 0)
    return done.status, [
        (finding["severity"], finding["code"], finding["message"]) for finding in document["findings"]
    ]


def test_a_range(lab: Lab) -> None:
    start(lab)
    lab.commit("code", {"src/code.py": "print(2)\n"})
    assert verdict(lab, "--range", "main..HEAD") == (0, [])
    # Reverted, but still in the history that would be merged.
    lab.commit("evil", {"tests/test_code.py": "pass\n"})
    evil = lab.git("rev-parse", "HEAD")
    lab.git("revert", "--no-edit", "HEAD")
    assert verdict(lab, "--range", "main..HEAD") == (1, [("error", "guard", "changed: tests/test_code.py")])
    done = lab.run("git-planner", "check", "--range", "main..HEAD", "--json")
    (finding,) = json.loads(done.out)["findings"]
    assert (finding["commit"], finding["path"]) == (evil, "tests/test_code.py")
    assert lab.run("git-planner", "check", "--range", "HEAD").status == 2


def test_a_proposal_is_for_people_to_review(lab: Lab) -> None:
    start(lab)
    lab.git("checkout", "-q", "-b", "plan/guard-more", "main")
    lab.commit("more", {"tests/test_more.py": "pass\n"})
    arguments = ("--range", "main..HEAD")
    assert verdict(lab, *arguments) == (0, [("warning", "guard", "added: tests/test_more.py")])
    assert verdict(lab, *arguments, "--head", "feature")[0] == 1


def test_state_and_documents(lab: Lab) -> None:
    start(lab)
    lab.commit("state", {".advisor/notes": "x"})
    assert verdict(lab, "--range", "main..HEAD") == (
        1,
        [("error", "state", "changed since the iteration started: .advisor/notes")],
    )
    lab.git("checkout", "-q", "-b", "plan/p", "main")
    lab.commit("plan", {".plans/p/plan.json": "{}\n"})
    status, findings = verdict(lab, "--range", "main..HEAD")
    assert (status, [finding[1] for finding in findings]) == (1, ["document"])


def test_staged_has_the_same_form(lab: Lab) -> None:
    begun(guarded_lab(lab))
    assert verdict(lab) == (0, [])
    (lab.path / "tests/test_code.py").write_text("pass\n")
    lab.git("add", "tests")
    message = f"guarded paths are staged on '{ITERATION}': changed: tests/test_code.py"
    assert verdict(lab) == (1, [("error", "guard", message)])


def test_a_server_refuses(lab: Lab, make_lab: Callable[..., Lab]) -> None:
    start(lab)
    server = make_lab("--bare")
    lab.git("push", "-q", str(server.path), "main")
    with server.entered():
        assert server.run("git-planner", "ci", "server", "--write").status == 0
        again = json.loads(server.run("git-planner", "ci", "server", "--write", "--json").out)
        assert [file["state"] for file in again["files"]] == ["kept"]
    lab.commit("code", {"src/code.py": "print(2)\n"})
    push = ("push", "-q", str(server.path), f"HEAD:refs/heads/{ITERATION}")
    done = lab.run_git(*push)
    assert (done.status, done.err) == (0, "")
    good = server.refs()
    lab.commit("evil", {"tests/test_code.py": "pass\n"})
    done = lab.run_git(*push)
    assert (done.status, "changed: tests/test_code.py" in done.err, server.refs() == good) == (1, True, True)
    lab.git("revert", "--no-edit", "HEAD")
    done = lab.run_git(*push)
    assert (done.status, "changed: tests/test_code.py" in done.err, server.refs() == good) == (1, True, True)
    # Nothing of the refused pushes is left, and other branches are free.
    assert server.run_git("cat-file", "-e", lab.git("rev-parse", "HEAD")).status != 0
    assert lab.run_git("push", "-q", str(server.path), "HEAD:refs/heads/feature").status == 0


@pytest.mark.parametrize("line", ["garbage", "a b refs/heads/x", "0000 1111", " "])
def test_a_malformed_ref_update_is_a_usage_error(lab: Lab, line: str) -> None:
    ran = lab.run("git-planner", "check", "--receive", stdin=f"{line}\n")
    assert (ran.status, "(E_USAGE)" in ran.err) == (2, True), ran.err
    assert lab.run("git-planner", "check", "--receive").status == 0


def test_what_the_workflow_runs(lab: Lab) -> None:
    start(lab)
    base = lab.git("rev-parse", "main")
    lab.commit("evil", {"tests/test_code.py": "pass\n"})
    arguments = ("--base", base, "--head", "anything", "--range", f"{base}..HEAD")
    assert lab.run("git-planner", "check", *arguments).status == 1
