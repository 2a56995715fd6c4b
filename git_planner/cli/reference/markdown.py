"""Reference pages in docs/: commands and errors."""

from __future__ import annotations

from collections.abc import Iterator

import click

from git_planner.cli import ABOUT
from git_planner.cli.reference.entries import entries, value
from git_planner.errors import CODES, EXIT_MEANING

NOTE = "<!-- made by `make docs`; changes made here are lost -->"


def pages() -> dict[str, str]:
    """Return the text of each page by its path in the checkout."""
    return {"docs/commands.md": "\n".join(_commands()) + "\n", "docs/errors.md": "\n".join(_errors()) + "\n"}


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
        for entry in entries(program):
            yield from ("", f"### {entry.path}", "", f"    {entry.usage}", "", entry.text)
            if entry.options:
                yield from ("", "| option | meaning |", "| --- | --- |")
                rows = ((_names(option), text.replace("|", "\\|")) for option, text in entry.options)
                yield from (f"| {names} | {text} |" for names, text in rows)


def _names(option: click.Option) -> str:
    taken = f" {value(option)}".rstrip().replace("|", "\\|")
    return ", ".join(f"`{name}{taken}`" for name in (*option.opts, *option.secondary_opts))
