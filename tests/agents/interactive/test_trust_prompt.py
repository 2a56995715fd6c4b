"""Answers to the trust prompt, in a real tmux with a program that asks as codex does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.agents.interactive.clients import CLAUDE, CODEX
from git_planner.agents.interactive.trust_prompt import answer_trust_prompt, is_asked, shows
from git_planner.host.terminals.headless import HeadlessBackend
from git_planner.host.terminals.terminal import Terminal
from tests.support.servers.tmux import TMUX_IS_MISSING, Tmux
from tests.support.waiting import holds_in_time

RESTRICTED = """
  Folder access
  /srv/wt

  Config, hooks, and exec policies from untrusted folders stay disabled.

\u203a 1. Open restricted
  2. Back to Agent Command Center

  enter continue · esc back"""
TRUST = RESTRICTED.replace("Open restricted", "Trust and continue")
APPROVAL = "  Would you like to run the following command?\n\n\u203a 1. Yes, proceed\n  2. No"
SCRIPT = """
import sys
screens = sys.argv[1:]
for number, screen in enumerate(screens):
    print("\\x1b[2J\\x1b[H" + screen, flush=True)
    answer = sys.stdin.readline()
    open("answers", "a").write(f"{number}:{answer.strip()}\\n")
print("\\x1b[2J\\x1b[HREADY", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("screen", "is_known"),
    [
        (RESTRICTED, True),
        (TRUST, False),
        (APPROVAL, False),
        ("", False),
        (RESTRICTED.replace("\u203a 1", "  1").replace("  2", "\u203a 2"), False),
        ("\n".join(reversed(RESTRICTED.split("\n"))), False),
        ("the Folder access is 1. Open restricted", False),
    ],
)
def test_knows_one_prompt_only(screen: str, is_known: bool) -> None:
    assert is_asked(CODEX.trust[0], screen) is is_known


def test_claude_is_moved_to_the_other_choice_first() -> None:
    first = " Accessing workspace:\n\n /w\n\n \u276f No, exit\n   Yes, I trust this folder\n"
    second = first.replace("\u276f No", "  No").replace("   Yes", " \u276f Yes")
    asked = [[is_asked(prompt, screen) for prompt in CLAUDE.trust] for screen in (first, second, "")]
    assert asked == [[True, False], [False, True], [False, False]]
    assert [prompt.keys for prompt in CLAUDE.trust] == [("Down",), ("Enter",)]


@pytest.mark.parametrize(
    ("screen", "is_asking"),
    [
        (RESTRICTED, True),
        (f"{APPROVAL}\n\n  Press enter to confirm or esc to cancel", True),
        (
            "Introducing M\n\n  1. Try it\n\u203a 2. Stay\n\n  \u2191/\u2193 to move, press enter to confirm",
            True,
        ),
        ("\u203a 1. read it\n  2. mend it\n\n\u2022 Working (0s \u2022 esc to interrupt)", False),
        ("\u203a Ask Codex to do anything\n\n  ? for shortcuts", False),
        ("", False),
    ],
)
def test_a_list_of_choices_waits_for_an_answer(screen: str, is_asking: bool) -> None:
    assert any(shows(patterns, screen) for patterns in CODEX.asks) is is_asking


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with Tmux(tmp_path) as server:
        yield server


@pytest.mark.skipif(TMUX_IS_MISSING, reason="needs tmux")
def test_answers_until_the_prompt_is_gone_and_nothing_after_it(tmux: Tmux, tmp_path: Path) -> None:
    terminal = tmux.start(sys.executable, "-c", SCRIPT, "starting", RESTRICTED, APPROVAL)
    assert holds_in_time(lambda: "starting" in tmux.screen(terminal))
    tmux.backend.send(terminal, "go")
    assert answer_trust_prompt(tmux.backend, terminal, CODEX.trust, 10.0)
    assert "Would you like to run" in tmux.screen(terminal)
    assert (tmp_path / "answers").read_text() == "0:go\n1:\n"


@pytest.mark.skipif(TMUX_IS_MISSING, reason="needs tmux")
def test_leaves_other_prompts_alone(tmux: Tmux, tmp_path: Path) -> None:
    terminal = tmux.start(sys.executable, "-c", SCRIPT, TRUST)
    assert holds_in_time(lambda: "Trust and continue" in tmux.screen(terminal))
    assert not answer_trust_prompt(tmux.backend, terminal, CODEX.trust, 0.3)
    assert not answer_trust_prompt(tmux.backend, terminal, (), 10.0)
    assert not (tmp_path / "answers").exists()
    tmux.backend.end(terminal)
    assert not answer_trust_prompt(tmux.backend, terminal, CODEX.trust, 10.0)


def test_without_a_screen_nothing_is_answered() -> None:
    terminal = Terminal("headless", None, None, None, None)
    assert not answer_trust_prompt(HeadlessBackend(), terminal, CODEX.trust, 10.0)
