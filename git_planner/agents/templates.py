"""Templates of prompts: fixed texts, and those that Jinja2 renders."""

from __future__ import annotations

import importlib
import threading
from importlib.util import find_spec
from typing import Any

from git_planner.errors import PlannerError
from git_planner.resources import resource_folder


def read_template(name: str) -> str:
    """Return the prompt template of a name, such as 'apply'."""
    return (resource_folder("templates") / "prompts" / f"{name}.md").read_text(encoding="utf-8")


def check_template_engine() -> None:
    """Check that prompts of sessions can be rendered here, before anything is written.

    Raises:
        PlannerError: E_MISSING_EXTRA without Jinja2.
    """
    if find_spec("jinja2") is None:
        raise PlannerError(
            "E_MISSING_EXTRA",
            "prompts of sessions are rendered by Jinja2, which is not installed",
            hint="pip install 'git-planner[board]'",
        )


def preload_template_engine() -> None:
    """Load Jinja2 in a thread, while this one waits for git; a prompt that is rendered later waits for it."""
    threading.Thread(target=importlib.import_module, args=("jinja2",), daemon=True).start()


def render_template(name: str, **values: Any) -> str:
    """Return a prompt that is rendered from the template of a name, such as 'session-planner'.

    Args:
        name: the template.
        values: the values of its variables; they are texts, and nothing in them is executed.

    Raises:
        PlannerError: E_MISSING_EXTRA without Jinja2.
    """
    check_template_engine()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(read_template(name)).render(values)
