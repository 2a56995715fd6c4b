"""Composition of a winner from modules of variants: its document, its overrides and its ports. Pure.

A composition has one digest, that of its document's canonical form; it is the `compose_sha256` of the run and
of its events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.winner.coverage_score import Pick

SCHEMA = "git-planner/compose@1"
# Version of a module that has no manifest.
NO_VERSION = "0.1.0"
# The only module of a composition that is one variant as a whole.
WHOLE_TREE = "tree"
ORCHESTRATOR = "orchestrator"
CONSTRAINTS = ("no-cross-imports", "ports-only-coupling")
_PREFER = "prefer:"
_SINGLE = "single:"
_REMOVE = "-"


class ComposedModule(NamedTuple):
    """One module of a composition. `variant` None: no variant is named."""

    module: str
    version: str
    variant: int | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of a `module.json` that a composition reads."""

    module: str
    version: str
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


class PortProvider(NamedTuple):
    """The provider of a port that a module requires, and why it is this one."""

    module: str
    requires: str
    port: str
    provider: str
    reason: Literal["wired", "preferred", "sole"]


@dataclass(frozen=True, slots=True)
class AppliedOverrides:
    """The changes that overrides made, as the detail of COMPOSE_OVERRIDES_APPLIED has them."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    removed: tuple[str, ...]
    removed_constraints: tuple[str, ...]
    sections: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the changes as the detail of an event."""
        return {name: list(getattr(self, name)) for name in self.__dataclass_fields__}


def manifest_from(document: Mapping[str, Any]) -> Manifest:
    """Build a manifest from a document that is valid by the schema 'module'."""
    return Manifest(
        document["id"],
        document["version"],
        tuple(sorted(document["provides"])),
        tuple(sorted(document.get("requires", ()))),
    )


def digest(composition: Mapping[str, Any]) -> str:
    """Return the one digest of a composition, its `compose_sha256`."""
    return canonical_json.digest(composition)


def composition_of_picks(
    picks: Sequence[Pick], profile: str, versions: Mapping[tuple[str, int | None], str]
) -> dict[str, Any]:
    """Return the composition that picks make, in their order.

    Args:
        picks: the chosen modules.
        profile: the name of the profile that chose them.
        versions: (module, variant) -> the version of its manifest.
    """
    modules = [
        _module_document(offer.module, versions.get((offer.module, offer.variant), NO_VERSION), offer.variant)
        for pick in picks
        for offer in pick.bundle
    ]
    return _composition(f"meta:{profile}", modules, CONSTRAINTS)


def composition_of_variant(variant: int) -> dict[str, Any]:
    """Return the composition that is one variant as a whole."""
    return _composition(f"{_SINGLE}v{variant}", [_module_document(WHOLE_TREE, NO_VERSION, variant)], ())


def _module_document(module: str, version: str, variant: int | None) -> dict[str, Any]:
    return {"id": module, "version": version, **({} if variant is None else {"variant": variant})}


def _composition(name: str, modules: list[dict[str, Any]], constraints: Sequence[str]) -> dict[str, Any]:
    content = {
        "schema": SCHEMA,
        "modules": modules,
        "wiring": [],
        "glue": [],
        "constraints": list(constraints),
    }
    return {**content, "run_id": f"{name}:{canonical_json.digest(content)}"}


def modules_of(composition: Mapping[str, Any]) -> tuple[ComposedModule, ...]:
    """Return the modules of a composition that is valid by its schema.

    Raises:
        PlannerError: E_COMPOSE if a module is named twice.
    """
    modules = tuple(
        ComposedModule(module["id"], module["version"], module.get("variant"))
        for module in composition["modules"]
    )
    seen: set[str] = set()
    for module in modules:
        if module.module in seen:
            raise _compose_error(f"the composition names the module '{module.module}' twice")
        seen.add(module.module)
    return modules


def whole_variant(composition: Mapping[str, Any]) -> int | None:
    """Return the variant that a composition is as a whole; None if it is made of modules."""
    modules = modules_of(composition)
    # A module of a coverage file may have that name, too.
    is_single = str(composition["run_id"]).startswith(_SINGLE)
    is_tree = len(modules) == 1 and modules[0].module == WHOLE_TREE
    return modules[0].variant if is_single and is_tree else None


