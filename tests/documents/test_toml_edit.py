"""A table of a TOML text is added and removed, and every other byte stays."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.documents.toml_edit import add_table, read_table, remove_table

KEYS = ("servers", "ours")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)
TABLES = st.dictionaries(
    st.sampled_from(["command", "args", "seconds", "env"]),
    TEXTS
    | st.booleans()
    | st.integers(-9, 9)
    | st.lists(TEXTS, max_size=3)
    | st.dictionaries(TEXTS, TEXTS, max_size=2),
    min_size=1,
)
# Pieces of a person's file, in any order after the first one.
PIECES = st.lists(
    st.sampled_from(
        [
            "[a]\nx = 1  # one\n",
            "[servers.notes]\ncommand = 'notes'\n",
            "\n\n# comment\n",
            "[[many]]\ny = '''\n[servers.ours]\n'''\n",
            "[b] # end\nz = [\n  [1],\n  [2],\n]\n",
        ]
    ),
    unique=True,
)


@given(PIECES, TABLES, st.sampled_from(["", "\n", "# last"]))
def test_adding_and_removing_leaves_no_trace(pieces: list[str], table: dict[str, object], end: str) -> None:
    text = "top = 1\n" + "".join(pieces) + end
    after = add_table(text, KEYS, table)
    assert tomllib.loads(after)["servers"]["ours"] == table
    assert after.startswith(text)
    restored = remove_table(after, KEYS)
    assert restored.rstrip("\n") == text.rstrip("\n")
    assert remove_table(restored, KEYS) == restored


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("[servers.ours]\na = 1\n[servers.ours.env]\nB = 2\n# c\n[x]\n", "# c\n[x]\n"),
        ("x = 1\n\n['servers'.\"ours\"]\na = 1\n\n[y]\n", "x = 1\n\n[y]\n"),
        ("[servers]\nn = 1\n[servers.ours]\na = 1\n", "[servers]\nn = 1\n"),
    ],
)
def test_tables_of_other_forms(text: str, after: str) -> None:
    assert remove_table(text, KEYS) == after


@pytest.mark.parametrize(
    "text",
    [
        "servers = { ours = { a = 1 } }\n",
        "[servers]\nours = { a = 1 }\n",
        "servers.ours.a = 1\n",
        "[servers.ours\n",
    ],
)
def test_what_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(PlannerError) as caught:
        remove_table(text, KEYS)
    assert caught.value.code == "E_JSON"
    assert read_table("", KEYS) is None
