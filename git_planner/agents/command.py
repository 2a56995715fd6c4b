"""Agents that run a program named in the policy, for agents that git-planner does not support itself.

A planner gets the prompt on stdin and prints its answer on stdout: JSON, with or without text around it. In
its environment GIT_PLANNER_PACKET and GIT_PLANNER_SCHEMA are the paths of the packet and of the answer's
JSON Schema, GIT_PLANNER_KIND is the kind of answer, GIT_PLANNER_MODEL the requested model, if any.

An implementer gets the apply prompt on stdin and edits files in its working directory; the directive is in
'.advisor/state.json' there. GIT_PLANNER_MODEL and GIT_PLANNER_EFFORT are set if requested.

A researcher and a critic get their prompt on stdin and print Markdown on stdout; GIT_PLANNER_KIND is
'research' or 'review'. A researcher is started in a copy of the base's files.

Exit status 0 means success.
"""

from __future__ import annotations

import time
from pathlib import Path

from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.confinement import Confinement
from git_planner.agents.contract import Brief, Implementation, Sandbox, Workplace, WritingRequest
from git_planner.agents.run_program import check_installed, run_agent
from git_planner.agents.text_loop import WritingAgent
from git_planner.errors import PlannerError
from git_planner.host.process import Finished
from git_planner.progress import Progress, Step
from git_planner.rules.policy.policy import Program

NAME = "command"


class CommandTransport:
    """A transport that asks a program for an answer."""

    name = NAME

    def __init__(self, program: Program, confinement: Confinement) -> None:
        self._program, self._confinement = program, confinement

    def ask(self, turn: Turn | WritingRequest) -> Reply:
        """Run the program once.

        Raises:
            PlannerError: E_AGENT_FAILED, E_AGENT_EMPTY, E_DEADLINE, E_MISSING_TOOL.
        """
        seconds = min(turn.seconds, self._program.timeout)
        env: dict[str, str | None] = {"GIT_PLANNER_KIND": turn.kind, "GIT_PLANNER_MODEL": turn.model}
        if isinstance(turn, Turn):
            env |= {
                "GIT_PLANNER_PACKET": str(turn.packet_file),
                "GIT_PLANNER_SCHEMA": str(turn.schema_file),
            }
        done = run_agent(
            self._program.run,
            self._confinement,
            cwd=turn.working_dir,
            folder=turn.folder,
            seconds=seconds,
            stdin=turn.prompt,
            env=env,
            on_tick=turn.on_tick,
        )
        _check_exit(done, self._program, seconds)
        text = done.stdout.decode(errors="replace")
        if not text.strip():
            raise PlannerError("E_AGENT_EMPTY", f"'{self._program.run[0]}' printed no answer")
        return Reply(text, model=turn.model, command=self._program.run)


class CommandImplementer:
    """An implementer that runs a program in the worktree."""

    name = NAME
    sandboxes: tuple[Sandbox, ...] = ()
    reports = True

    def __init__(self, program: Program, confinement: Confinement) -> None:
        self._program, self._confinement = program, confinement
        self.confined_by = confinement.shown

    def implement(self, brief: Brief, progress: Progress) -> Implementation:
        """Run the program once in the worktree.

        Raises:
            PlannerError: E_AGENT_FAILED, E_DEADLINE, E_MISSING_TOOL.
        """
        began = time.monotonic()
        seconds = min(brief.seconds, self._program.timeout)
        progress(Step(f"running {Path(self._program.run[0]).name}"))
        done = run_agent(
            self._program.run,
            self._confinement,
            cwd=brief.worktree,
            folder=brief.folder,
            seconds=seconds,
            stdin=brief.prompt,
            env={"GIT_PLANNER_MODEL": brief.model, "GIT_PLANNER_EFFORT": brief.effort, **brief.env},
            writable=brief.writable,
            on_tick=brief.on_tick,
        )
        _check_exit(done, self._program, seconds)
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        return Implementation(
            summary=lines[-1][:500] if lines else "",
            model=brief.model,
            seconds=time.monotonic() - began,
            command=self._program.run,
        )


def command_planner(workplace: Workplace) -> PlanningAgent:
    """Return the planner of the policy's 'agents: command: planner:'."""
    program = _require_program(workplace.policy.agents.command_planner, "planner")
    return PlanningAgent(CommandTransport(program, workplace.confinement))


def command_implementer(workplace: Workplace) -> CommandImplementer:
    """Return the implementer of the policy's 'agents: command: implementer:'."""
    program = _require_program(workplace.policy.agents.command_implementer, "implementer")
    return CommandImplementer(program, workplace.confinement)


def command_researcher(workplace: Workplace) -> WritingAgent:
    """Return the researcher of the policy's 'agents: command: researcher:'."""
    program = _require_program(workplace.policy.agents.command_researcher, "researcher")
    return WritingAgent(CommandTransport(program, workplace.confinement))


def command_critic(workplace: Workplace) -> WritingAgent:
    """Return the critic of the policy's 'agents: command: critic:'."""
    program = _require_program(workplace.policy.agents.command_critic, "critic")
    return WritingAgent(CommandTransport(program, workplace.confinement))


def _require_program(program: Program | None, role: str) -> Program:
    if program is None:
        raise PlannerError(
            "E_POLICY",
            f"the policy names no program for the {role} 'command'",
            hint=f"set 'agents: command: {role}:' in '.git-planner.yml'",
        )
    check_installed(program.run[0])
    return program


def _check_exit(done: Finished, program: Program, seconds: float) -> None:
    """Raise an error if the program timed out or failed, with the tail of its stderr."""
    name = program.run[0]
    tail = done.stderr.decode(errors="replace").strip().splitlines()[-20:]
    if done.timed_out:
        raise PlannerError("E_DEADLINE", f"'{name}' was ended after {seconds:.0f} s", details=tail)
    if done.status != 0:
        raise PlannerError("E_AGENT_FAILED", f"'{name}' ended with status {done.status}", details=tail)