def apply_overrides(
    composition: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], AppliedOverrides]:
    """Return a composition with overrides applied, and what they changed.

    Args:
        composition: valid by the schema 'compose'.
        overrides: valid by the schema 'compose-overrides'.

    Raises:
        PlannerError: E_COMPOSE_OVERRIDES if something to be removed is not there, or nothing would be left.
    """
    changes: dict[str, list[str]] = {"added": [], "replaced": [], "removed": []}
    modules = _overridden_modules(composition["modules"], overrides.get("modules", ()), changes)
    wiring = _overridden_wiring(composition.get("wiring", ()), overrides.get("wiring", ()))
    constraints, gone = _overridden_constraints(
        composition.get("constraints", ()), overrides.get("constraints", ())
    )
    if not modules:
        raise _override_error("the overrides remove every module")
    sections = tuple(key for key in ("modules", "wiring", "constraints") if overrides.get(key))
    merged = {**composition, "modules": modules, "wiring": wiring, "constraints": constraints}
    return merged, AppliedOverrides(
        tuple(changes["added"]), tuple(changes["replaced"]), tuple(changes["removed"]), gone, sections
    )


def _overridden_modules(
    modules: Iterable[Mapping[str, Any]], overrides: Iterable[Any], changes: dict[str, list[str]]
) -> list[dict[str, Any]]:
    result = {module["id"]: dict(module) for module in modules}
    for override in overrides:
        entry = {"id": override} if isinstance(override, str) else dict(override)
        name = entry["id"].removeprefix(_REMOVE)
        if entry["id"].startswith(_REMOVE):
            if result.pop(name, None) is None:
                raise _override_error(f"the module '{name}' cannot be removed: it is not in the composition")
            changes["removed"].append(name)
        else:
            changes["replaced" if name in result else "added"].append(name)
            result[name] = {"version": NO_VERSION, **result.get(name, {}), **entry}
    return [result[name] for name in sorted(result)]


def _overridden_wiring(
    wiring: Iterable[Mapping[str, Any]], overrides: Iterable[Mapping[str, Any]]
) -> list[dict[str, str]]:
    wires = {(wire["from"], wire["to"]) for wire in wiring}
    for override in overrides:
        wire = override["from"], override["to"]
        if override.get("remove"):
            if wire not in wires:
                raise _override_error(f"the connection '{wire[0]}' to '{wire[1]}' cannot be removed")
            wires.discard(wire)
        else:
            wires.add(wire)
    return [{"from": start, "to": end} for start, end in sorted(wires)]


def _overridden_constraints(
    constraints: Iterable[Any], overrides: Iterable[Any]
) -> tuple[list[Any], tuple[str, ...]]:
    result = list(constraints)
    gone = []
    for override in overrides:
        if isinstance(override, str) and override.startswith(_REMOVE):
            name = override.removeprefix(_REMOVE)
            if name not in result:
                raise _override_error(f"the constraint '{name[:80]}' cannot be removed: it is not there")
            result.remove(name)
            gone.append(name)
        elif override not in result:
            result.append(override)
    return sorted(result, key=canonical_json.compact), tuple(gone)


def resolve_ports(
    composition: Mapping[str, Any], manifests: Mapping[str, Manifest]
) -> tuple[PortProvider, ...]:
    """Return the provider of each required port: a wired one, else the preferred one, else the only one.

    Args:
        composition: valid by its schema.
        manifests: the manifests of its modules; a module without one has no ports.

    Raises:
        PlannerError: E_COMPOSE for wiring that fits no port, or a version that is not the manifest's;
            E_REQUIRE_UNSAT, E_DUP_PROVIDER, E_PORT_VERSION_AMBIG, E_PREFER_UNSAT.
    """
    modules = {module.module: module for module in modules_of(composition)}
    known = {name: manifest for name, manifest in manifests.items() if name in modules}
    for name, manifest in known.items():
        if manifest.version != modules[name].version:
            raise _compose_error(
                f"the composition names version {modules[name].version} of '{name}', "
                f"and its manifest says {manifest.version}"
            )
    providers: dict[str, list[str]] = {}
    for name, manifest in sorted(known.items()):
        for port in manifest.provides:
            providers.setdefault(port, []).append(name)
    wired = _wired_providers(composition.get("wiring", ()), modules, known)
    preferred = _preferred_providers(composition.get("constraints", ()), providers)
    return tuple(
        _provider(name, port, providers, wired, preferred)
        for name, manifest in sorted(known.items())
        for port in manifest.requires
    )


