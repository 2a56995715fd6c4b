"""Specs: what of a Markdown text is a task, what belongs to it, what it waits for, what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.documents.markdown import iter_blocks, parse_outline, split_sections
from git_planner.rules.specs.change import PROJECT, SpecChange, change_folder, change_slug, parse_change
from git_planner.rules.specs.items import DependencyText, SpecFault, SpecItem
from git_planner.rules.specs.parse_items import derive_key, parse_items

TASKS = "tasks.md"


def items(text: str) -> tuple[SpecItem, ...]:
    """The tasks of a text in which nothing is wrong."""
    parsed, faults = parse_items(parse_outline(text), TASKS)
    assert faults == ()
    return parsed


def item(text: str) -> SpecItem:
    """The only task of a text."""
    (parsed,) = items(text)
    return parsed


def faults(text: str) -> list[str]:
    return [str(entry) for entry in parse_items(parse_outline(text), TASKS)[1]]


def test_all_bullets_and_numbers_make_tasks() -> None:
    text = "- [ ] a\n* [x] b\n+ [X] c\n\n1. [ ] d\n2. [x] e\n\n1) [ ] f\n"
    assert [(entry.title, entry.ticked) for entry in items(text)] == [
        ("a", False),
        ("b", True),
        ("c", True),
        ("d", False),
        ("e", True),
        ("f", False),
    ]


HIDDEN = [
    "```\n- [ ] no\n```",
    "~~~md\n- [ ] no\n~~~",
    "- plain\n\n  ```\n  - [ ] no\n  ```",
    "para\n\n    - [ ] no",
    "> - [ ] no",
    "> para\n> - [ ] no\n> > 1. [x] no",
    "<!--\n- [ ] no\n-->",
    "<div>\n- [ ] no\n</div>",
    "<script>\n- [ ] no\n\n- [x] no\n</script>",
    "a line - [ ] no",
    "# - [ ] no",
    "[ ] no",
    "- `[ ] no`",
    "- \\[ ] no",
]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_code_quote_or_html_is_no_task(hidden: str) -> None:
    assert faults(hidden) == [f"{TASKS}:1: has no task: a task is an item that begins with '[ ]' or '[x]'"]
    assert [
        entry.title for entry in items(f"- [ ] before\n\n<!-- -->\n\n{hidden}\n\n# End\n\n- [ ] after")
    ] == [
        "before",
        "after",
    ]


def test_what_stands_below_a_task_belongs_to_it() -> None:
    task = item(
        """\
- [ ] Add the `reflow` option
  to the formatter

  Long lines are hard to read.

  - **files:** `sqlparse/formatter.py`, src/ ./docs/a.md, `a file.c` (new)
  - Reads: docs/api.md; docs/b.md
  - read the old code
    - all of it
  - verify: `python -m pytest -q "tests/test format.py"`
  - verify:
    ```sh
    # the whole
    make check
    ```
  - done when:
    - lines are short
    - nothing else changes
  - risks: slow
  - see: issue
  - Why: people ask for it
