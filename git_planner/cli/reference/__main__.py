"""Write the reference pages and the manual: `python -m git_planner.cli.reference`.

A test compares the pages with its output, so no command, option or error code goes undocumented.
"""

from __future__ import annotations

from pathlib import Path

import click

from git_planner.cli.git_planner.shell import completion
from git_planner.cli.reference import man, markdown


def pages(root: Path) -> dict[str, str]:
    """Return the text of every generated page by its path.

    Args:
        root: the checkout, whose walkthrough is in the manual.
    """
    texts = markdown.pages()
    texts |= {f"templates/man/{name}": text for name, text in man.pages(root).items()}
    for shell in completion.SHELLS:
        scripts = completion.scripts(shell).items()
        texts |= {f"templates/completion/{shell}/{name}": text for name, text in scripts}
    return texts


def main() -> None:
    """Write the pages into the checkout that this module is in."""
    root = Path(__file__).parents[3]
    for name, text in pages(root).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
        click.echo(name)


if __name__ == "__main__":
    main()
