"""Check the proof that the tests ran, against the policy and the baseline. Pure.

A report in which a test failed that may not fail, or a required test did not pass, is no success; nor is one
that lost tests of the baseline. `proofs/` reads the reports.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from git_planner.rules.measuring.proofs.proof import NUMBER, Proof, TestOutcome, no_proof
from git_planner.rules.measuring.verdict import Refusal

_MAX_SHOWN = 3
# Said of every record whose policy has 'proof: exit-status'.
EXIT_STATUS_NOTE = (
    "the tests are known by their exit status only: tests that are deleted, skipped or never ran go unnoticed"
)


def check_proof(
    proof: Proof,
    *,
    status: int,
    require: Iterable[str],
    before: Proof | None = None,
    may_fail: Sequence[str] = (),
    accepted: Container[int] = (0,),
) -> Refusal | None:
    """Check a proof: no test failed, all required tests passed, and none of the baseline's tests was lost.

    Args:
        proof: the proof from the report.
        status: exit status of the command; a failing status refutes a report of success.
        require: test ids that must have passed, as pytest ('tests/test_x.py::Test::test_y') or unittest
            ('tests.test_x.Test.test_y') writes them; without '[…]' an id stands for all its parameters.
        before: the proof of the baseline of the same instrument, if there is one.
        may_fail: ids of tests whose failure is no refusal, written like those of `require`.
        accepted: the exit statuses that mean success.
    """
    admitted = _AdmittedFailures(may_fail)
    allowed = [test for test in proof.ids("failed") if test in admitted]
    failed = [test for test in proof.ids("failed") if test not in admitted]
    missing = _unmet_requirements(proof, require)
    expected = before.outcomes if before else {}
    lost = sorted(set(expected) - set(proof.outcomes))
    dodged = [test for test in proof.ids("skipped") if expected.get(test, "skipped") != "skipped"]
    # A command whose only failures are admitted ends with a failing status, but not by a signal.
    is_explained = bool(allowed) and status > 0
    refusal: Refusal | None = None
    if failed:
        refusal = Refusal("incorrect", f"{len(failed)} of {len(proof.outcomes)} failed: {_test_list(failed)}")
    elif not proof.ids("passed"):
        refusal = no_proof("no test passed")
    elif status not in accepted and not is_explained:
        refusal = Refusal("incorrect", f"no test failed, yet the command ended with status {status}")
    elif missing:
        refusal = no_proof(f"required tests did not pass: {_test_list(missing)}")
    elif lost:
        refusal = Refusal("tests_shrank", f"{len(lost)} tests were not collected: {_test_list(lost)}")
    elif dodged:
        refusal = Refusal(
            "tests_shrank", f"{len(dodged)} tests were skipped that ran before: {_test_list(dodged)}"
        )
    return refusal


def check_status(status: int, accepted: Container[int] = (0,)) -> Refusal | None:
    """Check the exit status of a command that has no other proof."""
    if status in accepted:
        return None
    ended = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
    return Refusal("incorrect", f"the command {ended}")


def admitted_note(proof: Proof, may_fail: Sequence[str]) -> str | None:
    """Return a note about the tests that failed and may fail; None if there are none."""
    admitted = _AdmittedFailures(may_fail)
    failed = [test for test in proof.ids("failed") if test in admitted]
    return f"{len(failed)} tests failed that may fail: {_test_list(failed)}" if failed else None


def skip_note(proof: Proof, before: Proof | None) -> str | None:
    """Return a note if more tests are skipped than in the baseline; None if not."""
    skipped = proof.ids("skipped")
    more = len(skipped) - (len(before.ids("skipped")) if before else 0)
    if before is None or more <= 0:
        return None
    new = [test for test in skipped if test not in before.outcomes] or skipped
    return f"{len(skipped)} tests are skipped, {more} more than in the baseline: {_test_list(new)}"


class _AdmittedFailures:
    """The tests that a policy admits to fail; without '[…]' an id stands for all its parameters."""

    def __init__(self, may_fail: Sequence[str]) -> None:
        self.names = {_normal_id(test) for test in may_fail}

    def __contains__(self, test: object) -> bool:
        name = _normal_id(str(test)) if self.names else ""
        return name in self.names or name.split("[", 1)[0] in self.names


def _unmet_requirements(proof: Proof, require: Iterable[str]) -> list[str]:
    by_name: dict[str, list[TestOutcome]] = {}
    for test, outcome in proof.outcomes.items():
        name_ = _normal_id(test)
        for name in {name_, name_.split("[", 1)[0]}:
            by_name.setdefault(name, []).append(outcome)
    return [test for test in require if set(by_name.get(_normal_id(test), ["failed"])) != {"passed"}]


def _normal_id(test: str) -> str:
    """Return the normal form of an id: dots between module, class and test, parameters unchanged."""
    test, number, digits = test.rpartition(NUMBER)
    test = test if number and digits.isdecimal() else test + number + digits
    name, bracket, parameters = test.partition("[")
    file, colons, inside = name.partition("::")
    if colons and (file.endswith(".py") or "/" in file):
        file = file.removesuffix(".py").replace("/", ".")
    return ".".join(part for part in (file, *inside.split("::")) if part) + bracket + parameters


def _test_list(tests: list[str]) -> str:
    rest = f" and {len(tests) - _MAX_SHOWN} more" if len(tests) > _MAX_SHOWN else ""
    return ", ".join(f"'{test}'" for test in tests[:_MAX_SHOWN]) + rest
