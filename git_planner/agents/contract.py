"""What planners, implementers, researchers and critics are: small protocols and the values they exchange.

`planner` in a State and in a Record is `{"name", "model", "attempts", "seconds"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from git_planner.rules.planning.directive import Directive

Tell = Callable[[str], None]
AnswerKind = Literal["directive", "plan-options", "planning-plan"]
WritingKind = Literal["research", "review"]
Sandbox = Literal["read-only", "workspace-write", "danger-full-access"]
SANDBOXES: tuple[Sandbox, ...] = get_args(Sandbox)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more turns."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Input plus output."""
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Request:
    """What a planner is asked.

    `packet` is a checked packet document; `prompt` the rendered, bounded prompt for text models; `schema` the
    full JSON Schema of the answer, `strict_schema` the form for OpenAI's strict mode. `check` judges an
    answer's document: it returns the errors, one sentence each, empty when it is accepted. `folder` is where
    every attempt's prompt, command, stdout, stderr and duration are kept. `seconds`: one deadline for all.
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
    """A planner's accepted answer: a document that has passed `Request.check`."""

    document: Mapping[str, Any]
    raw: str
    model: str | None
    attempts: int
    seconds: float
    usage: Usage = Usage()
    command: tuple[str, ...] = ()


class Planner(Protocol):
    """Turns a request into a schema-valid document, or raises PlannerError."""

    name: str

    def plan(self, request: Request, tell: Tell) -> Answer:
        """Answer a request within its deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Brief:
    """What an implementer is given. `index` counts a plan's iterations from 0; `seconds` is its deadline.

    `env` are further variables for its program, `writable` folders beside the worktree that its sandbox lets
    it write to. `sandbox` None means the implementer's own. `on_tick` is called often while its program runs;
    what it raises ends that program.
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
    """How an implementer ended. The change itself is what lies in the worktree."""

    summary: str
    model: str | None
    seconds: float
    usage: Usage = Usage()
    command: tuple[str, ...] = field(default=())
    thread: str | None = None


class Implementer(Protocol):
    """Carries a brief out by editing files in its worktree, never committing; or raises PlannerError.

    `sandboxes` are those it can be held in, the usual one first; none when it is not ours to confine.
    `reports` says whether it can say how its work ended; else that it ended well must do.
    """

    name: str
    sandboxes: tuple[Sandbox, ...]
    reports: bool

    def implement(self, brief: Brief, tell: Tell) -> Implementation:
        """Edit the worktree within the deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a researcher or a critic is asked to write.

    `prompt` is all that it is told; in `working_dir` it may look around, and nothing it does there counts.
    `check` judges its Markdown: it returns the errors, one sentence each, empty when it is accepted. `folder`
    is where every attempt's prompt, command, stdout, stderr and duration are kept. `seconds`: one deadline.
    """

    kind: WritingKind
    prompt: str
    check: Callable[[str], list[str]]
    working_dir: Path
    folder: Path
    seconds: float
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A text that has passed `Sheet.check`. `model` is the one that answered, where that is known."""

    text: str
    model: str | None
    attempts: int
    seconds: float
    usage: Usage = Usage()


class Researcher(Protocol):
    """Reads the files of a working directory and writes down what it found; or raises PlannerError."""

    name: str

    def write(self, sheet: Sheet, tell: Tell) -> Written:
        """Write the findings within the deadline."""
        ...


class Critic(Protocol):
    """Writes a review of what stands in its prompt; or raises PlannerError."""

    name: str

    def write(self, sheet: Sheet, tell: Tell) -> Written:
        """Write the review within the deadline."""
        ...