def _provider(
    module: str,
    required: str,
    providers: Mapping[str, Sequence[str]],
    wired: Mapping[tuple[str, str], tuple[str, str]],
    preferred: Mapping[str, str],
) -> PortProvider:
    if (module, required) in wired:
        return PortProvider(module, required, *wired[module, required], "wired")
    ports = [port for port in providers if _fits(port, required)]
    if not ports:
        raise PlannerError(
            "E_REQUIRE_UNSAT",
            f"'{module}' requires '{required}', which no module of the composition provides",
            hint="add a module that provides it, for example with '--overrides'",
        )
    chosen = [port for port in ports if port in preferred]
    if len(ports) > 1 and len(chosen) != 1:
        raise PlannerError(
            "E_PORT_VERSION_AMBIG",
            f"'{module}' requires '{required}', which is provided as {', '.join(sorted(ports))}",
            hint="require one major version, or prefer one provider with '--overrides'",
        )
    (port,) = chosen or ports
    if port in preferred:
        return PortProvider(module, required, port, preferred[port], "preferred")
    if len(providers[port]) > 1:
        raise PlannerError(
            "E_DUP_PROVIDER",
            f"'{module}' requires '{required}', which {' and '.join(providers[port])} provide",
            hint=f"prefer one: add the constraint '{_PREFER}{port}={providers[port][0]}' with '--overrides'",
        )
    return PortProvider(module, required, port, providers[port][0], "sole")


def _wired_providers(
    wiring: Iterable[Mapping[str, str]],
    modules: Mapping[str, ComposedModule],
    manifests: Mapping[str, Manifest],
) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (module, required port) -> (port, provider) of the connections; either end may be first."""
    wired: dict[tuple[str, str], tuple[str, str]] = {}
    for wire in wiring:
        ends = [_wire_end(end, modules) for end in (wire["from"], wire["to"])]
        matches = [
            (user, required, provided, provider)
            for (user, wanted), (provider, offered) in (ends, reversed(ends))
            for required in _ports_of(manifests, user, "requires", wanted)
            for provided in _ports_of(manifests, provider, "provides", offered)
            if ORCHESTRATOR in (user, provider) or _fits(provided, required)
        ]
        if not matches:
            raise _compose_error(
                f"the connection '{wire['from']}' to '{wire['to']}' fits no port that one end provides "
                "and the other requires"
            )
        for user, required, provided, provider in matches:
            if ORCHESTRATOR in (user, provider):
                continue
            if wired.setdefault((user, required), (provided, provider)) != (provided, provider):
                raise _compose_error(f"'{user}' is connected to two providers of '{required}'")
    return wired


def _wire_end(end: str, modules: Mapping[str, ComposedModule]) -> tuple[str, str]:
    module, _, port = end.partition(":")
    if module != ORCHESTRATOR and module not in modules:
        raise _compose_error(f"'{end}' names the module '{module}', which is not in the composition")
    return module, port


def _ports_of(
    manifests: Mapping[str, Manifest], module: str, side: Literal["provides", "requires"], port: str
) -> list[str]:
    if module == ORCHESTRATOR:
        return [port]
    manifest = manifests.get(module)
    ports: tuple[str, ...] = getattr(manifest, side) if manifest else ()
    return [own for own in ports if _fits(own, port) or _fits(port, own)]


def _preferred_providers(
    constraints: Iterable[Any], providers: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    preferred: dict[str, str] = {}
    for constraint in constraints:
        for port, module in _preferences(constraint):
            if module not in providers.get(port, ()):
                raise PlannerError(
                    "E_PREFER_UNSAT",
                    f"the preferred provider '{module[:80]}' of '{port[:80]}' does not provide it",
                    hint="correct the constraint with '--overrides'",
                )
            if preferred.setdefault(port, module) != module:
                raise PlannerError(
                    "E_PREFER_UNSAT",
                    f"two providers of '{port}' are preferred: '{preferred[port]}' and '{module}'",
                    hint="correct the constraints with '--overrides'",
                )
    return preferred


def _preferences(constraint: Any) -> list[tuple[str, str]]:
    if not isinstance(constraint, str):
        return sorted(constraint["preferred_providers"].items())
    if not constraint.startswith(_PREFER):
        return []
    port, _, module = constraint.removeprefix(_PREFER).partition("=")
    return [(port, module)]


def _fits(port: str, required: str) -> bool:
    """Return whether a port is the required one; one that is required without a major fits any."""
    return port == required or ("@" not in required and port.partition("@")[0] == required)


def _compose_error(message: str) -> PlannerError:
    return PlannerError("E_COMPOSE", message, hint="correct the composition, for example with '--overrides'")


def _override_error(message: str) -> PlannerError:
    return PlannerError("E_COMPOSE_OVERRIDES", message, hint="correct the file of '--overrides'")
