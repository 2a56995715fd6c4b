"""Parse and check the proof that the tests ran: a JUnit report or unittest's verbose output. Pure.

A report that is missing, truncated, empty, inconsistent or has a document type (and with it entities) is no
proof; nor is one in which a required test did not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.parsers import expat

from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.records.record import TestCounts

SCHEMA = "git-planner/tests@1"
MAX_REPORT = 64 * 1024 * 1024
TestOutcome = Literal["passed", "failed", "skipped"]
_WORST: tuple[TestOutcome, ...] = ("passed", "skipped", "failed")
_MAX_SHOWN = 3
# Between an id and the number of a further test of the same id.
_NUMBER = " \u2116 "
# The name of the measured folder in ids; inside the sandbox it has this name.
PLACE = "/measured"
_JUNIT_ELEMENTS: dict[str, TestOutcome] = {
    **dict.fromkeys(("failure", "error", "rerunfailure", "rerunerror"), "failed"),
    **dict.fromkeys(("skipped", "disabled", "ignored", "pending", "notrun", "suppressed"), "skipped"),
}
# Words of the attributes 'status' and 'result'. Any other means that the test did not run to its end.
_PASSED_WORDS = frozenset(
    (
        *("", "run", "ran", "executed", "completed", "complete", "finished", "ok", "true"),
        *("pass", "passed", "success", "successful", "succeeded"),
    )
)
_FAILED_WORDS = frozenset(
    ("fail", "failed", "failure", "error", "errored", "broken", "timeout", "xpass", "false")
)
_UNITTEST_WORDS: dict[str, TestOutcome] = {
    "ok": "passed",
    "FAIL": "failed",
    "ERROR": "failed",
    "unexpected success": "failed",
    "expected failure": "skipped",
}
_FAILED_ENDS = (" ... FAIL", " ... ERROR")


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcomes of all collected tests by id."""

    outcomes: Mapping[str, TestOutcome]

    def ids(self, outcome: TestOutcome) -> list[str]:
        """Return the sorted ids of the tests with one outcome."""
        return sorted(test for test, was in self.outcomes.items() if was == outcome)

    def document(self) -> dict[str, Any]:
        """Return the ids by outcome as a JSON document."""
        return {"schema": SCHEMA, **{outcome: self.ids(outcome) for outcome in _WORST}}

    @property
    def tests(self) -> TestCounts:
        """The counts, with the digest of the document."""
        counts = {outcome: len(self.ids(outcome)) for outcome in _WORST}
        return TestCounts(collected=len(self.outcomes), ids=canonical_json.digest(self.document()), **counts)


def proof_from(document: Mapping[str, Any]) -> Proof:
    """Build a proof from its document."""
    return Proof({test: outcome for outcome in _WORST for test in document[outcome]})


def read_junit(report: bytes | None, places: Sequence[str] = ()) -> Proof | Refusal:
    """Parse a JUnit XML report.

    Args:
        report: the file's content; None if the command left no file.
        places: the names of the run's temporary folder, on which ids must not depend.

    Returns:
        The proof, with ids 'classname::name', or a refusal with the reason 'no_proof'.
    """
    if report is None:
        return _no_proof("the tests left no report")
    if len(report) > MAX_REPORT:
        return _no_proof(f"the report has {len(report):,} bytes; at most {MAX_REPORT:,} are read")
    reader = _JunitReader()
    try:
        reader.parser.Parse(report, True)
    except _DoctypeError:
        return _no_proof("the report has a document type, which is not allowed")
    except (expat.ExpatError, LookupError, ValueError) as error:
        return _no_proof(f"the report is not complete XML ({error})")
    if not reader.outcomes:
        return _no_proof("the report has no test")
    return Proof(_with_unique_ids(_in_place(reader.outcomes, places)))


