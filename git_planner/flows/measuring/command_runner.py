"""Run a policy's commands on an exported tree: sandboxed if possible, with a clean environment, a deadline,
and masked logs.

Measurements and task verification both use it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.measuring import sandbox_paths
from git_planner.flows.measuring.editable_installs import working_tree_fault
from git_planner.gitio.repository import Repository
from git_planner.host import jail, process
from git_planner.host.jail import NoJail
from git_planner.host.machine import rustup_home, search_path
from git_planner.host.process import Finished
from git_planner.rules.measuring.startup import startup_problem
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Policy
from git_planner.rules.policy.steps import PreparingStep

# SOURCE_DATE_EPOCH for archives and byte code: the first date that zip can hold.
_EPOCH = "315532800"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The end of a command, None if it was not started, and the refusal if it gave no usable result."""

    done: Finished | None
    refusal: Refusal | None = None


class CommandRunner:
    """Runner of the commands of one policy.

    Args:
        repo: the repository, which is hidden from the commands.
        policy: the trusted policy.
        logs: the folder for the commands' output.
    """

    def __init__(self, repo: Repository, policy: Policy, logs: Path) -> None:
        self.repo, self.policy, self.logs = repo, policy, logs
        self.jail = jail.find(policy.jail, search_path())
        # Called now and then while a command runs; an exception ends it.
        self.on_tick: Callable[[], None] | None = None
        # Files and folders to show read-only in the jail, each with its path below the place.
        self.bound: tuple[tuple[Path, Path], ...] = ()

    def run(
        self,
        name: str,
        argv: Sequence[str],
        place: Path,
        *,
        seconds: float,
        stdin: bytes = b"",
        before: Sequence[str] = (),
        around: Sequence[str] = (),
        on_start: Callable[[], None] = lambda: None,
        watch: Callable[[], None] | None = None,
        step: PreparingStep | None = None,
    ) -> CommandResult:
        """Run a command in an exported tree.

        Args:
            name: the stem of its log files, '<name>.stdout' and '<name>.stderr'.
            argv: the program and its arguments.
            place: the folder from `export.exported`.
            seconds: the time limit.
            stdin: the standard input.
            before: a wrapper program with its arguments, such as an instruction counter.
            around: the same outside the sandbox, such as an observer.
            on_start: called after the command has been started.
            watch: called now and then while it runs, besides `on_tick`.
            step: the step of the policy that it is; one with network gets the variables for that.
        """
        if isinstance(self.jail, NoJail) and self.policy.jail == "required":
            return CommandResult(None, Refusal("no_jail", self.jail.why))
        if step is None and (fault := working_tree_fault(self.repo, argv, place / "tree", search_path())):
            return CommandResult(None, Refusal("working_tree", fault))
        network = step is not None and step.network
        try:
            variables = _environment(self.policy, place, network=network)
            command, env = sandbox_paths.sandboxed_command(
                self.repo, self.jail, argv, variables, place, bound=self.bound, network=network
            )
            done = process.run(
                (*around, *command[: -len(argv)], *before, *command[-len(argv) :]),
                cwd=place / "tree",
                seconds=seconds,
                env=env,
                stdin=stdin,
                stdout=self.logs / f"{name}.stdout",
                stderr=self.logs / f"{name}.stderr",
                on_start=lambda _: on_start(),
                on_tick=_both(self.on_tick, watch),
                holder=jail.holder(self.jail),
            )
        except PlannerError as error:
            if error.code != "E_MISSING_TOOL":
                raise
            return CommandResult(None, Refusal("missing_tool", error.message))
        return self._result(name, argv, done, seconds)

    def _result(self, name: str, argv: Sequence[str], done: Finished, seconds: float) -> CommandResult:
        """Mask the output of a command, and decide whether its end is usable."""
        for stream in ("stdout", "stderr"):
            redact.mask_file(self.logs / f"{name}.{stream}")
        if done.timed_out:
            sentence = f"'{' '.join(argv)[:200]}' took more than {seconds:g} seconds"
            return CommandResult(done, Refusal("timeout", sentence))
        if reason := jail.not_started(self.jail, done):
            return CommandResult(
                done, Refusal("missing_tool", f"'{argv[0]}' could not be started in the jail: {reason}")
            )
        done = replace(done, status=jail.status(done))
        problem = startup_problem(argv, done.status, done.stderr)
        return CommandResult(done, Refusal("missing_tool", problem) if problem else None)


def _both(first: Callable[[], None] | None, second: Callable[[], None] | None) -> Callable[[], None] | None:
    if first is None or second is None:
        return first or second

    def call_both() -> None:
        first()
        second()

    return call_both


def _environment(policy: Policy, place: Path, *, network: bool) -> dict[str, str]:
    """Return the environment of a command: fixed values, PATH, and the variables that the policy names."""
    for_network = sandbox_paths.network_environment() if network else {}
    named = {name: os.environ[name] for name in policy.environment if name in os.environ}
    path = search_path()
    toolchains = rustup_home(path)
    return {
        **for_network,
        **named,
        **({"RUSTUP_HOME": str(toolchains)} if toolchains else {}),
        "PATH": path,
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "SOURCE_DATE_EPOCH": _EPOCH,
    }
