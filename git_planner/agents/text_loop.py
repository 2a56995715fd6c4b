"""Attempt loop of researchers and critics: ask for a text, validate it, and ask once more if it has faults.

A transport asks once. Input and output of an attempt are in `attempt-N` in the request's folder, as with
planners. A refused text is requested once more, with its faults; a failed agent is not retried, because the
clients retry on their own.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol

from git_planner import redact
from git_planner.agents.answer_loop import (
    OUTCOME,
    Reply,
    create_attempt_folder,
    final_failure,
    usage_document,
)
from git_planner.agents.contract import Usage, WritingRequest, WrittenText
from git_planner.agents.prompts import again_prompt
from git_planner.agents.run_program import PROMPT, write_masked
from git_planner.errors import PlannerError
from git_planner.progress import Progress, Step, ticker

ATTEMPTS = 2
LEAST_SECONDS = 0.5


class WritingTransport(Protocol):
    """A way to ask a model or another program for a text once."""

    name: str

    def ask(self, request: WritingRequest) -> Reply:
        """Ask once within the request's seconds; raise PlannerError if there is no text."""
        ...


class WritingAgent:
    """A researcher or critic that asks through a transport."""

    def __init__(self, transport: WritingTransport) -> None:
        self.name = transport.name
        self._transport = transport

    def write(self, request: WritingRequest, progress: Progress) -> WrittenText:
        """Ask until a text passes or the two attempts or the time are used up.

        Raises:
            PlannerError: E_ANSWER if the last text was refused (its faults in the details), or the
                transport's error.
        """
        began, prompt, usage = time.monotonic(), request.prompt, Usage()
        refused = PlannerError("E_USAGE", "at least one attempt is needed")
        request.folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, ATTEMPTS + 1):
            left = began + request.seconds - time.monotonic()
            if number > 1 and left < LEAST_SECONDS:
                break
            progress(Step(f"asking '{self.name}' for the {request.kind}, attempt {number} of {ATTEMPTS}"))
            folder, tick = create_attempt_folder(request.folder), ticker(progress)
            turn = replace(request, prompt=prompt, folder=folder, seconds=left, on_tick=tick)
            reply, faults = self._attempt(turn, number)
            usage = Usage(usage.input + reply.usage.input, usage.output + reply.usage.output)
            if not faults:
                seconds = time.monotonic() - began
                return WrittenText(redact.mask_text(reply.text), reply.model, number, seconds, usage)
            refused = PlannerError("E_ANSWER", f"the {request.kind} was refused: {faults[0]}", details=faults)
            progress(f"attempt {number}: {refused.message}")
            prompt = redact.mask_text(again_prompt(request.prompt, reply.text, faults))
        raise final_failure(refused, number)

    def _attempt(self, turn: WritingRequest, number: int) -> tuple[Reply, list[str]]:
        """Ask once, validate the text and keep the outcome, also of a failure."""
        write_masked(turn.folder / PROMPT, turn.prompt)
        began = time.monotonic()
        outcome: dict[str, Any] = {"result": "interrupted", "attempt": number}
        try:
            reply = self._transport.ask(turn)
            faults = turn.check(reply.text)
            outcome |= {"model": reply.model, "thread": reply.thread, "usage": usage_document(reply.usage)}
            outcome |= {"result": "refused", "details": faults} if faults else {"result": "accepted"}
            return reply, faults
        except PlannerError as error:
            outcome |= {"result": "failed", **error.document()}
            raise
        finally:
            outcome.pop("schema", None)
            write_masked(turn.folder / OUTCOME, {**outcome, "seconds": round(time.monotonic() - began, 3)})
