"""Read the proof of the tests that a run of the correctness command left."""

from __future__ import annotations

import os
from pathlib import Path

from git_planner import redact
from git_planner.flows.measuring.reports.left_files import (
    find_left_files,
    is_regular,
    read_bounded,
    remove_left_files,
)
from git_planner.host import bounded_call, jail, process
from git_planner.rules.measuring.proofs import registry
from git_planner.rules.measuring.proofs.proof import Proof, no_proof
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Correctness

_REPORT = "proof"


def prepare_report(correctness: Correctness, place: Path) -> tuple[str, ...]:
    """Return the command with the path of its report; remove reports that the tree brings with it.

    Args:
        correctness: the tests of the policy.
        place: the folder from `export.exported`.
    """
    report = _report_path(place)
    report.parent.mkdir(exist_ok=True)
    if correctness.report is not None:
        remove_left_files(place / "tree", correctness.report)
        return tuple(word.replace(registry.PLACEHOLDER, str(report)) for word in correctness.run)
    return registry.command_with_report(correctness.proof, correctness.run, str(report))


def read_tests(correctness: Correctness, done: process.Finished, place: Path) -> Proof | Refusal:
    """Read the proof of a run; the parameters are those of `prepare_report` and the end of the command."""
    contents = _contents(correctness, done, place)
    if isinstance(contents, Refusal):
        return contents
    # Outside the sandbox the folder has another name in every run, and a link may lead to it.
    folders = (str(place), os.path.realpath(place))
    # What the policy names is committed already, and must be found.
    named = {*correctness.require, *correctness.may_fail}

    def mask(text: str) -> str:
        return text if text in named else redact.mask_text(text)

    read = bounded_call.call(lambda: registry.read_proof(correctness.proof, contents, folders, mask))
    if isinstance(read, bounded_call.Stopped):
        return no_proof(f"reading the report {read.why}")
    return read


def _contents(correctness: Correctness, done: process.Finished, place: Path) -> list[bytes] | Refusal:
    if correctness.report is not None:
        paths = find_left_files(place / "tree", correctness.report)
        return (
            read_bounded(paths, registry.MAX_REPORT)
            if paths
            else no_proof(f"the tests left no report: no file matches '{correctness.report}'")
        )
    source = registry.FORMATS[correctness.proof].source
    if source == "file" or registry.names_report(correctness.run):
        report = _report_path(place)
        return read_bounded([report], registry.MAX_REPORT) if is_regular(report) else []
    if done.truncated if source == "stderr" else done.stdout_truncated:
        return no_proof("more was printed than is read")
    return [done.stderr if source == "stderr" else done.stdout]


def _report_path(place: Path) -> Path:
    return place / jail.RESULTS / _REPORT
