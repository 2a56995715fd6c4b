"""What research, options, critique and choice share: the documents of a plan, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from git_planner.errors import PlannerError
from git_planner.flows.planning.campaign import Campaign, PlanOptions, open_campaign, plan_now
from git_planner.flows.plans.plan_document import plan_edits
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames

RESEARCH = "research/RESEARCH.md"
OPTIONS = "preplan/PLAN_OPTIONS.md"
CHOICE = "preplan/CHOICE.json"
CONTEXT = "CONTEXT.md"
REVIEWS = "_PLAN_REVIEW.md"
MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Desk:
    """A plan whose documents are worked on: the repository, the plan as it stands, and its branch."""

    repo: Repository
    campaign: Campaign

    @property
    def plan(self) -> str:
        """The plan's name."""
        return self.campaign.plan

    @property
    def ref(self) -> str:
        """The full name of the plan's branch."""
        return refnames.plan_ref(self.plan)

    def path(self, name: str) -> str:
        """The path of a document on the plan's branch."""
        return f"{refnames.plan_dir(self.plan)}/{name}"

    def text(self, seen: Snapshot, name: str) -> str | None:
        """A document of the plan; None when there is none.

        Raises:
            PlannerError: E_MISSING_INPUT when it is no text, or too large to be one.
        """
        data = seen.read(self.path(name))
        return None if data is None else decoded(data, f"{refnames.PLAN}{self.plan}:{self.path(name)}")

    def now(self, *wanted: str) -> dict[str, str | None]:
        """Documents of the plan as they are now, by name."""
        with self.repo.git.batch() as batch:
            seen = Store(self.repo).snapshot(self.ref, batch)
            return {name: self.text(seen, name) for name in wanted}

    def write(self, change: Callable[[Snapshot], Mapping[str, str]], message: Message) -> str:
        """Write documents, and the plan itself when it is new or has another goal, in one commit.

        Args:
            change: from a snapshot to {name of a document: its text}; pure, as the store's are.
            message: the commit's message.

        Returns:
            The tip of the plan's branch.
        """

        def edits(seen: Snapshot) -> Mapping[str, bytes | None]:
            made = {self.path(name): text.encode("utf-8", "replace") for name, text in change(seen).items()}
            return {**plan_edits(plan_now(self.repo, seen, self.campaign), self.plan), **made}

        tip = Store(self.repo).edit(self.ref, edits, message, base=self.campaign.base.oid)
        assert tip is not None
        return tip


def open_desk(repo: Repository, options: PlanOptions) -> Desk:
    """Find the plan whose documents are to be worked on; it is made with the first of them.

    Raises:
        PlannerError: what `open_campaign` raises.
    """
    return Desk(repo, open_campaign(repo, options))


def review_name(critic: str) -> str:
    """The document that a critic's review goes to."""
    return f"preplan/{critic.upper()}{REVIEWS}"


def decoded(data: bytes, where: str) -> str:
    """Bytes as the text they are.

    Raises:
        PlannerError: E_MISSING_INPUT when they are no UTF-8, hold a NUL, or are too many.
    """
    if len(data) > MOST_BYTES:
        raise PlannerError(
            "E_MISSING_INPUT", f"'{where}' has {len(data):,} bytes; at most {MOST_BYTES:,} are read"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlannerError(
            "E_MISSING_INPUT", f"'{where}' is no text: byte {error.start} is no UTF-8"
        ) from None
    if "\0" in text:
        raise PlannerError("E_MISSING_INPUT", f"'{where}' is no text: it holds a NUL")
    return text
