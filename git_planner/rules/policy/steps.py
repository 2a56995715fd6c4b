"""Steps that make what measured commands need and git does not hold: 'prepare' and 'build'. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from git_planner.rules.policy import globs

HOME = "~/"
TIMEOUT = 600.0
_WHOLE_TREE = ("**",)


class PreparingStep(NamedTuple):
    """One step of 'prepare', or of 'build' (`is_build`).

    `inputs` are patterns of the measured tree, which the step sees alone. `outputs` are untracked files or
    folders of the tree, or of the commands' home ('~/…'). `timeout` in seconds. `network`: the step may use
    it. `writable`: each run gets a copy of the outputs that it may write to.
    """

    name: str
    run: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    timeout: float = TIMEOUT
    network: bool = True
    writable: bool = False
    is_build: bool = False

    @property
    def key(self) -> str:
        """The key of the policy that the step is written under."""
        return "build" if self.is_build else "prepare"

    @property
    def tree_outputs(self) -> tuple[str, ...]:
        """The outputs inside the tree."""
        return tuple(output for output in self.outputs if not output.startswith(HOME))


def steps_from(documents: Sequence[Mapping[str, Any]], *, is_build: bool) -> tuple[PreparingStep, ...]:
    """Build the steps of a policy document, with their defaults."""
    return tuple(
        PreparingStep(
            name=document["name"],
            run=tuple(document["run"]),
            inputs=tuple(document.get("inputs", _WHOLE_TREE)),
            outputs=tuple(output.rstrip("/") for output in document["outputs"]),
            timeout=float(document.get("timeout", TIMEOUT)),
            network=not is_build and document.get("network", True),
            writable=document.get("writable", False),
            is_build=is_build,
        )
        for document in documents
    )


def step_problems(document: Mapping[str, Any], guard: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the steps of a policy document, one sentence per problem.

    Args:
        document: a policy document that is valid by its schema.
        guard: the patterns of all guarded paths.
    """
    names: set[str] = set()
    outputs: dict[str, str] = {}
    for key in ("prepare", "build"):
        for place, step in enumerate(document.get(key, ())):
            at = f"/{key}/{place}"
            if step["name"] in names:
                yield f"{at}/name: '{step['name']}' is the name of an earlier step"
            names.add(step["name"])
            for number, written in enumerate(step["outputs"]):
                output = written.rstrip("/")
                for other, owner in outputs.items():
                    if _is_within(output, other) or _is_within(other, output):
                        yield f"{at}/outputs/{number}: '{output}' overlaps with '{other}' of '{owner}'"
                outputs[output] = step["name"]
                guarding = next((glob for glob in guard if globs.is_matching(glob, output)), None)
                if guarding is not None:
                    yield f"{at}/outputs/{number}: '{output}' is guarded by '{guarding}'"


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
