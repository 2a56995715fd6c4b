"""Read and write the documents of a plan: research, context, options, reviews and choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from git_planner.errors import PlannerError
from git_planner.flows.planning.campaign import Campaign, PlanOptions, open_campaign, updated_plan
from git_planner.flows.plans.plan_document import plan_edits
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames

RESEARCH = "research/RESEARCH.md"
OPTIONS = "preplan/PLAN_OPTIONS.md"
CHOICE = "preplan/CHOICE.json"
CONTEXT = "CONTEXT.md"
REVIEW_SUFFIX = "_PLAN_REVIEW.md"
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """The folder of a plan on its branch, with its documents."""

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
        """Return the path of a document on the plan branch."""
        return f"{refnames.plan_dir(self.plan)}/{name}"

    def text_in(self, snapshot: Snapshot, name: str) -> str | None:
        """Read a document from a snapshot; None if it does not exist.

        Raises:
            PlannerError: E_MISSING_INPUT when it is not text, or too large.
        """
        data = snapshot.read(self.path(name))
        return None if data is None else decode_text(data, f"{refnames.PLAN}{self.plan}:{self.path(name)}")

    def read_documents(self, *names: str) -> dict[str, str | None]:
        """Read current documents of the plan, by name."""
        with self.repo.git.batch() as batch:
            snapshot = Store(self.repo).snapshot(self.ref, batch)
            return {name: self.text_in(snapshot, name) for name in names}

    def write(self, change: Callable[[Snapshot], Mapping[str, str]], message: Message) -> str:
        """Write documents in one commit, with the plan itself when it is new or has another goal.

        Args:
            change: from a snapshot to {document name: text}; pure, since it may be called again.
            message: the commit's message.

        Returns:
            The tip of the plan's branch.
        """

        def edits(snapshot: Snapshot) -> Mapping[str, bytes | None]:
            files = {
                self.path(name): text.encode("utf-8", "replace") for name, text in change(snapshot).items()
            }
            return {**plan_edits(updated_plan(self.repo, snapshot, self.campaign), self.plan), **files}

        tip = Store(self.repo).edit(self.ref, edits, message, base=self.campaign.base.oid)
        assert tip is not None
        return tip


def open_plan_folder(repo: Repository, options: PlanOptions) -> PlanFolder:
    """Open the folder of a plan; a new plan is created with its first document.

    Raises:
        PlannerError: what `open_campaign` raises.
    """
    return PlanFolder(repo, open_campaign(repo, options))


def review_name(critic: str) -> str:
    """Return the document name of a critic's review."""
    return f"preplan/{critic.upper()}{REVIEW_SUFFIX}"


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8 text.

    Raises:
        PlannerError: E_MISSING_INPUT for invalid UTF-8, a NUL, or more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise PlannerError(
            "E_MISSING_INPUT", f"'{where}' has {len(data):,} bytes; at most {MAX_BYTES:,} are read"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlannerError(
            "E_MISSING_INPUT", f"'{where}' is not text: byte {error.start} is not UTF-8"
        ) from None
    if "\0" in text:
        raise PlannerError("E_MISSING_INPUT", f"'{where}' is not text: it contains a NUL")
    return text
