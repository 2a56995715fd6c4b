"""The agents by name. Nothing of an agent is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from git_planner.agents.contract import Critic, Implementer, Planner, Researcher
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.rules.policy.policy import Policy

# name -> (module, function taking policy and options, what it is in a line)
Row = tuple[str, str, str]

PLANNERS: Mapping[str, Row] = {
    "api": ("codex.agents", "api_planner", "codex with an API key"),
    "codex": ("codex.agents", "codex_planner", "codex with a ChatGPT login"),
    "command": ("command", "command_planner", "any program, named in the policy"),
    "offline": ("offline", "offline_planner", "a stub without network, the same for the same packet"),
}
IMPLEMENTERS: Mapping[str, Row] = {
    "codex": ("codex.agents", "codex_implementer", "codex in its sandbox, writing to the worktree"),
    "command": ("command", "command_implementer", "any program, named in the policy"),
    "patches": ("patches", "patches_implementer", "the next diff of a folder"),
}
RESEARCHERS: Mapping[str, Row] = {
    "codex": ("codex.agents", "codex_researcher", "codex, reading a copy of the base"),
    "command": ("command", "command_researcher", "any program, named in the policy"),
    "offline": ("offline", "offline_researcher", "a stub that lists the files it sees"),
}
CRITICS: Mapping[str, Row] = {
    "codex": ("codex.agents", "codex_critic", "codex, reading nothing but what it is sent"),
    "command": ("command", "command_critic", "any program, named in the policy"),
    "gemini": ("gemini", "gemini_critic", "the gemini CLI with a Pro model"),
}


def planner(name: str, policy: Policy, settings: Settings) -> Planner:
    """Make the planner of a name.

    Raises:
        PlannerError: E_AGENT for a name that is not known; E_POLICY when the policy says too little about it.
    """
    made: Planner = _made("planner", PLANNERS, name, policy, settings)
    return made


def implementer(name: str, policy: Policy, settings: Settings) -> Implementer:
    """Make the implementer of a name.

    Raises:
        PlannerError: as for `planner`.
    """
    made: Implementer = _made("implementer", IMPLEMENTERS, name, policy, settings)
    return made


def researcher(name: str, policy: Policy, settings: Settings) -> Researcher:
    """Make the researcher of a name.

    Raises:
        PlannerError: as for `planner`.
    """
    made: Researcher = _made("researcher", RESEARCHERS, name, policy, settings)
    return made


def critic(name: str, policy: Policy, settings: Settings) -> Critic:
    """Make the critic of a name.

    Raises:
        PlannerError: as for `planner`.
    """
    made: Critic = _made("critic", CRITICS, name, policy, settings)
    return made


def _made(role: str, known: Mapping[str, Row], name: str, policy: Policy, settings: Settings) -> Any:
    if name not in known:
        raise PlannerError(
            "E_AGENT",
            f"{name[:80]!r} is not a known {role}",
            hint=f"known: {', '.join(known)}",
        )
    module, function, _ = known[name]
    return getattr(import_module(f"git_planner.agents.{module}"), function)(policy, settings)
