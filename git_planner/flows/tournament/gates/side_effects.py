"""Gate 'side_effects': run a command under an observer, and compare what it did with what is declared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.measuring import sandbox_paths
from git_planner.flows.measuring.command_runner import CommandResult, CommandRunner
from git_planner.flows.measuring.prepared.measured_folder import fresh_folder
from git_planner.flows.measuring.tool_description import search_folders
from git_planner.gitio.repository import Repository
from git_planner.host import jail
from git_planner.host.jail import Jail
from git_planner.host.machine import search_path
from git_planner.host.observers import strace
from git_planner.host.observers.strace import Tracer
from git_planner.progress import Progress
from git_planner.rules.policy import globs
from git_planner.rules.policy.gates import Gate
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.gate import GateResult
from git_planner.rules.tournament.gates import trace as trace_rule
from git_planner.rules.tournament.gates.trace import EffectRules, EffectsVerdict

MAX_MODULE_BYTES = 256 * 1024
_MAGIC = frozenset("*?[")
_DEVICES = ("/dev", "/proc", "/sys")
_SHARED_MEMORY = ("/dev/shm", "/dev/mqueue")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix/store", "/gnu/store")


def observe_effects(
    runner: CommandRunner,
    gate: Gate,
    tree: str,
    base: str,
    progress: Progress,
    *,
    most: int = strace.MAX_TRACE,
) -> GateResult:
    """Run the command of a gate under an observer.

    Args:
        runner: runs the command; its `on_tick` is called, too.
        gate: the gate 'side_effects' of the policy.
        tree: the id of the tree.
        base: the trusted base.
        progress: called with each progress message.
        most: the largest trace, in bytes; a command with more effects is ended.

    Returns:
        The result; skipped if nothing can observe here.
    """
    tracer = strace.find(search_path())
    if not isinstance(tracer, Tracer):
        return gate_rule.refused_result(gate, "missing_tool", f"nothing observes side effects: {tracer}")
    try:
        declared, write = _declared(runner.repo, gate, tree, base)
    except PlannerError as error:
        return GateResult(
            gate.name, "failed", "E_SIDEEFFECTS_DECLARATION", message=error.message, details=error.details
        )
    trace = runner.logs / f"{gate.name}.trace"
    with fresh_folder(runner, tree, base, progress) as place, _removed(trace):
        try:
            prefix = tracer.prefix(trace, trace_rule.CALLS)
            ran = _run_traced(runner, gate, place, prefix, lambda: _check_size(trace, most))
        except PlannerError as error:
            if error.code != "E_TOO_LARGE":
                raise
            return GateResult(gate.name, "failed", "E_SIDEEFFECTS_FORBIDDEN", message=error.message)
        effects = _read_effects(runner, gate, place, trace, (declared, write))
    return _decide(gate, ran, effects)


def _run_traced(
    runner: CommandRunner, gate: Gate, place: Path, prefix: Sequence[str], check: Callable[[], None]
) -> CommandResult:
    """Run a command under its tracer; `check` ends it when its trace grows too large."""
    before = runner.on_tick

    def tick() -> None:
        if before is not None:
            before()
        check()

    runner.on_tick = tick
    try:
        ran = runner.run(gate.name, gate.run, place, seconds=gate.timeout, around=prefix)
    finally:
        runner.on_tick = before
    check()
    return ran


def _check_size(trace: Path, most: int) -> None:
    with suppress(FileNotFoundError):
        if trace.stat().st_size > most:
            raise PlannerError("E_TOO_LARGE", "the command has more effects than are observed; it was ended")


def _decide(gate: Gate, ran: CommandResult, effects: EffectsVerdict | None) -> GateResult:
    """Decide by effects first: a command that did what it may not has failed, however it ended."""
    if effects is not None and effects.code is not None:
        result = GateResult(
            gate.name, "failed", effects.code, message=effects.message, required=gate.required
        )
    elif ran.refusal is not None or ran.done is None:
        reason, why = (ran.refusal.reason, ran.refusal.sentence) if ran.refusal else ("crash", "not started")
        result = gate_rule.refused_result(gate, reason, why)
    elif effects is None:
        sentence = "the observer did not see the command start"
        result = gate_rule.refused_result(gate, "missing_tool", sentence)
    else:
        result = gate_rule.command_result(gate, ran.done.status, ran.done.stdout, ran.done.stderr)
    seconds = ran.done.seconds if ran.done else 0.0
    return replace(result, seconds=seconds, effects=effects.document if effects else None)


def _read_effects(
    runner: CommandRunner,
    gate: Gate,
    place: Path,
    trace: Path,
    declared: tuple[tuple[str, ...], tuple[str, ...]],
) -> EffectsVerdict | None:
    jailed = isinstance(runner.jail, Jail)
    top = jail.PLACE if jailed else os.path.realpath(place)
    try:
        with trace.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            observed = trace_rule.read_trace(lines, wrappers=int(jailed), folder=f"{top}/tree")
    except FileNotFoundError:
        return None
    if not observed.started:
        return None
    kinds, write = declared
    known = jail.tool_folders(gate.run[0], tuple(search_path().split(os.pathsep)), ())
    listed = search_folders(known)
    extra = tuple(map(str, sandbox_paths.extra_readonly_paths(runner.repo)))
    rules = EffectRules(
        kinds,
        partial(_tree_path, top, place, jailed=jailed),
        partial(_is_allowed, write),
        lambda path: (
            _is_below(path, (*extra, *_SHARED_MEMORY))
            or not (path in listed or _is_below(path, (*_SYSTEM, *_DEVICES, *known)))
        ),
    )
    return trace_rule.compare_effects(observed, rules)


def _declared(repo: Repository, gate: Gate, tree: str, base: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the declared kinds of effects, and the patterns of the paths that may be written.

    A change cannot allow its module more than the trusted base does; a new module declares its own.
    """
    if gate.module is None:
        return gate.effects, gate.write or ("**",)
    folder = gate.module.rstrip("/")
    path = f"{folder}/module.json"
    kinds = _module_effects(repo, tree, path)
    if kinds is None:
        raise PlannerError("E_SCHEMA", f"'{path}' is missing", hint="declare the module there")
    trusted = _module_effects(repo, base, path)
    return tuple(kind for kind in kinds if trusted is None or kind in trusted), (f"{folder}/**",)


