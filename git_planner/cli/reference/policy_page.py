"""The manual page of the policy: its keys from the schema, and the personal settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from git_planner import documents
from git_planner.config.settings import Settings, config_key, environment_variable
from git_planner.rules.documents.markdown import parse_outline

ABOUT_POLICY = "the policy of a repository, .git-planner.yml"

# What each personal setting is for, with its default; those of agents are in the policy's keys.
SETTINGS = {
    "plan": "Plan to use (default: default). 'git plan use' sets it.",
    "worktrees": "Folder for the worktrees of iterations (default: a folder beside the repository).",
    "remote": "Remote that plans are shared through (default: origin).",
    "codex": "The codex program, by name or path (default: codex).",
    "codex_home": "CODEX_HOME of codex (default: its own).",
    "codex_home_api": "CODEX_HOME of codex when it plans with an API key (default: its own).",
    "codex_profile": "Profile of codex's configuration (default: none).",
    "planner": "Planner to ask (default: the policy's).",
    "implementer": "Agent that changes the code (default: the policy's).",
    "planner_model": "Model of the planner (default: the policy's).",
    "implementer_model": "Model of the implementer (default: the policy's).",
    "implementer_effort": "Reasoning effort of the implementer's model (default: the model's own).",
    "planner_timeout": "Deadline of the planner, in seconds (default: the policy's).",
    "implementer_timeout": "Deadline of the implementer, in seconds (default: the policy's).",
    "attempts": "Maximum number of attempts of a planner (default: the policy's).",
    "patches": "Folder of diffs for the 'patches' implementer (default: the policy's).",
    "gemini": "The gemini program, by name or path (default: gemini).",
    "researcher": "Researcher to ask (default: the policy's).",
    "researcher_model": "Model of the researcher (default: the policy's).",
    "researcher_timeout": "Deadline of the researcher, in seconds (default: the policy's).",
    "critic": "Critic to ask (default: the policy's).",
    "sign_timeout": "Deadline of the program that signs commits, in seconds (default: 60).",
    "session_timeout": "Deadline of a session, in seconds (default: a day).",
    "heartbeat": "Seconds between two heartbeats of a run (default: 10).",
    "max_heavy_leases": "Leases for heavy work on this host (default: half of its CPUs, at least 1).",
    "max_loadavg_1": "Load average of one minute at which no heavy work is admitted (default: none).",
    "min_mem_available_gb": "Available memory in GiB that heavy work needs (default: none).",
    "worker_spawn_max_loadavg_1": "Load average at which no worker is started (default: as for heavy work).",
    "worker_spawn_min_mem_available_gb": (
        "Available memory in GiB that a new worker needs (default: as for heavy work)."
    ),
    "lease_ttl_seconds": "Seconds after which a lease is lost unless it is renewed (default: 1800).",
    "terminal": "Where sessions run: auto, desktop, tmux or headless (default: auto).",
    "tmux_socket": "Name of the socket of git-planner's own tmux server (default: git-planner).",
    "session_client": "Client that sessions run: a preset, or one of the policy (default: codex).",
    "session_sandbox": (
        "Sandbox of sessions' clients: read-only, workspace-write or danger-full-access (default: read-only "
        "for a planner, workspace-write for a worker)."
    ),
    "worker_model": "Model of workers (default: the client's own).",
    "trust_prompt": (
        "Whether sessions answer their client's prompt about the folder, keeping its settings off: answer or "
        "ask (default: answer)."
    ),
    "cloud_command": (
        "Command line of the cloud service's client for tournaments (default: CODEX_BIN, then the program of "
        "'codex')."
    ),
    "watch_timeout": "Seconds that 'git bo4 watch' waits for variants (default: 21600).",
    "variants": (
        "Folder of the payloads of variants (default: '.codex-cloud/variants' beside the main worktree)."
    ),
    "engine": "Engine for the jobs of tournaments: local or dask (default: programs of this host).",
    "scheduler": "Address of dask's scheduler, as tcp://10.0.0.1:8786 (default: a cluster on this host).",
    "measure_timeout": (
        "Most seconds of a measurement on a worker of an engine (default: the policy's limits and 600)."
    ),
    "fetch_from": (
        "Repository that workers of an engine fetch commits from (default: this one, or a bundle for other "
        "hosts)."
    ),
    "forge": "Web address of the repository on its hosting site (default: from the remote's address).",
}


# Settings that are not in `Settings`, with their environment variables.
OTHER_SETTINGS = (
    ("planner.base", "", "The base branch, where policies disagree (default: base of the policy)."),
    (
        "planner.agentWrite",
        "or GIT_PLANNER_AGENT_WRITE",
        "More folders that agents may write to, separated by ':'.",
    ),
    (
        "planner.jailRead",
        "or GIT_PLANNER_JAIL_READ",
        "More folders that measured code may read, separated by ':'.",
    ),
)


class PolicyKey(NamedTuple):
    """One key of the policy; `name` is its full name, such as 'metrics[].run'."""

    name: str
    note: str
    text: str


def policy_keys() -> Iterator[PolicyKey]:
    """Yield the keys of the policy, each mapping before its own keys."""
    full = documents.schema("policy")
    yield from _keys(full, full, "")


def personal_settings() -> Iterator[PolicyKey]:
    """Yield the personal settings by their keys in git's configuration, with their environment variables."""
    for field in fields(Settings):
        yield PolicyKey(
            config_key(field.name), f"or {environment_variable(field.name)}", SETTINGS[field.name]
        )
    yield from (PolicyKey(*row) for row in OTHER_SETTINGS)


