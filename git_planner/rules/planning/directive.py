"""Directives and iteration states as typed values. Pure; the schemas are checked where documents enter."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

DIRECTIVE_SCHEMA = "git-planner/directive@1"
STATE_SCHEMA = "git-planner/state@1"
FAMILY_PREFIX = "family:"
# Key of earlier versions -> current key.
OLD_KEYS = {"expected_effect_cycles": "expected_effect"}


@dataclass(frozen=True, slots=True)
class Directive:
    """One instruction for one iteration. `strategy_family` has its 'family:' prefix."""

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
        """The directive as the JSON document of its schema."""
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
    """Read a directive from a document that has passed its schema."""
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
    """`.advisor/state.json`, the first commit of an iteration: what it tries, and from where. Written once.

    `base` is the commit the branch was cut from; the policy and the guarded content of that commit are the
    trusted ones. `packet` and `directive_digest` are digests of canonical forms. `goal` is 'best' or
    'threshold'.
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
        """The state as the JSON document of its schema."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"schema": STATE_SCHEMA, **fields, "directive": self.directive.document()}


def state_from(document: Mapping[str, Any]) -> IterationState:
    """Read a state from a document that has passed its schema."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    return IterationState(**{**fields, "directive": directive_from(document["directive"])})


def prefix_family(family: str) -> str:
    """A strategy family with its 'family:' prefix."""
    return family if family.startswith(FAMILY_PREFIX) else FAMILY_PREFIX + family


def allowed_families(names: Sequence[str], blocked: Iterable[str] = ()) -> tuple[str, ...]:
    """The families a directive may choose from, with prefix: those not blocked, or all when all are.

    Args:
        names: the policy's families, with or without prefix.
        blocked: those that may not be chosen now.
    """
    shut = {prefix_family(name) for name in blocked}
    every = tuple(prefix_family(name) for name in names)
    return tuple(family for family in every if family not in shut) or every


def directive_schema(
    schema: Mapping[str, Any], names: Sequence[str], blocked: Iterable[str] = ()
) -> dict[str, Any]:
    """The directive's schema with the strategy families that are allowed now.

    Args:
        schema: the directive's schema as it is stored.
        names: the policy's families, with or without prefix; with none, any family goes.
        blocked: those that may not be chosen now.
    """
    made = copy.deepcopy(dict(schema))
    allowed = allowed_families(names, blocked)
    if allowed:
        made["properties"]["strategy_family"]["enum"] = list(allowed)
    return made
