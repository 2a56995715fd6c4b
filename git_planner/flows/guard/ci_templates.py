"""Install the templates that check the guard in CI and on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.resources import resource_folder

# name -> (template file, target path in the work tree or, for a server, in the git directory)
TEMPLATES = {
    "github": ("ci/github-actions.yml", ".github/workflows/git-planner.yml"),
    "gitlab": ("ci/gitlab-ci.yml", ".gitlab-ci.yml"),
    "server": ("server/pre-receive", "hooks/pre-receive"),
}


@dataclass(frozen=True, slots=True)
class Template:
    """A template: its text, its target path, and whether it was written there now."""

    text: str
    path: str
    written: bool

    def document(self) -> dict[str, Any]:
        """Return the template as a JSON document."""
        return {
            "schema": "git-planner/template@1",
            "text": self.text,
            "path": self.path,
            "written": self.written,
        }


def install_template(repo: Repository | None, what: str) -> Template:
    """Read a template, and write it to its target path if a repository is given.

    Args:
        repo: the repository to write to; None only reads.
        what: a key of TEMPLATES.

    Raises:
        PlannerError: E_DIRTY if another file is there already; E_USAGE if the repository is bare.
    """
    source, place = TEMPLATES[what]
    text = resource_folder("templates").joinpath(*source.split("/")).read_text(encoding="utf-8")
    if repo is None:
        return Template(text, place, False)
    if repo.top is None and what != "server":
        raise PlannerError("E_USAGE", "a bare repository has no files", hint="git planner ci server --write")
    target = Path(repo.common if what == "server" else repo.top or "") / place
    if target.exists() and target.read_text(encoding="utf-8", errors="replace") != text:
        raise PlannerError(
            "E_DIRTY", f"'{target}' already exists", hint=f"print the template with 'git planner ci {what}'"
        )
    written = not target.exists()
    if written:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(target, text.encode())
        target.chmod(0o755 if what == "server" else 0o644)
    return Template(text, str(target), written)
