"""The digest of a step: all that its outputs depend on. Outputs are kept by it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from git_planner.flows.measuring.tool_description import describe_tools, utf8_text
from git_planner.host.machine import search_path
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy
from git_planner.rules.policy.steps import PreparingStep

_FORMAT = 1


def step_digest(
    step: PreparingStep,
    files: Mapping[str, tuple[str, str]],
    earlier: Sequence[str],
    policy: Policy,
    where: str,
) -> str:
    """Return the digest of a step.

    Args:
        step: the step.
        files: its inputs, path -> (mode, object id).
        earlier: the digests of the steps before it.
        policy: the policy, whose environment variables the step gets.
        where: the folder that it runs in, if that is not the jail's.
    """
    machine = os.uname()
    return canonical_json.digest(
        {
            "format": _FORMAT,
            "run": list(step.run),
            "outputs": list(step.outputs),
            "network": step.network,
            "inputs": {utf8_text(path): list(entry) for path, entry in files.items()},
            "earlier": list(earlier),
            "tools": describe_tools([step.run], search_path()),
            "variables": {name: utf8_text(os.environ.get(name)) for name in policy.environment},
            "system": [machine.sysname, machine.machine],
            "where": where,
        }
    )
