"""Row of the list of commands; imports nothing, because every start of a program loads it."""


class Row:
    """A command: its module below `git_planner.cli`, its attribute there, its group in help, its short help.

    Without a short help it is hidden.
    """

    __slots__ = ("attribute", "group", "help", "module")

    def __init__(self, module: str, attribute: str, group: str, help: str) -> None:  # noqa: A002 - as click
        self.module, self.attribute, self.group, self.help = module, attribute, group, help
