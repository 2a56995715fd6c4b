"""Ranking of records: which value is better, and the best of a series. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeVar


def is_better(value: float, than: float, direction: Literal["lower", "higher"]) -> bool:
    """Return whether a value is strictly better than another."""
    return value < than if direction == "lower" else value > than


class RankedRecord(Protocol):
    """The fields that decide which record is best; implemented by Record and RecordRow."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    @property
    def rival(self) -> str | None:
        """The id of the record it was compared with by pairs."""
        ...

    @property
    def kind(self) -> str:
        """The kind of record."""
        ...

    @property
    def iteration(self) -> int | None:
        """The number of its iteration."""
        ...

    @property
    def verdict(self) -> str:
        """The verdict."""
        ...

    @property
    def instrument(self) -> str | None:
        """The digest of the instrument."""
        ...

    @property
    def valid(self) -> bool:
        """True if the result is a measurement."""
        ...

    @property
    def value(self) -> float | None:
        """The deciding metric's median."""
        ...

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """The better direction of the deciding metric."""
        ...


RecordT = TypeVar("RecordT", bound=RankedRecord)


def pick_best(records: Iterable[RecordT], *, instrument: str | None = None) -> RecordT | None:
    """Return the best valid record, the earliest of equals; only of one instrument if given.

    After the first, only an improvement or a baseline can become the best, so that a lucky sample within the
    noise never does. A record of a comparison by pairs becomes the best if it improved on the present best,
    regardless of their values, which were measured at different times.
    """
    top: RecordT | None = None
    for record in records:
        # Most of thousands are neither, and need no closer look.
        leads = top is None or record.verdict == "improved" or record.kind == "baseline"
        if leads and _is_new_best(record, top, instrument):
            top = record
    return top


def attempts_since_best(records: Iterable[RankedRecord], *, instrument: str | None = None) -> int | None:
    """Count the valid attempts after the best one, in the order given; None without a best.

    The best measured again, as after a change of the policy, is no further attempt.
    """
    top: RankedRecord | None = None
    since = 0
    for record in records:
        if not _is_rankable(record, instrument):
            continue
        if _is_new_best(record, top, instrument):
            top, since = record, 0
        elif top is None or record.iteration is None or record.iteration != top.iteration:
            since += 1
    return None if top is None else since


def _is_rankable(record: RankedRecord, instrument: str | None) -> bool:
    return record.valid and record.value is not None and instrument in (None, record.instrument)


def _is_new_best(record: RankedRecord, top: RankedRecord | None, instrument: str | None) -> bool:
    if not _is_rankable(record, instrument):
        return False
    if top is None:
        return True
    if record.verdict != "improved" and record.kind != "baseline":
        return False
    if record.rival is not None:
        return record.rival == top.id
    assert record.value is not None
    assert top.value is not None
    return is_better(record.value, top.value, record.direction)