def example(root: Path) -> str:
    """Return the example of a policy in the README of a checkout."""
    text = (root / "README.md").read_text(encoding="utf-8")
    marker = documents.schema("policy")["$id"]
    return next(block.text for block in parse_outline(text).blocks if f"schema: {marker}" in block.text)


def resolved(field: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a value with its reference replaced; it keeps the description of its own."""
    if "anyOf" in field:
        # The other form of an optional value is null.
        field = {**field["anyOf"][0], **field}
    if "$ref" in field:
        field = {**root["$defs"][field["$ref"].removeprefix("#/$defs/")], **field}
    return dict(field)


def _keys(mapping: Mapping[str, Any], root: Mapping[str, Any], prefix: str) -> Iterator[PolicyKey]:
    for key, written in mapping["properties"].items():
        field = resolved(written, root)
        item = resolved(field["items"], root) if field.get("type") == "array" else None
        note = _describe(field, item) + (", required" if key in mapping.get("required", ()) else "")
        yield PolicyKey(prefix + key, note, field["description"])
        inner = field if item is None else item
        if "properties" in inner:
            yield from _keys(inner, root, f"{prefix}{key}{'.' if item is None else '[].'}")


def _describe(field: Mapping[str, Any], item: Mapping[str, Any] | None) -> str:
    if item is not None:
        kinds = item.get("type", "string")
        nouns = [
            _NOUNS[kind] + "s" * (kind != "null") for kind in ([kinds] if isinstance(kinds, str) else kinds)
        ]
        return f"list of {' or '.join(nouns)}"
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        *first, last = map(str, field["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    numbers = " or ".join(_NOUNS[kind] for kind in types if kind != "null") + _range(field)
    return f"{numbers} or null" if "null" in types else numbers


_NOUNS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "integer",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "string",
}


def _range(field: Mapping[str, Any]) -> str:
    """Return the bounds of a number; an upper one that is only a safeguard is left out."""
    if "string" in field["type"]:
        return ""
    low, above, high = (field.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    limit = f"{high:,}" if high is not None and high < 10**8 else ""
    if above is not None:
        return f" above {above:g}" + (f", at most {limit}" if limit else "")
    start = f" from {low:,}" if low is not None else ""
    return f"{start} to {limit}" if start and limit else start
