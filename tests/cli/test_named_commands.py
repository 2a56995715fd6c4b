"""Every command that a message, a hint or a page names exists, has the options, and is listed by help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from git_planner.cli import COMMANDS, DEFAULTS, group
from git_planner.cli.lazy_group import LazyGroup, visible_commands

ROOT = Path(__file__).parents[2]
MENTION = re.compile(r"['`]git (?P<program>plan|iterate|record|planner)(?P<rest>(?: [^'`\n|]*)?)['`]")
WORD = re.compile(r"[a-z][a-z-]*")


def mentions() -> Iterator[tuple[str, str, list[str]]]:
    """Yield the file, the program and the arguments of every quoted command in the package and the pages."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in [*(ROOT / "git_planner").rglob("*.py"), *pages]:
        for match in MENTION.finditer(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(ROOT)), f"git-{match['program']}", match["rest"].split()


def problem(program: str, arguments: list[str]) -> str | None:
    """Return what is wrong with a command line, or None."""
    command: click.Command = group(program)
    context = click.Context(command, **command.context_settings)
    while isinstance(command, click.Group) and arguments and WORD.fullmatch(arguments[0]):
        if arguments[0] not in visible_commands(command, context):
            if isinstance(command, LazyGroup) and command.default:
                break
            return f"no listed command '{arguments[0]}'"
        child = command.get_command(context, arguments[0])
        assert child is not None
        command, arguments = child, arguments[1:]
        context = click.Context(command, **command.context_settings)
    if isinstance(command, LazyGroup) and command.default:
        child = command.get_command(context, command.default)
        assert child is not None
        command = child
    options = {
        name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)
    }
    options.add("--version")
    unknown = [word for word in arguments if re.fullmatch(r"--[a-z][a-z-]+", word) and word not in options]
    return f"no options {unknown}" if unknown else None


def test_named_commands_are_listed_by_help() -> None:
    mentioned = list(mentions())
    assert len(mentioned) > 100
    assert set(DEFAULTS) <= set(COMMANDS)
    wrong = [
        f"{where}: {program} {' '.join(arguments)}: {fault}"
        for where, program, arguments in mentioned
        if (fault := problem(program, arguments))
    ]
    assert wrong == []
