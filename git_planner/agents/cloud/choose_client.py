"""Choose the client by the commands that the program offers, or by the setting."""

from __future__ import annotations

import re
from typing import Protocol

from git_planner.agents.cloud.attempts import AttemptsClient
from git_planner.agents.cloud.cloud_cli import CloudCli
from git_planner.agents.cloud.variants import VariantsClient
from git_planner.errors import PlannerError
from git_planner.rules.tournament.source import Payload, PollResult, TaskRequest

AUTO, ATTEMPTS, VARIANTS = "auto", "attempts", "variants"


class CloudClient(Protocol):
    """A service that carries out a prompt several times."""

    def start(self, request: TaskRequest) -> str:
        """Submit a prompt, and return the id of the task."""

    def poll(self, task: str) -> PollResult:
        """Return the state of a task and of its variants."""

    def fetch(self, task: str, number: int) -> Payload:
        """Return the result of one variant."""


def choose_client(cli: CloudCli, dialect: str = AUTO) -> CloudClient:
    """Return the client for a program.

    Args:
        cli: the program.
        dialect: 'attempts' (exec, list, status, diff --attempt), 'variants' (new, list, show, export), or
            'auto': by the help text of the program.

    Raises:
        PlannerError: E_USAGE if the help text names neither; what `CloudCli.run` raises.
    """
    if dialect == AUTO:
        done = cli.run("--help")
        text = (done.stdout + done.stderr).decode(errors="replace")
        offers = {name for name in ("exec", "export") if re.search(rf"(?m)\b{name}\b", text)}
        if not offers:
            raise PlannerError(
                "E_USAGE",
                f"'{' '.join(cli.words)[:80]} cloud --help' names neither 'exec' nor 'export'",
                hint="name another program with 'git config planner.cloudCommand'",
            )
        dialect = VARIANTS if "export" in offers else ATTEMPTS
    return VariantsClient(cli) if dialect == VARIANTS else AttemptsClient(cli)
