"""Directives and iteration states as typed values. Pure; documents are validated when they are read."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

DIRECTIVE_SCHEMA = "git-planner/directive@1"
STATE_SCHEMA = "git-planner/state@1"
FAMILY_PREFIX = "family:"
# Planner name in the state of a task's iteration.
TASK_PLANNER = "task"
# Key of earlier versions -> current key.
OLD_KEYS = {"expected_effect_cycles": "expected_effect"}


@dataclass(frozen=True, slots=True)
class Directive:
    """The directive of one iteration. `strategy_family` has its 'family:' prefix."""

    objective: str
    primary_hypothesis: str
    strategy_family: str
    strategy_modifiers: tuple[str, ...]
    risk: Literal["Low", "Medium", "High"]
    expected_effect: int
    change_summary: tuple[str, ...]
    step_plan: tuple[str, ...]
    commands: tuple[str, ...]
    pass_criteria: tuple[str, ...]
    next_packet_requests: tuple[str, ...]
    did_web_search: bool

    def document(self) -> dict[str, Any]:
        """Return the directive as a JSON document."""
        document = {"schema": DIRECTIVE_SCHEMA, **asdict(self)}
        document["validation"] = {
            "commands": document.pop("commands"),
            "pass_criteria": document.pop("pass_criteria"),
        }
        return document

    @property
    def strategy(self) -> tuple[str, ...]:
        """The family and up to three modifiers, as records carry them."""
        return (self.strategy_family, *self.strategy_modifiers)[:4]


def rename_old_keys(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a directive with current key names.

    Directives of earlier versions are in the history of iterations, and old prompts still get answers, so old
    names are accepted for ever. The digest of a directive is that of the document as written.
    """
    if not any(old in document and new not in document for old, new in OLD_KEYS.items()):
        return document
    return {OLD_KEYS.get(key, key): value for key, value in document.items()}


def directive_from(document: Mapping[str, Any]) -> Directive:
    """Build a directive from a valid document."""
    named = rename_old_keys(document)
    fields = {key: value for key, value in named.items() if key not in ("schema", "validation")}
    for name in ("strategy_modifiers", "change_summary", "step_plan", "next_packet_requests"):
        fields[name] = tuple(fields[name])
    return Directive(
        **fields,
        commands=tuple(document["validation"]["commands"]),
        pass_criteria=tuple(document["validation"]["pass_criteria"]),
    )


@dataclass(frozen=True, slots=True)
class IterationState:
    """`.advisor/state.json`, in the first commit of an iteration: its directive and base. Immutable.

    `base` is the commit the branch starts from; its policy and guarded content are trusted. `packet` and
    `directive_digest` are digests of canonical forms. `goal` is 'best' or 'threshold'.
    """

    plan: str
    iteration: int
    slug: str
    branch: str
    base: str
    base_ref: str
    goal: Literal["best", "threshold"]
    threshold: float | None
    packet: str
    directive: Directive
    directive_digest: str
    planner: Mapping[str, Any]
    created_at: str

    def document(self) -> dict[str, Any]:
        """Return the state as a JSON document."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"schema": STATE_SCHEMA, **fields, "directive": self.directive.document()}


def state_from(document: Mapping[str, Any]) -> IterationState:
    """Build a state from a valid document."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    return IterationState(**{**fields, "directive": directive_from(document["directive"])})


def prefix_family(family: str) -> str:
    """Add the 'family:' prefix to a strategy family unless it has it."""
    return family if family.startswith(FAMILY_PREFIX) else FAMILY_PREFIX + family


def allowed_families(names: Sequence[str], blocked: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the families a directive may choose from, with prefix: all but the blocked, or all if all are.

    Args:
        names: the policy's families, with or without prefix.
        blocked: the blocked families.
    """
    blocked_families = {prefix_family(name) for name in blocked}
    families = tuple(prefix_family(name) for name in names)
    return tuple(family for family in families if family not in blocked_families) or families


def directive_schema(
    schema: Mapping[str, Any], names: Sequence[str], blocked: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the directive's schema restricted to the allowed strategy families.

    Args:
        schema: the directive's schema as it is stored.
        names: the policy's families, with or without prefix; if empty, any family is allowed.
        blocked: the blocked families.
    """
    restricted = copy.deepcopy(dict(schema))
    allowed = allowed_families(names, blocked)
    if allowed:
        restricted["properties"]["strategy_family"]["enum"] = list(allowed)
    return restricted