def read_unittest(stderr: bytes, places: Sequence[str] = ()) -> Proof | Refusal:
    """Parse the stderr of 'python -m unittest -v'; ids are 'package.module.Class.test'.

    Args:
        stderr: the output.
        places: the names of the run's temporary folder, on which ids must not depend.
    """
    text = stderr.decode("utf-8", "replace").replace("\r\n", "\n")
    totals = re.findall(r"^Ran (\d{1,9}) tests? in \d", text, re.MULTILINE)
    if len(totals) != 1:
        return _no_proof(f"unittest's line 'Ran N tests' appears {len(totals)} times, not once")
    body = re.split(r"^(?:={70}|-{70})$", text, maxsplit=1, flags=re.MULTILINE)[0]
    outcomes: list[tuple[str, TestOutcome]] = []
    for header, rest in _unittest_segments(body):
        test = _unittest_id(header)
        outcome = _unittest_outcome(rest)
        if test is None or outcome is None:
            return _no_proof(f"the outcome of '{header[0]} ({header[1]})' is unclear")
        outcomes.append((test, outcome))
    ran = int(totals[0])
    if ran == 0 or not outcomes:
        return _no_proof("no test ran")
    tests = [test for test, _ in outcomes if not test.endswith((".setUpClass", ".setUpModule"))]
    if ran > len(tests):
        return _no_proof(f"unittest ran {ran} tests but {len(tests)} can be read from its output")
    return Proof(_with_unique_ids(_in_place(outcomes, places)))


def check_proof(
    proof: Proof,
    *,
    status: int,
    require: Iterable[str],
    before: Proof | None = None,
) -> Refusal | None:
    """Check a proof: no test failed, all required tests passed, and none of the baseline's tests was lost.

    Args:
        proof: the proof from the report.
        status: exit status of the command; a failing status refutes a report of success.
        require: test ids that must have passed, as pytest ('tests/test_x.py::Test::test_y') or unittest
            ('tests.test_x.Test.test_y') writes them; without '[…]' an id stands for all its parameters.
        before: the proof of the baseline of the same instrument, if there is one.
    """
    failed, missing = proof.ids("failed"), _unmet_requirements(proof, require)
    expected = before.outcomes if before else {}
    lost = sorted(set(expected) - set(proof.outcomes))
    dodged = [test for test in proof.ids("skipped") if expected.get(test, "skipped") != "skipped"]
    refusal: Refusal | None = None
    if failed:
        refusal = Refusal("incorrect", f"{len(failed)} of {len(proof.outcomes)} failed: {_test_list(failed)}")
    elif not proof.ids("passed"):
        refusal = _no_proof("no test passed")
    elif status != 0:
        refusal = Refusal("incorrect", f"no test failed, yet the command ended with status {status}")
    elif missing:
        refusal = _no_proof(f"required tests did not pass: {_test_list(missing)}")
    elif lost:
        refusal = Refusal("tests_shrank", f"{len(lost)} tests were not collected: {_test_list(lost)}")
    elif dodged:
        refusal = Refusal(
            "tests_shrank", f"{len(dodged)} tests were skipped that ran before: {_test_list(dodged)}"
        )
    return refusal


def skip_note(proof: Proof, before: Proof | None) -> str | None:
    """Return a note if more tests are skipped than in the baseline; None if not."""
    skipped = proof.ids("skipped")
    more = len(skipped) - (len(before.ids("skipped")) if before else 0)
    if before is None or more <= 0:
        return None
    new = [test for test in skipped if test not in before.outcomes] or skipped
    return f"{len(skipped)} tests are skipped, {more} more than in the baseline: {_test_list(new)}"


class _DoctypeError(Exception):
    pass


@dataclass(slots=True)
class _JunitReader:
    """Collects the outcomes of a report's tests in order."""

    outcomes: list[tuple[str, TestOutcome]] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _open: list[tuple[str, TestOutcome]] = field(default_factory=list)
    parser: expat.XMLParserType = field(default_factory=expat.ParserCreate)

    def __post_init__(self) -> None:
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _doctype(self, *_: object) -> None:
        raise _DoctypeError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rsplit(":", 1)[-1]
        if not self._path and tag not in ("testsuites", "testsuite"):
            raise ValueError(f"it starts with '{tag[:40]}'")
        if tag == "testcase":
            test = f"{attributes.get('classname', '')}::{attributes.get('name', '')}"
            words = (attributes[name] for name in ("status", "result") if name in attributes)
            self._open.append((test, max(map(_status_outcome, words), key=_WORST.index, default="passed")))
        elif self._path and self._path[-1] == "testcase" and tag.lower() in _JUNIT_ELEMENTS:
            test, outcome = self._open[-1]
            self._open[-1] = (test, _worse_outcome(outcome, _JUNIT_ELEMENTS[tag.lower()]))
        self._path.append(tag)

    def _end(self, _name: str) -> None:
        if self._path.pop() == "testcase":
            self.outcomes.append(self._open.pop())


