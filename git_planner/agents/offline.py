"""Planner and researcher without network and model: the planner's answer depends only on the packet.

They are stubs with valid answers, for the demo, for tests and for checking a setup before paying for a model.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.contract import Usage, Workplace, WritingRequest
from git_planner.agents.text_loop import WritingAgent
from git_planner.folders import walk_files
from git_planner.rules.refnames import number_text

NAME = "offline"
_MAX_INTEGER = 2.0**53 - 1
_MAX_FILES = 40
_PATH_PART = re.compile(r"[\w-][\w.+-]*|\.[\w-][\w.+-]*")


class OfflineTransport:
    """A transport that makes a directive, options or a planning plan from the packet."""

    name = NAME

    def ask(self, turn: Turn) -> Reply:
        """Answer the turn; the same packet gives the same answer."""
        answer = _MAKERS[turn.kind](turn.packet)
        return Reply(json.dumps(answer, indent=2, ensure_ascii=False), model=NAME, usage=Usage())


def offline_planner(_: Workplace) -> PlanningAgent:
    """Return the offline planner."""
    return PlanningAgent(OfflineTransport())


class OfflineResearchTransport:
    """A transport that lists the files of the working directory."""

    name = NAME

    def ask(self, request: WritingRequest) -> Reply:
        """List the files; the same files give the same text."""
        top = request.working_dir
        files = sorted(os.path.relpath(entry.path, top) for entry in walk_files(top) if entry.is_file())
        listed = [f"- `{name}`: {(top / name).stat().st_size:,} bytes" for name in files[:_MAX_FILES]]
        more = [f"- and {len(files) - _MAX_FILES} more"] if len(files) > _MAX_FILES else []
        notice = "This was written without a model: it lists the files without reading them."
        lines = ["## Findings", "", f"{len(files)} files. {notice}", "", *listed, *more, ""]
        lines += ["## Risks", "", "The files have not been read.", ""]
        lines += ["## Open questions", "", "- Which files matter for the goal, and how do they work?", ""]
        return Reply("\n".join(lines), model=NAME)


def offline_researcher(_: Workplace) -> WritingAgent:
    """Return the offline researcher."""
    return WritingAgent(OfflineResearchTransport())


def _options(packet: Mapping[str, Any]) -> dict[str, Any]:
    steps, target = _plan(packet)["steps"], _target_text(packet)
    options = []
    for name, title, count in (("A", "minimal", 1), ("B", "balanced", 2), ("C", "max", 3)):
        own_steps = [
            {**step, "dependencies": [before["id"] for before in steps[3 - count : place]][-1:]}
            for place, step in enumerate(steps)
            if place >= 3 - count
        ]
        options.append(
            {
                "name": name,
                "title": title,
                "summary": _cut(f"Offline option with {count} of 3 steps: {target}", 500),
                "scope": [f"Changes {_scope_text(packet)}."],
                "steps": own_steps,
                "verification": ["The tests pass.", _cut(target, 400)],
                "risks": ["The change has no effect."],
                "effort": f"{count} steps",
            }
        )
    return {"goal": _cut(packet["goal_text"] or target, 2000), "options": options}


def _directive(packet: Mapping[str, Any]) -> dict[str, Any]:
    family = _family(packet)
    best, places = _best_text(packet), _scope_text(packet)
    return {
        "objective": f"Offline directive: {_target_text(packet)}",
        "primary_hypothesis": f"A small change of {family} in {places} helps. {best}",
        "strategy_family": family,
        "strategy_modifiers": [NAME],
        "risk": "Low",
        "expected_effect": _expected_effect(packet),
        "change_summary": [f"One small change of {family} in {places}."],
        "step_plan": [
            f"Read {places} and the last results. {best}",
            f"Make one small change of {family}, within the allowed paths.",
            "Run the validation commands and leave the change in the worktree.",
        ],
        "validation": {
            "commands": ["git diff --stat", "git status --short"],
            "pass_criteria": ["Only allowed paths changed.", _target_text(packet)],
        },
        "next_packet_requests": [],
        "did_web_search": False,
    }


def _plan(packet: Mapping[str, Any]) -> dict[str, Any]:
    family, places = _family(packet), _scope_text(packet)
    criteria = [*packet.get("acceptance_criteria", ())][:12] or ["The tests pass."]
    metric = (packet.get("metric") or {}).get("name", "correctness")
    names = [path for label in packet.get("code_context", {}) if (path := _label_path(label))]
    return {
        "plan_summary": _cut(f"Offline plan: {_target_text(packet)}", 512),
        "rationale": _cut(
            f"A small change of {family} in {places} is tried first. {_best_text(packet)}", 2048
        ),
        "focus_metrics": [metric],
        "guardrails": [_cut(note, 400) for note in packet["constraints"]["notes"][:20]]
        or ["Guarded paths stay as they are."],
        "risks": ["The change has no effect."],
        "validation": [_cut(criterion, 400) for criterion in criteria],
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
        "intent": f"{title}, so that one small change can be measured.",
        "actions": [_cut(action, 200) for action in actions],
        "files": list(dict.fromkeys(files))[:30],
        "dependencies": list(after),
        "validation": ["The tests pass."],
        "risks": [],
        "references": [],
    }


def _family(packet: Mapping[str, Any]) -> str:
    rule = packet["strategy_family_constraints"]
    allowed = [family for family in rule["allowed_families"] if family not in rule["blocked_families"]]
    return allowed[(packet["iteration"] - 1) % len(allowed)] if allowed else f"family:{NAME}"


def _target_text(packet: Mapping[str, Any]) -> str:
    metric, target = packet.get("metric"), packet.get("threshold") or packet.get("aspiration")
    if metric is None:
        return "the tests pass."
    side = "at most" if metric["better"] == "lower" else "at least"
    if target is not None:
        return f"{metric['name']} of {side} {number_text(target)} {metric['unit']}".rstrip() + "."
    return f"a {metric['better']} {metric['name']}."


def _best_text(packet: Mapping[str, Any]) -> str:
    best = packet.get("best")
    return (
        "Nothing has been measured yet." if best is None else f"The best value so far is {number_text(best)}."
    )


def _scope_text(packet: Mapping[str, Any]) -> str:
    labels = list(packet.get("code_context", {}))
    allowed = packet["constraints"]["allow"]
    return _cut(", ".join(labels[:8] or allowed[:8]) or "the code", 120)


def _expected_effect(packet: Mapping[str, Any]) -> int:
    best, target = packet.get("best"), packet.get("threshold") or packet.get("aspiration")
    return (
        0 if best is None or target is None else round(max(-_MAX_INTEGER, min(_MAX_INTEGER, target - best)))
    )


def _label_path(label: str) -> str | None:
    """Return the path in a label such as 'src/kernel.py#Builder'; None if it is no plain path."""
    path = label.partition("#")[0]
    plain = len(path) <= 256 and all(_PATH_PART.fullmatch(part) for part in path.split("/"))
    return path if plain and ".git" not in path.lower().split("/") else None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "directive": _directive,
    "plan-options": _options,
    "planning-plan": _plan,
}
