"""What an agent leaves in its worktree, through whole iterations: no program of it runs, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from git_planner.folders import remove_folder
from tests.support.lab import Lab, Ran, command_line
from tests.support.small_campaign import agent, attempt, campaign

HOOKS = (
    "pre-commit prepare-commit-msg commit-msg post-commit post-index-change post-checkout"
    " reference-transaction post-rewrite pre-merge-commit"
)


def spies(lab: Lab) -> str:
    """Return a shell command that fills the folder 'hooks' with programs that leave a mark."""
    mark = lab.root / "ran"
    return (
        f"mkdir -p hooks; for name in {HOOKS} spy; do"
        f""" printf '#!/bin/sh\\necho "$0" >>"{mark}"\\n' >hooks/$name; chmod +x hooks/$name; done"""
    )


def ran(lab: Lab) -> str:
    """Return the marks of the programs that ran."""
    mark = lab.root / "ran"
    return mark.read_text() if mark.exists() else ""


def tracked_hooks(lab: Lab) -> None:
    """Make a campaign whose hooks and filter are files of the tree."""
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace('"notes/**"', '"notes/**", "hooks/**"')
    files = {
        ".git-planner.yml": policy,
        "hooks/spy": "#!/bin/sh\ntr a-z A-Z\n",
        ".gitattributes": "notes/* filter=up\n",
    }
    lab.commit("hooks", files)
    lab.git("config", "core.hooksPath", "hooks")
    lab.git("config", "filter.up.clean", "sh hooks/spy")


AFTER = {
    "accepted": ("echo 90 >value", "improved"),
    "refused": ("echo 90 >value; echo 1 >tests/test_it", "invalid"),
    "failed": ("echo 90 >value; exit 3", "unmeasured"),
    "nothing": ("git checkout -q HEAD -- .; rm -r hooks; git reset -q --hard", "within_noise"),
}


@pytest.mark.parametrize(("script", "verdict"), AFTER.values(), ids=AFTER.keys())
@pytest.mark.parametrize("in_place", [False, True])
def test_no_program_that_an_agent_left_runs(lab: Lab, script: str, verdict: str, in_place: bool) -> None:
    tracked_hooks(lab)
    result = attempt(
        lab,
        f"{spies(lab)}\n mkdir -p notes; echo quiet >notes/a\n"
        'git init -q notes/n; git -C notes/n config core.fsmonitor "$PWD/hooks/spy"; echo 1 >notes/n/f\n'
        f"{script}; : >{lab.root / 'ran'}",
        in_place=in_place,
    )
    assert result.record.verdict == verdict, result.record
    assert lab.run("git-iterate", "list").status == lab.run("git-iterate", "prune").status == 0
    assert ran(lab) == ""
    if verdict == "improved":
        # The filter is the one of the base.
        assert lab.show("iter/best:notes/a") == "QUIET\n"
        assert lab.show("iter/best:notes/n/f") == "1\n"


def test_a_hook_of_a_person_does_not_decide_about_an_attempt(lab: Lab) -> None:
    campaign(lab)
    for name in ("pre-commit", "commit-msg"):
        hook = lab.path / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nread answer </dev/tty\nexit 1\n")
        hook.chmod(0o755)
    assert attempt(lab, "echo 90 >value").record.verdict == "improved"


def test_a_large_file_stays_in_the_worktree_and_the_rest_is_kept(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo 90 >value; mkdir notes; truncate -s 300M notes/big", slug="x")
    assert (result.record.verdict, result.record.reason) == ("invalid", "unfit")
    assert result.record.summary == "files that cannot be committed were left: 'notes/big'"
    assert result.record.violations == ("larger than 100 MB ('scope.max_file_mb'): notes/big",)
    assert result.worktree is not None
    assert result.record.notes == (f"what cannot be committed is still in '{result.worktree}'",)
    assert lab.show("refs/planner/refused/0001:value") == "90\n"
    assert lab.git("status", "--porcelain", cwd=result.worktree) == "?? notes/"
    assert lab.run("git-iterate", "prune").status == 0
    assert (result.worktree / "notes" / "big").stat().st_size == 300 * 1024 * 1024


def test_an_impossible_encoding_is_refused_with_its_line(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace('"notes/**"', '"notes/**", ".gitattributes"')
    lab.commit("attributes", {".git-planner.yml": policy})
    result = attempt(
        lab, "echo 90 >value; echo 'value working-tree-encoding=NOPE-8' >.gitattributes", slug="x"
    )
    assert (result.record.verdict, result.record.reason) == ("invalid", "unfit")
    problem = "not in the encoding 'NOPE-8' that '.gitattributes:1' names: value"
    assert result.record.violations == (problem,)
    assert result.worktree is not None
    assert (result.worktree / "value").read_text() == "90\n"


def test_a_policy_allows_larger_files(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("scope: {", "scope: {max_file_mb: 1, ")
    lab.commit("limit", {".git-planner.yml": policy})
    assert attempt(lab, "mkdir notes; truncate -s 2M notes/big").record.reason == "unfit"
    lab.commit("limit", {".git-planner.yml": policy.replace("max_file_mb: 1", "max_file_mb: 3")})
    assert attempt(lab, "mkdir notes; truncate -s 2M notes/big").record.verdict == "within_noise"


@pytest.mark.parametrize("in_a_repository", [False, True])
@pytest.mark.parametrize("count", [30, pytest.param(100_000, marks=pytest.mark.real)])
def test_very_many_files_are_refused_and_stay_in_the_worktree(
    lab: Lab, count: int, in_a_repository: bool
) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text()
    limit = 20_000 if count > 20_000 else 20
    if count <= 20_000:
        policy = policy.replace("scope: {", f"scope: {{max_new_files: {limit}, ")
    lab.commit("limit", {".git-planner.yml": policy})
    make = f"git init -q notes/n; mkdir notes/n/m; for f in $(seq 1 {count}); do echo $f; done"
    write = "(cd notes/n/m; split -l 1 -a 4 - file)"
    remove = "true" if in_a_repository else "rm -rf notes/n/.git"
    agent(lab, f"mkdir notes; {make} | {write}; {remove}; echo 90 >value")
    done = lab.run("git-iterate", "--slug", "x", "--json")
    record = json.loads(done.out)["record"]
    assert (record["verdict"], record["reason"]) == ("invalid", "unfit"), done
    problem = f"one of more than {limit:,} new files ('scope.max_new_files'): notes/n/m/file"
    assert [entry[: len(problem)] for entry in record["violations"]] == [problem]
    assert lab.show("refs/planner/refused/0001:value") == "90\n"
    assert lab.run("git-iterate", "prune").status == 0
    (folder,) = lab.root.glob("repo.iter/*/notes/n/m")
    assert len(os.listdir(folder)) == count


def test_a_policy_allows_more_files(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("scope: {", "scope: {max_new_files: 2, ")
    lab.commit("limit", {".git-planner.yml": policy})
    assert attempt(lab, "mkdir notes; touch notes/a notes/b notes/c").record.reason == "unfit"
    assert attempt(lab, "mkdir notes; touch notes/a notes/b").record.verdict == "within_noise"


@pytest.mark.parametrize("depth", [pytest.param(3000, marks=pytest.mark.real), 2100])
def test_folders_nested_thousands_deep_end_no_listing_and_stay(lab: Lab, depth: int) -> None:
    campaign(lab)
    nest = f"import os\nfor _ in range({depth}): os.mkdir('d'); os.chdir('d')\nopen('f', 'w').close()"
    try:
        result = attempt(lab, f'echo 90 >value; mkdir notes; cd notes; python3 -c "{nest}"', slug="x")
        assert (result.record.verdict, result.record.reason) == ("invalid", "unfit"), result.record
        for command in (["list"], ["prune"], ["show", "1"]):
            done = lab.run("git-iterate", *command)
            assert done.status == 0, done.err
        # Git cannot see what is so deep, and it was not committed.
        assert result.worktree is not None
        assert (result.worktree / "notes/d/d").is_dir()
        assert lab.run("git-record", "log").status == 0
    finally:
        remove_folder(lab.root / "repo.iter")
    assert not (lab.root / "repo.iter").exists()


def test_a_sparse_checkout_can_be_worked_in(lab: Lab) -> None:
    campaign(lab)
    lab.commit("more", {"docs/a": "1\n", "docs/b/c": "1\n"})
    lab.git("sparse-checkout", "set", "tests")
    result = attempt(lab, "test ! -e docs; echo 90 >value; mkdir -p notes; echo why >notes/a", slug="x")
    assert (result.record.verdict, result.record.files) == ("improved", ("notes/a", "value"))
    assert lab.show("iter/best:docs/b/c") == "1\n"
    assert result.worktree is not None
    assert lab.git("status", "--porcelain", cwd=result.worktree) == ""
    refused = attempt(lab, "echo 80 >value; mkdir docs; echo 2 >docs/a; echo 1 >tests/test_it", slug="y")
    assert refused.record.reason == "guard"
    assert lab.show("refs/planner/refused/0002:docs/a") == "2\n"
    assert refused.worktree is not None
    assert lab.git("status", "--porcelain", cwd=refused.worktree) == ""


def test_line_ends_that_git_warns_people_of_cost_no_work(lab: Lab) -> None:
    campaign(lab)
    lab.git("config", "core.autocrlf", "true")
    lab.git("config", "core.safecrlf", "true")
    assert attempt(lab, "echo 90 >value; mkdir notes; echo why >notes/a").record.verdict == "improved"
    assert lab.show("iter/best:notes/a") == "why\n"


def run_without_privilege(lab: Lab, *argv: str) -> Ran:
    """Run a command line as a user whom the permissions of files bind, which those of root do not."""
    words = command_line(*argv)
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv")
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
    return lab.run_program(*words)


def test_folders_and_files_that_an_agent_closed_are_opened_again(lab: Lab) -> None:
    campaign(lab)
    agent(
        lab,
        "echo 90 >value; mkdir -p notes/a notes/b; echo 1 >notes/a/x; echo 1 >notes/b/y; "
        "mkfifo notes/b/.gitignore; chmod 000 notes/a/x notes/a notes/b notes value .",
    )
    ran = run_without_privilege(lab, "git-iterate", "--slug", "x")
    assert (ran.status, ran.out.splitlines()[0]) == (
        0,
        "iter/0001-x: improved. cost 90 points (-10 against 100)",
    )
    assert lab.git("ls-tree", "-r", "--name-only", "iter/0001-x", "notes").split() == [
        "notes/a/x",
        "notes/b/y",
    ]
    (lab.root / "repo.iter/0001-x").chmod(0)
    pruned = run_without_privilege(lab, "git-iterate", "prune")
    assert (pruned.status, "repo.iter/0001-x: removed" in pruned.out) == (0, True), pruned


def test_a_pipe_in_the_place_of_the_link_hangs_no_command(lab: Lab) -> None:
    campaign(lab)
    result = attempt(lab, "echo 90 >value; rm .git; mkfifo .git", slug="x")
    assert (result.record.verdict, result.record.value) == ("improved", 90.0)
    link = lab.root / "repo.iter/0001-x/.git"
    link.unlink(missing_ok=True)
    os.mkfifo(link)
    findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
    assert "worktree-broken" in [finding["code"] for finding in findings]
    for command in ("list", "show", "resume", "prune"):
        assert lab.run("git-iterate", command, *(["1"] if command in ("show", "resume") else [])).status == 0


def test_an_agent_may_install_the_project_in_its_worktree(lab: Lab) -> None:
    campaign(lab)
    files = "PKG-INFO SOURCES.txt entry_points.txt dependency_links.txt top_level.txt requires.txt"
    install = f"mkdir x.egg-info; for name in {files}; do echo '[pytest11]' >x.egg-info/$name; done"
    result = attempt(lab, f"echo 90 >value; {install}")
    assert (result.record.verdict, result.record.value, result.record.files) == ("improved", 90.0, ("value",))
    result = attempt(lab, f"echo 80 >value; {install}; echo 'import os' >x.egg-info/plugin.py")
    assert (result.record.verdict, result.record.reason) == ("invalid", "guard")