def _module_effects(repo: Repository, tree: str, path: str) -> tuple[str, ...] | None:
    """Return the effects that a module declares in a commit or tree; None if it is not there."""
    with repo.git.batch() as batch:
        entry = batch.info(f"{tree}:{path}")
        if entry is None:
            return None
        data = batch.read(entry[0]) if entry[1] == "blob" and entry[2] <= MAX_MODULE_BYTES else None
    if data is None:
        raise PlannerError("E_SCHEMA", f"'{path}' is not a file of a bounded size")
    return tuple(documents.read("module", data, path).get("side_effects", ()))


def _tree_path(top: str, place: Path, path: str, *, jailed: bool) -> str | None:
    """Return the path of the tree that a path of the command names; None if it is not an effect."""
    path = os.path.normpath(path.removesuffix(" (deleted)"))
    temporary = [f"{top}/{name}" for name in ("home", "tmp", jail.RESULTS)]
    if not path.startswith("/") or path.startswith("/memfd:") or _is_below(path, temporary):
        return None
    tree = f"{top}/tree"
    if not _is_below(path, (tree,)):
        # In the sandbox, they are of the command alone.
        own = _is_below(path, ("/tmp", "/var/tmp", *_SHARED_MEMORY))
        is_device = _is_below(path, _DEVICES) and not _is_below(path, _SHARED_MEMORY)
        return None if is_device or (jailed and own) else path
    # A link in the tree may lead out of what may be written.
    name = os.path.relpath(path, tree)
    real = os.path.realpath(place / "tree" / os.path.dirname(name))
    inside = os.path.relpath(real, os.path.realpath(place / "tree"))
    return path if inside.startswith("..") else os.path.normpath(os.path.join(inside, os.path.basename(name)))


def _is_allowed(patterns: tuple[str, ...], path: str) -> bool:
    """Return whether a path of the tree may be written; a name with wildcards would match anything."""
    return not _MAGIC & set(path) and any(globs.is_overlapping(path, pattern) for pattern in patterns)


def _is_below(path: str, folders: tuple[str, ...] | list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


@contextmanager
def _removed(trace: Path) -> Iterator[None]:
    try:
        yield
    finally:
        trace.unlink(missing_ok=True)