"""
    )
    assert task == SpecItem(
        key=derive_key("Add the reflow option to the formatter"),
        title="Add the `reflow` option to the formatter",
        line=1,
        intent="Long lines are hard to read.\n\npeople ask for it",
        actions=("read the old code", "all of it"),
        read_scope=("docs/api.md", "docs/b.md"),
        write_scope=("sqlparse/formatter.py", "src/**", "docs/a.md", "a file.c"),
        acceptance=("lines are short", "nothing else changes"),
        verify=(("python", "-m", "pytest", "-q", "tests/test format.py"), ("make", "check")),
        risks=("slow",),
        references=("issue",),
    )


def test_several_commands_in_back_quotes_are_several() -> None:
    assert item("- [ ] a\n  - verify: `make lint`, `make test`").verify == (
        ("make", "lint"),
        ("make", "test"),
    )
    assert item("- [ ] a\n  - verify: ``echo 'a`'``").verify == (("echo", "a`"),)
    # A line with words around a code span is one command, as it was written.
    assert faults("- [ ] a\n  - verify: run `make` twice")[0].endswith(
        "uses shell syntax ('`'), but commands run without a shell"
    )


def test_a_nested_box_is_a_task_that_the_one_above_waits_for() -> None:
    a, b, c, d = items("- [ ] a {#a}\n  - [x] b {#b}\n    - [ ] c {#c}\n  - step\n- [ ] d {#d}\n  - after: a")
    assert (a.after, b.after, c.after, d.after) == (("b",), ("c",), (), ("a",))
    assert (a.parent, b.parent, c.parent, a.actions) == (None, "a", "b", ("step",))


def test_nested_tasks_come_after_what_the_one_above_comes_after() -> None:
    text = "- [ ] a {#a}\n- [ ] b {#b}\n  - after: a\n  - [ ] c {#c}\n  - [ ] d {#d}\n    - after: c\n"
    assert [entry.after for entry in items(text)] == [(), ("a", "c", "d"), ("a",), ("c", "a")]


@pytest.mark.parametrize(
    "name", ["one", "{#one}", "#one", "`one`", "1.1", "1.1.", "task 1.1", "First, of all", "first, OF all."]
)
def test_a_task_is_named_by_key_number_or_title(name: str) -> None:
    tasks = items(
        f"- [ ] 1.1 First, of all {{#one}}\n- [ ] 1.2 Second\n- [ ] 1.3 Third\n  - after: {name}; Second\n"
    )
    assert tasks[2].after == ("one", tasks[1].key)
    assert [entry.number for entry in tasks] == ["1.1", "1.2", "1.3"]
    assert tasks[0].title == "First, of all"


def test_numbers_are_those_of_numbered_lists_too_and_else_places() -> None:
    text = "1. [ ] a\n   1. [ ] b\n   2. [ ] c\n      - after: 1.1\n2. [ ] d\n   - depends on: 1\n"
    a, b, c, d = items(text)
    assert (c.after, d.after) == ((b.key,), (a.key,))
    first, second = items("- [ ] a\n- [ ] b\n  - after: 1\n")
    assert second.after == (first.key,)
    assert faults("1. [ ] a\n\ntext\n\n1. [ ] b\n2. [ ] c\n   - after: 1\n") == [
        f"{TASKS}:7: '1' may be any of 2 tasks: name its key"
    ]


def test_a_number_in_a_sentence_stays_in_the_title() -> None:
    assert [entry.title for entry in items("- [ ] 3 retries are made\n- [ ] 2. Second\n- [ ] 1.0\n")] == [
        "3 retries are made",
        "Second",
        "1.0",
    ]


def test_a_key_is_the_titles_own_whatever_its_place_and_marks() -> None:
    first = items("- [ ] Write the docs\n- [ ] b\n")[0].key
    assert items("- [ ] b\n* [x] 2. write  the `docs`.\n")[1].key == first
    assert items("- [ ] Write the doc\n- [ ] b\n")[0].key != first
    one, two = [
        entry.key for entry in items("- [ ] a\n  - [ ] tests\n- [ ] b\n  - [ ] tests\n") if entry.parent
    ]
    assert one != two
    assert [entry.key for entry in items("- [ ] a {#k.1}\n- [ ] b\n  - id: `K2`\n")] == ["k.1", "K2"]
    assert len({derive_key(text) for text in ("日本語", "日本", "…", "", "x" * 300, "x" * 301)}) == 6


def test_a_key_ends_the_title_on_its_line() -> None:
    task = item("- [ ] Do it {#do}\n  because it\n  is needed\n")
    assert (task.key, task.title, task.intent) == ("do", "Do it", "because it is needed")


def test_a_long_title_is_cut_and_stands_whole_in_the_intent() -> None:
    title = "word " * 60
    task = item(f"- [ ] {title}")
    assert len(task.title) == 200
    assert task.intent == title.strip()


WRONG = [
    ("text", "1: has no task: a task is an item that begins with '[ ]' or '[x]'"),
    ("- [ ] a\n- [ ]\n", "2: has no title"),
    ("- [ ] a\n- [ ] {#k}\n", "2: has no title"),
    ("- [ ] a\n- [] b\n", "2: is nearly a box: write '[ ]' or '[x]', and a space after it"),
    ("- [ ] a\n- [x]b\n", "2: is nearly a box: write '[ ]' or '[x]', and a space after it"),
    (
        "- [ ] a\n- [ ] A.\n",
        "2: has the title of line 1; give one of them a key: '{#some-key}' after its title",
    ),
    ("- [ ] a {#k}\n- [ ] b {#k}\n", "2: has the key 'k' of line 1"),
    ("- [ ] a {#k}\n  - id: l\n", "1: has two keys"),
    ("- [ ] a {#-k}\n", "1: '-k' is not a key: letters, digits, '.', '_' and '-', at most 80"),
    ("- [ ] a\n  - after: b\n", "2: 'b' is not a task of this file"),
    ("- [ ] a\n  - after: A\n", "2: comes after itself"),
    ("- [ ] a {#a}\n  - after: b\n- [ ] b {#b}\n  - after: a\n", "1: dependency cycle: 'a' → 'b' → 'a'"),
    ("- [ ] a\n  - [ ] b\n    - after: a\n", "1: dependency cycle: 'a' → 'b' → 'a'"),
    ("- [ ] <fill: x>\n", "1: is still a placeholder: '<fill: x>'"),
    ("- [ ] TBD\n", "1: is still a placeholder: 'TBD'"),
    ("- [ ] a\n  - <fill: x>\n", "2: is still a placeholder: '<fill: x>'"),
    ("- [ ] a\n  - files: `<fill: x>`\n", "2: is still a placeholder: '<fill: x>'"),
    ("- [ ] a\n  - verify: pytest <fill: x>\n", "2: verify: 'pytest <fill: x>' is a placeholder"),
    ("- [ ] a\n  - verify: pytest TBD\n", "2: verify: 'TBD' is a placeholder"),
    ("- [ ] a\n  - verify: 'b\n", '2: verify: "\'b" cannot be split: no closing quotation'),
    (
        "- [ ] a\n  - verify: b|c\n",
        "2: verify: 'b|c' uses shell syntax ('|'), but commands run without a shell",
    ),
    (
        "- [ ] a\n  - verify: b $HOME\n",
        "2: verify: 'b $HOME' uses shell syntax ('$HOME'), but commands run without a shell",
    ),
    (
        "- [ ] a\n  - verify: B=1 c\n",
        "2: verify: 'B=1 c' uses shell syntax ('B=1'), but commands run without a shell",
    ),
    ("- [ ] a\n  - files: ../b\n", "2: '../b' is not a path within the repository"),
    ("- [ ] a\n  - files: /etc/passwd\n", "2: '/etc/passwd' is not a path within the repository"),
    ("- [ ] a\n  - files: a/../../b\n", "2: 'a/../../b' is not a path within the repository"),
    ("- [ ] a\n  - files: ~/b\n", "2: '~/b' is not a path within the repository"),
    ("- [ ] a\n  - files: .GIT/config\n", "2: '.GIT/config' is not a path within the repository"),
    ("- [ ] a\n  - files: :(top)b\n", "2: ':(top)b' is not a path within the repository"),
    ("- [ ] a\x1b[31m\n", "1: has the control character U+001B"),
    ("- [ ] a\n" + "  - b\n" * 51, "1: has 51 lines of one kind below; at most 50 are kept"),
    ("- [ ] a\n  - " + "b" * 2001, "2: has 2,001 characters; at most 2,000 are kept"),
    ("- [ ] a\n\n  " + "b" * 4001, "3: has 4,001 characters; at most 4,000 are kept"),
    (
        "- [ ] a\n" + "".join(f"  - [ ] b{n}\n" for n in range(201)),
        "1: comes after 201 others; at most 200 are kept",
    ),
    ("- [ ] " + "b" * 4001, "1: has 4,001 characters; at most 4,000 are kept"),
    (
        "- [ ] a\n\n  " + "b" * 2500 + "\n\n  " + "c" * 2500,
        "1: has 5,002 characters of text below; at most 4,000 are kept",
    ),
    ("- [ ] a\n\n" + "> " * 200 + "b\n", "3: is nested too deep to be read"),
]


@pytest.mark.parametrize(("text", "fault"), WRONG)
def test_a_fault_says_what_and_where(text: str, fault: str) -> None:
    assert faults(text) == [f"{TASKS}:{fault}"]


def test_every_fault_is_told_at_once() -> None:
    text = "- [ ] a\n  - files: /x\n  - verify: TBD\n- [ ] a\n  - after: z\n"
    assert [fault.partition(" ")[0] for fault in faults(text)] == [
        f"{TASKS}:2:",
        f"{TASKS}:3:",
        f"{TASKS}:4:",
    ]


# -- the files of a change --------------------------------------------------------------------------------
TOP = change_folder("add-x")
TEXTS = {
    PROJECT: """\
