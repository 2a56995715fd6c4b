"""Help in groups, help without arguments, and suggestions for mistyped names."""

from __future__ import annotations

import sys

import pytest

from git_planner.cli import COMMANDS, DEFAULTS
from tests.cli.test_grammar import ALL
from tests.support.lab import Lab
from tests.support.workshop import POLICY


@pytest.mark.parametrize("program", COMMANDS)
def test_commands_are_listed_under_the_heading_of_their_group(lab: Lab, program: str) -> None:
    lines = lab.run(program, "-h").out.splitlines()
    headings = list(dict.fromkeys(row.group for row in COMMANDS[program].values() if row.help))
    places = [lines.index(f"{heading[:1].upper()}{heading[1:]}:") for heading in headings]
    assert len(headings) > 2
    assert places == sorted(places)
    for name, row in COMMANDS[program].items():
        listed = [at for at, line in enumerate(lines) if line.startswith(f"  {name} ")]
        assert len(listed) == bool(row.help), name
        if row.help:
            heading = places[headings.index(row.group)]
            assert heading < listed[0] < next((place for place in places if place > heading), len(lines))


@pytest.mark.parametrize("path", [path for path in ALL if not path.endswith(("measure", "once", "launch"))])
def test_nothing_is_cut_off(lab: Lab, path: str) -> None:
    program, *names = path.split()
    out = lab.run(program, *names, "-h").out
    assert "..." not in out.replace("]...", "").replace("plan/guard-...", ""), out


@pytest.mark.parametrize(
    "path", ["git-plan", "git-plan worker", "git-plan task", "git-plan spec", "git-iterate best"]
)
def test_a_program_without_arguments_prints_its_help(lab: Lab, path: str) -> None:
    program, *names = path.split()
    bare, explicit = lab.run(program, *names), lab.run(program, *names, "-h")
    assert (bare.status, bare.out, bare.err) == (0, explicit.out, "")
    assert bare.out.startswith(f"Usage: {path.replace('git-', 'git ')} ")


def test_help_imports_no_flow(lab: Lab) -> None:
    code = (
        "import sys; from git_planner import cli; cli.main('git-plan', ['-h']);"
        " print([name for name in sys.modules if 'git_planner.flows' in name or 'gitio' in name]);"
        " print({'difflib', 'json'} & set(sys.modules))"
    )
    ran = lab.run_program(sys.executable, "-c", code)
    assert ran.out.splitlines()[-2:] == ["[]", "set()"], ran.out + ran.err
    assert set(DEFAULTS) == {"git-record", "git-iterate", "git-planner"}


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("git-plan", "taks"), "did you mean 'git plan task'?"),
        (("git-plan", "doctor"), "see 'git plan -h'"),
        (("git-plan", "task", "shwo"), "did you mean 'git plan task show'?"),
        (("git-planner", "plan", "delegat"), "did you mean 'git planner plan delegate'?"),
        (("git-iterate", "resme"), "did you mean 'git iterate resume'?"),
        (("git-record", "lgo"), "did you mean 'git record log'?"),
        (("git-iterate", "--modle", "x"), "did you mean '--model'"),
        (("git-record", "--forse"), "did you mean '--force'"),
        (("git-plan", "task", "list", "--plna", "x"), "did you mean '--plan'"),
        (("git-plan", "task", "show", "tsk_7"), "did you mean 'task_007'?"),
        (("git-plan", "task", "show", "task_12"), "did you mean 'task_001' or 'task_002'?"),
        (("git-plan", "task", "list", "--plan", "defualt"), "did you mean 'default'?"),
        (("git-planner", "schema", "directiv"), "did you mean 'directive'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistyped_name_gets_a_suggestion(lab: Lab, argv: tuple[str, ...], hint: str) -> None:
    lab.commit("policy", {".git-planner.yml": POLICY})
    for title in ("First", "Second"):
        assert lab.run("git-plan", "task", "add", title).status == 0
    ran = lab.run(*argv)
    assert ran.status != 0
    assert ran.err.count("\n") == 2, ran.err
    assert ran.err.splitlines()[1].startswith(f"hint: {hint}"), ran.err
