"""The reference pages, made from the program itself: `python -m git_planner.cli.reference docs`.

A test compares the pages with what is made here, so no command, option or error code goes undocumented.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from git_planner.cli import ABOUT, COMMANDS, DEFAULTS, group
from git_planner.errors import CODES, EXIT_MEANING

NOTE = "<!-- made by `make docs`; changes made here are lost -->"


def pages() -> dict[str, str]:
    """File name -> text of every page that is made."""
    return {"commands.md": "\n".join(_commands()) + "\n", "errors.md": "\n".join(_errors()) + "\n"}


def _errors() -> Iterator[str]:
    yield from ("# Errors and exit statuses", "", NOTE, "")
    yield "Every error has a code that stays. With `--json` it is a document on stdout (schema `error`)."
    yield from ("", "| exit status | meaning |", "| --- | --- |")
    yield from (f"| {status} | {meaning} |" for status, meaning in EXIT_MEANING.items())
    yield from ("", "| code | exit status | meaning |", "| --- | --- | --- |")
    yield from (f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in CODES.items())


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", NOTE, "")
    yield "Each program can be written in two ways: `git plan list` and `git planner plan list` are the same."
    for program, names in COMMANDS.items():
        shown = program.replace("-", " ", 1)
        yield from ("", f"## {shown}", "", ABOUT[program])
        top = group(program)
        context = click.Context(top, info_name=shown)
        default = DEFAULTS.get(program)
        for name in names:
            command = top.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _command(command, shown if name == default else f"{shown} {name}")


def _command(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from ("", f"### {path}", "", f"    {usage}", "")
    yield _text(command.help or "")
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        yield from ("", "| option | meaning |", "| --- | --- |")
        yield from (f"| {_names(option)} | {_cell(option, context)} |" for option in options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _command(child, f"{path} {name}")


def _text(help_text: str) -> str:
    return "\n".join(line.strip() for line in help_text.replace("\b", "").strip().splitlines())


def _names(option: click.Option) -> str:
    value = "" if option.is_flag or option.count else f" {option.metavar or _kind(option.type)}"
    return ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))


def _kind(kind: Any) -> str:
    if isinstance(kind, click.Choice):
        return "\\|".join(str(each) for each in kind.choices)
    return str(kind.name).upper()


def _cell(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    return " ".join((record[1] if record else "").split()).replace("|", "\\|")


def main(folder: Path) -> None:
    """Write the pages into a folder."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
