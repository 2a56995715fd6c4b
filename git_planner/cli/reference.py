"""The reference pages and the manual, made from the program itself: `python -m git_planner.cli.reference`.

A test compares the pages with what is made here, so no command, option or error code goes undocumented.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from git_planner.cli import ABOUT, COMMANDS, DEFAULTS, group
from git_planner.cli.lazy import LazyGroup
from git_planner.errors import CODES, EXIT_MEANING

NOTE = "<!-- made by `make docs`; changes made here are lost -->"


class Entry(NamedTuple):
    """A command as its reference shows it; `path` is how it is written, such as 'git plan task add'."""

    path: str
    usage: str
    text: str
    options: list[tuple[click.Option, str]]


def pages(root: Path) -> dict[str, str]:
    """Path -> text of every page that is made.

    Args:
        root: the checkout, whose walkthrough is in the manual.
    """
    from git_planner.cli import completion, roff

    made = {"docs/commands.md": "\n".join(_commands()) + "\n", "docs/errors.md": "\n".join(_errors()) + "\n"}
    made |= {f"templates/man/{name}": text for name, text in roff.pages(root).items()}
    for shell in completion.SHELLS:
        scripts = completion.scripts(shell).items()
        made |= {f"templates/completion/{shell}/{name}": text for name, text in scripts}
    return made


def entries(program: str) -> Iterator[Entry]:
    """All commands of a program, those below others after them; hidden ones are left out."""
    top, shown = group(program), program.replace("-", " ", 1)
    for name in COMMANDS[program]:
        command = top.get_command(click.Context(top, info_name=shown), name)
        if command is not None and not isinstance(command, LazyGroup):
            yield from _below(command, shown if name == DEFAULTS.get(program) else f"{shown} {name}")


def _below(command: click.Command, path: str) -> Iterator[Entry]:
    if command.hidden:
        return
    context = click.Context(command, info_name=path)
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    records = [(each, each.get_help_record(context)) for each in options]
    yield Entry(
        path,
        " ".join([path, *command.collect_usage_pieces(context)]),
        _text(command.help or ""),
        [(option, " ".join(record[1].split()) if record else "") for option, record in records],
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _below(child, f"{path} {name}")


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
    for program, about in ABOUT.items():
        yield from ("", f"## {program.replace('-', ' ', 1)}", "", about)
        for each in entries(program):
            yield from ("", f"### {each.path}", "", f"    {each.usage}", "", each.text)
            if each.options:
                yield from ("", "| option | meaning |", "| --- | --- |")
                rows = ((_names(option), text.replace("|", "\\|")) for option, text in each.options)
                yield from (f"| {names} | {text} |" for names, text in rows)


def _text(help_text: str) -> str:
    return "\n".join(line.strip() for line in help_text.replace("\b", "").strip().splitlines())


def value(option: click.Option) -> str:
    """What an option takes, such as 'NAME' or 'a|b'; empty for a flag."""
    if option.is_flag or option.count:
        return ""
    kind: Any = option.type
    choices = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else None
    return option.metavar or choices or str(kind.name).upper()


def _names(option: click.Option) -> str:
    taken = f" {value(option)}".rstrip().replace("|", "\\|")
    return ", ".join(f"`{name}{taken}`" for name in (*option.opts, *option.secondary_opts))


def main() -> None:
    """Write the pages into the checkout that this module is in."""
    root = Path(__file__).parents[2]
    for name, text in pages(root).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
        click.echo(name)


if __name__ == "__main__":
    main()
