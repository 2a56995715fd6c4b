"""Source of variants: branches, tags or commits that exist already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.printable import counted
from git_planner.rules.tournament.source import Payload, PolledVariant, PollResult, TaskRequest


class BranchesSource:
    """Named commits, each a variant.

    A commit that does not build on the base becomes a patch: its difference from where it left the base.

    Args:
        repo: the repository.
        run: the uid of the run.
        base: the run's base commit.
        names: the names, in order.
        most_bytes: the size limit of a difference.
    """

    def __init__(
        self,
        repo: Repository,
        run: str,
        base: str,
        names: Sequence[str],
        most_bytes: int = MOST_PATCH_BYTES,
    ) -> None:
        self._repo, self._run, self._base, self._most_bytes = repo, run, base, most_bytes
        self._names: Mapping[int, str] = dict(enumerate(names, 1))

    def start(self, request: TaskRequest) -> str:  # noqa: ARG002 - the contract's parameter
        """Return an id that no other run has."""
        return f"branches-{refnames.slug(self._run, 'run')}"

    def poll(self, task: str) -> PollResult:  # noqa: ARG002 - the contract's parameter
        """Return the names as variants; one that names nothing has failed."""
        variants = [
            PolledVariant(number, "ready" if oid else "failed", oid[:12] if oid else "names no commit", name)
            for number, name in self._names.items()
            for oid in (self._repo.maybe(name),)
        ]
        ready = sum(variant.state == "ready" for variant in variants)
        return PollResult("ready" if ready else "failed", counted(ready, "commit"), tuple(variants))

    def fetch(self, task: str, number: int) -> Payload:  # noqa: ARG002 - the contract's parameter
        """Return a commit, or its difference from the base's history.

        Raises:
            PlannerError: E_UNKNOWN_REF; E_PATCH if it shares no history with the base; E_TOO_LARGE.
        """
        name = self._names[number]
        oid = self._repo.resolve(name)
        metadata = {"ref": name, "commit": oid}
        if history.is_ancestor(self._repo.git, self._base, oid):
            return Payload(None, oid, metadata=metadata)
        fork = history.merge_base(self._repo.git, self._base, oid)
        if fork is None:
            raise PlannerError(
                "E_PATCH",
                f"'{name}' shares no history with the base '{self._base[:12]}'",
                hint="rebase it onto the base",
            )
        args = ("diff-tree", "-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv")
        patch = self._repo.git.short_output(*args, fork, oid, most=self._most_bytes)
        if patch is None:
            raise PlannerError(
                "E_TOO_LARGE",
                f"the changes of '{name}' have more than {self._most_bytes:,} bytes",
                hint="rebase it onto the base, or leave generated files out of it",
            )
        return Payload(patch, metadata={**metadata, "fork": fork})
