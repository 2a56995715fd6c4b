"""Attempt loop of every planner: one deadline for all attempts, faults sent back to the model, output kept.

A transport asks once. Input and output of an attempt are in `attempt-N` in the request's folder: prompt.md,
command.json, stdout, stderr and outcome.json. Answers are never repaired: an answer passes the request's
check or is refused.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from git_planner import documents, redact
from git_planner.agents.contract import Answer, AnswerKind, PlanningRequest, Usage
from git_planner.agents.prompts import retry_prompt
from git_planner.agents.run_program import PROMPT, write_masked
from git_planner.errors import PlannerError
from git_planner.progress import Progress, Step, ticker
from git_planner.rules.documents.extract_json import (
    DIRECTIVE_KEYS,
    PLAN_OPTIONS_KEYS,
    PLANNING_PLAN_KEYS,
    extract_json,
)
from git_planner.rules.iterations.stop import TRANSIENT_AGENT_CODES

OUTCOME, PACKET, SCHEMA, STRICT_SCHEMA = "outcome.json", "packet.json", "schema.json", "strict_schema.json"
_KEYS = {"directive": DIRECTIVE_KEYS, "plan-options": PLAN_OPTIONS_KEYS, "planning-plan": PLANNING_PLAN_KEYS}
_LONGEST_WAIT = 30.0
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Turn:
    """Input of a transport for one attempt. `folder` belongs to the attempt; `seconds` is the time left.

    `on_tick` is called often while its program runs.
    """

    kind: AnswerKind
    prompt: str
    packet: Mapping[str, Any]
    packet_file: Path
    schema_file: Path
    strict_schema_file: Path
    working_dir: Path
    folder: Path
    seconds: float
    model: str | None
    on_tick: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Output of one attempt: text that contains an answer, not validated yet."""

    text: str
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    command: tuple[str, ...] = ()
    thread: str | None = None


class Transport(Protocol):
    """A way to ask a model or another program once."""

    name: str

    def ask(self, turn: Turn) -> Reply:
        """Ask once within the turn's seconds; raise PlannerError if there is no text."""
        ...


