"""The formats of proof that a policy can name, and the reader of each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Literal, cast

from git_planner.rules.measuring.proofs.proof import Outcomes, Proof, no_proof, proof_of
from git_planner.rules.measuring.verdict import Refusal

MAX_REPORT = 64 * 1024 * 1024
# The proof of a command that has none but its exit status.
EXIT_STATUS = "exit-status"
# In a command: the path of the report that it must write.
PLACEHOLDER = "{proof}"
_HERE = "git_planner.rules.measuring.proofs"


@dataclass(frozen=True, slots=True)
class ProofFormat:
    """A format of test report.

    `source` is where it is read unless the policy names a file; `reader` is 'module:function' in this folder.
    `arguments` are appended to a command that does not say where its report is written.
    """

    source: Literal["file", "stdout", "stderr"]
    reader: str
    arguments: tuple[str, ...] = ()


FORMATS = MappingProxyType(
    {
        "junit": ProofFormat("file", "junit:read_junit", ("--junit-xml={proof}",)),
        "unittest": ProofFormat("stderr", "text_reports:read_unittest"),
        "tap": ProofFormat("stdout", "tap:read_tap"),
        "tape": ProofFormat("stdout", "tap:read_tape"),
        "node": ProofFormat("stdout", "node_spec:read_node"),
        "jest": ProofFormat("file", "json_reports:read_jest", ("--json", "--outputFile={proof}")),
        "go": ProofFormat("stdout", "go_test:read_go_test"),
        "cargo": ProofFormat("stdout", "cargo_test:read_cargo_test"),
        "ctest": ProofFormat("file", "junit:read_junit", ("--output-junit", "{proof}")),
        "rspec": ProofFormat(
            "file",
            "json_reports:read_rspec",
            ("--format", "progress", "--format", "json", "--out", "{proof}"),
        ),
        "minitest": ProofFormat("stdout", "text_reports:read_minitest"),
        "phpunit": ProofFormat("file", "junit:read_junit", ("--log-junit", "{proof}")),
        "testdox": ProofFormat("stdout", "text_reports:read_testdox"),
        "trx": ProofFormat("file", "trx:read_trx"),
    }
)


def command_with_report(name: str, run: Sequence[str], report: str) -> tuple[str, ...]:
    """Return a command with the path of its report: in place of '{proof}', else as further arguments."""
    words = (*run, *(() if names_report(run) else FORMATS[name].arguments)) if name in FORMATS else run
    return tuple(word.replace(PLACEHOLDER, report) for word in words)


def names_report(run: Sequence[str]) -> bool:
    """Return whether a command itself says where its report is written."""
    return any(PLACEHOLDER in word for word in run)


def read_proof(
    name: str,
    reports: Sequence[bytes],
    places: Sequence[str] = (),
    mask: Callable[[str], str] | None = None,
) -> Proof | Refusal:
    """Read the reports of one run.

    Args:
        name: the format.
        reports: the content of each file or stream; none if the command left none.
        places: the names of the run's temporary folder, on which ids must not depend.
        mask: masks the secrets of a text; ids are committed.

    Returns:
        The proof, or a refusal with the reason 'no_proof'.
    """
    if not reports:
        return no_proof("the tests left no report")
    size = sum(map(len, reports))
    if size > MAX_REPORT:
        return no_proof(f"the report has {size:,} bytes; at most {MAX_REPORT:,} are read")
    module, _, function = FORMATS[name].reader.partition(":")
    read = cast(
        "Callable[[bytes], Outcomes | Refusal]", getattr(import_module(f"{_HERE}.{module}"), function)
    )
    outcomes: Outcomes = []
    for report in reports:
        part = read(report)
        if isinstance(part, Refusal):
            return part
        outcomes += part
    return proof_of(outcomes, places, mask)
