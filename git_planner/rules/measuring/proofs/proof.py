"""The outcomes of tests by id, and the rules that hold for every format of report. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.records.record import TestCounts

SCHEMA = "git-planner/tests@1"
TestOutcome = Literal["passed", "failed", "skipped"]
# What a reader returns: the tests in the report's order. One id may appear several times.
Outcomes = list[tuple[str, TestOutcome]]
WORST: tuple[TestOutcome, ...] = ("passed", "skipped", "failed")
# Between an id and the number of a further test of the same id.
NUMBER = " \u2116 "
# Between the suites and the title of a test.
INSIDE = " > "
# The name of the measured folder in ids; inside the sandbox it has this name.
PLACE = "/measured"
_MAX_TESTS = 500_000
_MAX_ID = 1_000
_NOT_WRITTEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_BYTE_ORDERS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcomes of all collected tests by id."""

    outcomes: Mapping[str, TestOutcome]

    def ids(self, outcome: TestOutcome) -> list[str]:
        """Return the sorted ids of the tests with one outcome."""
        return sorted(test for test, was in self.outcomes.items() if was == outcome)

    def document(self) -> dict[str, Any]:
        """Return the ids by outcome as a JSON document."""
        return {"schema": SCHEMA, **{outcome: self.ids(outcome) for outcome in WORST}}

    @property
    def tests(self) -> TestCounts:
        """The counts, with the digest of the document."""
        counts = {outcome: len(self.ids(outcome)) for outcome in WORST}
        return TestCounts(collected=len(self.outcomes), ids=canonical_json.digest(self.document()), **counts)


def proof_from(document: Mapping[str, Any]) -> Proof:
    """Build a proof from its document."""
    return Proof({test: outcome for outcome in WORST for test in document[outcome]})


def proof_of(
    outcomes: Outcomes, places: Sequence[str] = (), mask: Callable[[str], str] | None = None
) -> Proof | Refusal:
    """Build the proof from the outcomes that a reader returns.

    Args:
        outcomes: the tests in the report's order.
        places: the names of the run's temporary folder, on which ids must not depend.
        mask: masks the secrets of a text.
    """
    if not outcomes:
        return no_proof("the report has no test")
    if len(outcomes) > _MAX_TESTS:
        return no_proof(f"the report has {len(outcomes):,} tests; at most {_MAX_TESTS:,} are read")
    return Proof(_with_unique_ids(_masked(list(_in_place(outcomes, places)), mask)))


def no_proof(sentence: str) -> Refusal:
    """Return the refusal of a report that proves nothing."""
    return Refusal("no_proof", sentence)


def report_text(content: bytes) -> str:
    """Decode a report: UTF-8, or UTF-16 with its mark; without colours, with '\\n' at the end of lines."""
    encoding = next((name for mark, name in _BYTE_ORDERS if content.startswith(mark)), "utf-8")
    text = content.decode(encoding, "replace").replace("\r\n", "\n")
    return _COLOURS.sub("", text) if "\x1b" in text else text


def worse_outcome(one: TestOutcome, other: TestOutcome) -> TestOutcome:
    """Return the worse one of two outcomes."""
    return max(one, other, key=WORST.index)


def printable_id(test: str) -> str:
    """Return an id as documents can hold it: control characters escaped, a long one cut with its digest."""
    if _NOT_WRITTEN.search(test):
        test = _NOT_WRITTEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), test)
    if len(test) <= _MAX_ID:
        return test
    return f"{test[:_MAX_ID]}… {hashlib.sha256(test.encode()).hexdigest()[:12]}"


def _with_unique_ids(outcomes: Iterable[tuple[str, TestOutcome]]) -> dict[str, TestOutcome]:
    """Return the outcomes by id; further tests of one id get a number, so that none can go unnoticed.

    Tests of one id are numbered by their outcome, since runners may report them in any order.
    """
    by_id: dict[str, list[TestOutcome]] = {}
    for test, outcome in outcomes:
        by_id.setdefault(test, []).append(outcome)
    unique = {test: min(equal, key=WORST.index) for test, equal in by_id.items()}
    for test, equal in by_id.items():
        number = 1
        for outcome in sorted(equal, key=WORST.index)[1:]:
            number += 1
            while f"{test}{NUMBER}{number}" in unique:
                number += 1
            unique[f"{test}{NUMBER}{number}"] = outcome
    return unique


def _in_place(
    outcomes: Iterable[tuple[str, TestOutcome]], places: Sequence[str]
) -> Iterator[tuple[str, TestOutcome]]:
    """Yield outcomes with the folder of this run in their ids replaced, as a path and as a module's name."""
    # Of two names of the folder, one may be the end of the other.
    by_length = sorted(places, key=len, reverse=True)
    folders = [(place, PLACE) for place in by_length]
    folders += [(place.strip("/").replace("/", "."), PLACE.strip("/")) for place in by_length]
    for test, outcome in outcomes:
        for folder, name in folders:
            test = test.replace(folder, name)  # noqa: PLW2901
        yield test, outcome


def _masked(outcomes: Outcomes, mask: Callable[[str], str] | None) -> Iterator[tuple[str, TestOutcome]]:
    """Yield outcomes with printable ids that hold no secrets, as the parameters of a test may."""
    text = "\n".join(test for test, _ in outcomes)
    # One look at all ids is quicker by far than one at each.
    if mask is None or mask(text) == text:
        mask = str
    for test, outcome in outcomes:
        yield printable_id(mask(test)), outcome
