"""Event stream of a tournament: append, validate and read the lines of one hash-chained file. Pure.

Each line is an event in canonical JSON. It holds the digest of the line before, so that a rewritten, removed
or moved line is noticed. Nothing is ever rewritten: a later fact is a later event whose `detail.refers_to` is
the number of the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json

SCHEMA = "git-planner/event@1"
NONE = "0" * 64
MAX_LINE = 64 * 1024
MAX_PROBLEMS = 50
EVENTS = frozenset(
    (
        *("GATES_START", "GATES_PASS", "GATES_FAIL", "GATES_SUMMARY", "GATES_WARN"),
        *("COMPOSE_OVERRIDES_APPLIED", "META_PICK", "SIDEEFFECTS_SUMMARY", "TEST_SKIPPED", "NPM_PACK_SKIP"),
        *(
            f"{step}_{end}"
            for step in ("TEST", "LINT", "TSC", "PORT_CHECK", "ORACLE", "NPM_PACK")
            for end in ("START", "PASS", "FAIL")
        ),
    )
)
# Events at which the digest of the composition may change; so may all of the mode 'compose'.
_COMPOSING = ("META_PICK", "COMPOSE_OVERRIDES_APPLIED")
# A comparison with the base begins: it has the next share of the run's error budget.
COMPARISON = "COMPARISON"
# Codes of stages that are neither watch nor gates.
_OTHER_STAGES = (
    *("RUN_NEW", "VARIANT_HARVESTED", "VARIANT_BROKEN", "JUDGED", "COMPOSED", "NO_WINNER", "TORN_TAIL"),
    COMPARISON,
)
# Longest texts and lists of a detail; everything else is cut to the first of each.
_TEXT, _ITEMS, _ITEM = 2000, 50, 500
_TEXT_LIMITS = {
    **dict.fromkeys(("module", "port", "lint_tool", "status", "gate_set"), 200),
    **dict.fromkeys(("profile", "stage", "gate"), 100),
    **dict.fromkeys(("test", "case", "task"), 500),
    **dict.fromkeys(
        ("cwd", "artifact", "compose_path", "file", "spec", "workspace", "tarball", "log", "overrides_path"),
        1000,
    ),
    **dict.fromkeys(("error", "message", "reason", "cause"), _TEXT),
}
_TEXT_LIMITS["gate_set"] = 100
# Further keys of a detail, which are written as they are.
_OTHER_KEYS = frozenset(
    (
        *("dur_ms", "code", "gain", "drivers", "modules_total", "line", "attempts", "passed", "failed"),
        *("skipped", "side_effects", "phases", "refers_to", "turn", "variant", "verdict", "commit"),
        *("tree", "count"),
    )
)
_LIST_LIMITS = {
    "diagnostics": (_ITEMS, _ITEM),
    "sections": (100, 100),
    **dict.fromkeys(("added", "replaced", "removed", "removed_constraints"), (1000, 200)),
}
DETAIL_KEYS = frozenset((*_TEXT_LIMITS, *_OTHER_KEYS, *_LIST_LIMITS))

Mode = Literal["conceptual", "shipping", "compose"]


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before it has its number.

    `code` becomes `detail.code`; `at` is the time, in UTC. Texts and lists of the detail that are too long
    are cut, and other values in the place of a text are written as text.
    """

    event: str
    code: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""


@dataclass(frozen=True, slots=True)
class EventContext:
    """The tournament and the writer of events.

    `compose_sha256` is None to keep that of the line before. It may change only at META_PICK,
    COMPOSE_OVERRIDES_APPLIED or an event of the mode 'compose'. `cli` and `version` name the writer.
    """

    run_id: str
    mode: Mode = "conceptual"
    compose_sha256: str | None = None
    cli: str = "git-bo4"
    version: str = "0"


