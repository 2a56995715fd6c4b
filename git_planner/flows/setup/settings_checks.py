"""Findings about a user's settings: keys that nothing reads, and the configuration file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from git_planner.config.settings import config_key, environment_variable, file_settings, unknown_config_keys
from git_planner.gitio.repository import Repository
from git_planner.rules.diagnostic import Diagnostic
from git_planner.rules.did_you_mean import did_you_mean

FACT = "configuration file"


def settings_findings(repo: Repository, facts: dict[str, str | None]) -> Iterator[Diagnostic]:
    """Find keys of git's configuration that nothing reads, and values of the file that others override."""
    for key, near in unknown_config_keys(repo).items():
        message = f"nothing reads the key '{key}' of git's configuration"
        hint = did_you_mean(near, f"git config --unset {key}")
        yield Diagnostic("warning", "config-unknown", message, key, hint)
    facts[FACT] = None
    path, values = file_settings()
    if path is None or not path.exists():
        return
    facts[FACT] = f"{path} sets {', '.join(sorted(values)) or 'nothing'}"
    for name in sorted(values):
        variable, key = environment_variable(name), config_key(name)
        above, where = (
            (variable, "the environment") if os.environ.get(variable) else (key, "git's configuration")
        )
        if os.environ.get(variable) or repo.config(key):
            message = f"'{above}' of {where} overrides '{name}' of the configuration file"
            fix = f"unset {variable}" if above == variable else f"git config --show-origin {shlex.quote(key)}"
            yield Diagnostic("info", "config-overridden", message, str(path), fix)
