"""Planner and researcher that need no network and no model: a planner's answer follows from the packet alone.

They are stubs with valid answers, good for a demo, for tests and for checking a set-up before a model is
paid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.contract import Sheet, Usage
from git_planner.agents.text_loop import WritingAgent
from git_planner.config.settings import Settings
from git_planner.rules.policy.policy import Policy
from git_planner.rules.refnames import number_text

NAME = "offline"
_MOST = 2.0**53 - 1
_MOST_FILES = 40
_PART = re.compile(r"[\w-][\w.+-]*|\.[\w-][\w.+-]*")


class Offline:
    """Answers with a directive, options or a planning plan made from the packet."""

    name = NAME

    def ask(self, turn: Turn) -> Reply:
        """Answer; the same packet gives the same answer."""
        made = _MAKERS[turn.kind](turn.packet)
        return Reply(json.dumps(made, indent=2, ensure_ascii=False), model=NAME, usage=Usage())


def offline_planner(policy: Policy, settings: Settings) -> PlanningAgent:  # noqa: ARG001 - as all agents
    """The offline planner."""
    return PlanningAgent(Offline())


class OfflineResearch:
    """Writes down which files there are."""

    name = NAME

    def ask(self, sheet: Sheet) -> Reply:
        """Look at the folder; the same files give the same text."""
        top = sheet.working_dir
        files = sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
        listed = [f"- `{name}`: {(top / name).stat().st_size:,} bytes" for name in files[:_MOST_FILES]]
        more = [f"- and {len(files) - _MOST_FILES} more"] if len(files) > _MOST_FILES else []
        said = "This was written without a model: it says what there is, and nothing about what it means."
        lines = ["## Findings", "", f"{len(files)} files. {said}", "", *listed, *more, ""]
        lines += ["## Risks", "", "Nobody has read the files.", ""]
        lines += ["## Open questions", "", "- Which of the files matter for the goal, and how they work.", ""]
        return Reply("\n".join(lines), model=NAME)


def offline_researcher(policy: Policy, settings: Settings) -> WritingAgent:  # noqa: ARG001 - as all agents
    """The offline researcher."""
    return WritingAgent(OfflineResearch())


def _options(packet: Mapping[str, Any]) -> dict[str, Any]:
    steps, wish = _plan(packet)["steps"], _wish(packet)
    made = []
    for name, title, count in (("A", "minimal", 1), ("B", "balanced", 2), ("C", "max", 3)):
        own = [
            {**each, "dependencies": [before["id"] for before in steps[3 - count : place]][-1:]}
            for place, each in enumerate(steps)
            if place >= 3 - count
        ]
        made.append(
            {
                "name": name,
                "title": title,
                "summary": _cut(f"Offline option with {count} of 3 steps: {wish}", 500),
                "scope": [f"Changes {_places(packet)}."],
                "steps": own,
                "verification": ["The tests pass.", _cut(wish, 400)],
                "risks": ["The change has no effect."],
                "effort": f"{count} steps",
            }
        )
    return {"goal": _cut(packet["goal_text"] or wish, 2000), "options": made}


def _directive(packet: Mapping[str, Any]) -> dict[str, Any]:
    family = _family(packet)
    stand, places = _stand(packet), _places(packet)
    return {
        "objective": f"Offline directive: {_wish(packet)}",
        "primary_hypothesis": f"A small change of {family} in {places} helps. {stand}",
        "strategy_family": family,
        "strategy_modifiers": [NAME],
        "risk": "Low",
        "expected_effect_cycles": _effect(packet),
        "change_summary": [f"One small change of {family} in {places}."],
        "step_plan": [
            f"Read {places} and the last results. {stand}",
            f"Make one small change of {family}, within the allowed paths.",
            "Run the validation commands and leave the change in the worktree.",
        ],
        "validation": {
            "commands": ["git diff --stat", "git status --short"],
            "pass_criteria": ["Only allowed paths changed.", _wish(packet)],
        },
        "next_packet_requests": [],
        "did_web_search": False,
    }


def _plan(packet: Mapping[str, Any]) -> dict[str, Any]:
    family, places = _family(packet), _places(packet)
    criteria = [*packet.get("acceptance_criteria", ())][:12] or ["The tests pass."]
    metric = (packet.get("metric") or {}).get("name", "correctness")
    names = [path for each in packet.get("code_context", {}) if (path := _path(each))]
    return {
        "plan_summary": _cut(f"Offline plan: {_wish(packet)}", 512),
        "rationale": _cut(f"A small change of {family} in {places} is tried first. {_stand(packet)}", 2048),
        "focus_metrics": [metric],
        "guardrails": [_cut(each, 400) for each in packet["constraints"]["notes"][:20]]
        or ["Guarded paths stay as they are."],
        "risks": ["The change has no effect."],
        "validation": [_cut(each, 400) for each in criteria],
        "steps": [
            _step("read", "Read the code", [f"Read {places}."], files=names),
            _step("change", "Make one change", [f"Try {family}."], after=["read"], files=names),
            _step("check", "Check the result", ["Run the tests."], after=["change"]),
        ],
        "handoff_notes": [],
        "fallback_plan": None,
    }


def _step(
    name: str, title: str, actions: list[str], *, after: Sequence[str] = (), files: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "intent": f"{title}, so that one small change can be judged.",
        "actions": [_cut(each, 200) for each in actions],
        "files": list(dict.fromkeys(files))[:30],
        "dependencies": list(after),
        "validation": ["The tests pass."],
        "risks": [],
        "references": [],
    }


def _family(packet: Mapping[str, Any]) -> str:
    rule = packet["strategy_family_constraints"]
    allowed = [each for each in rule["allowed_families"] if each not in rule["blocked_families"]]
    return allowed[(packet["iteration"] - 1) % len(allowed)] if allowed else f"family:{NAME}"


def _wish(packet: Mapping[str, Any]) -> str:
    metric, target = packet.get("metric"), packet.get("threshold") or packet.get("aspiration")
    if metric is None:
        return "the tests pass."
    side = "at most" if metric["better"] == "lower" else "at least"
    if target is not None:
        return f"{metric['name']} of {side} {number_text(target)} {metric['unit']}".rstrip() + "."
    return f"a {metric['better']} {metric['name']}."


def _stand(packet: Mapping[str, Any]) -> str:
    best = packet.get("best")
    return (
        "Nothing has been measured yet." if best is None else f"The best value so far is {number_text(best)}."
    )


def _places(packet: Mapping[str, Any]) -> str:
    labels = list(packet.get("code_context", {}))
    allowed = packet["constraints"]["allow"]
    return _cut(", ".join(labels[:8] or allowed[:8]) or "the code", 120)


def _effect(packet: Mapping[str, Any]) -> int:
    best, target = packet.get("best"), packet.get("threshold") or packet.get("aspiration")
    return 0 if best is None or target is None else round(max(-_MOST, min(_MOST, target - best)))


def _path(label: str) -> str | None:
    """The path in a label such as 'src/kernel.py#Builder'; None where it is no plain path."""
    path = label.partition("#")[0]
    plain = len(path) <= 256 and all(_PART.fullmatch(part) for part in path.split("/"))
    return path if plain and ".git" not in path.lower().split("/") else None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "directive": _directive,
    "plan-options": _options,
    "planning-plan": _plan,
}
