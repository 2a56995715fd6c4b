"""Registry of agents by role and name. The module of an agent is imported only when the agent is made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from git_planner.agents.contract import Critic, Implementer, Planner, Researcher, Workplace
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import Policy

# name -> (module, function of a Workplace, description in one line)
AgentRow = tuple[str, str, str]

PLANNERS: Mapping[str, AgentRow] = {
    "api": ("codex.agents", "api_planner", "codex with an API key"),
    "codex": ("codex.agents", "codex_planner", "codex with a ChatGPT login"),
    "command": ("command", "command_planner", "any program, named in the policy"),
    "offline": (
        "offline",
        "offline_planner",
        "a stub without network; the same packet gives the same answer",
    ),
}
IMPLEMENTERS: Mapping[str, AgentRow] = {
    "codex": ("codex.agents", "codex_implementer", "codex in its sandbox, writing to the worktree"),
    "command": ("command", "command_implementer", "any program, named in the policy"),
    "patches": ("patches", "patches_implementer", "the next diff of a folder"),
}
RESEARCHERS: Mapping[str, AgentRow] = {
    "codex": ("codex.agents", "codex_researcher", "codex, reading a copy of the base"),
    "command": ("command", "command_researcher", "any program, named in the policy"),
    "offline": ("offline", "offline_researcher", "a stub that lists the files of the base"),
}
CRITICS: Mapping[str, AgentRow] = {
    "codex": ("codex.agents", "codex_critic", "codex, reading only its prompt"),
    "command": ("command", "command_critic", "any program, named in the policy"),
    "gemini": ("gemini", "gemini_critic", "the gemini CLI with a Pro model"),
}

_AGENTS = {
    "planner": PLANNERS,
    "implementer": IMPLEMENTERS,
    "researcher": RESEARCHERS,
    "critic": CRITICS,
}
# Agents that start no program, and so need no confinement.
_WITHOUT_PROGRAM = ("offline", "patches")


def make_planner(name: str, policy: Policy, settings: Settings, repo: Repository) -> Planner:
    """Make the planner of a name.

    Raises:
        PlannerError: E_AGENT if the name is unknown; E_POLICY if the policy does not configure the agent;
            E_SANDBOX if it requires a sandbox and none works here.
    """
    agent: Planner = _make_agent("planner", name, policy, settings, repo)
    return agent


def make_implementer(name: str, policy: Policy, settings: Settings, repo: Repository) -> Implementer:
    """Make the implementer of a name.

    Raises:
        PlannerError: as for `make_planner`.
    """
    agent: Implementer = _make_agent("implementer", name, policy, settings, repo)
    return agent


def make_researcher(name: str, policy: Policy, settings: Settings, repo: Repository) -> Researcher:
    """Make the researcher of a name.

    Raises:
        PlannerError: as for `make_planner`.
    """
    agent: Researcher = _make_agent("researcher", name, policy, settings, repo)
    return agent


def make_critic(name: str, policy: Policy, settings: Settings, repo: Repository) -> Critic:
    """Make the critic of a name.

    Raises:
        PlannerError: as for `make_planner`.
    """
    agent: Critic = _make_agent("critic", name, policy, settings, repo)
    return agent


def _make_agent(role: str, name: str, policy: Policy, settings: Settings, repo: Repository) -> Any:
    agents = _AGENTS[role]
    if name not in agents:
        raise PlannerError(
            "E_AGENT",
            f"{name[:80]!r} is not a known {role}",
            hint=f"known: {', '.join(agents)}",
        )
    module, function, _ = agents[name]
    from git_planner.agents.confinement import NO_PROGRAM, confine

    confinement = NO_PROGRAM if name in _WITHOUT_PROGRAM else confine(repo, policy)
    workplace = Workplace(policy, settings, confinement)
    return getattr(import_module(f"git_planner.agents.{module}"), function)(workplace)
