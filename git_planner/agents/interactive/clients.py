"""Clients that sessions run: the presets, and those of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.rules.policy.interactive_client import InteractiveClient, ThreadFiles, TrustPrompt
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """A client and how it reaches its service: variables to add to its environment, and to remove from it."""

    client: InteractiveClient
    env: Mapping[str, str]
    drop: tuple[str, ...] = ()


# What the folder's own settings name runs outside the sandbox; an agent may have written them.
_CODEX_FOLDER = ("-c", 'projects={{cwd_quoted}={trust_level="{folder}"}}')
# A list of choices, above the keys that take one: about a new model, an approval, the folder.
_CHOICES = (r"^\s*(?:\S\s)?1\. \S", r"^\s*(?:\S\s)?2\. \S")
_CODEX_OPTIONS = (
    ("-p", "{profile}"),
    ("-m", "{model}"),
    ("-c", 'model_reasoning_effort="{effort}"'),
    ("-s", "{sandbox}"),
    ("-c", 'approval_policy="{approval}"'),
    ("-C", "{cwd}"),
    ("--add-dir", "{writable}"),
    ("-c", "mcp_servers.{mcp_name}={mcp_toml}"),
    _CODEX_FOLDER,
)
CODEX = InteractiveClient(
    name="codex",
    program="codex",
    # Without the option all sessions share one background server, which neither starts nor ends with them.
    start=("{program}", "--no-daemon", *_CODEX_OPTIONS, ("--", "{prompt}")),
    resume=("{program}", "resume", "--no-daemon", *_CODEX_OPTIONS, "--", "{thread}", "{prompt}"),
    headless=("{program}", "exec", "--json", "--color", "never", *_CODEX_OPTIONS, ("--", "{prompt}")),
    headless_resume=(
        *("{program}", "exec", "--json", "--color", "never", *_CODEX_OPTIONS),
        *("resume", "--", "{thread}", "{prompt}"),
    ),
    words={"folder": {"restricted": "untrusted"}},
    threads=ThreadFiles(
        files=(
            "$CODEX_HOME/sessions/*/*/*/rollout-*.jsonl",
            "~/.codex/sessions/*/*/*/rollout-*.jsonl",
        ),
        id=r"rollout-.*-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl",
    ),
    trust=(TrustPrompt((r"^\s*Folder access\s*$", r"^\s*\S 1\. Open restricted\s*$")),),
    asks=((*_CHOICES, r"(?i)\benter\b.{0,20}\b(?:continue|confirm|select|submit)\b"),),
    quit="/quit",
)
_CLAUDE_OPTIONS = (
    ("--model", "{model}"),
    ("--effort", "{effort}"),
    ("--permission-mode", "{sandbox}"),
    # '--add-dir' would ask about each folder, and load what the folder defines.
    ("--mcp-config", "{mcp_json}", "--allowedTools", "mcp__{mcp_name}"),
    ("--setting-sources", "{folder}", "--strict-mcp-config"),
)
_CLAUDE_FOLDER = r"^\s*Accessing workspace:\s*$"
CLAUDE = InteractiveClient(
    name="claude",
    program="claude",
    start=("{program}", ("--session-id", "{new_thread}"), *_CLAUDE_OPTIONS, ("--", "{prompt}")),
    resume=("{program}", "--resume", "{thread}", *_CLAUDE_OPTIONS, ("--", "{prompt}")),
    headless=(
        *("{program}", "-p", "--output-format", "json", ("--session-id", "{new_thread}")),
        *(*_CLAUDE_OPTIONS, ("--", "{prompt}")),
    ),
    headless_resume=(
        *("{program}", "-p", "--output-format", "json", "--resume", "{thread}"),
        *(*_CLAUDE_OPTIONS, ("--", "{prompt}")),
    ),
    words={
        "folder": {"restricted": "user"},
        "sandbox": {
            "read-only": "plan",
            "workspace-write": "acceptEdits",
            "danger-full-access": "bypassPermissions",
        },
    },
    # It trusts the folder; the options above still keep the folder's settings off.
    trust=(
        TrustPrompt((_CLAUDE_FOLDER, r"^\s*\S No, exit\s*$", r"^\s*Yes, I trust this folder\s*$"), ("Down",)),
        TrustPrompt((_CLAUDE_FOLDER, r"^\s*No, exit\s*$", r"^\s*\S Yes, I trust this folder\s*$")),
    ),
    asks=((*_CHOICES, r"(?i)\b(?:enter to confirm|esc to cancel)\b"),),
    quit="/exit",
)
_GEMINI_OPTIONS = (
    ("-m", "{model}"),
    ("--approval-mode", "{sandbox}"),
    ("--include-directories={writable}",),
    # It is called so because it does not ask; the folder's settings stay off.
    ("--skip-trust={folder}",),
)
GEMINI = InteractiveClient(
    name="gemini",
    program="gemini",
    # A prompt that begins with '-' must not be an argument of its own.
    start=(
        *("{program}", ("--session-id", "{new_thread}")),
        *(*_GEMINI_OPTIONS, ("--prompt-interactive={prompt}",)),
    ),
    resume=("{program}", "--resume", "{thread}", *_GEMINI_OPTIONS, ("--prompt-interactive={prompt}",)),
    headless=(
        *("{program}", "-o", "json", ("--session-id", "{new_thread}")),
        *(*_GEMINI_OPTIONS, ("--prompt={prompt}",)),
    ),
    headless_resume=(
        *("{program}", "-o", "json", "--resume", "{thread}"),
        *(*_GEMINI_OPTIONS, ("--prompt={prompt}",)),
    ),
    words={
        "folder": {"restricted": "true"},
        "sandbox": {"read-only": "plan", "workspace-write": "auto_edit", "danger-full-access": "yolo"},
    },
    quit="/quit",
)
PRESETS: Mapping[str, InteractiveClient] = {client.name: client for client in (CODEX, CLAUDE, GEMINI)}


def find_client(name: str, policy: Policy, settings: Settings) -> InteractiveClient:
    """Return the client of a name: the policy's, or a preset with the program of the settings.

    Raises:
        PlannerError: E_AGENT if nothing has that name.
    """
    for client in policy.clients:
        if client.name == name:
            return client
    if name not in PRESETS:
        known = ", ".join(dict.fromkeys((*PRESETS, *(client.name for client in policy.clients))))
        message = f"{name[:80]!r} is not a client of sessions"
        raise PlannerError("E_AGENT", message, hint=f"known: {known}; others are 'clients' of the policy")
    programs = {"codex": settings.codex, "gemini": settings.gemini}
    return replace(PRESETS[name], program=programs.get(name, PRESETS[name].program))