def _status_outcome(word: str) -> TestOutcome:
    """Return the outcome that an attribute such as 'notrun' tells; an unknown word proves no success."""
    word = word.strip().lower()
    if word in _FAILED_WORDS:
        return "failed"
    return "passed" if word in _PASSED_WORDS else "skipped"


def _with_unique_ids(outcomes: Iterable[tuple[str, TestOutcome]]) -> dict[str, TestOutcome]:
    """Return the outcomes by id; further tests of one id get a number, so that none can go unnoticed.

    Tests of one id are numbered by their outcome, since runners may report them in any order.
    """
    by_id: dict[str, list[TestOutcome]] = {}
    for test, outcome in outcomes:
        by_id.setdefault(test, []).append(outcome)
    unique = {test: min(equal, key=_WORST.index) for test, equal in by_id.items()}
    for test, equal in by_id.items():
        number = 1
        for outcome in sorted(equal, key=_WORST.index)[1:]:
            number += 1
            while f"{test}{_NUMBER}{number}" in unique:
                number += 1
            unique[f"{test}{_NUMBER}{number}"] = outcome
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


def _unittest_segments(body: str) -> list[tuple[tuple[str, str], str]]:
    heads = list(re.finditer(r"^(\w+) \(([\w.<>]+)\)(?= |$)", body, re.MULTILINE))
    ends = [head.start() for head in heads[1:]] + [len(body)]
    return [((head[1], head[2]), body[head.end() : end]) for head, end in zip(heads, ends, strict=False)]


def _unittest_id(header: tuple[str, str]) -> str | None:
    name, place = header
    return place if place.endswith(f".{name}") else f"{place}.{name}"


def _unittest_outcome(rest: str) -> TestOutcome | None:
    """Return the outcome at the end of a test's segment; output of the test itself may come before it.

    Every step takes time in proportion to the text, which a candidate writes.
    """
    lines = [line for line in rest.split("\n") if line.startswith(" ") and line.endswith(_FAILED_ENDS)]
    outcome = _final_outcome(rest.rstrip())
    # Failing subtests have lines of their own, and the test's own line has no outcome then.
    if outcome is None:
        return "failed" if lines else None
    subtests = (line for line in lines if re.match(r" +\w+ \(", line))
    return "failed" if next(subtests, None) is not None else outcome


def _final_outcome(rest: str) -> TestOutcome | None:
    start = rest.find(" ... ")
    if start < 0:
        return None
    result = rest[start + 5 :]
    for word, outcome in _UNITTEST_WORDS.items():
        if result.endswith(word):
            return outcome
    for quote in "'\"":
        reason = result.find(f"skipped {quote}")
        if reason >= 0 and result.endswith(quote) and len(result) > reason + len("skipped '"):
            return "skipped"
    return None


def _unmet_requirements(proof: Proof, require: Iterable[str]) -> list[str]:
    by_name: dict[str, list[TestOutcome]] = {}
    for test, outcome in proof.outcomes.items():
        name_ = _normal_id(test)
        for name in {name_, name_.split("[", 1)[0]}:
            by_name.setdefault(name, []).append(outcome)
    return [test for test in require if set(by_name.get(_normal_id(test), ["failed"])) != {"passed"}]


def _normal_id(test: str) -> str:
    """Return the normal form of an id: dots between module, class and test, parameters unchanged."""
    test, number, digits = test.rpartition(_NUMBER)
    test = test if number and digits.isdecimal() else test + number + digits
    name, bracket, parameters = test.partition("[")
    file, colons, inside = name.partition("::")
    if colons and (file.endswith(".py") or "/" in file):
        file = file.removesuffix(".py").replace("/", ".")
    return ".".join(part for part in (file, *inside.split("::")) if part) + bracket + parameters


def _worse_outcome(one: TestOutcome, other: TestOutcome) -> TestOutcome:
    return max(one, other, key=_WORST.index)


def _no_proof(sentence: str) -> Refusal:
    return Refusal("no_proof", sentence)


def _test_list(tests: list[str]) -> str:
    rest = f" and {len(tests) - _MAX_SHOWN} more" if len(tests) > _MAX_SHOWN else ""
    return ", ".join(f"'{test}'" for test in tests[:_MAX_SHOWN]) + rest
