"""Variant of a tournament: its row, and the words that services use for its state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

SCHEMA = "git-planner/variant@1"
VariantState = Literal["pending", "working", "ready", "failed", "cancelled", "harvested", "broken"]
STATES: tuple[VariantState, ...] = get_args(VariantState)
# No source changes a variant in these states any more.
ENDED: tuple[VariantState, ...] = ("ready", "failed", "cancelled", "harvested", "broken")


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of one turn, with the fields of its document.

    `reported` is the state in the words of its source, `source_id` the source's own number or name for it.
    `harvested` variants have a commit on their branch; `broken` ones have an `error` instead: its code and
    message. `archive` is the folder of its payload, from the folder that the main worktree lies in.
    `same_as` is the number of an earlier variant of the turn with the same tree. `gates`, `screening`,
    `confirmation` and `score` are results of the stages, each with the digest of its inputs. `run` is the id
    of the agent's run on a host.
    """

    turn: int
    number: int
    state: VariantState
    reported: str | None = None
    source_id: str | None = None
    agent: Mapping[str, Any] = field(default_factory=dict)
    run: str | None = None
    branch: str | None = None
    base: str | None = None
    commit: str | None = None
    tree: str | None = None
    patch_id: str | None = None
    patch_sha256: str | None = None
    archive: str | None = None
    manifest_sha256: str | None = None
    files: int | None = None
    added: int | None = None
    removed: int | None = None
    modules: tuple[str, ...] = ()
    same_as: int | None = None
    error: Mapping[str, Any] | None = None
    gates: Mapping[str, Any] | None = None
    screening: Mapping[str, Any] | None = None
    confirmation: Mapping[str, Any] | None = None
    score: Mapping[str, Any] | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    note: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Its turn and its number."""
        return self.turn, self.number

    @property
    def name(self) -> str:
        """Name for messages: 'v2', or 'turn2/v1' after the first turn."""
        return f"v{self.number}" if self.turn == 1 else f"turn{self.turn}/v{self.number}"

    @property
    def has_ended(self) -> bool:
        """Return whether its source will not change it any more."""
        return self.state in ENDED

    @property
    def lines(self) -> int:
        """The size of its patch, in changed lines."""
        return (self.added or 0) + (self.removed or 0)

    @property
    def passes(self) -> bool:
        """Return whether it has passed its gates."""
        return self.gates is not None and self.gates.get("passed") is True

    def document(self) -> dict[str, Any]:
        """Return the variant as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
        return {"schema": SCHEMA, **plain, "modules": list(self.modules)}


def variant_from(document: Mapping[str, Any]) -> Variant:
    """Build a variant from a document that has passed its schema."""
    fields = {name: document[name] for name in Variant.__dataclass_fields__ if name in document}
    return Variant(**{**fields, "modules": tuple(document.get("modules", ()))})
