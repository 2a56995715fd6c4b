"""Click groups: help that lists commands under headings, lazy imports, and suggestions for mistyped names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

import git_planner

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from git_planner.cli.command_row import Row

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class CommandGroup(click.Group):
    """A group of commands whose help shows their short help in full.

    Without arguments it prints its help, unless it does something itself.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help if there are no arguments."""
        if args[:1] == ["-h"]:
            # click takes a short option for a mistyped long one first, and loads what compares words.
            args = ["--help", *args[1:]]
        if not args and not ctx.resilient_parsing and not self.invoke_without_command:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their short help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, short_help(command)) for name, command in commands if command and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name.

        Raises:
            NoSuchName: no command has that name.
        """
        if (
            args
            and args[0][:1] != "-"
            and self.get_command(ctx, args[0]) is None
            and not ctx.resilient_parsing
        ):
            raise NoSuchName("command", args[0], visible_commands(self, ctx), ctx)
        return super().resolve_command(ctx, args)


class NoSuchName(click.UsageError):
    """A mistyped name, with the names that are known."""

    def __init__(self, kind: str, name: str, known: Sequence[str], ctx: click.Context) -> None:
        super().__init__(f"no such {kind}: '{name[:80]}'", ctx)
        self.name = name
        self.known = known


def visible_commands(group: click.Group, ctx: click.Context) -> list[str]:
    """Return the names of the commands that help lists."""
    if isinstance(group, LazyGroup):
        return [name for name in group.list_commands(ctx) if group.rows[name].help]
    return [name for name in group.list_commands(ctx) if not group.commands[name].hidden]


def short_help(command: click.Command) -> str:
    """Return the short help of a command: the given one, or the first sentence of its help."""
    if command.short_help:
        return command.short_help
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "." if paragraph else ""


class LazyGroup(CommandGroup):
    """A group whose commands are named by rows of `git_planner.cli.COMMANDS`.

    Args:
        name: the program.
        about: its help text.
        rows: command name -> row, in the order of help.
        default: the command that runs when the first argument is not a command. The help of the group
            shows its options.
    """

    def __init__(self, name: str, about: str, rows: Mapping[str, Row], default: str | None) -> None:
        super().__init__(name, help=about, context_settings=SETTINGS)
        self.rows = rows
        self.default = default if default in rows else None
        version = click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version
        )
        version.help = "Show the version."
        self.params.append(version)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, in the order of the list."""
        return [name for name in self.rows if name != self.default]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import one command."""
        row = self.rows.get(cmd_name)
        if row is None:
            return None
        command = getattr(import_module(f"git_planner.cli.{row.module}"), row.attribute)
        assert isinstance(command, click.Command)
        command.context_settings = {**SETTINGS, **command.context_settings}
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command, or an argument of the default command."""
        items = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, self.default) if self.default else None
        if command is None:
            return items
        inner = click.Context(command, parent=ctx, info_name=command.name, resilient_parsing=True)
        argument = next((param for param in command.params if isinstance(param, click.Argument)), None)
        values = argument.shell_complete(inner, incomplete) if argument and incomplete[:1] != "-" else []
        known = {item.value for item in items}
        more = [*command.shell_complete(inner, incomplete), *values]
        return [*items, *(item for item in more if item.value not in known)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the name of the default command if no command is named."""
        asks_help = bool(args) and args[0] in ("-h", "--help", "--version")
        # A shell that completes the first argument gets the commands, too.
        asks_help = asks_help or (ctx.resilient_parsing and not args)
        if self.default and not asks_help and (not args or args[0] not in self.list_commands(ctx)):
            self._check_name(ctx, args)
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def _check_name(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse a name that is neither a command nor an argument of the default command."""
        command = self.get_command(ctx, self.default) if self.default else None
        takes_arguments = command and any(isinstance(param, click.Argument) for param in command.params)
        if args and args[0][:1] != "-" and not takes_arguments and not ctx.resilient_parsing:
            raise NoSuchName("command", args[0], visible_commands(self, ctx), ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands under the heading of their group, importing none."""
        names = visible_commands(self, ctx)
        width = max(map(len, names))
        for heading in dict.fromkeys(self.rows[name].group for name in names):
            with formatter.section(heading[:1].upper() + heading[1:]):
                rows = [
                    (name.ljust(width), self.rows[name].help)
                    for name in names
                    if self.rows[name].group == heading
                ]
                formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options of the default command, then the commands."""
        if self.default:
            command = self.get_command(ctx, self.default)
            assert command is not None
            rows = [row for row in (option.get_help_record(ctx) for option in command.get_params(ctx)) if row]
            with formatter.section(f"Options of '{ctx.command_path}' itself"):
                formatter.write_dl(rows)
            self.format_commands(ctx, formatter)
        else:
            super().format_options(ctx, formatter)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Mark the command as optional if there is a default."""
        return ["[OPTIONS] [COMMAND] [ARGS]..."] if self.default else super().collect_usage_pieces(ctx)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"git-planner {git_planner.__version__}")
        ctx.exit()
