"""A click group that lists its commands without importing them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import click

import git_planner

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Row = tuple[str, str, str]
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """A group whose commands are named by (module, attribute, short help).

    Args:
        name: the program.
        about: its help text.
        rows: command name -> row.
        default: the command that takes an argument list which does not begin with a command's name. Its own
            options are shown in the help of the group.
    """

    def __init__(self, name: str, about: str, rows: Mapping[str, Row], default: str | None) -> None:
        super().__init__(name, help=about, context_settings=SETTINGS, no_args_is_help=default is None)
        self.rows = rows
        self.default = default if default in rows else None
        version = click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version
        )
        version.help = "Show the version."
        self.params.append(version)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands, in the order of the list."""
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
        command = getattr(import_module(row[0]), row[1])
        assert isinstance(command, click.Command)
        command.context_settings = {**SETTINGS, **command.context_settings}
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What may stand here: a command, or what the default command takes."""
        found = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, self.default) if self.default else None
        if command is None:
            return found
        inner = click.Context(command, parent=ctx, info_name=command.name, resilient_parsing=True)
        argument = next((each for each in command.params if isinstance(each, click.Argument)), None)
        words = argument.shell_complete(inner, incomplete) if argument and incomplete[:1] != "-" else []
        known = {each.value for each in found}
        more = [*command.shell_complete(inner, incomplete), *words]
        return [*found, *(each for each in more if each.value not in known)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command's name in front where no command is named."""
        asks_help = bool(args) and args[0] in ("-h", "--help", "--version")
        # A shell that asks what may come first gets the commands, too.
        asks_help = asks_help or (ctx.resilient_parsing and not args)
        if self.default and not asks_help and (not args or args[0] not in self.list_commands(ctx)):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their short help, importing none."""
        rows = [(name, self.rows[name][2]) for name in self.list_commands(ctx) if self.rows[name][2]]
        if rows:
            with formatter.section("Commands"):
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
        """Say that the command may be left out where there is a default."""
        return ["[OPTIONS] [COMMAND] [ARGS]..."] if self.default else super().collect_usage_pieces(ctx)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"git-planner {git_planner.__version__}")
        ctx.exit()
