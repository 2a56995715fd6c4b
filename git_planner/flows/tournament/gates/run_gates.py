"""Run a set of gates on one commit: each with a deadline, in the sandbox, and with one of three verdicts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from git_planner import redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring import environment
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.measuring.measuring_lease import measuring_lease
from git_planner.flows.measuring.prepared.measured_folder import fresh_folder
from git_planner.flows.measuring.prepared.unprepared import UnpreparedError
from git_planner.flows.measuring.run_benchmark import measure
from git_planner.flows.measuring.tool_description import describe_tools
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.host.machine import search_path
from git_planner.host.observers import strace
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress, Step
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.gates import Gate
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.gate import GateReport, GateResult

# Refusals of a change that are the guard's, not the scope's.
_GUARD_REASONS = ("guard", "unfit", "submodule")
# Folders of logs that are kept, and the names of such.
MOST_LOGS = 200
_KEPT_LOGS = re.compile(r"(?:conceptual|shipping)-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Options of a run of gates.

    `on_tick` is called now and then while a command runs; an exception ends it.
    """

    progress: Progress
    on_tick: Callable[[], None] | None = None


def subject_of(repo: Repository, ref: str, base: str | None) -> Subject:
    """Return a commit with the trusted base whose policy and guarded files count.

    Args:
        repo: the repository.
        ref: any name of the commit.
        base: the base commit of a tournament; None to find the trusted base of the commit.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_NO_BASE, E_NO_POLICY, E_POLICY, E_STATE.
    """
    if base is None:
        return trusted_base.find_subject(repo, ref, None)
    policy = policy_at(repo, base)
    return Subject(repo.resolve(ref), None, None, False, base, policy, "default")


