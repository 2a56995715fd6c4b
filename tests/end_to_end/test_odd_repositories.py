"""Repositories in odd states: every command works there or ends in a documented error.

Every command is run in every kind of repository with --json. It must print one document on stdout and exit
with a documented status, without a traceback, without disturbing a worktree, and with a sound object store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import click
import pytest

from git_planner.cli import COMMANDS, DEFAULTS, group
from git_planner.cli.lazy_group import LazyGroup
from git_planner.errors import CODES, EXIT_MEANING
from tests.end_to_end.test_hostile_input import check_output
from tests.support.lab import Lab, Ran
from tests.support.workshop import FILES, directive, one_document, workshop

MakeLab = Callable[..., Lab]

# Arguments of commands that require some, or that would take long without them.
ARGUMENTS = {
    "git-plan manual apply": ["{answer}"],
    "git-plan validate": ["{answer}"],
    **{f"git-plan spec {name}": ["a change"] for name in ("archive", "compile", "propose")},
    "git-plan task add": ["a task"],
    "git-plan task verify": ["task_001", "--note", "looked at it"],
    "git-plan choose": ["B"],
    **{
        f"git-plan task {name}": ["task_001"]
        for name in ("claim", "release", "resume", "review", "show", "update")
    },
    **{f"git-plan task {name}": ["task_001", "--reason", "so"] for name in ("cancel", "defer")},
    "git-plan task answer": ["task_001", "yes"],
    "git-plan task result": [
        *["task_001", "--run", "20261128T120000Z-abcdefgh", "--status", "done", "--summary", "x"]
    ],
    "git-plan delegate": ["--dry-run"],
    "git-plan task input": ["task_001", "--summary", "really?"],
    "git-plan show": ["1"],
    "git-iterate show": ["1"],
    "git-iterate resume": ["1"],
    "git-iterate abandon": ["1"],
    "git-iterate why": ["HEAD"],
    **{command: ["--dry-run"] for command in ("git-iterate best push", "git-planner uninstall")},
    "git-record show": ["HEAD"],
    "git-record compare": ["HEAD", "HEAD"],
    "git-record reject": ["HEAD", "--why", "luck"],
    "git-record import": ["{answer}"],
    "git-record simulate": ["--trials", "1"],
    "git-bo4 run": ["--prompt", "faster", "--dry-run"],
    "git-bo4 new": ["--prompt", "faster", "--run", "speed", "--ref", "nowhere"],
    "git-bo4 followup": ["speed", "--prompt", "faster"],
    "git-bo4 judge": ["speed"],
    "git-bo4 review": ["speed"],
    "git-bo4 meta": ["speed"],
    "git-bo4 compose": ["speed"],
    "git-bo4 ship": ["speed"],
    "git-bo4 apply": ["speed"],
    "git-bo4 show": ["1", "speed"],
    "git-bo4 gate": ["--ref", "HEAD"],
    "git-planner schema": ["directive"],
    "git-planner import config": ["--dry-run"],
    "git-planner import board": ["--plan", "old"],
    "git-plan lease run": ["--purpose", "tests", "--", "true"],
    # Lost at once, so that "run" does not wait for it.
    "git-plan lease acquire": ["--purpose", "tests", "--session", "worker", "--ttl", "0.001"],
    **{f"git-plan lease {name}": ["HEAVY-0"] for name in ("renew", "release")},
    **{f"git-plan {words}": ["task_001"] for words in ("worker spawn", "worker close")},
    **{f"git-plan session {word}": ["planner"] for word in ("close", "prompt")},
    "git-plan session-program": ["20261128T120000Z-abcdefgh"],
    "git-bo4 variant-program": ["20261128T120000Z-abcdefgh"],
    "git-planner demo": ["{full}"],
    "git-planner ci": ["github"],
    "git-planner mcp plugin": ["--print"],
    "git-planner completion": ["bash"],
    "git-planner gate": ["guard"],
}
# They print no document of their own.
SILENT = (
    "git-planner gate",
    "git-planner mcp serve",
    "git-plan lease run",
    "git-plan session-program",
    "git-bo4 variant-program",
)
NO_JSON = {"git-planner schema", "git-planner completion", *SILENT}
ANYWHERE_DONE = (
    *("git-plan validate", "git-record simulate", "git-planner schema", "git-planner ci"),
    *(
        "git-planner completion",
        "git-planner install-man-pages",
        "git-planner mcp serve",
        *("git-planner mcp register", "git-planner mcp unregister"),
        *("git-planner cache list", "git-planner cache prune"),
    ),
)
# It names every way to move a branch, including those that no message may suggest.
NAMES_ALL = "git-planner guard matrix"


def commands() -> Iterator[str]:
    """Return every command of every program, in the order of COMMANDS."""
    for program, names in COMMANDS.items():
        top = group(program)
        for name in names:
            yield from _below(top, f"{program} {name}", name)


def _below(parent: click.Group, path: str, name: str) -> Iterator[str]:
    context = click.Context(parent)
    command = parent.get_command(context, name)
    if isinstance(command, LazyGroup):
        # The long form of another program.
        return
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from _below(command, f"{path} {child}", child)
    else:
        yield path


# A packet is made before it is answered.
EVERY = sorted(commands(), key=lambda command: command != "git-plan manual pack")


def clean(make_lab: MakeLab) -> Lab:
    return workshop(make_lab())


def dirty(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    (lab.path / "src" / "size.txt").write_text("1\n")
    (lab.path / "staged.txt").write_text("staged\n")
    lab.git("add", "staged.txt")
    (lab.path / "new.txt").write_text("untracked\n")
    (lab.path / "tests" / "size.py").unlink()
    return lab


def detached(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    lab.git("checkout", "-q", "--detach")
    return lab


def merging(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    lab.git("checkout", "-q", "-b", "other")
    lab.commit("theirs", {"src/notes.txt": "theirs\n"})
    lab.git("checkout", "-q", "main")
    lab.commit("ours", {"src/notes.txt": "ours\n"})
    assert lab.run_git("merge", "other").status == 1
    return lab


def rebasing(make_lab: MakeLab) -> Lab:
    lab = merging(make_lab)
    lab.git("merge", "--abort")
    assert lab.run_git("rebase", "other").status == 1
    return lab


def shallow(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    lab.commit("one more", {"more.txt": "more\n"})
    return lab.clone("clone", "--no-local", "--depth=1")


def with_submodule(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    donor = make_lab()
    lab.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(donor.path), "tests/data")
    lab.commit("tests with a submodule", {})
    return lab


def bare(make_lab: MakeLab) -> Lab:
    return clean(make_lab).clone("clone", "--bare")


def unborn(make_lab: MakeLab) -> Lab:
    lab = make_lab(first=False)
    for name, content in FILES.items():
        (lab.path / name).parent.mkdir(exist_ok=True)
        (lab.path / name).write_text(content)
    return lab


def no_repository(make_lab: MakeLab) -> Lab:
    lab = clean(make_lab)
    (lab.path / ".git").rename(lab.root / "away")
    lab.env["GIT_CEILING_DIRECTORIES"] = str(lab.root)
    return lab


def nested(make_lab: MakeLab) -> Lab:
    """Return a repository at a path that needs quoting in a shell and in git, and is not UTF-8."""
    lab = clean(make_lab)
    odd = lab.root / 'it\'s "odd" $HOME\n\udcff'
    lab.path.rename(odd)
    lab.path = odd
    return lab


KINDS = {
    make.__name__: make
    for make in (
        clean,
        dirty,
        detached,
        merging,
        rebasing,
        shallow,
        with_submodule,
        bare,
        unborn,
        no_repository,
        nested,
    )
}
SPECS = [command for command in EVERY if command.startswith("git-plan spec ")]
TASKS = [command for command in EVERY if command.startswith("git-plan task ")]
OF_A_SESSION = (
    *(f"git-plan session {word}" for word in ("attach", "close", "prompt")),
    *("git-plan session-program", "git-plan worker close"),
)
MAIN = ("git-plan offline", "git-plan manual pack", "git-iterate once", "git-record measure")
# kind -> command -> its outcome; other commands are done.
EXPECTED: dict[str, dict[str, str]] = {
    **{kind: {} for kind in KINDS},
    "with_submodule": {"git-iterate once": "E_MEASURE", "git-record measure": "unmeasured"},
    "unborn": dict.fromkeys(MAIN, "E_UNBORN"),
}
CANON = tuple(f"git-bo4 canon {name}" for name in ("lock", "check", "diff"))
STREAMS = tuple(f"git-bo4 events {name}" for name in ("validate", "replay", "summary"))
# These commands keep a commit that describes the failure.
CHECKPOINTS = {"git-plan research", "git-bo4 watch", "git-bo4 harvest"}
STAGES = tuple(
    f"git-bo4 {name}" for name in ("judge", "watch", "harvest", "review", "meta", "compose", "ship", "apply")
)
ANYWHERE = {
    **dict.fromkeys(("git-plan research", "git-plan critique"), "E_MISSING_TOOL"),
    "git-plan choose": "E_OPTIONS",
    **dict.fromkeys(("git-plan task result", "git-bo4 variant-program"), "E_RESULT"),
    **dict.fromkeys(("git-plan lease renew", "git-plan lease release"), "E_LEASE"),
    **dict.fromkeys(OF_A_SESSION, "E_SESSION"),
    **dict.fromkeys(("git-plan session start", "git-plan worker spawn"), "E_MISSING_TOOL"),
    **dict.fromkeys(("git-planner launch", "git-iterate abandon"), "E_USAGE"),
    "git-plan codex": "E_MISSING_TOOL",
    "git-plan api": "E_MISSING_TOOL",
    "git-plan command": "E_POLICY",
    "git-planner demo": "E_USAGE",
    "git-planner import config": "E_MISSING_INPUT",
    "git-planner import board": "E_MISSING_INPUT",
    "git-planner guard propose": "E_NO_CHANGE",
    "git-record noise": "E_USAGE",
    **dict.fromkeys((*STAGES, "git-bo4 followup"), "E_STAGE"),
    **dict.fromkeys(("git-bo4 watch", "git-bo4 harvest"), "E_NO_VARIANT"),
    **dict.fromkeys(CANON, "E_CANON_MISSING_RESOURCE"),
    # In the order of COMMANDS they come before 'init' and 'propose'.
    **dict.fromkeys(("git-plan spec archive", "git-plan spec compile"), "E_SPEC"),
    # In the order of COMMANDS the only task is cancelled early, and put back by 'release'.
    **dict.fromkeys(
        (f"git-plan task {name}" for name in ("answer", "claim", "defer", "input", "resume")), "E_TRANSITION"
    ),
}
SHARING = ("git-iterate best push", "git-plan push", "git-plan pull", "git-planner remote setup")
NO_REMOTE = {**ANYWHERE, **dict.fromkeys(SHARING, "E_REMOTE")}
UNBORN = {
    **NO_REMOTE,
    **dict.fromkeys(
        (f"git-plan {name}" for name in ("research", "options", "critique", "choose")), "E_UNBORN"
    ),
    **dict.fromkeys((*TASKS, "git-plan lint", "git-plan sync", "git-plan push"), "E_NO_PLAN"),
    **dict.fromkeys(("git-plan worker integrate", "git-plan worker spawn"), "E_NO_PLAN"),
    "git-plan session start": "E_UNBORN",
    "git-plan review": "E_UNKNOWN_REF",
    "git-plan task result": "E_RESULT",
    **dict.fromkeys(("git-plan task add", "git-plan spec compile", "git-plan delegate"), "E_UNBORN"),
    **dict.fromkeys(MAIN, "E_UNBORN"),
    **dict.fromkeys(("git-plan codex", "git-plan api", "git-plan command"), "E_UNBORN"),
    **dict.fromkeys(("git-iterate best ensure", "git-record verify"), "E_UNBORN"),
    **dict.fromkeys(("git-planner guard propose", "git-record noise"), "E_UNBORN"),
    **dict.fromkeys(("git-plan manual apply", "git-plan show"), "E_UNKNOWN_REF"),
    **dict.fromkeys(
        ("git-iterate show", "git-iterate why", "git-iterate resume", "git-iterate abandon"), "E_UNKNOWN_REF"
    ),
    **dict.fromkeys(
        ("git-iterate publish", "git-iterate best tag", "git-iterate best restore"), "E_NO_RECORD"
    ),
    **dict.fromkeys((f"git-record {name}" for name in ("best", "show", "compare", "reject")), "E_NO_RECORD"),
    **dict.fromkeys(("git-bo4 run", "git-bo4 new", "git-bo4 gate", *CANON), "E_UNBORN"),
    **dict.fromkeys(STREAMS, "E_UNKNOWN_RUN"),
    **dict.fromkeys((*STAGES, "git-bo4 followup", "git-bo4 show", "git-bo4 status"), "E_UNKNOWN_RUN"),
}
NOWHERE = {
    **dict.fromkeys(EVERY, "E_NOT_A_REPOSITORY"),
    **dict.fromkeys((*ANYWHERE_DONE, NAMES_ALL), "done"),
    "git-planner demo": "E_USAGE",
    "git-planner import config": "E_MISSING_INPUT",
    "git-planner gate": "E_GIT",
}
CODES_OF = {
    **dict.fromkeys(KINDS, NO_REMOTE),
    "shallow": ANYWHERE,
    "bare": {
        **ANYWHERE,
        **dict.fromkeys((*SPECS, "git-planner guard propose", "git-planner mcp plugin"), "E_USAGE"),
    },
    "dirty": {**NO_REMOTE, "git-planner guard propose": "done"},
    "with_submodule": {
        **NO_REMOTE,
        **dict.fromkeys(("git-iterate publish", "git-iterate best tag", "git-record best"), "E_NO_RECORD"),
        "git-iterate once": "E_MEASURE",
    },
    "unborn": UNBORN,
    "no_repository": NOWHERE,
}


def argv_of(lab: Lab, command: str) -> list[str]:
    """Return a command with its arguments as argv."""
    answer = lab.root / "answer.json"
    answer.write_text(json.dumps(directive()))
    arguments = [word.format(answer=answer, full=lab.root) for word in ARGUMENTS.get(command, ())]
    program, *names = command.split(" ")
    return [program, *(names if names != [DEFAULTS.get(program)] else ()), *arguments]


def run(lab: Lab, command: str) -> Ran:
    """Run a command with --json."""
    lab.env["GIT_PLANNER_CODEX"] = "/there/is/no/codex"
    ran = lab.run(*argv_of(lab, command), *(() if command in NO_JSON else ("--json",)))
    if command != NAMES_ALL:
        check_output(ran)
    assert ran.status in EXIT_MEANING, (command, ran)
    return ran


# Kinds in which nearly every command ends as in a clean one: there, 'make test' runs the main ones (below).
ALIKE = ("dirty", "detached", "merging", "rebasing")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.real] if kind in ALIKE else []) for kind in KINDS]
)
def test_every_command_answers_in_one_document(make_lab: MakeLab, kind: str) -> None:
    lab = KINDS[kind](make_lab)
    sound = kind != "no_repository"
    outcomes = {}
    for command in EVERY:
        before = lab.refs() if sound else {}
        ran = run(lab, command)
        if command in SILENT:
            assert ran.out == ""
            outcomes[command] = "".join(re.findall(r"\((E_[A-Z_]+)\)$", ran.err, re.MULTILINE)) or "done"
            continue
        outcomes[command] = "done"
        if command == "git-planner completion":
            assert (ran.status, ran.out[:1]) == (0, "#")
            continue
        document = one_document(ran.out)
        if document.get("schema") == "git-planner/error@1":
            outcomes[command] = document["code"]
            assert ran.status == document["exit"] == CODES[document["code"]][0]
            assert f"({document['code']})" in ran.err
            after = lab.refs() if sound else {}
            changed = {ref for ref in before.keys() ^ after.keys() if "/numbers/" not in ref}
            assert not changed, command
            moved = [ref for ref, oid in before.items() if after[ref] != oid]
            assert not moved or command in CHECKPOINTS, command
    assert outcomes == {**dict.fromkeys(EVERY, "done"), **CODES_OF[kind]}
    if sound:
        lab.fsck()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "no_repository"])
def test_the_main_commands_work_or_say_why_not(make_lab: MakeLab, kind: str) -> None:
    lab = KINDS[kind](make_lab)
    outcomes = {}
    with lab.undisturbed(allow=["0001-auto", "0002-auto", "0003-auto"]):
        for command in MAIN:
            ran = lab.run(*argv_of(lab, command))
            check_output(ran)
            codes = re.findall(r"\((E_[A-Z_]+)\)$", ran.err, re.MULTILINE)
            if ran.status != 0:
                outcomes[command] = codes[-1] if codes else {4: "unmeasured", 1: "invalid"}[ran.status]
    assert outcomes == EXPECTED[kind]


def test_a_wrong_option_is_answered_in_one_document_too(make_lab: MakeLab) -> None:
    lab = make_lab()
    # What follows the command that runs under a lease belongs to that command.
    for command in sorted({*EVERY} - {"git-plan lease run"}):
        ran = lab.run(*argv_of(lab, command), "--no-such-option", "--json")
        check_output(ran)
        assert (ran.status, one_document(ran.out)["code"]) == (2, "E_USAGE"), command
        assert "hint: see 'git " in ran.err


@pytest.mark.parametrize("command", ["git-planner init", "git-planner hooks status", "git-planner doctor"])
def test_a_path_that_is_not_utf_8_can_be_printed(make_lab: MakeLab, command: str) -> None:
    lab = nested(make_lab)
    ran = lab.spawn(*argv_of(lab, command), PYTHONIOENCODING="utf-8:strict", GIT_PLANNER_CODEX="/no/codex")
    check_output(ran)
    assert ran.status in (0, 1)
    assert ran.out
