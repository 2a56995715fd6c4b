"""Every GIT_* variable with a hostile value around every command: no HEAD, index or file is changed.

The environment counts where a command starts. The gits, agents and tests that it starts see none of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from git_planner.errors import EXIT_MEANING
from git_planner.gitio import git
from git_planner.gitio.repository import open_repository
from tests.end_to_end.test_hostile_input import check_output
from tests.end_to_end.test_odd_repositories import EVERY, NAMES_ALL, NO_JSON, argv_of
from tests.hooks.hooked_repository import hook
from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign
from tests.support.sweeps import sampled
from tests.support.workshop import workshop

# Variable -> hostile value; {other} is another person's repository, {void} a folder that does not exist. The
# variables are those of `git help git`, `git help config` and the pages of git's commands.
VARIABLES = {
    # Where the repository, its worktree, its index and its objects are.
    "GIT_DIR": "{other}/.git",
    "GIT_WORK_TREE": "{other}",
    "GIT_INDEX_FILE": "{other}/.git/index",
    "GIT_COMMON_DIR": "{other}/.git",
    "GIT_OBJECT_DIRECTORY": "{other}/.git/objects",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "{other}/.git/objects",
    "GIT_QUARANTINE_PATH": "{other}/.git/objects",
    "GIT_NAMESPACE": "elsewhere",
    "GIT_PREFIX": "../../",
    "GIT_INTERNAL_SUPER_PREFIX": "elsewhere/",
    "GIT_IMPLICIT_WORK_TREE": "0",
    "GIT_SHALLOW_FILE": "{other}/README.md",
    "GIT_GRAFT_FILE": "{other}/README.md",
    "GIT_REPLACE_REF_BASE": "refs/heads",
    "GIT_NO_REPLACE_OBJECTS": "0",
    "GIT_CEILING_DIRECTORIES": "{root}",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM": "no number",
    # Configuration.
    "GIT_CONFIG": "{other}/.git/config",
    "GIT_CONFIG_GLOBAL": "{void}/config",
    "GIT_CONFIG_SYSTEM": "{void}/config",
    "GIT_CONFIG_NOSYSTEM": "no bool",
    "GIT_CONFIG_PARAMETERS": "'core.worktree'='{other}' 'core.hooksPath'='{other}'",
    "GIT_CONFIG_COUNT": "many",
    "GIT_ATTR_SOURCE": "nowhere",
    "GIT_ATTR_NOSYSTEM": "no bool",
    "GIT_DEFAULT_HASH": "md5",
    "GIT_DEFAULT_BRANCH": "-x",
    "GIT_DEFAULT_REF_FORMAT": "none",
    "GIT_INDEX_VERSION": "99",
    "GIT_OPTIONAL_LOCKS": "1",
    "GIT_FLUSH": "0",
    "GIT_REF_PARANOIA": "0",
    "GIT_REFLOG_ACTION": "a\nb",
    "GIT_TEMPLATE_DIR": "{other}",
    "GIT_EXEC_PATH": "{void}",
    "GIT_ADVICE": "0",
    "GIT_NO_LAZY_FETCH": "0",
    "GIT_COMMIT_GRAPH_PARANOIA": "no bool",
    # Paths and differences.
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_GLOB_PATHSPECS": "1",
    "GIT_NOGLOB_PATHSPECS": "1",
    "GIT_ICASE_PATHSPECS": "1",
    "GIT_EXTERNAL_DIFF": "touch touched",
    "GIT_EXTERNAL_DIFF_TRUST_EXIT_CODE": "1",
    "GIT_DIFF_OPTS": "--unified=0",
    "GIT_DIFF_PATH_COUNTER": "x",
    "GIT_DIFF_PATH_TOTAL": "x",
    "GIT_PRINT_SHA1_ELLIPSIS": "yes",
    "GIT_NOTES_REF": "refs/heads/main",
    "GIT_NOTES_DISPLAY_REF": "refs/heads/*",
    "GIT_NOTES_REWRITE_REF": "refs/heads/*",
    "GIT_NOTES_REWRITE_MODE": "overwrite",
    # Persons.
    "GIT_AUTHOR_NAME": "",
    "GIT_AUTHOR_EMAIL": "<>",
    "GIT_AUTHOR_DATE": "yesterday noon",
    "GIT_AUTHOR_IDENT": "x",
    "GIT_COMMITTER_NAME": "\x1b[2J",
    "GIT_COMMITTER_EMAIL": "",
    "GIT_COMMITTER_DATE": "no date",
    "GIT_COMMITTER_IDENT": "x",
    "GIT_EMAIL": "x",
    # Programs that git starts.
    "GIT_EDITOR": "touch touched",
    "GIT_SEQUENCE_EDITOR": "touch touched",
    "GIT_PAGER": "touch touched",
    "GIT_PAGER_IN_USE": "1",
    "GIT_ASKPASS": "touch",
    "GIT_TERMINAL_PROMPT": "1",
    "GIT_GUITOOL": "x",
    "GIT_MERGE_VERBOSITY": "x",
    "GIT_MERGE_AUTOEDIT": "yes",
    "GIT_PROGRESS_DELAY": "x",
    "GIT_REDIRECT_STDIN": "{void}",
    "GIT_REDIRECT_STDOUT": "{void}",
    "GIT_REDIRECT_STDERR": "{void}",
    # Remotes.
    "GIT_SSH": "touch",
    "GIT_SSH_COMMAND": "touch touched",
    "GIT_SSH_VARIANT": "x",
    "GIT_PROXY_COMMAND": "touch",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PROTOCOL": "version=9",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_URL": "x",
    "GIT_PROJECT_ROOT": "{other}",
    **dict.fromkeys(
        (
            *("GIT_SSL_NO_VERIFY", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_VERSION"),
            *("GIT_SSL_CERT_PASSWORD_PROTECTED", "GIT_SSL_CIPHER_LIST", "GIT_SSL_KEY", "GIT_CURL_VERBOSE"),
            *("GIT_PROXY_SSL_CAINFO", "GIT_PROXY_SSL_CERT", "GIT_PROXY_SSL_CERT_PASSWORD_PROTECTED"),
            *("GIT_PROXY_SSL_KEY", "GIT_CURL_FTP_NO_EPSV", "GIT_HTTP_EXPORT_ALL", "GIT_HTTP_USER_AGENT"),
            *("GIT_HTTP_LOW_SPEED_LIMIT", "GIT_HTTP_LOW_SPEED_TIME", "GIT_HTTP_MAX_REQUESTS"),
            *("GIT_HTTP_MAX_REQUEST_BUFFER", "GIT_HTTP_PROXY_AUTHMETHOD"),
            *("GIT_PUSH_CERT", "GIT_PUSH_CERT_KEY", "GIT_PUSH_CERT_NONCE", "GIT_PUSH_CERT_NONCE_SLOP"),
            *("GIT_PUSH_CERT_NONCE_STATUS", "GIT_PUSH_CERT_SIGNER", "GIT_PUSH_CERT_STATUS"),
            *("GIT_PUSH_NONCE", "GIT_PUSH_OPTION_0", "GIT_PUSH_OPTION_1", "GIT_PUSH_OPTION_COUNT"),
        ),
        "{void}",
    ),
    # Traces, which go to stderr with these values.
    **dict.fromkeys(
        (
            *("GIT_TRACE", "GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE2_PERF", "GIT_TRACE_CURL"),
            *("GIT_TRACE_FSMONITOR", "GIT_TRACE_PACKET", "GIT_TRACE_PACKFILE", "GIT_TRACE_PACK_ACCESS"),
            *("GIT_TRACE_PERFORMANCE", "GIT_TRACE_REFS", "GIT_TRACE_SETUP", "GIT_TRACE_SHALLOW"),
            *("GIT_TRACE_CURL_NO_DATA", "GIT_TRACE_REDACT", "GIT_TRACE2_BRIEF", "GIT_TRACE2_EVENT_BRIEF"),
            *("GIT_TRACE2_CONFIG_PARAMS", "GIT_TRACE2_DST_DEBUG", "GIT_TRACE2_ENV_VARS"),
            *("GIT_TRACE2_EVENT_NESTING", "GIT_TRACE2_PERF_BRIEF", "GIT_TRACE2_PARENT_SID"),
        ),
        "1",
    ),
}
POINTERS = list(VARIABLES)[: list(VARIABLES).index("GIT_CONFIG_GLOBAL")]
# Commands that work in a repository, each with every variable that points to one.
WORKING = ("git-plan task add", "git-record measure")
# Commands that write files into the worktree when they are asked to.
WRITING = ("git-plan spec init", "git-plan spec propose", "git-plan spec archive", "git-planner init")


def staged_lab(lab: Lab) -> Lab:
    """Return a workshop with staged, unstaged and untracked changes; what commands write there is written."""
    workshop(lab)
    lab.env["GIT_PLANNER_CODEX"] = "/there/is/no/codex"
    for command in WRITING:
        lab.run(*argv_of(lab, command))
    (lab.path / "src" / "size.txt").write_text("99\n")
    (lab.path / "staged.txt").write_text("staged\n")
    lab.git("add", "staged.txt")
    return lab


@pytest.fixture
def shop(lab: Lab) -> Lab:
    return staged_lab(lab)


@pytest.fixture
def other(make_lab: Callable[[], Lab]) -> Lab:
    return staged_lab(make_lab())


def picture(lab: Lab) -> dict[str, bytes]:
    """Return HEAD, the index and every file of a repository; no git is started."""
    own = {name: (lab.path / ".git" / name).read_bytes() for name in ("HEAD", "index")}
    files = (path for path in lab.path.rglob("*") if path.is_file() and ".git" not in path.parts)
    return own | {str(path.relative_to(lab.path)): path.read_bytes() for path in files}


def differing(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> set[str]:
    """Return the names of two pictures that differ."""
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def hostile(variable: str, shop: Lab, other: Lab) -> dict[str, str]:
    """Return a variable with its hostile value."""
    value = VARIABLES[variable].format(other=other.path, void=shop.root / "void", root=shop.root)
    return {variable: value}


def run_in(shop: Lab, command: str, variables: Mapping[str, str]) -> None:
    """Run a command with variables; fail unless it ends with a documented status, and without a traceback."""
    before = dict(shop.env)
    shop.env.update(variables)
    try:
        ran = shop.run(*argv_of(shop, command), *(() if command in NO_JSON else ("--json",)))
    finally:
        shop.env.clear()
        shop.env.update(before)
    assert ran.status in EXIT_MEANING, (variables, command, ran)
    if command != NAMES_ALL:
        check_output(ran)


def pairs(stride: int) -> list[tuple[str, str]]:
    """Return every variable with one command or more, and every command with one variable or more.

    Args:
        stride: the distance of the pairs that are returned of those that do not point to a repository.
    """
    sample = [(variable, EVERY[place % len(EVERY)]) for place, variable in enumerate(VARIABLES)]
    working = [(variable, command) for variable in POINTERS for command in WORKING]
    pointing = len(POINTERS)
    return sample[:pointing] + sample[pointing::stride] + working[::stride]


@sampled(5)
def test_no_variable_lets_a_command_change_a_head_an_index_or_a_file(
    shop: Lab, other: Lab, stride: int
) -> None:
    assert len(VARIABLES) >= len(EVERY)
    before = picture(shop), picture(other)
    for variable, command in pairs(stride):
        run_in(shop, command, hostile(variable, shop, other))
        after = picture(shop), picture(other)
        changed = [name for old, new in zip(before, after, strict=True) for name in differing(old, new)]
        assert not changed or (command in WRITING and not {"HEAD", "index"} & set(changed)), (
            variable,
            command,
            changed,
        )
        before = after
    shop.fsck()
    other.fsck()


def test_the_variables_are_those_of_the_installed_documentation() -> None:
    text = ""
    for page in ("git", "git-config") if shutil.which("man") else ():
        shown = subprocess.run(
            ["man", page], capture_output=True, check=False, env={**os.environ, "MANWIDTH": "500"}
        )
        text += re.sub(r".\x08", "", shown.stdout.decode(errors="replace"))
    documented = set(re.findall(r"\bGIT_[A-Z0-9_]+\b", text))
    if not documented:
        pytest.skip("git's manual pages are not installed")
    numbered = {"GIT_CONFIG_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"}
    assert {name for name in documented if name not in VARIABLES} <= numbered


def test_what_is_started_sees_no_repository_of_the_environment(lab: Lab, make_lab: Callable[[], Lab]) -> None:
    campaign(lab)
    agent(lab, f'env >"{lab.root}/seen"; git status --short >>"{lab.root}/seen"; echo 90 >value')
    other, before = make_lab(), picture(lab)
    names = [name for name in POINTERS if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_QUARANTINE_PATH")]
    lab.env |= {name: value for variable in names for name, value in hostile(variable, lab, other).items()}
    lab.env |= {"GIT_DIR": str(lab.path / ".git"), "GIT_WORK_TREE": str(lab.path), "GIT_CONFIG_COUNT": "2"}
    lab.env |= {"GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/elsewhere"}
    lab.env |= {"GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*"}
    ran = lab.run("git-iterate", cwd=lab.root)
    assert ran.status == 0, ran.err
    seen = (lab.root / "seen").read_text().splitlines()
    inherited = {line for line in seen if line.partition("=")[0] in {*POINTERS, *names} - set(git.FIXED)}
    assert inherited == set()
    assert sorted(line for line in seen if re.match("GIT_CONFIG_[CKV]", line)) == [
        "GIT_CONFIG_COUNT=1",
        "GIT_CONFIG_KEY_0=safe.directory",
        "GIT_CONFIG_VALUE_0=*",
    ]
    assert picture(lab) == before


@pytest.mark.parametrize("how", ["alias", "alias in a linked worktree", "both options", "hook"])
def test_an_iteration_leaves_the_worktree_of_its_caller_alone(lab: Lab, how: str) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    lab.git("config", "alias.it", "!git iterate --slug lower")
    place = lab.path
    if how in ("alias in a linked worktree", "hook"):
        lab.git("worktree", "add", "-q", "-b", "side", str(lab.root / "side"))
        place = lab.root / "side"
    (place / "staged").write_text("staged\n")
    lab.git("add", "staged", cwd=place)
    folder = place / "tests"
    with lab.undisturbed(allow=["0001-lower"]):
        if how == "hook":
            # The commits of the iteration start the hook, too.
            script = "case $PWD in */side) git iterate --slug lower >&2; exit 1 ;; esac"
            hook(lab.path / ".git" / "hooks" / "pre-commit", script)
            ran = lab.run_git("commit", "-m", "x", cwd=place)
            assert ran.status == 1
        else:
            named = (f"--git-dir={place}/.git", f"--work-tree={place}", "iterate", "--slug", "lower")
            ran = lab.run_git(*(named if how == "both options" else ("it",)), cwd=folder)
            assert ran.status == 0, ran.err
    assert "improved" in ran.out + ran.err
    assert lab.git("show", "iter/0001-lower:value") == "90"
    lab.fsck()


def test_a_plan_follows_a_commit_in_a_linked_worktree_where_it_is_checked_out(lab: Lab) -> None:
    workshop(lab)
    lab.run("git-planner", "hooks", "install")
    assert lab.run("git-plan", "task", "add", "First").status == 0
    lab.git("worktree", "add", "-q", "-b", "side", str(lab.root / "side"))
    lab.worktree("plan", "plan/default")
    done = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_001: done", cwd=lab.root / "side")
    assert (done.status, done.err) == (0, "")
    assert "agent_done" in lab.run("git-plan", "task", "list").out
    assert lab.git("status", "--porcelain", cwd=lab.root / "plan") == ""


def test_a_git_directory_that_is_named_brings_its_worktree(lab: Lab, tmp_path: Path) -> None:
    workshop(lab)
    (lab.path / "src" / "size.txt").write_text("90\n")
    lab.git("add", "src")
    for folder in (Path("/"), tmp_path, lab.path / "src"):
        with lab.entered(folder):
            os.environ["GIT_DIR"] = str(lab.path / ".git")
            assert open_repository().top == lab.path
    with lab.undisturbed(allow=["0001-auto"]):
        for words in (("plan", "task", "add", "x"), ("iterate",)):
            ran = lab.run_git(f"--git-dir={lab.path}/.git", *words, cwd=Path("/"))
            check_output(ran)
            assert ran.status == 0, ran.err


def test_a_worktree_that_the_configuration_names_is_used(lab: Lab, tmp_path: Path) -> None:
    lab.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    lab.env["GIT_DIR"] = str(lab.path / ".git" / "worktrees" / "linked")
    with lab.entered(Path("/")):
        assert open_repository().top == tmp_path / "linked"
    (tmp_path / "files").mkdir()
    lab.git("--git-dir", str(lab.path / ".git"), "config", "core.worktree", str(tmp_path / "files"))
    lab.env["GIT_DIR"] = str(lab.path / ".git")
    with lab.entered(Path("/")):
        assert open_repository().top == tmp_path / "files"
