"""Pages for contributors: every named file exists, and the floors are the tested ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from git_planner.errors import CODES
from tests.architecture.test_capabilities import FLOORS
from tests.support.lab import Lab

ROOT = Path(__file__).parents[2]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def named_paths(text: str) -> list[str]:
    """Return the files and folders that a page names, in code or in links."""
    words = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"\]\(([^)#]+)\)", text)]
    return [word for word in words if re.fullmatch(r"[\w./-]*(/|\.(py|sh|md))|[\w-]+/[\w./-]+\.json", word)]


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    paths = named_paths(page(name))
    assert len(paths) > 10
    tops = (ROOT, ROOT / "git_planner", ROOT / "docs")
    assert [
        path for path in paths if path != ".venv/" and not any((top / path).exists() for top in tops)
    ] == []


@pytest.mark.parametrize(("layer", "column"), [("flows", 1), ("rules", 2)])
def test_the_floors_of_the_page_are_those_that_are_tested(layer: str, column: int) -> None:
    rows = re.findall(r"^\| (\d) \| ([^|]*)\| ?([^|]*)\|$", page("docs/architecture.md"), re.MULTILINE)
    floors = {int(row[0]): tuple(re.findall(r"\w+", row[column])) for row in rows if row[column].strip()}
    assert [floors[number] for number in sorted(floors)] == list(FLOORS[layer])


def test_names_of_the_page_for_contributors_are_there() -> None:
    text = page("CONTRIBUTING.md")
    assert "`CODES`" in text
    assert CODES
    for method in re.findall(r"`Lab\.(\w+)`", text):
        assert callable(getattr(Lab, method))


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("flows/tasks/claims.py", "def claim_task("),
        ("flows/guard/ref_updates.py", "class RefUpdateGuard:"),
        ("flows/records/write_record.py", "def write_record("),
        ("flows/specs/compile.py", "def compile_change("),
        ("rules/specs/compile.py", "def merge_change("),
        ("rules/delegation/task_prompt.py", "def render_task_prompt("),
    ],
)
def test_the_page_answers_where_things_are_done(name: str, definition: str) -> None:
    assert f"`{name}`" in page("docs/architecture.md").partition("## Where is")[2]
    assert definition in (ROOT / "git_planner" / name).read_text()
