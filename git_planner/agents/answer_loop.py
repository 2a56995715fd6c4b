"""The engine under every planner: attempts within one deadline, errors fed back, everything kept.

A transport asks once. What an attempt was given and gave lies in `attempt-N` in the request's folder:
prompt.md, command.json, stdout, stderr and outcome.json. Nothing is made up: an answer passes the request's
check or is refused.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from git_planner import documents, redact
from git_planner.agents.contract import Answer, AnswerKind, Request, Tell, Usage
from git_planner.agents.prompts import retry_prompt
from git_planner.agents.run_program import PROMPT, keep
from git_planner.errors import PlannerError
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
    """One attempt, as a transport sees it. `folder` is the attempt's own; `seconds` is what is left."""

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


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one attempt: text with an answer in it, not judged yet."""

    text: str
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    command: tuple[str, ...] = ()
    thread: str | None = None


class Transport(Protocol):
    """Asks a model, or whatever answers, once."""

    name: str

    def ask(self, turn: Turn) -> Reply:
        """Ask once within the turn's seconds; PlannerError when no text came back."""
        ...


class PlanningAgent:
    """A planner made of a transport.

    Args:
        transport: what is asked.
        backoff: seconds before the second attempt after a passing failure; doubled for each further one.
    """

    def __init__(self, transport: Transport, backoff: float = 1.0) -> None:
        self.name = transport.name
        self._transport = transport
        self._backoff = backoff

    def plan(self, request: Request, tell: Tell) -> Answer:
        """Ask until an answer passes, the attempts or the time are used up, or no attempt could help.

        Raises:
            PlannerError: E_ANSWER when the last answer was refused (its faults in the details), E_DEADLINE,
                else what the transport raised.
        """
        campaign = _Campaign(self._transport, request, tell)
        failure = PlannerError("E_USAGE", "at least one attempt is needed")
        faults: Sequence[str] = ()
        for number in range(1, max(1, request.attempts) + 1):
            if number > 1 and not self._wait(number, campaign.left(), faults):
                break
            tell(f"asking the planner '{self.name}', attempt {number} of {max(1, request.attempts)}")
            try:
                return campaign.attempt(number)
            except PlannerError as error:
                failure, faults = error, campaign.faults
                if error.code not in TRANSIENT_AGENT_CODES and error.code != "E_ANSWER":
                    break
                tell(f"attempt {number} gave no plan: {error.message}")
        raise final(failure, campaign.made)

    def _wait(self, number: int, left: float, faults: Sequence[str]) -> bool:
        """Wait before another attempt, not after a refused answer; False when no time is left for one."""
        if faults:
            return left > _LEAST_SECONDS
        pause = min(_LONGEST_WAIT, self._backoff * 2 ** (number - 2)) * random.uniform(0.75, 1.25)
        if pause + _LEAST_SECONDS > left:
            return False
        time.sleep(pause)
        return True


class _Campaign:
    """The attempts at one request."""

    def __init__(self, transport: Transport, request: Request, tell: Tell) -> None:
        self._transport = transport
        self._request = request
        self._tell = tell
        self._began = time.monotonic()
        self._prompt = request.prompt
        self._usage = Usage()
        self.made = 0
        self.faults: list[str] = []
        request.folder.mkdir(parents=True, exist_ok=True)
        for name, document in (
            (PACKET, request.packet),
            (SCHEMA, request.schema),
            (STRICT_SCHEMA, request.strict_schema),
        ):
            keep(request.folder / name, document)

    def left(self) -> float:
        """Seconds until the deadline."""
        return self._began + self._request.seconds - time.monotonic()

    def attempt(self, number: int) -> Answer:
        """Ask once, judge the answer and keep the outcome, whatever it is."""
        self.made, self.faults = number, []
        folder = fresh_folder(self._request.folder)
        keep(folder / PROMPT, self._prompt)
        began = time.monotonic()
        outcome: dict[str, Any] = {"result": "interrupted", "attempt": number}
        try:
            reply = self._transport.ask(self._turn(folder))
            outcome |= {"model": reply.model, "thread": reply.thread, "usage": tokens(reply.usage)}
            self._usage = Usage(
                self._usage.input + reply.usage.input, self._usage.output + reply.usage.output
            )
            document = self._judged(reply.text)
            outcome["result"] = "accepted"
            return self._answer(document, reply)
        except PlannerError as error:
            outcome |= {"result": "refused" if self.faults else "failed", **error.document()}
            raise
        finally:
            outcome.pop("schema", None)
            keep(folder / OUTCOME, {**outcome, "seconds": round(time.monotonic() - began, 3)})

    def _judged(self, text: str) -> Mapping[str, Any]:
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
            seconds=max(_LEAST_SECONDS, self.left()),
            model=request.model,
        )

    def _answer(self, document: Mapping[str, Any], reply: Reply) -> Answer:
        return Answer(
            document=document,
            raw=reply.text,
            model=reply.model or self._request.model,
            attempts=self.made,
            seconds=time.monotonic() - self._began,
            usage=self._usage,
            command=reply.command,
        )


def fresh_folder(folder: Path) -> Path:
    """The next free `attempt-N`: earlier ones, of a run that was interrupted, stay."""
    number = 1
    while (folder / f"attempt-{number}").exists():
        number += 1
    made = folder / f"attempt-{number}"
    made.mkdir(mode=0o700)
    return made


def tokens(usage: Usage) -> dict[str, int]:
    """Usage as a document."""
    return {"input": usage.input, "output": usage.output}


def final(failure: PlannerError, made: int) -> PlannerError:
    """The last failure, saying how many attempts there were when there were several."""
    if made < 2:
        return failure
    return PlannerError(
        failure.code,
        f"{failure.message} (after {made} attempts)",
        hint=failure.hint,
        details=failure.details,
    )
