"""Options that say where the variants of a tournament come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from git_planner.cli.input_file import read_input
from git_planner.cli.options import IMPLEMENTERS, F
from git_planner.errors import PlannerError
from git_planner.flows.tournament.new import MAX_PROMPT
from git_planner.rules.tournament.run import SOURCES

_MAX_EXTRA = 20_000


def source_options(command: F) -> F:
    """Add the options of a source to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--source",
        "kind",
        type=click.Choice(SOURCES),
        help="Where variants come from (default: codex-cloud with --env or --task, else local).",
    ),
    click.option(
        "--env", "environment", metavar="NAME", help="Environment of the cloud service, id or label."
    ),
    click.option("--task", metavar="TASK", help="Task that the cloud service has already."),
    click.option(
        "--agent",
        "agents",
        multiple=True,
        metavar="AGENT[:MODEL[:EFFORT]]",
        help="Agent of a local variant; the options are used in turn (default: the policy's implementer).",
    ),
    click.option(
        "--variant-prompt",
        "extra_prompts",
        multiple=True,
        metavar="FILE",
        help="Text to add to the prompt of a local variant; the options are used in turn.",
    ),
    click.option("--patches", metavar="FOLDER", help="Folder of diffs, each a variant."),
    click.option(
        "--ref", "branches", multiple=True, metavar="REF", help="Branch, tag or commit that is a variant."
    ),
)


def source_of(
    *,
    kind: str | None,
    environment: str | None,
    task: str | None,
    agents: Sequence[str],
    extra_prompts: Sequence[str],
    patches: str | None,
    branches: Sequence[str],
) -> dict[str, Any]:
    """Return the source that the options describe.

    Raises:
        PlannerError: E_USAGE for options that do not belong together, and for an unknown agent.
    """
    if kind is None:
        kind = _implied_kind(environment or task, patches, branches)
    given = {
        "--env": bool(environment),
        "--task": task is not None,
        "--agent": bool(agents),
        "--variant-prompt": bool(extra_prompts),
        "--patches": patches is not None,
        "--ref": bool(branches),
    }
    allowed: Mapping[str, tuple[str, ...]] = {
        "codex-cloud": ("--env", "--task"),
        "cloud-dialect": ("--env", "--task"),
        "local": ("--agent", "--variant-prompt"),
        "patches": ("--patches",),
        "branches": ("--ref",),
    }
    wrong = [name for name, is_given in given.items() if is_given and name not in allowed[kind]]
    if wrong:
        raise _usage(f"'{wrong[0]}' does not belong to '--source {kind}'")
    if kind == "local":
        prompts = [_extra_prompt(path) for path in extra_prompts]
        return {"kind": kind, "agents": [_agent(text) for text in agents], "prompts": prompts}
    if kind == "patches":
        if patches is None:
            raise _usage("'--source patches' needs '--patches FOLDER'")
        return {"kind": kind, "folder": os.path.abspath(patches)}
    if kind == "branches":
        if not branches:
            raise _usage("'--source branches' needs '--ref REF'")
        return {"kind": kind, "refs": list(branches)}
    # Another task, and the same prompt elsewhere, is another run.
    asked = {"environment": environment, "task": task}
    return {"kind": kind, **{name: value for name, value in asked.items() if value}}


def read_prompt(text: str | None, path: str | None, *, is_needed: bool) -> str:
    """Return the prompt of the command line, or of a file.

    Raises:
        PlannerError: E_USAGE.
    """
    if text is not None and path is not None:
        raise _usage("'--prompt' and '--file' cannot both be given")
    if path is not None:
        _, data = read_input(path, MAX_PROMPT, "the prompt")
        return data.decode("utf-8", "replace")
    if text is None and is_needed:
        raise _usage("a tournament needs a prompt: '--prompt TEXT' or '--file FILE'")
    return text or ""


def _usage(message: str) -> PlannerError:
    return PlannerError("E_USAGE", message, hint="git bo4 new -h")


def _implied_kind(cloud: str | None, patches: str | None, branches: Sequence[str]) -> str:
    if patches is not None:
        return "patches"
    if branches:
        return "branches"
    return "codex-cloud" if cloud else "local"


def _agent(text: str) -> dict[str, str | None]:
    name, _, rest = text.partition(":")
    model, _, effort = rest.partition(":")
    if name not in IMPLEMENTERS:
        raise PlannerError(
            "E_AGENT", f"'{name[:80]}' is not an agent", hint=f"known: {', '.join(IMPLEMENTERS)}"
        )
    return {"agent": name, "model": model or None, "effort": effort or None}


def _extra_prompt(path: str) -> str:
    _, data = read_input(path, _MAX_EXTRA, "the text")
    if len(data) > _MAX_EXTRA:
        raise PlannerError("E_USAGE", f"'{path}' is too long", hint=f"at most {_MAX_EXTRA} bytes are added")
    return data.decode("utf-8", "replace")
