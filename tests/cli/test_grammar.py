"""One grammar for the five programs: an option of one meaning has one spelling and one help text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import click
import pytest

from git_planner.cli import COMMANDS, group
from git_planner.cli.lazy_group import LazyGroup

# Options whose effect differs by command, which their help then says.
DEPENDING = {"--all", "--force", "--from", "--note", "--plan", "--slug", "--timeout"}
# Spellings of the time before there was one grammar.
GONE = {
    "--count",
    "--from-ref",
    "--impl-model",
    "--impl-reasoning-effort",
    "--max-wall",
    "--on",
    "--recommended-next-step",
}
# One help text, whose beginning is the same wherever the option is.
BEGINNINGS = {
    "--from": "Start from REF (default: ",
    "--timeout": "Time limit for ",
    "--slug": "Last part of the",
}


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it, by path; long forms are skipped."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path, **command.context_settings)
        names = COMMANDS[path] if isinstance(command, LazyGroup) else command.commands
        for name in names:
            child = command.get_command(context, name)
            assert child is not None
            if not isinstance(child, LazyGroup):
                yield from commands(child, f"{path} {name}")


ALL = {path: command for program in COMMANDS for path, command in commands(group(program), program)}


def options() -> Iterator[tuple[str, click.Option, str]]:
    """Yield every long option of every command."""
    for path, command in ALL.items():
        for option in command.params:
            if isinstance(option, click.Option):
                for name in option.opts:
                    if name.startswith("--"):
                        yield path, option, name


def test_an_option_has_one_help_text() -> None:
    texts: dict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
    where = defaultdict(set)
    for path, option, name in options():
        texts[name].add((option.metavar, option.help))
        where[name].add(path)
    shared = {name for name in texts if len(where[name]) > 1}
    differing = {name: texts[name] for name in shared - DEPENDING if len(texts[name]) > 1}
    # The same word for different things of a task, of a run, of a report, of a session or of a tournament.
    allowed = {
        "--approve",
        "--run",
        "--status",
        "--remove",
        "--client",
        "--task",
        "--ref",
        "--base",
        "--strict",
        "--file",
    }
    assert not {name: texts for name, texts in differing.items() if name not in allowed}
    assert {"--plan", "--json", "--model", "--effort", "--remote", "--timeout", "--from"} <= shared


@pytest.mark.parametrize(("name", "beginning"), BEGINNINGS.items())
def test_an_option_that_depends_on_its_command_begins_alike(name: str, beginning: str) -> None:
    helps = [option.help or "" for _, option, long in options() if long == name]
    assert len(helps) > 2
    assert all(text.startswith(beginning) for text in helps), helps


def test_an_option_takes_one_kind_of_value() -> None:
    metavars: dict[str, set[str | None]] = defaultdict(set)
    for _, option, name in options():
        if not isinstance(option.type, click.Choice):
            metavars[name].add(option.metavar)
    assert not {name: values for name, values in metavars.items() if len(values) > 1}


def test_old_spellings_are_gone() -> None:
    assert not {(path, name) for path, _, name in options() if name in GONE}
    assert not {path for path in ALL if path == "git-plan doctor"}


def test_every_option_has_a_help_text_in_the_imperative() -> None:
    for path, option, name in options():
        assert option.help, (path, name)
        assert option.help.endswith("."), (path, name, option.help)
        assert "; else" not in option.help, (path, name, option.help)


def test_the_implementer_has_the_same_options_everywhere() -> None:
    for path in ("git-iterate once", "git-iterate resume", "git-plan delegate"):
        names = {name for where, _, name in options() if where == path}
        assert {"--impl", "--model", "--effort"} <= names, path
    assert {"--planner", "--planner-model", "--max-attempts", "--timeout"} <= {
        name for where, _, name in options() if where == "git-iterate once"
    }


def test_every_output_can_be_had_as_json() -> None:
    with_json = {path for path, _, name in options() if name == "--json"}
    without = {path for path, command in ALL.items() if not isinstance(command, click.Group)} - with_json
    # These print a script, JSON anyway, what a hook prints, and what another program prints.
    ours = ("completion", "schema", "gate")
    assert without == {
        *(f"git-planner {name}" for name in ours),
        "git-plan lease run",
        "git-plan session-program",
        "git-bo4 variant-program",
        "git-planner mcp serve",
    }
