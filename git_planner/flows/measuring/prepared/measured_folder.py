"""The folder that the commands of a policy run in: the files of a tree, and what the policy's steps made.

Everything that runs a policy's commands gets its folder here. Without steps it is that of the export alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.host.jail import NoJail
from git_planner.progress import Progress

if TYPE_CHECKING:
    from git_planner.flows.measuring.prepared.preparation import Preparation


class MeasuredFolder:
    """The folder for the commands of one policy, for one run after the other.

    Args:
        runner: runs the commands; it is told which outputs to show them.
        base: the trusted base, whose inputs are not a candidate's fault; None: the measured tree itself.
        progress: called with each progress message.
        reuse: whether it is for more than one run.
    """

    def __init__(
        self, runner: CommandRunner, base: str | None, progress: Progress, *, reuse: bool = True
    ) -> None:
        self._runner, self._base, self._progress = runner, base, progress
        # Without a process namespace, what a run has left could write after the folder was checked.
        self._export = ReusedExport(runner.repo, reuse=reuse and not isinstance(runner.jail, NoJail))
        self._preparation: Preparation | None = None
        self.seconds: dict[str, float] = {}

    def close(self) -> None:
        """Remove the folder, and let go of the outputs."""
        with ExitStack() as stack:
            stack.callback(self._export.close)
            if self._preparation is not None:
                stack.callback(self._preparation.close)

    @contextmanager
    def holding(self, tree: str) -> Iterator[Path]:
        """Yield a folder that holds 'tree' (the files of the tree, and outputs), 'home' and 'tmp'.

        Raises:
            UnpreparedError: a step gave no outputs.
            PlannerError: E_EXPORT, E_NO_SPACE, E_BUSY.
        """
        if not self._runner.policy.steps:
            with self._export.holding(tree) as place:
                yield place
            return
        if self._preparation is None:
            from git_planner.flows.measuring.prepared.preparation import Preparation

            self._preparation = Preparation(self._runner, self._base, self._progress, self.seconds)
        with self._preparation.holding(tree, self._export) as place:
            yield place


@contextmanager
def fresh_folder(runner: CommandRunner, tree: str, base: str | None, progress: Progress) -> Iterator[Path]:
    """Yield a folder of a tree for one command; parameters and errors are those of `MeasuredFolder`."""
    folder = MeasuredFolder(runner, base, progress, reuse=False)
    with closing(folder), folder.holding(tree) as place:
        yield place