@dataclass(frozen=True, slots=True)
class PreparedGates:
    """A checked commit and its gates, before anything is run; `key` names the result."""

    candidate: Candidate
    gate_set: str
    key: str

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates, in order."""
        return self.candidate.subject.policy.gates.of(self.gate_set)

    def run(self, repo: Repository, options: GateOptions) -> GateReport:
        """Run the gates.

        Raises:
            PlannerError: E_NO_SPACE, E_BUSY.
        """
        subject, began = self.candidate.subject, utc_now()
        with owned_folder(repo.private("gates"), "running-") as folder:
            run = _GateRun(repo, self.candidate, folder, options)
            results = tuple(run.result(gate) for gate in self.gates)
            place = _keep_logs(repo, folder, f"{self.gate_set}-{self.key[:16]}")
        results = tuple(replace(result, log=place if result.log else None) for result in results)
        tree = repo.resolve(subject.commit, "tree")
        return GateReport(
            self.gate_set, self.key, subject.commit, tree, subject.base, results, began, utc_now()
        )


def prepare_gates(repo: Repository, subject: Subject, gate_set: str) -> PreparedGates:
    """Check the changes of a commit, and find the key of its gates.

    Args:
        repo: the repository.
        subject: the commit with its trusted base.
        gate_set: 'conceptual' or 'shipping'.
    """
    candidate = build_candidate(repo, subject)
    return PreparedGates(candidate, gate_set, _report_key(repo, candidate, subject.policy.gates.of(gate_set)))


class _GateRun:
    """One run of gates on one candidate."""

    def __init__(self, repo: Repository, candidate: Candidate, logs: Path, options: GateOptions) -> None:
        self.repo, self.candidate, self.logs, self.options = repo, candidate, logs, options
        self.policy = candidate.subject.policy
        self.runner = CommandRunner(repo, self.policy, logs)
        self.runner.on_tick = options.on_tick

    def result(self, gate: Gate) -> GateResult:
        """Run one gate."""
        self.options.progress(Step(f"gate {gate.name}"))
        began = time.monotonic()
        try:
            result = self._decide(gate)
        except UnpreparedError as error:
            result = gate_rule.refused_result(gate, error.refusal.reason, error.refusal.sentence)
        except PlannerError as error:
            # A tree that cannot be written out is the fault of its variant.
            if error.code != "E_EXPORT":
                raise
            result = GateResult(gate.name, "failed", error.code, message=error.message)
        return replace(
            result,
            seconds=result.seconds or time.monotonic() - began,
            required=gate.required,
            at=utc_now(),
            message=redact.mask_text(result.message),
            details=tuple(map(redact.mask_text, result.details)),
            effects=redact.mask_document(result.effects),
        )

    def _decide(self, gate: Gate) -> GateResult:
        refusal = self.candidate.refusal
        if gate.name in ("guard", "scope"):
            return self._changes_result(gate)
        if gate.name == "canon":
            from git_planner.flows.tournament.gates.canon import canon_gate

            return canon_gate(self.repo, gate, self.candidate.subject)
        if refusal is not None and refusal.reason in _GUARD_REASONS:
            sentence = f"not run, as the guard refuses the change: {refusal.sentence}"
            return GateResult(gate.name, "skipped", gate_rule.SKIPPED, message=sentence)
        if gate.name == "tests" and not gate.run:
            return self._tests_result(gate)
        with measuring_lease(self.repo, self.options.progress):
            return self._command_result(gate)

    def _changes_result(self, gate: Gate) -> GateResult:
        refusal, details = self.candidate.refusal, self.candidate.violations[:50]
        is_guard = refusal is not None and refusal.reason in _GUARD_REASONS
        if refusal is None or is_guard != (gate.name == "guard"):
            return GateResult(gate.name, "passed")
        code = "E_GUARD" if is_guard else "E_SCOPE"
        return GateResult(gate.name, "failed", code, message=refusal.sentence, details=details)

    def _tests_result(self, gate: Gate) -> GateResult:
        """Run the correctness command of the policy, which must prove that tests ran and passed."""
        if self.policy.correctness is None:
            return gate_rule.refused_result(gate, "missing_tool", "the policy has no correctness command")
        done = measure(
            self.repo,
            self.policy._replace(metrics=()),
            self._tree(),
            before=None,
            logs=self.logs,
            progress=self.options.progress,
            on_tick=self.options.on_tick,
            base=self.candidate.subject.base,
        )
        seconds, log = sum(done.seconds.values()), str(self.logs)
        if done.refusal is not None:
            result = gate_rule.refused_result(gate, done.refusal.reason, done.refusal.sentence)
            return replace(result, seconds=seconds, log=log)
        return GateResult(gate.name, "passed", seconds=seconds, log=log, details=done.notes[:5])

    def _command_result(self, gate: Gate) -> GateResult:
        if gate.name == "side_effects":
            from git_planner.flows.tournament.gates.side_effects import observe_effects

            return replace(
                observe_effects(
                    self.runner, gate, self._tree(), self.candidate.subject.base, self.options.progress
                ),
                log=str(self.logs),
            )
        with fresh_folder(
            self.runner, self._tree(), self.candidate.subject.base, self.options.progress
        ) as place:
            ran = self.runner.run(gate.name, gate.run, place, seconds=gate.timeout)
        if ran.refusal is not None or ran.done is None:
            refusal = ran.refusal or Refusal("crash", f"'{gate.run[0]}' was not started")
            result = gate_rule.refused_result(gate, refusal.reason, refusal.sentence)
            return replace(result, seconds=ran.done.seconds if ran.done else 0.0, log=str(self.logs))
        result = gate_rule.command_result(gate, ran.done.status, ran.done.stdout, ran.done.stderr)
        return replace(result, seconds=ran.done.seconds, log=str(self.logs))

    def _tree(self) -> str:
        return self.candidate.tree


def _report_key(repo: Repository, candidate: Candidate, gates: tuple[Gate, ...]) -> str:
    """Return the digest of all that the results of gates depend on."""
    subject = candidate.subject
    runs = [gate.run for gate in gates if gate.run]
    tracer = strace.find(search_path()) if any(gate.name == "side_effects" for gate in gates) else None
    return canonical_json.digest(
        {
            "tree": repo.resolve(subject.commit, "tree"),
            "measured": candidate.tree,
            "base": subject.base,
            "gates": gate_rule.gates_digest(gates),
            "instrument": candidate.instrument,
            "environment": environment.describe_site(repo, subject.policy).digest,
            "tools": describe_tools(runs, search_path()),
            "tracer": tracer if tracer is None or isinstance(tracer, str) else tracer.shown,
        }
    )


def _keep_logs(repo: Repository, folder: Path, name: str) -> str | None:
    """Keep the logs of a run under a name; those of an earlier run with that name are replaced."""
    if not any(folder.iterdir()):
        return None
    import shutil

    place = repo.private("gates", name)
    shutil.rmtree(place, ignore_errors=True)
    folder.chmod(folder.parent.stat().st_mode & 0o777)
    folder.rename(place)
    prune_logs(place.parent, MOST_LOGS)
    # Rows and events are committed, and do not name folders of this host.
    return os.path.relpath(place, repo.common)


def prune_logs(folder: Path, most: int) -> None:
    """Remove the oldest folders of logs but for the last ones, of which there are `most`."""
    import shutil

    with suppress(OSError):
        kept = [place for place in folder.iterdir() if _KEPT_LOGS.fullmatch(place.name)]
        for place in sorted(kept, key=lambda place: place.stat().st_mtime)[:-most]:
            shutil.rmtree(place, ignore_errors=True)
