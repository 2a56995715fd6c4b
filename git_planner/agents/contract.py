"""Protocols of planners, implementers, researchers and critics, and the values they exchange.

`planner` in a State and in a Record is `{"name", "model", "attempts", "seconds"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from git_planner.progress import Progress
from git_planner.rules.planning.directive import Directive

if TYPE_CHECKING:
    from git_planner.agents.confinement import Confinement
    from git_planner.config.settings import Settings
    from git_planner.rules.policy.policy import Policy

AnswerKind = Literal["directive", "plan-options", "planning-plan"]
WritingKind = Literal["research", "review"]
Sandbox = Literal["read-only", "workspace-write", "danger-full-access"]
SANDBOXES: tuple[Sandbox, ...] = get_args(Sandbox)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Parts that an agent is made from: the trusted policy, the person's settings, and its confinement."""

    policy: Policy
    settings: Settings
    confinement: Confinement


@dataclass(frozen=True, slots=True)
class Usage:
    """Number of tokens of one or more turns."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Input plus output tokens."""
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class PlanningRequest:
    """Input of a planner.

    `packet` is a validated packet document; `prompt` the rendered, bounded prompt for text models; `schema`
    the full JSON Schema of the answer, `strict_schema` its form for OpenAI's strict mode. `check` validates
    an answer's document and returns the faults, one sentence each; an empty list accepts it. Prompt,
    command, stdout, stderr and duration of every attempt are kept in `folder`. `seconds` is one deadline
    for all attempts.
    """

    kind: AnswerKind
    packet: Mapping[str, Any]
    prompt: str
    schema: Mapping[str, Any]
    strict_schema: Mapping[str, Any]
    check: Callable[[Any], list[str]]
    working_dir: Path
    folder: Path
    seconds: float
    attempts: int = 3
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A planner's accepted answer: a document that passed `PlanningRequest.check`."""

    document: Mapping[str, Any]
    raw: str
    model: str | None
    attempts: int
    seconds: float
    usage: Usage = Usage()
    command: tuple[str, ...] = ()


class Planner(Protocol):
    """An agent that turns a request into a schema-valid document, or raises PlannerError."""

    name: str

    def plan(self, request: PlanningRequest, progress: Progress) -> Answer:
        """Answer a request within its deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Brief:
    """Input of an implementer. `index` counts a plan's iterations from 0; `seconds` is its deadline.

    `env` are further variables for its program, `writable` are folders outside the worktree that its jail and
    its own sandbox make writable. `sandbox` None means the implementer's default. `on_tick` is called often
    while its program runs; an exception from it ends that program.
    """

    directive: Directive
    prompt: str
    worktree: Path
    folder: Path
    index: int
    seconds: float
    model: str | None = None
    effort: str | None = None
    patches: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[Path, ...] = ()
    sandbox: Sandbox | None = None
    on_tick: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Implementation:
    """Result of an implementer that succeeded. The change itself is in the worktree."""

    summary: str
    model: str | None
    seconds: float
    usage: Usage = Usage()
    command: tuple[str, ...] = field(default=())
    thread: str | None = None


class SuspendedTurn(Exception):
    """An implementer was asked to suspend its turn: its client has ended, and can go on with its thread.

    Args:
        thread: the client's id of the thread, if it is known.
    """

    def __init__(self, thread: str | None = None) -> None:
        super().__init__(thread)
        self.thread = thread


class Implementer(Protocol):
    """An agent that carries out a brief by editing files in its worktree, without committing.

    `sandboxes` are the supported ones, the default first; empty if git-planner does not confine its program.
    `reports` is true if it can report a result; otherwise exit status 0 counts as success. `confined_by`
    names the jail around its program, or why there is none; None if it starts no program.
    """

    name: str
    sandboxes: tuple[Sandbox, ...]
    reports: bool
    confined_by: str | None

    def implement(self, brief: Brief, progress: Progress) -> Implementation:
        """Edit the worktree within the deadline, or raise PlannerError."""
        ...


@dataclass(frozen=True, slots=True)
class WritingRequest:
    """Input of a researcher or a critic.

    `prompt` is its complete input; it may read files in `working_dir`, and changes there are discarded.
    `check` validates its Markdown and returns the faults, one sentence each; an empty list accepts it.
    Prompt, command, stdout, stderr and duration of every attempt are kept in `folder`. `seconds` is one
    deadline for all. `on_tick` is called often while its program runs.
    """

    kind: WritingKind
    prompt: str
    check: Callable[[str], list[str]]
    working_dir: Path
    folder: Path
    seconds: float
    model: str | None = None
    on_tick: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text that passed `WritingRequest.check`. `model` is the model that answered, if known."""

    text: str
    model: str | None
    attempts: int
    seconds: float
    usage: Usage = Usage()


class Researcher(Protocol):
    """An agent that reads a working directory and writes its findings, or raises PlannerError."""

    name: str

    def write(self, request: WritingRequest, progress: Progress) -> WrittenText:
        """Write the findings within the deadline."""
        ...


class Critic(Protocol):
    """An agent that reviews the texts in its prompt, or raises PlannerError."""

    name: str

    def write(self, request: WritingRequest, progress: Progress) -> WrittenText:
        """Write the review within the deadline."""
        ...
