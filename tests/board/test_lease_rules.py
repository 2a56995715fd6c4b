"""Rules of leases: order of asking, limit, loss, and the book as a document."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from git_planner.errors import PlannerError
from git_planner.rules.board import admission
from git_planner.rules.board.admission import HostState, Thresholds
from git_planner.rules.board.lease import (
    MOST_LEASES,
    SETTLE_SECONDS,
    WAITING_SECONDS,
    Book,
    Clock,
    Kind,
    Lease,
    ask,
    book_from,
    drop_lost,
    release,
    renew,
)

NOW = Clock(1_700_000_000.0, 5_000.0)


def later(seconds: float, clock: Clock = NOW) -> Clock:
    return Clock(clock.wall + seconds, clock.awake + seconds)


def request(name: str, kind: Kind = "heavy", ttl: float = 100.0) -> Lease:
    return Lease(name=name, kind=kind, purpose="tests", session=f"of {name}", ttl=ttl)


def take(book: Book, name: str, clock: Clock = NOW, limit: int = 1, kind: Kind = "heavy") -> Book:
    return ask(book, request(name, kind), clock, limit, lambda: None)[0]


def names(leases: list[Lease]) -> list[str]:
    return [lease.name for lease in leases]


def test_leases_are_granted_in_the_order_of_asking() -> None:
    book = take(take(take(Book(), "a"), "b"), "c")
    assert (names(book.holders("heavy")), names(book.queue("heavy"))) == (["a"], ["b", "c"])
    book, _ = release(book, "a")
    # The slot is free, but the first in the queue has not asked again yet.
    book, answer = ask(book, request("c"), NOW, 1, lambda: None)
    assert (answer.position, answer.reason) == (2, "1 wait before it")
    book = take(book, "b")
    assert (names(book.holders("heavy")), names(book.queue("heavy"))) == (["b"], ["c"])


def test_asking_again_keeps_lease_and_place() -> None:
    book = take(take(take(Book(), "a"), "b"), "c")
    book, answer = ask(book, replace(request("b"), name="another"), later(30), 1, lambda: None)
    assert (answer.lease.name, answer.position, answer.lease.asked_at) == ("b", 1, NOW.wall)
    assert len(book.leases) == 3


def test_two_processes_of_one_session_ask_for_two_leases() -> None:
    first, second = (replace(request(name), session="w", pid=pid) for name, pid in (("a", 7), ("b", 8)))
    book = ask(ask(Book(), first, NOW, 2, lambda: None)[0], second, NOW, 2, lambda: None)[0]
    assert names(book.holders("heavy")) == ["a", "b"]


def test_tokens_grow_with_every_grant() -> None:
    book, tokens = Book(last_token=40), []
    for name in ("a", "b", "a"):
        book, answer = ask(book, request(name), NOW, 1, lambda: None)
        tokens.append(answer.lease.token)
        book, _ = release(book, name)
    assert tokens == [41, 42, 43]


def test_a_host_under_load_admits_nothing_and_keeps_the_order() -> None:
    book, answer = ask(Book(), request("a"), NOW, 1, lambda: "the load is high")
    assert (answer.position, answer.reason) == (1, "the load is high")
    assert names(take(book, "b").queue("heavy")) == ["a", "b"]


@pytest.mark.parametrize(
    ("lease_is_granted", "seconds", "stays"),
    [
        (True, 99, True),
        (True, 100, False),
        (False, WAITING_SECONDS - 1, True),
        (False, WAITING_SECONDS, False),
    ],
)
def test_a_lease_is_lost_unless_it_is_renewed_in_time(
    lease_is_granted: bool, seconds: float, stays: bool
) -> None:
    book = take(Book(), "a", limit=1 if lease_is_granted else 0)
    kept, lost = drop_lost(book, later(seconds), lambda _: False)
    assert (bool(kept.leases), bool(lost)) == (stays, not stays)
    renewed, _ = renew(book, "a", later(seconds - 1))
    assert drop_lost(renewed, later(seconds), lambda _: False)[0].leases


@pytest.mark.parametrize("jump", [-365 * 86_400.0, 365 * 86_400.0])
def test_neither_a_suspended_host_nor_a_set_clock_costs_a_lease(jump: float) -> None:
    book = take(Book(), "a")
    assert drop_lost(book, Clock(NOW.wall + jump, NOW.awake + 99), lambda _: False)[0].leases
    assert not drop_lost(book, Clock(NOW.wall + jump, NOW.awake + 100), lambda _: False)[0].leases


def test_the_lease_of_a_dead_process_is_lost_at_once() -> None:
    book = take(take(Book(), "a"), "b")
    kept, lost = drop_lost(book, NOW, lambda lease: lease.name == "a")
    assert (names(list(kept.leases)), lost) == (["b"], [(book.find("a"), "its process has ended")])


def test_sessions_are_started_one_by_one() -> None:
    book = take(Book(), "a", kind="spawn")
    book, _ = release(book, "a")
    book, answer = ask(book, request("b", "spawn"), later(0.5), 1, lambda: None)
    assert answer.reason == "the last one was granted 0.5 seconds ago"
    book, answer = ask(book, request("b", "spawn"), later(SETTLE_SECONDS["spawn"]), 1, lambda: None)
    assert answer.lease.is_granted
    # Heavy work has leases of its own.
    assert names(take(book, "c").holders("heavy")) == ["c"]


def test_unknown_names_are_refused() -> None:
    for change in (lambda: release(Book(), "x" * 500), lambda: renew(Book(), "a", NOW)):
        with pytest.raises(PlannerError) as caught:
            change()
        assert (caught.value.code, len(caught.value.message) < 200) == ("E_LEASE", True)


def test_the_queue_is_bounded() -> None:
    book = Book(tuple(request(f"a{number}") for number in range(MOST_LEASES)))
    with pytest.raises(PlannerError, match="1,000 leases"):
        take(book, "one more")


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_events_breaks_limit_or_order(seed: int) -> None:
    """Ask, renew, release and die at random: at most `limit` hold, and grants follow the order of asking."""
    luck = random.Random(seed)
    book, clock, limit = Book(), NOW, luck.randint(1, 3)
    granted: list[tuple[int, float]] = []
    for step in range(300):
        clock = later(luck.random(), clock)
        gone = {lease.name for lease in book.leases if luck.random() < 0.02}
        book, _ = drop_lost(book, clock, lambda lease, gone=gone: lease.name in gone)
        name = luck.choice([lease.name for lease in book.leases[:5]] + [f"new{step}"])
        known = any(lease.name == name for lease in book.leases)
        action = luck.choice(["ask", "ask", "renew", "release"]) if known else "ask"
        if action == "ask":
            before = book
            book, answer = ask(book, request(name), clock, limit, lambda: luck.choice([None, "busy"]))
            if answer.lease.token > before.last_token:
                granted.append((answer.lease.token, answer.lease.asked_at))
        elif action == "renew":
            book, _ = renew(book, name, clock)
        else:
            book, _ = release(book, name)
        assert len(book.holders("heavy")) <= limit
        assert book_from(json.loads(json.dumps(book.document()))) == book
    assert len(granted) > 10
    assert granted == sorted(granted)
    assert [asked for _, asked in granted] == sorted(asked for _, asked in granted)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"leases": [{}], "last_token": 0, "granted": {}},
        {"leases": [], "last_token": "x", "granted": {}},
        {"leases": None, "last_token": 0, "granted": {}},
        {"leases": [], "last_token": 0, "granted": []},
    ],
)
def test_a_damaged_document_is_no_book(document: dict[str, object]) -> None:
    if document.get("granted") == []:
        assert book_from(document) == Book()
        return
    with pytest.raises((ValueError, KeyError, TypeError)):
        book_from(document)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (HostState(3.0, 4, 8.0), "the load average is 3.00, the limit 3"),
        (HostState(2.9, 4, 8.0), None),
        (HostState(0.0, 4, 5.9), "5.9 GiB of memory are available, 6 are required"),
        (HostState(None, 4, None), None),
    ],
)
def test_load_and_memory_refuse(state: HostState, reason: str | None) -> None:
    assert admission.refusal(state, Thresholds(3.0, 6.0)) == reason
    assert admission.refusal(state, Thresholds()) is None


def test_half_of_the_cpus_do_heavy_work() -> None:
    assert [admission.default_limit(cpus) for cpus in (1, 2, 3, 4, 64)] == [1, 1, 1, 2, 32]
