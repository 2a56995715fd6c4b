"""Answer to a client's prompt about the folder that it is started in, and to no other prompt."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from git_planner.host.terminals.terminal import Terminal, TerminalBackend
from git_planner.rules.policy.interactive_client import TrustPrompt

_PAUSE = 0.05
# A client that is just starting may drop a key.
_AGAIN_SECONDS = 0.4


def answer_trust_prompt(
    backend: TerminalBackend, terminal: Terminal, prompts: Sequence[TrustPrompt], seconds: float
) -> bool:
    """Watch the screen of a client that was just started, and answer its trust prompt.

    It is answered until it is gone from the screen. Call it only for a folder that git-planner made, or that
    the person has started it in.

    Args:
        backend: the backend of the terminal.
        terminal: the terminal of the client.
        prompts: the forms that the prompt may have; empty if the client has none.
        seconds: how long to watch.

    Returns:
        Whether it was asked and answered.

    Raises:
        PlannerError: E_TERMINAL.
    """
    until = time.monotonic() + seconds
    answered: dict[TrustPrompt, float] = {}
    while prompts and (now := time.monotonic()) < until:
        screen = backend.screen(terminal)
        if screen is None:
            break
        prompt = next((prompt for prompt in prompts if is_asked(prompt, screen)), None)
        if prompt is not None and now - answered.get(prompt, 0.0) > _AGAIN_SECONDS:
            backend.press(terminal, prompt.keys)
            answered[prompt] = now
        elif prompt is None and answered:
            return True
        time.sleep(_PAUSE)
    return False


def is_asked(prompt: TrustPrompt, screen: str) -> bool:
    """Return whether a screen shows the prompt."""
    return shows(prompt.patterns, screen)


def shows(patterns: Sequence[str], screen: str) -> bool:
    """Return whether all patterns match a screen, in the order given."""
    place = 0
    for pattern in patterns:
        match = re.compile(pattern, re.MULTILINE).search(screen, place)
        if match is None:
            return False
        place = match.end()
    return True
