"""Reference pages in docs/: commands, errors and settings."""

from __future__ import annotations

from collections.abc import Iterator

import click

from git_planner.cli import ABOUT
from git_planner.cli.reference import settings_page
from git_planner.cli.reference.entries import entries, value
from git_planner.cli.reference.policy_page import PolicyKey
from git_planner.errors import CODES, EXIT_MEANING

NOTE = "<!-- made by `make docs`; changes made here are lost -->"


def pages() -> dict[str, str]:
    """Return the text of each page by its path in the checkout."""
    texts = {"commands": _commands(), "errors": _errors(), "settings": _settings()}
    return {f"docs/{name}.md": "\n".join(lines) + "\n" for name, lines in texts.items()}


def _settings() -> Iterator[str]:
    yield from ("# Settings", "", NOTE, "", settings_page.WHERE)
    yield from ("", "| setting | environment | meaning |", "| --- | --- | --- |")
    yield from (_setting_row(key) for key in settings_page.personal_settings())
    yield from ("", "## Other environment variables", "", "| variable | meaning |", "| --- | --- |")
    yield from (f"| `{name}` | {_cell(text)} |" for name, _, text in settings_page.VARIABLES)
    yield from ("", "## Environment of programs", "", settings_page.GIVEN)
    yield from ("", "| variable | set for | meaning |", "| --- | --- | --- |")
    yield from (f"| `{name}` | {who} | {_cell(text)} |" for name, who, text in settings_page.GIVEN_VARIABLES)


def _setting_row(key: PolicyKey) -> str:
    variable = key.note.removeprefix("or ")
    return f"| `{key.name}` | {f'`{variable}`' if variable else ''} | {_cell(key.text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


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