class EventProblem(NamedTuple):
    """A problem of a stream, and the number of its line, from 1."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


def append(
    stream: bytes,
    drafts: Iterable[EventDraft],
    context: EventContext,
    *,
    mask: Callable[[str], str] = lambda text: text,
) -> bytes:
    """Return a stream with further events at its end.

    A torn last line, which a killed writer or a full disk leaves, is cut off, and an event tells it.

    Args:
        stream: the bytes of the stream so far; empty for a new one.
        drafts: the events, in order.
        context: the tournament and the writer.
        mask: masks the secrets of a text before the line is chained, so that nothing masks it later.

    Raises:
        PlannerError: E_EVENT_SCHEMA if the last line is not an event, belongs to another tournament, or a
            draft is not an event; E_JSON for values that JSON cannot hold.
    """
    drafts = tuple(drafts)
    whole, torn = split_torn(stream)
    lines = [whole]
    last = _last_event(whole)
    if torn and drafts:
        message = f"{len(torn)} bytes of an unfinished line were cut off after event {last.seq}"
        drafts = (EventDraft("GATES_WARN", "TORN_TAIL", {"message": message}, drafts[0].at), *drafts)
    if last.run_id not in ("", context.run_id):
        raise _event_error(f"the stream belongs to '{last.run_id[:80]}', not to '{context.run_id[:80]}'")
    prev, compose = last.digest, last.compose
    for seq, draft in enumerate(drafts, last.seq + 1):
        if context.compose_sha256 not in (None, compose) and _may_compose(draft.event, context.mode):
            compose = str(context.compose_sha256)
        line = canonical_json.compact(
            _record(draft, context, _Last(seq, prev, context.run_id, compose), mask)
        )
        line = mask(line.decode()).encode()
        if len(line) > MAX_LINE:
            raise _event_error(f"an event of {len(line):,} bytes cannot be written; at most {MAX_LINE:,}")
        lines += (line, b"\n")
        prev = sha256(line).hexdigest()
    return b"".join(lines) if drafts else stream


def split_torn(stream: bytes) -> tuple[bytes, bytes]:
    """Return a stream up to its last line end, and the unfinished line after that."""
    end = stream.rfind(b"\n") + 1
    return stream[:end], stream[end:]


def validate(
    stream: bytes, check: Callable[[object], Sequence[str]] = lambda _: (), *, strict: bool = False
) -> list[EventProblem]:
    """Validate a stream of events; return its problems with the numbers of their lines, at most MAX_PROBLEMS.

    Args:
        stream: the bytes of the stream.
        check: returns the problems of one event by its schema.
        strict: the stream is complete: it starts at 1 and no number or end of a line is missing. Otherwise it
            may be a view that holds some of the lines.
    """
    problems: list[EventProblem] = []
    whole, torn = split_torn(stream)
    reader = _ChainReader(strict)
    number = 0
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        messages = reader.problems(line, check)
        problems += [EventProblem(number, message) for message in messages]
        if len(problems) >= MAX_PROBLEMS:
            return [*problems[:MAX_PROBLEMS], EventProblem(number, "and more problems after this line")]
    if torn:
        place = number + 1
        problems.append(EventProblem(place, f"the line is unfinished: it has {len(torn)} bytes and no end"))
    elif strict and not number:
        problems.append(EventProblem(1, "the stream is empty"))
    return problems


def read(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream; lines that are not events are left out."""
    whole, _ = split_torn(stream)
    events = ((_parse(line), line) for line in whole.split(b"\n")[:-1])
    return [event for event, line in events if isinstance(event, dict) and _end_of(event, line)]


def view(stream: bytes, keep: Callable[[dict[str, Any]], bool]) -> bytes:
    """Return those lines of a stream, unchanged, whose events are to be kept."""
    whole, _ = split_torn(stream)
    kept = []
    for line in whole.split(b"\n")[:-1]:
        event = _parse(line)
        if isinstance(event, dict) and _end_of(event, line) and keep(event):
            kept.append(line + b"\n")
    return b"".join(kept)


def is_of_watch(event: Mapping[str, Any]) -> bool:
    """Return whether an event tells of the watched service and not of gates."""
    return str(event.get("detail", {}).get("code", "")).startswith("WATCH_")


def is_of_gates(event: Mapping[str, Any]) -> bool:
    """Return whether an event tells of gates."""
    name, code = str(event.get("event", "")), event.get("detail", {}).get("code")
    return name not in _COMPOSING and code not in _OTHER_STAGES and not is_of_watch(event)


class _Last(NamedTuple):
    """The end of a stream: number, digest, run and composition of its last line."""

    seq: int
    digest: str
    run_id: str
    compose: str


