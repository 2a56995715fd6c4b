"""Read and validate the policy file of a commit."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from git_planner import documents
from git_planner.config.yaml_subset import (
    MAX_POLICY_BYTES,
    SCHEMA_HINT,
    policy_too_large,
    read_yaml,
    unusable_policy,
)
from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository


# The last policy that was read, by its bytes: most commits that a command looks at have the same.
_parsed: dict[bytes, Policy] = {}
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def parse_policy(data: bytes, where: str, *, validated: bool = False) -> Policy:
    """Read a policy file.

    Args:
        data: its content.
        where: its name in errors, such as 'HEAD:.git-planner.yml'.
        validated: these bytes are known to be valid by the schema.

    Raises:
        PlannerError: E_POLICY with line and column for YAML errors, else with one detail per problem.
    """
    from git_planner.rules.policy.parse import policy_from, policy_problems

    document = read_yaml(data, where, validated=validated)
    if not isinstance(document, dict):
        raise unusable_policy(where, "is not a mapping")
    faults = [] if validated else documents.validate("policy", document)
    faults = faults or policy_problems(document)
    if faults:
        raise PlannerError(
            "E_POLICY", f"'{where}' is not a valid policy: {faults[0]}", hint=SCHEMA_HINT, details=faults
        )
    return policy_from(document)


def policy_at(repo: Repository, commit: str) -> Policy:
    """Read the policy of a commit.

    Args:
        repo: the repository.
        commit: an object id, or any name of a commit.

    Raises:
        PlannerError: E_NO_POLICY if there is none; E_POLICY if it is not valid.
    """
    oid = commit if _OID.fullmatch(commit) else repo.resolve(commit)
    with repo.git.batch() as batch:
        entry = batch.info(f"{oid}:{refnames.POLICY_FILE}")
        data = batch.read(entry[0]) if entry and entry[1] == "blob" and entry[2] <= MAX_POLICY_BYTES else None
    where = f"{oid[:12]}:{refnames.POLICY_FILE}"
    if entry is None:
        raise PlannerError(
            "E_NO_POLICY",
            f"commit '{oid[:12]}' has no '{refnames.POLICY_FILE}'",
            hint="create one with 'git planner init' and commit it",
        )
    if entry[1] != "blob":
        raise unusable_policy(where, f"is a {entry[1]}, not a file")
    if data is None:
        raise policy_too_large(where, entry[2])
    if data in _parsed:
        return _parsed[data]
    mark = _validated_marker(repo, data)
    policy = parse_policy(data, where, validated=mark.exists())
    _parsed.clear()
    _parsed[data] = policy
    # The marker is only a cache: without it the schema is validated again.
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return policy


def policy_or_none(repo: Repository, commit: str) -> Policy | None:
    """Read the policy of a commit; None if it has none.

    Raises:
        PlannerError: E_POLICY if it is not valid.
    """
    try:
        return policy_at(repo, commit)
    except PlannerError as error:
        if error.code != "E_NO_POLICY":
            raise
        return None


def _validated_marker(repo: Repository, data: bytes) -> Path:
    """Return the marker of a policy that this version's schema accepts; loading jsonschema takes 70 ms."""
    schema = canonical_json.compact(documents.schema("policy"))
    return repo.private("cache", "policies", hashlib.sha256(schema + b"\0" + data).hexdigest())
