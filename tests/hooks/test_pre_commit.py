"""The guard, from outside: real commits in a repository with our hooks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.flows.hooks import install
from git_planner.rules.guard.guard import guarded_globs
from tests.hooks.hooked_repository import (
    GUARDED,
    ITERATION,
    ONLY,
    UNSTAGE,
    begun,
    guarded_lab,
    hook,
    hooks_started,
    refusal,
)
from tests.support.lab import Lab

Change = Callable[[Lab], None]


def change(lab: Lab) -> None:
    (lab.path / "tests/test_code.py").write_text("def test(): pass\n")
    lab.git("add", "tests")


def add(lab: Lab) -> None:
    (lab.path / "tests/deep/er").mkdir(parents=True)
    (lab.path / "tests/deep/er/conftest.py").write_text("")
    lab.git("add", "tests")


def remove(lab: Lab) -> None:
    lab.git("rm", "-q", "tests/test_code.py")


def rename_away(lab: Lab) -> None:
    lab.git("mv", "tests/test_code.py", "test_code.py")


def rename_in(lab: Lab) -> None:
    lab.git("mv", "src/code.py", "tests/code.py")


def chmod(lab: Lab) -> None:
    (lab.path / "tests/run.sh").chmod(0o755)
    lab.git("add", "tests")


def symlink(lab: Lab) -> None:
    (lab.path / "tests/test_code.py").unlink()
    (lab.path / "tests/test_code.py").symlink_to("../src/code.py")
    lab.git("add", "tests")


def folder_by_link(lab: Lab) -> None:
    lab.git("rm", "-q", "-r", "tests")
    (lab.path / "tests").symlink_to("src")
    lab.git("add", "tests")


def submodule(lab: Lab) -> None:
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{lab.git('rev-parse', 'HEAD')},tests/module")


def ignored_submodule(lab: Lab) -> None:
    lab.git("config", "diff.ignoreSubmodules", "all")
    submodule(lab)


def policy(lab: Lab) -> None:
    (lab.path / ".git-planner.yml").write_text("schema: git-planner/policy@1\nguard: []\n")
    lab.git("add", ".git-planner.yml")


def state(lab: Lab) -> None:
    (lab.path / ".advisor").mkdir()
    (lab.path / ".advisor/state.json").write_text("{}")
    lab.git("add", ".advisor")


def odd_name(lab: Lab) -> None:
    (lab.path / "tests/a\nb").write_text("")
    lab.git("add", "tests")


def case_of_pathspecs(lab: Lab) -> None:
    change(lab)
    lab.env["GIT_LITERAL_PATHSPECS"] = "1"


CASES: list[tuple[Change, tuple[str, ...]]] = [
    (change, ("changed: tests/test_code.py",)),
    (add, ("added: tests/deep/er/conftest.py",)),
    (remove, ("deleted: tests/test_code.py",)),
    (
        rename_away,
        ("deleted: tests/test_code.py", "added under the name of a guarded module: test_code.py"),
    ),
    (rename_in, ("added: tests/code.py",)),
    (chmod, ("mode 100644 to 100755: tests/run.sh",)),
    (symlink, ("mode 100644 to 120000: tests/test_code.py",)),
    (folder_by_link, ("added link: tests", "deleted: tests/run.sh", "deleted: tests/test_code.py")),
    (submodule, ("added submodule: tests/module",)),
    (ignored_submodule, ("added submodule: tests/module",)),
    (policy, ("changed: .git-planner.yml",)),
    (state, ("changed since the iteration started: .advisor/state.json",)),
    (odd_name, (r"added: 'tests/a\nb'",)),
    (case_of_pathspecs, ("changed: tests/test_code.py",)),
]


@pytest.mark.parametrize(("make", "reasons"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_refused(lab: Lab, make: Change, reasons: tuple[str, ...]) -> None:
    guarded_lab(lab)
    make(lab)
    before = lab.refs()
    result = lab.run_git("commit", "-q", "-m", "no")
    assert (result.status, result.out, result.err) == (1, "", refusal(*reasons))
    assert lab.refs() == before


def test_many_paths_are_cut(lab: Lab) -> None:
    guarded_lab(lab)
    for number in range(25):
        (lab.path / f"tests/t{number:02d}").write_text("")
    lab.git("add", "tests")
    listed = [f"added: tests/t{number:02d}" for number in range(20)]
    assert lab.run_git("commit", "-m", "no").err == refusal(*listed, "and 5 more")


def test_commit_all_and_commit_path(lab: Lab) -> None:
    guarded_lab(lab)
    (lab.path / "tests/test_code.py").write_text("")
    (lab.path / "src/code.py").write_text("print(2)\n")
    message = refusal("changed: tests/test_code.py", hint=ONLY)
    assert lab.run_git("commit", "-a", "-m", "no").err == message
    assert lab.run_git("commit", "-m", "no", "--", "tests").err == message
    assert lab.run_git("commit", "-q", "-m", "yes", "--", "src").status == 0
    assert lab.git("status", "--short") == "M tests/test_code.py"


def test_amend(lab: Lab) -> None:
    guarded_lab(lab)
    lab.commit("code", {"src/code.py": "print(2)\n"})
    assert lab.run_git("commit", "--amend", "-q", "-m", "code, better").status == 0
    change(lab)
    assert lab.run_git("commit", "--amend", "--no-edit").err == refusal("changed: tests/test_code.py")


@pytest.mark.parametrize("branch", ["plan/speed", "iter/best", "iter/0002-a", "bo4/run-1/v1"])
def test_on_all_our_branches(lab: Lab, branch: str) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", "-b", branch)
    change(lab)
    assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/test_code.py", branch=branch)


@pytest.mark.parametrize("branch", ["main", "iteration", "feature/iter/0001-x", "planned/x"])
def test_only_the_backbone_starts_elsewhere(lab: Lab, branch: str) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", *(() if branch == "main" else ("-b",)), branch)
    change(lab)
    assert hooks_started(lab, "commit", "-q", "-m", "yes") == ["reference-transaction"]
    assert lab.git("log", "-1", "--format=%s") == "yes"


def test_python_does_not_start_for_what_is_not_governed(lab: Lab) -> None:
    begun(guarded_lab(lab))
    _kept(lab)
    _bake(lab, "python", "/bin/false")
    (lab.path / "src/code.py").write_text("print(3)\n")
    lab.git("add", "src")
    assert hooks_started(lab, "commit", "-q", "-m", "yes") == [
        "pre-commit",
        "commit-msg",
        "reference-transaction",
    ]
    change(lab)
    assert lab.run_git("commit", "-q", "-m", "no").status == 1


def test_in_a_linked_worktree(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("branch", "iter/0002-b")
    place = lab.worktree("it's here", "iter/0002-b")
    (place / "tests/test_code.py").write_text("")
    result = lab.run_git("commit", "-a", "-m", "no", cwd=place)
    message = refusal("changed: tests/test_code.py", branch="iter/0002-b", hint=ONLY)
    assert (result.status, result.err) == (1, message)
    lab.git("add", "tests", cwd=place)
    message = refusal("changed: tests/test_code.py", branch="iter/0002-b")
    assert lab.run_git("commit", "-m", "no", cwd=place / "src").err == message
    lab.git("restore", "--staged", "tests", cwd=place)
    assert lab.commit("yes", {"src/code.py": "print(4)\n"}, cwd=place)


def test_merge(lab: Lab) -> None:
    guarded_lab(lab)
    lab.commit("code", {"src/code.py": "print(2)\n"})
    lab.git("checkout", "-q", "main")
    lab.git("checkout", "-q", "-b", "other")
    lab.commit("tests change", {"tests/test_code.py": "def test(): assert 1\n"})
    lab.git("checkout", "-q", ITERATION)
    result = lab.run_git("merge", "-q", "-m", "merge", "other")
    assert (result.status, result.err.splitlines()[:2]) == (
        1,
        [f"error: guarded paths are staged on '{ITERATION}' (E_GUARD)", "  changed: tests/test_code.py"],
    )
    lab.git("merge", "--abort")
    # What the base branch has agreed to may be taken over.
    lab.git("branch", "-f", "main", "other")
    result = lab.run_git("merge", "-q", "-m", "merge", "main")
    assert (result.status, result.err) == (0, "")


def test_a_plan_takes_over_what_the_base_changed(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", "-b", "plan/speed", "main")
    lab.commit("note", {"note.md": "x\n"})
    lab.git("checkout", "-q", "-b", "other", "main")
    lab.commit("tests change", {"tests/test_code.py": "def test(): assert 1\n"})
    lab.git("checkout", "-q", "plan/speed")
    # Not yet on the base branch: then it is not what the base has agreed to.
    assert lab.run_git("merge", "-q", "-m", "merge", "other").status == 1
    lab.git("merge", "--abort")
    lab.git("branch", "-f", "main", "other")
    result = lab.run_git("merge", "-q", "-m", "merge", "main")
    assert (result.status, result.err) == (0, "")


def test_an_iteration_may_take_a_change_back(lab: Lab) -> None:
    begun(guarded_lab(lab))
    change(lab)
    lab.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "got by")
    lab.git("restore", "--source=HEAD~1", "--staged", "--worktree", "tests")
    assert lab.run_git("commit", "-q", "-m", "taken back").status == 0
    (lab.path / "tests/test_code.py").write_text("another\n")
    lab.git("add", "tests")
    assert lab.run_git("commit", "-q", "-m", "no").err == refusal("changed: tests/test_code.py")


def test_no_policy_at_head_means_the_default_guard(lab: Lab) -> None:
    install.install_hooks(lab.repo)
    lab.commit("tests", {"tests/a.py": "1\n", "a.lock": ""})
    lab.git("checkout", "-q", "-b", ITERATION)
    lab.commit("fine", {"a.lock": "1"})
    default = (
        "  guarded by the default, because HEAD has no '.git-planner.yml': 'tests/**' '.git-planner.yml'\n"
    )
    (lab.path / "tests/a.py").write_text("2\n")
    (lab.path / ".git-planner.yml").write_text("{}")
    lab.git("add", ".")
    assert lab.run_git("commit", "-m", "no").err == refusal(
        "added: .git-planner.yml", "changed: tests/a.py", guarded=default
    )


def test_first_commit_of_an_orphan_branch(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", "--orphan", "iter/0009-orphan")
    result = lab.run_git("commit", "-m", "no")
    assert result.status == 1
    assert "added: tests/test_code.py" in result.err
    lab.git("rm", "-q", "-r", "--cached", "tests", ".git-planner.yml")
    result = lab.run_git("commit", "-q", "-m", "no")
    message = "error: 'iter/0009-orphan' would have no commit in common with the base branch (E_GUARD)\n"
    assert (result.status, result.err.startswith(message)) == (128, True)


def test_a_policy_that_cannot_be_used_refuses(lab: Lab) -> None:
    lab.commit("policy", {".git-planner.yml": "guard: [\n"})
    lab.git("checkout", "-q", "-b", ITERATION)
    install.install_hooks(lab.repo)
    (lab.path / "a").write_text("")
    lab.git("add", "a")
    result = lab.run_git("commit", "-m", "no")
    policy = f"{lab.git('rev-parse', 'HEAD')[:12]}:.git-planner.yml"
    assert (result.status, result.err.split(" cannot be ")[0]) == (1, f"error: '{policy}'")
    assert "(E_POLICY)" in result.err


def _kept(lab: Lab) -> Path:
    """The file with the patterns that count on the branch."""
    lab.commit("the patterns are kept", {"src/code.py": "print(2)\n"})
    return lab.path / ".git/planner/guards/refs/heads" / ITERATION


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0\xff garbage ' \" $(touch owned) `touch owned`\n",
        b"git-planner guard 4 REF\nmain\n\nsrc/none\n",
        b"git-planner guard 3 REF\nmain\nsrc/none\nend\n",
        b"git-planner guard 4 refs/heads/iter/0002-x\nmain\n\nsrc/none\nend\n",
        None,
    ],
    ids=["empty", "garbage", "cut", "an older form", "another branch's", "gone"],
)
def test_damaged_patterns_guard_all_the_same_and_heal(lab: Lab, damage: bytes | None) -> None:
    kept = _kept(guarded_lab(lab))
    whole = kept.read_bytes()
    kept.unlink()
    if damage is not None:
        kept.write_bytes(damage.replace(b"REF", f"refs/heads/{ITERATION}".encode()))
    change(lab)
    assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/test_code.py")
    lab.git("restore", "--staged", "--worktree", "tests")
    for number in range(2):
        lab.commit("healed", {"src/code.py": f"print(9{number})\n"})
    assert kept.read_bytes() == whole
    assert not (lab.path / "owned").exists()


def test_a_state_file_that_got_by_can_be_taken_back(lab: Lab) -> None:
    begun(guarded_lab(lab))
    state = lab.path / ".advisor/state.json"
    state.write_text('{"forged": true}\n')
    lab.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "got by")
    lab.git("checkout", "-q", "refs/planner/iterations/0001", "--", ".advisor")
    assert lab.run_git("commit", "-q", "-m", "taken back").err == ""
    state.write_text('{"forged": true}\n')
    assert lab.run_git("commit", "-q", "-a", "-m", "no").status == 1


def test_what_is_kept_for_the_shim(lab: Lab) -> None:
    guarded_lab(lab)
    change(lab)
    assert lab.run_git("commit", "-m", "no").status == 1
    wide = "".join(f"{glob}\n" for glob in guarded_globs(("tests/**", "*.lock")))
    kept = lab.path / ".git/planner/guards" / lab.git("rev-parse", "HEAD:.git-planner.yml")
    names = "test_code tests\n"
    against = lab.git("rev-parse", "HEAD")
    branch = kept.parent / "refs/heads" / ITERATION
    assert branch.read_text() == f"git-planner guard 4 refs/heads/{ITERATION}\n{against}\n{names}{wide}end\n"
    assert kept.read_text() == f"git-planner guard 4 {kept.name}\nHEAD\n{names}{wide}end\n"
    assert "[tT][eE][sS][tT][sS]\n" in wide
    assert sorted(path.name for path in kept.parent.iterdir()) == sorted([kept.name, "refs"])


def _bake(lab: Lab, key: str, value: str) -> None:
    shim = lab.path / ".git/planner/hooks/pre-commit"
    text, count = re.subn(rf"(?m)^{key}=('[^']*'|\S*)$", f"{key}='{value}'", shim.read_text())
    assert count == 1
    shim.write_text(text)


def test_without_its_python_the_guard_refuses(lab: Lab) -> None:
    begun(guarded_lab(lab))
    _kept(lab)
    _bake(lab, "python", "/nowhere/python")
    change(lab)
    result = lab.run_git("commit", "-m", "no")
    assert (result.status, result.err) == (
        1,
        (
            "error: the guard could not check this change: its Python does not exist, "
            "'/nowhere/python' (E_HOOKS)\n"
            "hint: run 'git planner hooks install' with the current git-planner\n"
        ),
    )
    lab.git("restore", "--staged", "tests")
    lab.commit("nothing governed", {"src/code.py": "print(5)\n"})
    assert lab.git("log", "-1", "--format=%s") == "nothing governed"


def test_without_its_package_the_guard_refuses(lab: Lab, tmp_path: Path) -> None:
    guarded_lab(lab)
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    _bake(lab, "python", str(tmp_path / "bare/bin/python"))
    _bake(lab, "code", "/nowhere")
    change(lab)
    result = lab.run_git("commit", "-m", "no")
    assert (result.status, result.err) == (
        1,
        (
            "error: the guard could not check this change: No module named 'git_planner' (E_HOOKS)\n"
            'hint: run "git planner hooks install" with the current git-planner\n'
        ),
    )


def test_a_defect_refuses(lab: Lab) -> None:
    guarded_lab(lab)
    broken = lab.root / "broken/git_planner"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("__version__ = '0'\n")
    for name in ("errors", "gate"):
        source = Path(install.__file__).parents[2] / f"{name}.py"
        (broken / f"{name}.py").write_text(source.read_text())
    (broken / "flows").mkdir()
    (broken / "flows/__init__.py").write_text("raise ValueError('broken')\n")
    env = {**os.environ, **lab.env, "PYTHONPATH": str(broken.parent)}
    code = "import sys; from git_planner.gate import main; sys.exit(main(sys.argv[1:]))"
    argv = ["python3", "-c", code, "pre-commit", str(lab.path / ".git/planner")]
    result = subprocess.run(argv, cwd=lab.path, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        4,
        (
            "error: the guard could not check this change: ValueError: broken (E_INTERNAL)\n"
            "hint: this is a defect; run 'GIT_PLANNER_TRACE=1 git planner check' for the traceback\n"
        ),
    )


def test_their_hook_may_not_stage_guarded_paths(lab: Lab) -> None:
    hook(lab.path / ".git/hooks/pre-commit", "echo 2 >>tests/test_code.py\ngit add tests")
    guarded_lab(lab)
    (lab.path / "src/code.py").write_text("print(2)\n")
    lab.git("add", "src")
    assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/test_code.py")


def test_advice_can_be_switched_off(lab: Lab) -> None:
    guarded_lab(lab)
    change(lab)
    result = lab.run_program("git", "commit", "-m", "no", env={"GIT_ADVICE": "0"})
    assert result.err == refusal("changed: tests/test_code.py", hint="")


def test_sha256(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("--object-format=sha256")
    with lab.entered():
        guarded_lab(lab)
        change(lab)
        result = lab.run_git("commit", "-m", "no")
        assert (result.status, result.err) == (1, refusal("changed: tests/test_code.py"))
        lab.git("restore", "--staged", "--worktree", "tests")
        lab.commit("yes", {"src/code.py": "print(3)\n"})


def test_command_line_check_says_the_same(lab: Lab) -> None:
    guarded_lab(lab)
    assert lab.run("git-planner", "check").out == "staged changes are fine\n"
    change(lab)
    message = refusal("changed: tests/test_code.py")
    for argv in (("check",), ("check", "--staged"), ("gate", "guard")):
        result = lab.run("git-planner", *argv)
        assert (result.status, result.out, result.err) == (3, "", message)
    assert lab.run("git-planner", "check", cwd=lab.path / "src").err == message
    assert lab.run("git-planner", "gate", "documents").status == 0
    assert (GUARDED in message, UNSTAGE in message) == (True, True)