class _ChainReader:
    """Reader of a stream, line by line, that remembers the line before."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.last = _Last(0, NONE, "", NONE)
        self.is_first = True

    def problems(self, line: bytes, check: Callable[[object], Sequence[str]]) -> list[str]:
        """Return the problems of the next line."""
        if len(line) > MAX_LINE:
            self._skip(line)
            return [f"has {len(line):,} bytes; at most {MAX_LINE:,} are read"]
        try:
            event = canonical_json.loads(line, "the line", limit=MAX_LINE)
        except PlannerError as error:
            self._skip(line)
            return [error.message.removeprefix("'the line' ")]
        if faults := list(check(event)):
            problems = [f"does not match the schema: {fault}" for fault in faults[:5]]
        else:
            problems = []
        last = _end_of(event, line)
        if last is None:
            self._skip(line)
            return problems or ["is not an event"]
        problems += self._chain_problems(event, last)
        self.last, self.is_first = last, False
        return problems

    def _skip(self, line: bytes) -> None:
        """Count a line that cannot be read as one event, so that the next line is checked against it."""
        self.last = self.last._replace(seq=self.last.seq + 1, digest=sha256(line).hexdigest())

    def _chain_problems(self, event: Mapping[str, Any], now: _Last) -> list[str]:
        before, problems = self.last, []
        follows = now.seq == before.seq + 1
        if now.seq <= before.seq:
            problems.append(f"has the number {now.seq} after {before.seq}")
        elif self.strict and not follows:
            problems.append(f"has the number {now.seq}; {before.seq + 1} is expected")
        if follows and event.get("prev") != before.digest:
            problems.append("'prev' is not the digest of the line before: one of them was rewritten")
        if before.run_id and now.run_id != before.run_id:
            problems.append(f"belongs to '{now.run_id[:80]}', the lines before to '{before.run_id[:80]}'")
        mode = event.get("context", {}).get("mode")
        changed = now.compose != before.compose and (self.strict or not self.is_first)
        if changed and follows and not _may_compose(str(event.get("event")), mode):
            problems.append("changes 'compose_sha256', which only an event of a composition may")
        refers = event.get("detail", {}).get("refers_to", 0)
        if isinstance(refers, int) and refers >= now.seq:
            problems.append(f"refers to event {refers}, which is not before it")
        return problems


def _may_compose(event: str, mode: object) -> bool:
    return event in _COMPOSING or mode == "compose"


def _last_event(whole: bytes) -> _Last:
    if not whole:
        return _Last(0, NONE, "", NONE)
    line = whole[:-1].rpartition(b"\n")[2]
    event = _parse(line)
    last = _end_of(event, line)
    if last is None:
        raise _event_error("the last line of the stream is not an event, so none can follow it")
    return last


def _parse(line: bytes) -> object:
    try:
        return canonical_json.loads(line, "the line", limit=MAX_LINE)
    except PlannerError:
        return None


def _end_of(event: object, line: bytes) -> _Last | None:
    """Return what the next line continues from; None if the line is not an event."""
    if not isinstance(event, dict) or event.get("schema") != SCHEMA:
        return None
    context, seq = event.get("context"), event.get("seq")
    if not isinstance(context, dict) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        return None
    if not isinstance(event.get("detail", {}), dict):
        return None
    run_id, compose = context.get("run_id"), context.get("compose_sha256")
    if not isinstance(run_id, str) or not isinstance(compose, str):
        return None
    return _Last(seq, sha256(line).hexdigest(), run_id, compose)


def _record(
    draft: EventDraft, context: EventContext, place: _Last, mask: Callable[[str], str]
) -> dict[str, Any]:
    """Return the line of a draft; `place` holds its number and the digest of the line before."""
    if draft.event not in EVENTS:
        raise _event_error(f"'{draft.event[:80]}' is not the name of an event")
    detail = {key: _bounded(key, value, mask) for key, value in draft.detail.items() if value is not None}
    if draft.code is not None:
        detail["code"] = draft.code
    if unknown := sorted(detail.keys() - DETAIL_KEYS):
        raise _event_error(f"'{unknown[0][:80]}' is not a detail of events")
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "event": draft.event,
        "ts": draft.at,
        "seq": place.seq,
        "prev": place.digest,
        "source": {"cli": context.cli, "version": context.version},
        "context": {"run_id": context.run_id, "mode": context.mode, "compose_sha256": place.compose},
    }
    return {**record, "detail": detail} if detail else record


def _bounded(key: str, value: Any, mask: Callable[[str], str]) -> Any:
    """Return the value of a detail within the limits of the schema, and masked."""
    if key in _TEXT_LIMITS:
        text = value if isinstance(value, str) else canonical_json.compact(value).decode()
        return _cut(mask(_without_surrogates(text)), _TEXT_LIMITS[key])
    if key in _LIST_LIMITS and isinstance(value, list | tuple):
        items, length = _LIST_LIMITS[key]
        return [_cut(mask(_without_surrogates(str(item))), length) for item in value[:items]]
    return _masked(value, mask)


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(_without_surrogates(value))
    if isinstance(value, Mapping):
        return {key: _masked(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, mask) for item in value]
    return value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _without_surrogates(text: str) -> str:
    """Return a text that UTF-8 can hold: bytes of a foreign program may have become lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _event_error(message: str) -> PlannerError:
    return PlannerError(
        "E_EVENT_SCHEMA", message, hint="see what is wrong with 'git bo4 events validate --strict'"
    )