class LoopClock(Protocol):
    """A clock in seconds that can be waited on, such as the module `time`."""

    def monotonic(self) -> float:
        """Return the time."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class PlanningAgent:
    """A planner that asks through a transport.

    Args:
        transport: how to ask.
        backoff: seconds before the second attempt after a transient failure; doubled for each further one.
        clock: the clock of deadlines and waits.
    """

    def __init__(self, transport: Transport, backoff: float = 1.0, clock: LoopClock = time) -> None:
        self.name = transport.name
        self._transport, self._clock = transport, clock
        self._backoff = backoff

    def plan(self, request: PlanningRequest, progress: Progress) -> Answer:
        """Ask until an answer passes, attempts or time are used up, or the failure is permanent.

        Raises:
            PlannerError: E_ANSWER if the last answer was refused (its faults in the details), E_DEADLINE,
                or the error of the transport.
        """
        attempts = _Attempts(self._transport, request, self._clock, progress)
        failure = PlannerError("E_USAGE", "at least one attempt is needed")
        faults: Sequence[str] = ()
        for number in range(1, max(1, request.attempts) + 1):
            if number > 1 and not self._wait(number, attempts.seconds_left(), faults):
                break
            progress(
                Step(f"asking the planner '{self.name}', attempt {number} of {max(1, request.attempts)}")
            )
            try:
                return attempts.ask(number)
            except PlannerError as error:
                failure, faults = error, attempts.faults
                if error.code not in TRANSIENT_AGENT_CODES and error.code != "E_ANSWER":
                    break
                progress(f"attempt {number} gave no plan: {error.message}")
        raise final_failure(failure, attempts.count)

    def _wait(self, number: int, left: float, faults: Sequence[str]) -> bool:
        """Wait before another attempt, except after a refused answer; return False if no time is left."""
        if faults:
            return left > _LEAST_SECONDS
        pause = min(_LONGEST_WAIT, self._backoff * 2 ** (number - 2)) * random.uniform(0.75, 1.25)
        if pause + _LEAST_SECONDS > left:
            return False
        self._clock.sleep(pause)
        return True


class _Attempts:
    """The attempts at one request."""

    def __init__(
        self, transport: Transport, request: PlanningRequest, clock: LoopClock, progress: Progress
    ) -> None:
        self._transport, self._clock, self._progress = transport, clock, progress
        self._request = request
        self._began = self._clock.monotonic()
        self._prompt = request.prompt
        self._usage = Usage()
        self.count = 0
        self.faults: list[str] = []
        request.folder.mkdir(parents=True, exist_ok=True)
        for name, document in (
            (PACKET, request.packet),
            (SCHEMA, request.schema),
            (STRICT_SCHEMA, request.strict_schema),
        ):
            write_masked(request.folder / name, document)

    def seconds_left(self) -> float:
        """Return the seconds until the deadline."""
        return self._began + self._request.seconds - self._clock.monotonic()

    def ask(self, number: int) -> Answer:
        """Ask once, validate the answer and keep the outcome, also of a failure."""
        self.count, self.faults = number, []
        folder = create_attempt_folder(self._request.folder)
        write_masked(folder / PROMPT, self._prompt)
        began = self._clock.monotonic()
        outcome: dict[str, Any] = {"result": "interrupted", "attempt": number}
        try:
            reply = self._transport.ask(self._turn(folder))
            outcome |= {"model": reply.model, "thread": reply.thread, "usage": usage_document(reply.usage)}
            self._usage = Usage(
                self._usage.input + reply.usage.input, self._usage.output + reply.usage.output
            )
            document = self._validate(reply.text)
            outcome["result"] = "accepted"
            return self._answer(document, reply)
        except PlannerError as error:
            outcome |= {"result": "refused" if self.faults else "failed", **error.document()}
            raise
        finally:
            outcome.pop("schema", None)
            write_masked(folder / OUTCOME, {**outcome, "seconds": round(self._clock.monotonic() - began, 3)})

    def _validate(self, text: str) -> Mapping[str, Any]:
        """Return the document in an answer; raise E_ANSWER and prepare the retry prompt if it has faults."""
        try:
            answer = redact.mask_document(extract_json(text, keys=(_KEYS[self._request.kind],)))
            document = documents.complete_answer(self._request.kind, answer)
            self.faults = self._request.check(document)
        except PlannerError as error:
            self.faults = [error.message, *error.details]
        if self.faults:
            self._prompt = redact.mask_text(retry_prompt(self._request.prompt, text, self.faults))
            raise PlannerError(
                "E_ANSWER", f"the planner's answer was refused: {self.faults[0]}", details=self.faults
            )
        checked: Mapping[str, Any] = document
        return checked

    def _turn(self, folder: Path) -> Turn:
        request = self._request
        return Turn(
            kind=request.kind,
            prompt=self._prompt,
            packet=request.packet,
            packet_file=request.folder / PACKET,
            schema_file=request.folder / SCHEMA,
            strict_schema_file=request.folder / STRICT_SCHEMA,
            working_dir=request.working_dir,
            folder=folder,
            seconds=max(_LEAST_SECONDS, self.seconds_left()),
            model=request.model,
            on_tick=ticker(self._progress),
        )

    def _answer(self, document: Mapping[str, Any], reply: Reply) -> Answer:
        return Answer(
            document=document,
            raw=reply.text,
            model=reply.model or self._request.model,
            attempts=self.count,
            seconds=self._clock.monotonic() - self._began,
            usage=self._usage,
            command=reply.command,
        )


def create_attempt_folder(folder: Path) -> Path:
    """Create the next free `attempt-N` folder; those of an interrupted run stay."""
    number = 1
    while (folder / f"attempt-{number}").exists():
        number += 1
    attempt = folder / f"attempt-{number}"
    attempt.mkdir(mode=0o700)
    return attempt


def usage_document(usage: Usage) -> dict[str, int]:
    """Return the usage as a JSON document."""
    return {"input": usage.input, "output": usage.output}


def final_failure(failure: PlannerError, attempts: int) -> PlannerError:
    """Return the last failure; its message names the number of attempts if there were several."""
    if attempts < 2:
        return failure
    return PlannerError(
        failure.code,
        f"{failure.message} (after {attempts} attempts)",
        hint=failure.hint,
        details=failure.details,
    )
