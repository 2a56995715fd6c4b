"""Read the TRX reports of 'dotnet test'. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from git_planner.rules.measuring.proofs.proof import Outcomes, TestOutcome, no_proof
from git_planner.rules.measuring.proofs.xml_report import parse_xml
from git_planner.rules.measuring.verdict import Refusal

# Any other word, such as 'NotExecuted', 'Inconclusive' or 'Pending', is no success.
_OUTCOMES: dict[str, TestOutcome] = {
    **dict.fromkeys(("passed", "passedbutrunaborted", "warning"), "passed"),
    **dict.fromkeys(("failed", "error", "timeout", "aborted", "disconnected"), "failed"),
}
_MAX_DEPTH = 200


def read_trx(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of a report, with ids 'class::name'."""
    reader = _TrxReader()
    refusal = parse_xml(content, start=reader.start, end=reader.end)
    if refusal is not None:
        return refusal
    if reader.total is not None and reader.total != len(reader.results):
        return no_proof(f"the report counts {reader.total:,} tests but names {len(reader.results):,}")
    return [(_test_id(reader, test, name), outcome) for test, name, outcome in reader.results]


@dataclass(slots=True)
class _TrxReader:
    """Collects the results, and the classes of the tests, which come in another part of the report."""

    results: list[tuple[str, str, TestOutcome]] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    total: int | None = None
    _path: list[str] = field(default_factory=list)
    _test: str = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path and tag != "TestRun":
            raise ValueError(f"it starts with '{tag[:40]}'")
        if len(self._path) >= _MAX_DEPTH:
            raise ValueError(f"its elements are nested deeper than {_MAX_DEPTH}")
        # The rows of a data-driven test are results inside its own.
        if tag.endswith("Result") and "outcome" in attributes:
            outcome = _OUTCOMES.get(attributes["outcome"].lower(), "skipped")
            if self._path[-1:] == ["Results"]:
                self.results.append((attributes.get("testId", ""), attributes.get("testName", ""), outcome))
        elif tag == "UnitTest":
            self._test = attributes.get("id", "")
        elif tag == "TestMethod":
            self.classes[self._test] = attributes.get("className", "").split(",")[0]
        elif tag == "Counters" and attributes.get("total", "").isdecimal():
            self.total = int(attributes["total"][:12])
        self._path.append(tag)

    def end(self, _tag: str) -> None:
        self._path.pop()


def _test_id(reader: _TrxReader, test: str, name: str) -> str:
    owner = reader.classes.get(test, "")
    return f"{owner}::{name.removeprefix(f'{owner}.')}"
