"""Text of the page about settings: git's configuration, the environment, and what programs are given.

A test compares the names with those in the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from git_planner.cli.reference.policy_page import PolicyKey
from git_planner.config.settings import Settings, config_key, environment_variable

ABOUT_SETTINGS = "settings of git-planner for one person or machine"
WHERE = """Settings of one person or machine are in git's configuration, as in `git config
planner.plan NAME`, in an environment variable, or, for all repositories, in the file
`git-planner/config.yml` below `$XDG_CONFIG_HOME` (`~/.config`), or the one that `GIT_PLANNER_CONFIG` names.
The file is a flat YAML map such as `max_heavy_leases: 3`: the name is the one of the environment variable
without `GIT_PLANNER_`, in lower case; `plan` and `remote` belong to a repository and may not be in it.
Precedence: option, environment, git's configuration of any scope, file, policy, default."""
GIVEN = """These variables are set for the programs that git-planner starts; changing them there has no effect
on the command that started them."""

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

# Variables that no setting has.
VARIABLES = (
    ("GIT_PLANNER_CONFIG", "", "File with the settings for all repositories."),
    ("GIT_PLANNER_TRACE", "", "1 prints each call of git with its time, and the traceback of a defect."),
    ("GIT_PLANNER_TOKEN", "", "Token with which 'git planner ci' posts its comment."),
    (
        "GIT_PLANNER_VERIFIED",
        "",
        "End of the CI job that verifies a record, which 'git planner ci' shows.",
    ),
)

# Variables of programs that are started: name, which programs, meaning.
GIVEN_VARIABLES = (
    (
        "GIT_PLANNER_KIND",
        "planners, researchers, critics",
        "Kind of answer: directive, research or review.",
    ),
    ("GIT_PLANNER_PACKET", "planners", "Path of the packet."),
    ("GIT_PLANNER_SCHEMA", "planners", "Path of the JSON Schema of the answer."),
    ("GIT_PLANNER_MODEL", "all agents", "Model that was asked for; not set without one."),
    ("GIT_PLANNER_EFFORT", "implementers", "Reasoning effort that was asked for; not set without one."),
    ("GIT_PLANNER_PLAN", "delegated agents, sessions", "Plan of the task or session."),
    ("GIT_PLANNER_TASK", "delegated agents", "The task, such as task_007."),
    ("GIT_PLANNER_RUN", "delegated agents, variants", "The run: what 'git plan task result' asks for."),
    ("GIT_PLANNER_RESULT", "delegated agents", "File for the result, which 'git plan task result' writes."),
    ("GIT_PLANNER_PROGRAM", "delegated agents", "Path of the program 'git-plan'."),
    ("GIT_PLANNER_VARIANT", "variants of tournaments", "Number of the variant."),
    ("GIT_PLANNER_SESSION", "sessions", "Name of the session."),
    ("GIT_PLANNER_LEASE", "'git plan lease run'", "The lease that its command holds."),
    ("GIT_PLANNER_LEASE_TOKEN", "'git plan lease run'", "A number that grows with every grant of the lease."),
    ("GIT_PLANNER_MARK", "all programs", "A mark by which processes that are left over are found."),
)


def personal_settings() -> Iterator[PolicyKey]:
    """Yield the personal settings by their keys in git's configuration, with their environment variables."""
    for field in fields(Settings):
        yield PolicyKey(
            config_key(field.name), f"or {environment_variable(field.name)}", SETTINGS[field.name]
        )
    yield from variables(OTHER_SETTINGS)


def variables(rows: Iterable[tuple[str, str, str]]) -> Iterator[PolicyKey]:
    """Yield rows of this page as keys: name, note, text."""
    return (PolicyKey(*row) for row in rows)
