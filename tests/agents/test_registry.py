"""Registry of agents by role and name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from git_planner.agents import registry
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from tests.agents.cases import policy
from tests.support.lab import Lab

COMMANDS = "{command: {planner: {run: [cat]}, implementer: {run: [cat]}}}"


def test_every_name_makes_an_agent_of_that_name(lab: Lab) -> None:
    lab.git("config", "planner.codex", sys.executable)
    rules, settings = policy(COMMANDS), read_settings(lab.repo)
    assert [registry.make_planner(name, rules, settings, lab.repo).name for name in registry.PLANNERS] == [
        *registry.PLANNERS
    ]
    implementers = [
        registry.make_implementer(name, rules, settings, lab.repo).name for name in registry.IMPLEMENTERS
    ]
    assert implementers == [*registry.IMPLEMENTERS] == ["codex", "command", "patches"]


def test_an_unknown_name_has_the_known_ones_as_hint(lab: Lab) -> None:
    with pytest.raises(PlannerError) as caught:
        registry.make_planner("clod", policy(), read_settings(lab.repo), lab.repo)
    assert caught.value.code == "E_AGENT"
    assert caught.value.message == "'clod' is not a known planner"
    assert caught.value.hint == "known: api, codex, command, offline"
    with pytest.raises(PlannerError, match="'offline' is not a known implementer"):
        registry.make_implementer("offline", policy(), read_settings(lab.repo), lab.repo)


@pytest.mark.parametrize("role", ["planner", "implementer"])
def test_a_command_without_a_program_names_the_key(lab: Lab, role: str) -> None:
    with pytest.raises(PlannerError) as caught:
        getattr(registry, f"make_{role}")("command", policy(), read_settings(lab.repo), lab.repo)
    assert caught.value.code == "E_POLICY"
    assert caught.value.message == f"the policy names no program for the {role} 'command'"
    assert caught.value.hint == f"set 'agents: command: {role}:' in '.git-planner.yml'"


def test_one_place_starts_the_programs_of_agents() -> None:
    folder = Path(registry.__file__).parent
    starting = {path.name for path in folder.rglob("*.py") if "process.run(" in path.read_text()}
    # The others ask a client for its login and a cloud service for its tasks, without any text of an agent.
    assert starting == {"run_program.py", "login.py", "cloud_cli.py"}


def test_an_agent_is_imported_only_when_it_is_made() -> None:
    code = "import sys, git_planner.agents.registry; print([m for m in sys.modules if 'agents.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['git_planner.agents.contract', 'git_planner.agents.registry']\n"
