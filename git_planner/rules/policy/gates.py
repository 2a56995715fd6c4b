"""The gates of a policy: of every variant, and of a change that is to ship. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# Gates that need no command of their own; 'tests' takes that of 'correctness'.
BUILT_IN = ("guard", "scope", "tests", "canon")
SETS = ("conceptual", "shipping")
GATE_TIMEOUT = 600.0


class Gate(NamedTuple):
    """One gate.

    `run` is its command; empty for a built-in gate. `timeout` in seconds. A gate that is not `required` may
    be skipped. `effects` and `write` are for the gate 'side_effects': the kinds of effects that its command
    may have, and the paths that it may write; `module` is the folder of a module whose 'module.json' declares
    them.
    """

    name: str
    run: tuple[str, ...] = ()
    timeout: float = GATE_TIMEOUT
    required: bool = True
    effects: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    module: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the gate as JSON, for digests."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in self._asdict().items()
        }


class Gates(NamedTuple):
    """The two sets of gates of a policy."""

    conceptual: tuple[Gate, ...] = (Gate("guard"), Gate("scope"))
    shipping: tuple[Gate, ...] = (Gate("guard"), Gate("scope"), Gate("tests"))

    def of(self, name: str) -> tuple[Gate, ...]:
        """Return a set by its name, 'conceptual' or 'shipping'."""
        return self.conceptual if name == "conceptual" else self.shipping


def gates_from(document: Mapping[str, Any], *, has_tests: bool = True) -> Gates:
    """Build the gates of a policy document, with their defaults.

    Args:
        document: the key 'gates' of the policy.
        has_tests: whether the policy has a correctness command; without one, the default has no gate 'tests'.
    """
    default = Gates() if has_tests else Gates(shipping=Gates().conceptual)
    return Gates(
        **{
            name: tuple(_gate(entry) for entry in document[name]) if name in document else default.of(name)
            for name in SETS
        }
    )


def gate_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of the gates that the schema cannot express, '<json pointer>: what is wrong'."""
    for set_name in SETS:
        names: set[str] = set()
        for place, entry in enumerate(document.get(set_name, ())):
            gate, at = _gate(entry), f"/gates/{set_name}/{place}"
            if gate.name in names:
                yield f"{at}: '{gate.name}' is the name of an earlier gate"
            names.add(gate.name)
            if gate.name not in BUILT_IN and not gate.run:
                yield f"{at}: '{gate.name}' needs its command; write 'name' and 'run'"
            if gate.name in ("guard", "scope", "canon") and gate.run:
                yield f"{at}/run: '{gate.name}' has no command"
            if gate.name != "side_effects" and (gate.effects or gate.write or gate.module):
                yield f"{at}: 'effects', 'write' and 'module' are for the gate 'side_effects'"
            if gate.module and (gate.effects or gate.write):
                yield f"{at}/module: says what is declared; leave 'effects' and 'write' out"


def _gate(entry: str | Mapping[str, Any]) -> Gate:
    if isinstance(entry, str):
        return Gate(entry)
    return Gate(
        name=entry["name"],
        run=tuple(entry.get("run", ())),
        timeout=float(entry.get("timeout", GATE_TIMEOUT)),
        required=entry.get("required", True),
        effects=tuple(entry.get("effects", ())),
        write=tuple(entry.get("write", ())),
        module=entry.get("module"),
    )