# P

## Invariants

- a stays
  - b too

## Important constraints

1. c

## Entry points

- src/m.py
""",
    f"{TOP}/proposal.md": """\
# Change Proposal: add-x

Intro.

## Why

People want
x.

Much.

## Acceptance criteria

- it is there
""",
    f"{TOP}/tasks.md": "- [ ] a\n",
}


def change(**more: str | None) -> SpecChange:
    texts = {
        **TEXTS,
        **{f"{TOP}/{name}.md" if name != "project" else PROJECT: text for name, text in more.items()},
    }
    return parse_change("add-x", {path: text for path, text in texts.items() if text is not None})


def test_a_change_is_read() -> None:
    parsed = change()
    assert parsed == SpecChange(
        slug="add-x",
        goal="People want x.",
        acceptance=("it is there",),
        invariants=("a stays", "b too", "c"),
        entrypoints=("src/m.py",),
        items=(SpecItem(derive_key("a"), "a", 1),),
        files=(f"{TOP}/proposal.md", f"{TOP}/tasks.md", PROJECT),
        faults=(),
    )


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("# T\n\nOnly this.", "Only this."),
        ("# T\n\n## What\n\nthis\n\n## Motivation\n\n- that\n- more", "that"),
        ("# T\n\n## Why\n\n<!-- no -->\n\n> no\n\nyes", "yes"),
        ("One line", "One line"),
    ],
)
def test_the_goal_is_the_first_thing_said(text: str, goal: str) -> None:
    assert change(proposal=text).goal == goal


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        (
            {"proposal": None},
            [f"{TOP}/proposal.md:1: is missing; create it with 'git plan spec propose add-x'"],
        ),
        ({"tasks": None}, [f"{TOP}/tasks.md:1: is missing; create it with 'git plan spec propose add-x'"]),
        ({"project": None}, [f"{PROJECT}:1: is missing; create it with 'git plan spec init'"]),
        (
            {"proposal": "# T\n\n<!-- x -->\n"},
            [f"{TOP}/proposal.md:1: does not say why: it has no paragraph"],
        ),
        ({"proposal": "\n\nTBD: why\n"}, [f"{TOP}/proposal.md:3: is still a placeholder: 'TBD'"]),
        (
            {"design": "# D\n\n- a\n  - <fill: b>\n"},
            [f"{TOP}/design.md:4: is still a placeholder: '<fill: b>'"],
        ),
        ({"tasks": "# <fill: c>\n\n- [ ] a\n"}, [f"{TOP}/tasks.md:1: is still a placeholder: '<fill: c>'"]),
        ({"project": "a\x07b"}, [f"{PROJECT}:1: has the control character U+0007"]),
        (
            {"project": "## Invariants\n\n" + "".join(f"- a{n}\n" for n in range(51))},
            [f"{PROJECT}:1: has 51 lines; at most 50 are kept"],
        ),
    ],
)
def test_what_is_wrong_with_a_change(more: dict[str, str | None], faults: list[str]) -> None:
    assert [str(fault) for fault in change(**more).faults] == faults


def test_faults_of_reading_stand_beside_those_of_the_text() -> None:
    known = SpecFault(PROJECT, 3, "is not UTF-8")
    parsed = parse_change("add-x", {path: text for path, text in TEXTS.items() if path != PROJECT}, [known])
    assert parsed.faults == (known,)


def test_a_name_without_letters_is_none() -> None:
    assert change_slug("../../Feat/Login_UI") == "feat-login-ui"
    with pytest.raises(ValueError, match="no letter"):
        change_slug("../..")


# -- any text ------------------------------------------------------------------------------------------
MARKS = [
    "- [ ] ",
    "* [x] ",
    "+ ",
    "1. [ ] ",
    "[ ]",
    "```",
    "~~~",
    "> ",
    "\n",
    "\n\n",
    "  ",
    "    ",
    "\t",
    "# ",
]
WORDS = ["a", "b c", "files: ", "after: ", "verify: ", "{#k}", "`", "1.2 ", "|", "<fill: x>", "\0", "\r", "é"]
PIECES = st.sampled_from([*MARKS, *WORDS, "<!--", "-->", "<div>", "</div>"])
TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


@given(TEXT)
def test_any_text_is_read(text: str) -> None:
    tasks, wrong = parse_items(parse_outline(text), TASKS)
    assert tasks or wrong
    last = text.count("\n") + text.count("\r") + 1
    assert all(1 <= entry.line <= last for entry in (*tasks, *wrong))
    assert all(1 <= block.line <= last for block in iter_blocks(parse_outline(text).blocks))
    assert split_sections(parse_outline(text).blocks) or not parse_outline(text).blocks
    if not wrong:
        known = {entry.key for entry in tasks}
        assert all(set(entry.after) <= known - {entry.key} for entry in tasks)


@given(TEXT, st.sampled_from(["```", "~~~", "<!--"]))
def test_whatever_stands_in_a_fence_or_comment_is_no_task(text: str, mark: str) -> None:
    inner = "".join(
        line for line in text.splitlines(keepends=True) if "```" not in line and "~~~" not in line
    )
    inner = inner.replace("-->", "").replace("\r", "")
    end = {"<!--": "-->"}.get(mark, mark)
    tasks, _ = parse_items(parse_outline(f"{mark}\n{inner}\n{end}\n\n- [ ] only\n"), TASKS)
    assert [entry.title for entry in tasks] == ["only"]


@given(TEXT)
def test_whatever_stands_in_a_quote_is_no_task(text: str) -> None:
    quoted = "".join(f"> {line}\n" for line in text.splitlines())
    tasks, _ = parse_items(parse_outline(f"{quoted}\n- [ ] only\n"), TASKS)
    assert [entry.title for entry in tasks] == ["only"]


LINES = [
    "`a",
    ",`",
    "`a` ",
    "\\",
    "{#",
    " ",
    "<",
    "<…",
    "<fill ",
    "*",
    "A ",
    "1.",
    "./",
    "a/",
    "a//",
    ";,",
    "a,",
    "\t",
]


@pytest.mark.parametrize("label", ["", "files: ", "after: ", "verify: ", "done when: "])
@pytest.mark.parametrize("piece", LINES)
def test_a_line_of_any_length_is_read_at_once(label: str, piece: str) -> None:
    # Whatever takes the square of its length takes hours here.
    line = piece * (400_000 // len(piece))
    tasks, wrong = parse_items(parse_outline(f"- [ ] a\n  - {label}{line}x\n- [ ] {line}x\n"), TASKS)
    assert tasks
    assert wrong or not piece.strip()


TITLES = st.lists(
    st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,3}", fullmatch=True), min_size=1, max_size=12, unique=True
)


@given(TITLES, st.randoms())
def test_the_order_of_tasks_does_not_change_their_keys(titles: list[str], random: Any) -> None:
    moved = random.sample(titles, len(titles))
    before = {entry.title: entry.key for entry in items("".join(f"- [ ] {title}\n" for title in titles))}
    after = {entry.title: entry.key for entry in items("".join(f"* [x] {entry}\n" for entry in moved))}
    assert before == after
    assert len(set(before.values())) == len(titles)


def test_wanted_is_kept_with_its_line() -> None:
    assert items("- [ ] a {#a}\n- [ ] b\n  - after: a\n")[1] == replace(
        SpecItem(derive_key("b"), "b", 2), wanted=(DependencyText("a", 3),), after=("a",)
    )
