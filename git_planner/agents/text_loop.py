"""The engine under researchers and critics: a text that is asked for, judged, and asked for once more.

A transport asks once. What an attempt was given and gave lies in `attempt-N` in the sheet's folder, as with
planners. A text that is refused is asked for again once, with its faults; an agent that fails is not, because
the clients try again by themselves.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol

from git_planner import redact
from git_planner.agents.answer_loop import OUTCOME, Reply, final, fresh_folder, tokens
from git_planner.agents.contract import Sheet, Tell, Usage, Written
from git_planner.agents.prompts import again_prompt
from git_planner.agents.run_program import PROMPT, keep
from git_planner.errors import PlannerError

ATTEMPTS = 2
LEAST_SECONDS = 0.5


class WritingTransport(Protocol):
    """Asks a model, or whatever answers, once."""

    name: str

    def ask(self, sheet: Sheet) -> Reply:
        """Ask once within the sheet's seconds; PlannerError when no text came back."""
        ...


class WritingAgent:
    """A researcher or a critic made of a transport."""

    def __init__(self, transport: WritingTransport) -> None:
        self.name = transport.name
        self._transport = transport

    def write(self, sheet: Sheet, tell: Tell) -> Written:
        """Ask until a text passes or the two attempts or the time are used up.

        Raises:
            PlannerError: E_ANSWER when the last text was refused (its faults in the details), else what the
                transport raised.
        """
        began, prompt, usage = time.monotonic(), sheet.prompt, Usage()
        refused = PlannerError("E_USAGE", "at least one attempt is needed")
        sheet.folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, ATTEMPTS + 1):
            left = began + sheet.seconds - time.monotonic()
            if number > 1 and left < LEAST_SECONDS:
                break
            tell(f"asking '{self.name}' for the {sheet.kind}, attempt {number} of {ATTEMPTS}")
            turn = replace(sheet, prompt=prompt, folder=fresh_folder(sheet.folder), seconds=left)
            reply, faults = self._attempt(turn, number)
            usage = Usage(usage.input + reply.usage.input, usage.output + reply.usage.output)
            if not faults:
                seconds = time.monotonic() - began
                return Written(redact.mask_text(reply.text), reply.model, number, seconds, usage)
            refused = PlannerError("E_ANSWER", f"the {sheet.kind} was refused: {faults[0]}", details=faults)
            tell(f"attempt {number}: {refused.message}")
            prompt = redact.mask_text(again_prompt(sheet.prompt, reply.text, faults))
        raise final(refused, number)

    def _attempt(self, turn: Sheet, number: int) -> tuple[Reply, list[str]]:
        """Ask once, judge the text and keep the outcome, whatever it is."""
        keep(turn.folder / PROMPT, turn.prompt)
        began = time.monotonic()
        outcome: dict[str, Any] = {"result": "interrupted", "attempt": number}
        try:
            reply = self._transport.ask(turn)
            faults = turn.check(reply.text)
            outcome |= {"model": reply.model, "thread": reply.thread, "usage": tokens(reply.usage)}
            outcome |= {"result": "refused", "details": faults} if faults else {"result": "accepted"}
            return reply, faults
        except PlannerError as error:
            outcome |= {"result": "failed", **error.document()}
            raise
        finally:
            outcome.pop("schema", None)
            keep(turn.folder / OUTCOME, {**outcome, "seconds": round(time.monotonic() - began, 3)})
