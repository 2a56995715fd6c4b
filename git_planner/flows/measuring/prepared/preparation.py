"""Run the steps of a policy for a tree, or take what they made before, and show it to the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.flows.measuring.command_runner import CommandResult, CommandRunner
from git_planner.flows.measuring.prepared import working_places
from git_planner.flows.measuring.prepared.kept_outputs import KeptOutputs, OutputStore
from git_planner.flows.measuring.prepared.output_files import check_made, copy_output, place_path
from git_planner.flows.measuring.prepared.step_digest import step_digest
from git_planner.flows.measuring.prepared.unprepared import UnpreparedError
from git_planner.gitio import export
from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.gitio.fresh.fresh_objects import restore_missing
from git_planner.host.jail import Jail
from git_planner.progress import Progress, Step, ticker
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy import globs
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.policy.steps import PreparingStep

# What has to stay free on the disk while a step runs.
RESERVE_BYTES = 200 * 1024 * 1024
_TAIL_LINES, _TAIL_BYTES = 5, 4000
_NO_SPACE = ("No space left on device", "ENOSPC", "Disk quota exceeded")


class StepInputs(NamedTuple):
    """The files of a tree that a step sees, path -> (mode, object id), and what is wrong with them."""

    files: Mapping[str, tuple[str, str]]
    fault: str | None


class Preparation:
    """The outputs of a policy's steps, prepared once a tree and held until they are let go.

    Args:
        runner: runs the steps, as it runs the commands.
        base: the trusted base; None: every tree is taken for the base's.
        progress: called with each progress message.
        seconds: gets the duration of each step that was run.
        reserve: bytes that a step has to leave free on the disk.
    """

    def __init__(
        self,
        runner: CommandRunner,
        base: str | None,
        progress: Progress,
        seconds: dict[str, float],
        *,
        reserve: int = RESERVE_BYTES,
    ) -> None:
        self._runner, self._base, self._progress, self._seconds = runner, base, progress, seconds
        self._repo, self._policy = runner.repo, runner.policy
        self._reserve = reserve
        self._is_jailed = isinstance(runner.jail, Jail)
        self._stack = ExitStack()
        self._store = self._stack.enter_context(OutputStore(progress))
        self._place: Path | None = None
        self._prepared: dict[str, list[KeptOutputs] | UnpreparedError] = {}

    def close(self) -> None:
        """Let go of the outputs."""
        self._stack.close()

    @contextmanager
    def holding(self, tree: str, reused: ReusedExport) -> Iterator[Path]:
        """Yield the folder of a tree, with the outputs of all steps.

        Raises:
            UnpreparedError: a step gave no outputs.
            PlannerError: E_EXPORT, E_NO_SPACE, E_BUSY.
        """
        kept = self._outputs(tree)
        with self._exported(tree, reused) as place, self._showing(place, kept):
            yield place

    @contextmanager
    def _exported(self, tree: str, reused: ReusedExport) -> Iterator[Path]:
        if self._is_jailed:
            with reused.holding(tree) as place:
                yield place
            return
        # What was prepared names the folder that it was prepared in.
        with working_places.emptied(self._fixed_place()) as place:
            restore_missing(self._repo.git, [tree])
            export.write_out(self._repo.git, tree, place / "tree")
            yield place

    def _fixed_place(self) -> Path:
        if self._place is None:
            self._place = self._stack.enter_context(working_places.fixed_place())
        return self._place

    @contextmanager
    def _showing(self, place: Path, kept: list[KeptOutputs]) -> Iterator[None]:
        """Let the runner show outputs to what it runs: bound read-only, or as copies."""
        bound: list[tuple[Path, Path]] = []
        for entry in kept:
            for source, output in entry.outputs:
                target = place_path(place, output)
                if self._is_jailed and not (entry.step.writable or _is_read(self._policy, output)):
                    bound.append((source, target))
                else:
                    copy_output(source, target)
        before, self._runner.bound = self._runner.bound, tuple(bound)
        try:
            yield
        finally:
            self._runner.bound = before

    def _outputs(self, tree: str) -> list[KeptOutputs]:
        """Return the outputs of all steps for a tree.

        Raises:
            UnpreparedError: a step gave none.
        """
        if tree not in self._prepared:
            try:
                self._prepared[tree] = self._prepare(tree)
            except UnpreparedError as error:
                self._prepared[tree] = error
        prepared = self._prepared[tree]
        if isinstance(prepared, UnpreparedError):
            raise prepared
        return prepared

    def _prepare(self, tree: str) -> list[KeptOutputs]:
        kept: list[KeptOutputs] = []
        is_changed = False
        where = "" if self._is_jailed else str(self._fixed_place())
        for place, step in enumerate(self._policy.steps):
            inputs = self._inputs(place, step, tree)
            base = inputs if self._base is None else self._inputs(place, step, self._base)
            is_changed |= inputs != base
            if inputs.fault is not None:
                raise self._unprepared(step, inputs.fault, is_changed=inputs.fault != base.fault)
            digest = step_digest(step, inputs.files, [entry.digest for entry in kept], self._policy, where)
            with self._store.obtaining(digest, step) as entry:
                if entry.is_missing:
                    self._run(step, inputs, kept, entry, is_changed=is_changed)
            kept.append(entry)
        return kept

    def _inputs(self, place: int, step: PreparingStep, tree: str) -> StepInputs:
        """Return what a step sees of a tree; a fault is a sentence about it."""
        at = f"'/{step.key}/{place if not step.is_build else place - len(self._policy.prepare)}'"
        files = export.entries(self._repo, tree, pathspecs(step.inputs))
        for pattern in step.inputs:
            if not files or not any(globs.is_matching(pattern, path) for path in files):
                return StepInputs(files, f"{at} of the policy: no file matches its input '{pattern}'")
        outputs = step.tree_outputs
        tracked = export.entries(self._repo, tree, [f":(top,literal){output}" for output in outputs])
        for path, (mode, _) in tracked.items():
            if not (mode == export.GITLINK and path in outputs):
                return StepInputs(files, f"{at} of the policy: '{path}' is tracked, and is no output")
        parents = {parent for output in outputs for parent in _parents(output)}
        for path in sorted(parents):
            entry = self._repo.git.read_object("info", f"{tree}:{path}")
            if entry is not None and entry[1] != "tree":
                return StepInputs(files, f"{at} of the policy: '{path}', above an output, is no folder")
        return StepInputs(files, None)

    def _run(
        self,
        step: PreparingStep,
        inputs: StepInputs,
        earlier: list[KeptOutputs],
        entry: KeptOutputs,
        *,
        is_changed: bool,
    ) -> None:
        """Run a step on its inputs, and keep what it made.

        Raises:
            UnpreparedError: it made nothing usable.
        """
        self._progress(Step(f"{step.key} {step.name}: {' '.join(step.run)}"))
        self._runner.logs.mkdir(parents=True, exist_ok=True)
        name = f"{step.key}-{step.name}"
        with self._working_place() as place:
            restore_missing(self._repo.git, [*(oid for _, oid in inputs.files.values())])
            listed = [export.Listed(mode, oid, path, 0) for path, (mode, oid) in inputs.files.items()]
            export.write_entries(self._repo.git, listed, place / "tree")
            for output in step.outputs:
                place_path(place, output).parent.mkdir(parents=True, exist_ok=True)
            with self._showing(place, earlier):
                ran = self._runner.run(
                    name, step.run, place, seconds=step.timeout, watch=self._sparing(place), step=step
                )
            if ran.done is not None:
                took = self._seconds.get(name, 0.0) + ran.done.seconds
                self._seconds[name] = round(took, 3)
            problem = _problem(step, ran) or check_made(place, step.outputs)
            if problem is not None:
                tail = self._log_tail(name)
                is_own = _is_of_machine(ran, tail)
                raise self._unprepared(step, problem + tail, is_changed=is_changed and not is_own)
            entry.keep(place)

    @contextmanager
    def _working_place(self) -> Iterator[Path]:
        if self._is_jailed:
            with self._store.new_place() as place:
                yield place
        else:
            with working_places.emptied(self._fixed_place()) as place:
                yield place

    def _sparing(self, place: Path) -> Callable[[], None]:
        """Return a function that ends what runs before it has filled the disk."""

        def check() -> None:
            disk = os.statvfs(place)
            if disk.f_bavail * disk.f_frsize < self._reserve:
                raise PlannerError(
                    "E_NO_SPACE",
                    f"a step was ended: it left less than {self._reserve >> 20} MB in '{place.parent}'",
                    hint="make room, for example with 'git planner cache prune'",
                )

        return ticker(self._progress, also=check)

    def _unprepared(self, step: PreparingStep, sentence: str, *, is_changed: bool) -> UnpreparedError:
        failed = "build_failed" if step.is_build else "prepare_failed"
        reason = failed if is_changed else "unprepared"
        return UnpreparedError(Refusal(reason, f"'{step.name}': {sentence}"))

    def _log_tail(self, name: str) -> str:
        """Return the last lines of a step's output, and the file with all of it."""
        for stream in ("stderr", "stdout"):
            path = self._runner.logs / f"{name}.{stream}"
            if path.is_file() and path.stat().st_size:
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                    lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").strip().splitlines()
                shown = " | ".join(line.strip()[:300] for line in lines[-_TAIL_LINES:] if line.strip())
                return f"; last lines: {shown}; log: {path.name}"
        return ""


def _problem(step: PreparingStep, ran: CommandResult) -> str | None:
    """Return how a step failed, if it did."""
    if ran.refusal is not None:
        return ran.refusal.sentence
    if ran.done is not None and ran.done.status != 0:
        return f"'{' '.join(step.run)[:200]}' ended with status {ran.done.status}"
    return None


def _is_of_machine(ran: CommandResult, tail: str) -> bool:
    """Return whether a step failed for something that this machine lacks."""
    is_lacking = ran.refusal is not None and ran.refusal.reason in ("missing_tool", "no_jail")
    return is_lacking or any(text in tail for text in _NO_SPACE)


def _is_read(policy: Policy, output: str) -> bool:
    """Return whether a report or result is looked for in an output, which then has to be on the disk."""
    patterns = [metric.file for metric in policy.metrics if metric.file]
    if policy.correctness is not None and policy.correctness.report:
        patterns.append(policy.correctness.report)
    return any(globs.is_overlapping(pattern, output) for pattern in patterns)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
