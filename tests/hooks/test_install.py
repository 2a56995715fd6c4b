"""Installing and removing: nothing is lost, nothing is left, and what others change later is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.status import hook_status
from git_planner.flows.hooks.uninstall import UninstallResult
from tests.hooks.hooked_repository import COMMIT_FILES, guarded_lab, hook, refusal, tree_bytes
from tests.support.lab import Lab

BLOCK = """\
# git-planner hooks: begin
[includeIf "onbranch:plan/**"]
\tpath = planner/hooks.inc
[includeIf "onbranch:iter/**"]
\tpath = planner/hooks.inc
[includeIf "onbranch:bo4/**"]
\tpath = planner/hooks.inc
# git-planner hooks: end
"""

CONFIGS = {
    "as git makes it": "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
    "comment at the end": "[core]\n\trepositoryformatversion = 0\n\tbare = false\n# mine\n",
    "no newline at the end": "[core]\n\trepositoryformatversion = 0\n\tbare = false",
    "a comment without newline": "[core]\n\trepositoryformatversion = 0\n\tbare = false\n; mine",
    "crlf": "[core]\r\n\trepositoryformatversion = 0\r\n\tbare = false\r\n",
    "includes of the person's own": (
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
        '[includeIf "onbranch:iter/**"]\n\tpath = mine.inc\n[alias]\n\tx = log\n'
    ),
}


def codes(lab: Lab) -> list[str]:
    return [finding.code for finding in hook_status(lab.repo).findings]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_no_trace(lab: Lab, config: str) -> None:
    (lab.path / ".git/config").write_bytes(config.encode())
    before = tree_bytes(lab.path / ".git")
    first = install.install_hooks(lab.repo)
    assert first.changed
    installed = tree_bytes(lab.path / ".git")
    assert not install.install_hooks(lab.repo).changed
    assert tree_bytes(lab.path / ".git") == installed
    assert codes(lab) == []
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ())
    assert tree_bytes(lab.path / ".git") == before
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(False, ())


def test_no_trace_after_use(lab: Lab) -> None:
    guarded_lab(lab, install=False)
    before = tree_bytes(lab.path / ".git", but=COMMIT_FILES)
    install.install_hooks(lab.repo)
    (lab.path / "tests/new").write_text("")
    lab.git("add", "tests")
    assert lab.run_git("commit", "-m", "no").status == 1
    lab.git("rm", "-q", "-f", "tests/new")
    uninstall.uninstall_hooks(lab.repo)
    assert tree_bytes(lab.path / ".git", but=COMMIT_FILES) == before


def test_the_block(lab: Lab) -> None:
    before = (lab.path / ".git/config").read_text()
    install.install_hooks(lab.repo)
    assert (lab.path / ".git/config").read_text() == before + BLOCK
    folder = lab.path / ".git/planner/hooks"
    assert (lab.path / ".git/planner/hooks.inc").read_text() == f'[core]\n\thooksPath = "{folder}"\n'


def test_later_edits_of_the_configuration_stay(lab: Lab) -> None:
    config = lab.path / ".git/config"
    config.write_bytes(config.read_bytes().rstrip(b"\n"))
    before = config.read_text()
    install.install_hooks(lab.repo)
    lab.git("config", "user.name", "Somebody")
    lab.git("config", "--add", "includeIf.onbranch:iter/**.path", "mine.inc")
    uninstall.uninstall_hooks(lab.repo)
    after = config.read_text()
    assert (
        after == before + '\n[includeIf "onbranch:iter/**"]\n\tpath = mine.inc\n[user]\n\tname = Somebody\n'
    )


def test_a_section_after_the_block_stays_apart(lab: Lab) -> None:
    config = lab.path / ".git/config"
    config.write_bytes(config.read_bytes().rstrip(b"\n"))
    before = config.read_text()
    install.install_hooks(lab.repo)
    lab.git("config", "user.name", "Somebody")
    uninstall.uninstall_hooks(lab.repo)
    assert config.read_text() == before + "\n[user]\n\tname = Somebody\n"


def test_a_locked_configuration(lab: Lab) -> None:
    lock = lab.path / ".git/config.lock"
    lock.write_text("")
    with pytest.raises(PlannerError) as caught:
        install.install_hooks(lab.repo)
    assert (caught.value.code, str(lock) in caught.value.message) == ("E_BUSY", True)
    assert lock.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hooks_path_of_the_repository(lab: Lab, when: str) -> None:
    """The include wins over core.hooksPath in [core], whenever that is set; status sees the change."""
    guarded_lab(lab, install=False)
    theirs = lab.path / ".git/their hooks"
    hook(theirs / "pre-commit", "echo theirs >&2")
    if when == "before":
        lab.git("config", "core.hooksPath", str(theirs))
    install.install_hooks(lab.repo)
    if when == "after":
        lab.git("config", "core.hooksPath", str(theirs))
        assert codes(lab) == ["hooks-stale", "hooks-overridden"]
        assert install.install_hooks(lab.repo).changed
    assert codes(lab) == []
    (lab.path / "src/code.py").write_text("print(2)\n")
    assert lab.run_git("commit", "-q", "-a", "-m", "yes").err == "theirs\n"
    (lab.path / "tests/run.sh").write_text("")
    lab.git("add", "tests")
    assert lab.run_git("commit", "-q", "-m", "no").err == refusal("changed: tests/run.sh")
    uninstall.uninstall_hooks(lab.repo)
    assert lab.run_git("commit", "-q", "-m", "yes").err == "theirs\n"


def test_a_global_hooks_path(lab: Lab) -> None:
    theirs = lab.root / "all"
    hook(theirs / "pre-commit", "echo global >&2")
    lab.git("config", "--global", "core.hooksPath", str(theirs))
    guarded_lab(lab)
    assert hook_status(lab.repo).theirs == str(theirs)
    assert codes(lab) == ["hooks-partly"]
    assert lab.run_git("commit", "-q", "--allow-empty", "-m", "yes").err == "global\n"
    with pytest.raises(PlannerError) as caught:
        install.install_hooks(lab.repo, ordinary=True)
    assert caught.value.code == "E_HOOKS"
    assert sorted(path.name for path in theirs.iterdir()) == ["pre-commit"]


def test_a_hooks_path_of_a_worktree_wins_and_is_told(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("branch", "iter/0002-b")
    place = lab.worktree("other", "iter/0002-b")
    lab.git("config", "extensions.worktreeConfig", "true")
    lab.git("config", "--worktree", "core.hooksPath", "/elsewhere", cwd=place)
    (finding,) = hook_status(lab.repo).findings
    assert (finding.severity, finding.code, finding.target) == ("error", "hooks-overridden", str(place))
    lab.git("config", "--worktree", "--unset", "core.hooksPath", cwd=place)
    assert codes(lab) == []


def test_a_later_core_section_wins_and_is_told(lab: Lab) -> None:
    guarded_lab(lab)
    with open(lab.path / ".git/config", "a") as config:
        config.write("[core]\n\thooksPath = /elsewhere\n")
    assert codes(lab) == ["hooks-stale", *["hooks-overridden"] * 4, "hooks-partly"]
    assert install.install_hooks(lab.repo).changed
    assert codes(lab) == ["hooks-partly"]


def test_changed_and_missing_hooks_are_told(lab: Lab) -> None:
    install.install_hooks(lab.repo)
    folder = lab.path / ".git/planner/hooks"
    (folder / "pre-commit").write_text("#!/bin/sh\n")
    (folder / "pre-merge-commit").chmod(0o644)
    (folder / "pre-push").unlink()
    (finding,) = hook_status(lab.repo).findings
    assert (finding.code, finding.message) == (
        "hooks-changed",
        "hooks were changed after they were installed: 'pre-commit', 'pre-merge-commit', 'pre-push'",
    )
    assert install.install_hooks(lab.repo).changed
    assert codes(lab) == []


def test_a_hook_that_comes_later(lab: Lab) -> None:
    guarded_lab(lab)
    hook(lab.path / ".git/hooks/post-checkout", 'echo "later" >&2')
    hook(lab.path / ".git/hooks/post-commit", 'echo "later too" >&2')
    for turn in range(2):
        assert lab.run_git("checkout", "-q", "--", ".").err == "later\n"
        assert lab.run_git("commit", "-q", "--allow-empty", "-m", "x").err == "later too\n"
        before = codes(lab)
        assert install.install_hooks(lab.repo).chained == ("post-commit", "post-checkout")
        assert (before, codes(lab)) == (["hooks-stale"] if turn == 0 else [], [])


def test_the_interpreter_is_gone(lab: Lab) -> None:
    install.install_hooks(lab.repo)
    manifest = lab.path / ".git/planner/hooks.json"
    document = json.loads(manifest.read_text())
    document["python"] = "/nowhere/python"
    manifest.write_text(json.dumps(document))
    assert codes(lab) == ["hooks-stale", "hooks-interpreter"]


def test_a_moved_repository(lab: Lab) -> None:
    install.install_hooks(lab.repo)
    lab.path.rename(lab.root / "moved")
    lab.path = lab.root / "moved"
    assert "hooks-moved" in codes(lab)
    with lab.entered():
        assert install.install_hooks(lab.repo).changed
    assert codes(lab) == []


ODD = ['it\'s "two" words', "new\nline [x]*?", "$(touch owned) back\\slash"]


@pytest.mark.parametrize("name", ODD)
def test_odd_folders(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    lab = Lab(root)
    with lab.entered():
        hook(lab.path / ".git/hooks/pre-commit", 'git config core.hooksPath >&2 || echo "$0" >&2')
        guarded_lab(lab)
        assert codes(lab) == []
        assert lab.run_git("commit", "-q", "--allow-empty", "-m", "x").err == f"{lab.path}/.git/hooks\n"
        (lab.path / "tests/run.sh").write_text("")
        lab.git("add", "tests")
        assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/run.sh")
        lab.git("branch", "iter/0002-b")
        place = lab.worktree("beside", "iter/0002-b")
        (place / "tests/run.sh").write_text("")
        assert lab.run_git("commit", "-a", "-m", "no", cwd=place).status == 1
        uninstall.uninstall_hooks(lab.repo)
    assert not list(tmp_path.rglob("owned"))


def test_bare_with_worktrees(make_lab: Callable[..., Lab]) -> None:
    full = make_lab()
    guarded_lab(full, install=False)
    bare = full.clone("bare", "--bare")
    with bare.entered():
        before = tree_bytes(bare.path)
        assert install.install_hooks(bare.repo).theirs == str(bare.path / "hooks")
        assert codes(bare) == []
        bare.git("branch", "iter/0002-b", "iter/0001-next")
        place = bare.worktree("tree", "iter/0002-b")
        (place / "tests/run.sh").write_text("")
        bare.git("add", "tests", cwd=place)
        message = refusal("changed: tests/run.sh", branch="iter/0002-b")
        assert bare.run_git("commit", "-m", "no", cwd=place).err == message
        bare.git("worktree", "remove", "--force", str(place))
        uninstall.uninstall_hooks(bare.repo)
        after = tree_bytes(bare.path)
        assert after == before


def test_from_a_linked_worktree_and_a_subfolder(lab: Lab) -> None:
    guarded_lab(lab, install=False)
    lab.git("branch", "iter/0002-b")
    place = lab.worktree("other", "iter/0002-b")
    result = lab.run("git-planner", "hooks", "install", "--json", cwd=place / "src")
    assert json.loads(result.out) == {
        "schema": "git-planner/hooks-installed@1",
        "place": "include",
        "folder": str(lab.path / ".git/planner/hooks"),
        "theirs": str(lab.path / ".git/hooks"),
        "chained": [],
        "changed": True,
    }
    assert codes(lab) == []


# -- in the ordinary place ----------------------------------------------------------------------------------


def test_ordinary_keeps_and_restores(lab: Lab) -> None:
    guarded_lab(lab, install=False)
    theirs = hook(lab.path / ".git/hooks/pre-commit", 'echo "theirs: $#" >&2; exit 7')
    theirs.chmod(0o750)
    before = tree_bytes(lab.path / ".git")
    result = install.install_hooks(lab.repo, ordinary=True)
    assert (result.place, result.folder, result.chained) == (
        "ordinary",
        lab.path / ".git/hooks",
        ("pre-commit",),
    )
    installed = tree_bytes(lab.path / ".git")
    assert not install.install_hooks(lab.repo, ordinary=True).changed
    assert tree_bytes(lab.path / ".git") == installed
    assert codes(lab) == []
    refused = lab.run_git("commit", "--allow-empty", "-m", "no")
    assert (refused.status, refused.err) == (1, "theirs: 0\n")
    (lab.path / "tests/run.sh").write_text("")
    lab.git("add", "tests")
    assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/run.sh")
    lab.git("checkout", "-q", "main")
    assert lab.run_git("commit", "-m", "no").err == "theirs: 0\n"
    lab.git("checkout", "-q", "iter/0001-next")
    lab.git("restore", "--staged", "--worktree", "tests")
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ())
    after = tree_bytes(lab.path / ".git")
    assert {**after, "index": b""} == {**before, "index": b""}


def test_ordinary_without_a_hooks_folder(lab: Lab) -> None:
    for sample in (lab.path / ".git/hooks").iterdir():
        sample.unlink()
    (lab.path / ".git/hooks").rmdir()
    guarded_lab(lab, ordinary=True)
    uninstall.uninstall_hooks(lab.repo)
    assert not (lab.path / ".git/hooks").exists()


def test_from_one_place_to_the_other(lab: Lab) -> None:
    hook(lab.path / ".git/hooks/pre-commit", "echo theirs >&2")
    guarded_lab(lab, install=False)
    before = tree_bytes(lab.path / ".git", but=COMMIT_FILES)
    install.install_hooks(lab.repo, ordinary=True)
    install.install_hooks(lab.repo)
    assert lab.run_git("commit", "-q", "--allow-empty", "-m", "x").err == "theirs\n"
    install.install_hooks(lab.repo, ordinary=True)
    assert lab.run_git("commit", "-q", "--allow-empty", "-m", "x").err == "theirs\n"
    assert codes(lab) == []
    uninstall.uninstall_hooks(lab.repo)
    assert tree_bytes(lab.path / ".git", but=COMMIT_FILES) == before


def test_ordinary_refuses_the_project_s_own_folder(lab: Lab) -> None:
    lab.commit("hooks", {"githooks/pre-commit": "#!/bin/sh\n"})
    for value in ("githooks", str(lab.path / "githooks")):
        lab.git("config", "core.hooksPath", value)
        with lab.undisturbed(), pytest.raises(PlannerError) as caught:
            install.install_hooks(lab.repo, ordinary=True)
        assert caught.value.code == "E_HOOKS"
        assert value in caught.value.message
    assert install.install_hooks(lab.repo).theirs == str(lab.path / "githooks")


def test_ordinary_leaves_what_somebody_put_in_its_place(lab: Lab) -> None:
    theirs = hook(lab.path / ".git/hooks/pre-commit", "echo first")
    install.install_hooks(lab.repo, ordinary=True)
    hook(theirs, "echo second")
    assert codes(lab) == ["hooks-changed"]
    with pytest.raises(PlannerError) as caught:
        install.install_hooks(lab.repo, ordinary=True)
    assert caught.value.code == "E_HOOKS"
    result = lab.run("git-planner", "hooks", "uninstall")
    assert (result.out, result.err) == (
        "hooks: removed\n",
        "hooks: 'pre-commit' was changed since its installation and stays\n",
    )
    assert theirs.read_text() == "#!/bin/sh\necho second\n"


def test_ordinary_without_its_manifest(lab: Lab) -> None:
    before = tree_bytes(lab.path / ".git")
    install.install_hooks(lab.repo, ordinary=True)
    (lab.path / ".git/planner/hooks.json").unlink()
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ())
    assert tree_bytes(lab.path / ".git") == before


def test_ordinary_below_a_framework_installed_later(lab: Lab) -> None:
    theirs = hook(lab.path / ".git/hooks/pre-commit", "echo theirs")
    install.install_hooks(lab.repo, ordinary=True)
    lab.env["PRE_COMMIT_HOME"] = str(lab.root / "cache")
    (lab.path / ".pre-commit-config.yaml").write_text("repos: []\n")
    assert lab.run_program("pre-commit", "install").status == 0
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ())
    assert (lab.path / ".git/hooks/pre-commit.legacy").read_text() == "#!/bin/sh\necho theirs\n"
    assert "File generated by pre-commit" in theirs.read_text()
