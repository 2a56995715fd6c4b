"""Read the commands and options of a program from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from git_planner.cli import COMMANDS, DEFAULTS, group
from git_planner.cli.lazy_group import LazyGroup


class CommandEntry(NamedTuple):
    """Entry of one command in the reference; `path` is its full name, such as 'git plan task add'."""

    path: str
    usage: str
    text: str
    options: list[tuple[click.Option, str]]


def entries(program: str) -> Iterator[CommandEntry]:
    """Yield the visible commands of a program, subcommands after their group."""
    top, shown = group(program), program.replace("-", " ", 1)
    for name in COMMANDS[program]:
        command = top.get_command(click.Context(top, info_name=shown), name)
        if command is not None and not isinstance(command, LazyGroup):
            yield from _visible_commands(
                command, shown if name == DEFAULTS.get(program) else f"{shown} {name}"
            )


def _visible_commands(command: click.Command, path: str) -> Iterator[CommandEntry]:
    if command.hidden:
        return
    context = click.Context(command, info_name=path, **command.context_settings)
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    records = [(option, option.get_help_record(context)) for option in options]
    yield CommandEntry(
        path,
        " ".join([path, *command.collect_usage_pieces(context)]),
        _help_text(command.help or ""),
        [(option, " ".join(record[1].split()) if record else "") for option, record in records],
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _visible_commands(child, f"{path} {name}")


def _help_text(help_text: str) -> str:
    """Return a help text whose literal paragraphs, which click marks, are indented by four spaces."""
    paragraphs = []
    for paragraph in help_text.strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if lines[:1] == ["\b"] or paragraph.lstrip(" ").startswith("\b"):
            lines = [f"    {line}" for line in lines if line.strip("\b")]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)


def value(option: click.Option) -> str:
    """Return the value placeholder of an option, such as 'NAME' or 'a|b'; empty for a flag."""
    if option.is_flag or option.count:
        return ""
    kind: Any = option.type
    choices = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else None
    return option.metavar or choices or str(kind.name).upper()
