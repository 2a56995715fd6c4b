"""Event streams of tournaments and of files: validate them, or tell what happened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from git_planner import documents
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.tournament.run_store import RunStore, latest_run
from git_planner.gitio.repository import Repository
from git_planner.rules.tournament import event
from git_planner.rules.tournament.event import EventProblem

MAX_STREAM = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The result of a validation. `source` names the run or the file."""

    source: str
    events: int
    strict: bool
    problems: tuple[EventProblem, ...]

    @property
    def exit(self) -> int:
        """Exit status: 1 if the stream is not valid."""
        return NO if self.problems else DONE

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "schema": "git-planner/events-validated@1",
            "source": self.source,
            "valid": not self.problems,
            "strict": self.strict,
            "events": self.events,
            "code": "E_EVENT_SCHEMA" if self.problems else None,
            "problems": [problem._asdict() for problem in self.problems],
        }


def run_stream(repo: Repository, run: str | None) -> tuple[str, bytes]:
    """Return the name and the stream of a run (default: the run that was created last).

    Raises:
        PlannerError: E_UNKNOWN_RUN, E_NAME.
    """
    name = run or latest_run(repo)
    return name, RunStore(repo, name).read().events


def check_stream(source: str, stream: bytes, *, strict: bool) -> StreamReport:
    """Validate a stream by the schema of events and by its chain.

    Raises:
        PlannerError: E_TOO_LARGE.
    """
    if len(stream) > MAX_STREAM:
        raise PlannerError(
            "E_TOO_LARGE",
            f"'{source}' has more than {MAX_STREAM:,} bytes",
            hint="name the event stream of a tournament",
        )
    problems = event.validate(stream, partial(documents.validate, "event"), strict=strict)
    return StreamReport(source, stream.count(b"\n"), strict, tuple(problems))


def require_valid(source: str, stream: bytes) -> None:
    """Refuse a stream that is not valid.

    Raises:
        PlannerError: E_EVENT_SCHEMA, with one detail per problem.
    """
    report = check_stream(source, stream, strict=True)
    if report.problems:
        raise PlannerError(
            "E_EVENT_SCHEMA",
            f"the event stream of '{source}' is not valid: {report.problems[0]}",
            hint="see all problems with 'git bo4 events validate'",
            details=[str(problem) for problem in report.problems],
        )
