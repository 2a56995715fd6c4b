"""Specs in a commit of somebody else, made by hand to mislead, stop or exhaust their reader."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from git_planner.flows.specs.source import open_source
from git_planner.flows.specs.validate import load_change
from git_planner.rules.specs.change import MAX_BYTES
from tests.specs.written_change import FOLDER, PLAN, PROJECT, PROPOSAL, TASKS, spec
from tests.support.lab import Lab
from tests.support.workshop import workshop

# Entries of a tree by name: a mode with an id, or the content of a file or folder.
Entry = Any


def blob(lab: Lab, text: str) -> str:
    return lab.git("hash-object", "-w", "--stdin", stdin=text)


def tree(lab: Lab, entries: dict[str, Entry]) -> str:
    """Write a tree with any names, as git itself would not."""
    rows = []
    for name, entry in entries.items():
        mode, oid = (
            ("100644", blob(lab, entry))
            if isinstance(entry, str)
            else ("040000", tree(lab, entry))
            if isinstance(entry, dict)
            else entry
        )
        kind = {"040000": "tree", "160000": "commit"}.get(mode, "blob")
        rows.append(f"{mode} {kind} {oid}\t{name}\0")
    return lab.git("mktree", "-z", "--missing", stdin="".join(rows))


def evil(lab: Lab, change: dict[str, Entry], top: dict[str, Entry] | None = None) -> None:
    """Make the branch 'evil', whose only spec is the change 'shrink' with these entries."""
    workshop(lab)
    files = {"proposal.md": PROPOSAL, "tasks.md": TASKS, **change}
    folder: dict[str, Entry] = {"project.md": PROJECT, "changes": {"shrink": files}}
    oid = tree(lab, {"openspec": folder, **(top or {})})
    commit = lab.git("commit-tree", oid, "-p", "main", "-m", "evil")
    lab.git("update-ref", "refs/remotes/origin/evil", commit)


def answer(lab: Lab, command: str) -> dict[str, Any]:
    """Return the document of a command that reads the branch, within its deadline and without an effect."""
    before, started = lab.refs(), time.process_time()
    done = spec(lab, command, "--from", "origin/evil", "--json", "shrink")
    assert time.process_time() - started < 15
    assert done.err.count("Traceback") == 0
    if command == "compile" and done.status != 0:
        assert lab.refs() == before
    document: dict[str, Any] = json.loads(done.out)
    return document


def faults(lab: Lab) -> list[str]:
    """Return the faults that 'validate' prints, with which 'compile' ends, too."""
    listed = answer(lab, "validate")["faults"]
    compiled = answer(lab, "compile")
    lines = [f"{fault['path']}:{fault['line']}: {fault['message']}" for fault in listed]
    assert compiled["code"] == "E_SPEC"
    assert compiled["details"] == lines[:100]
    return lines


OF_NOWHERE = "1" * 40
SUBMODULE = ("160000", OF_NOWHERE)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tasks.md": ("120000", OF_NOWHERE)}, ["tasks.md:1: is not a file"]),
        ({"tasks.md": SUBMODULE}, ["tasks.md:1: is not a file"]),
        ({"tasks.md": ("100644", OF_NOWHERE)}, ["tasks.md:1: is missing in this clone"]),
        ({"tasks.md": {"a.md": "- [ ] a\n"}}, ["tasks.md:1: is not a file"]),
        ({"specs": ("040000", OF_NOWHERE)}, [f"specs:1: '{FOLDER}/specs' is missing in this clone"]),
        (
            {"specs": {"..": {"..": {"spec.md": "# S\n"}}, ".": "x", ".GIT": {"spec.md": "# S\n"}}},
            [
                "specs:1: has an entry with an unusable name: '.'",
                "specs:1: has an entry with an unusable name: '..'",
                "specs:1: has an entry with an unusable name: '.GIT'",
            ],
        ),
        (
            {"specs": {"a\nb": {"spec.md": "# S\n"}, "\x1b[2J.md": "# S\n", "\u202e.md": "# S\n"}},
            [
                r"specs:1: has an entry with an unusable name: '\x1b[2J.md'",
                r"specs:1: has an entry with an unusable name: 'a\nb'",
                r"specs:1: has an entry with an unusable name: '\u202e.md'",
            ],
        ),
        ({"specs": {f"{n}.md": "# S\n" for n in range(201)}}, ["specs:1: has more than 200 files"]),
        (
            {"tasks.md": "x" * (MAX_BYTES + 1)},
            ["tasks.md:1: has 512,001 bytes; at most 512,000 are read"],
        ),
        (
            {"tasks.md": "- [ ] top\n" + "".join(f"  - [ ] t{n}\n" for n in range(5001))},
            ["tasks.md:1: has 5,002 tasks; at most 5,000 are kept"],
        ),
        (
            {"tasks.md": "- [ ] top\n" + "".join(f"  - [ ] t{n}\n" for n in range(4000))},
            ["tasks.md:1: comes after 4,000 others; at most 200 are kept"],
        ),
        (
            {"tasks.md": "".join("  " * n + f"- [ ] t{n}\n" for n in range(200))},
            ["tasks.md:49: is nested too deep to be read"],
        ),
        (
            {"tasks.md": "# a\n" * 20_000},
            ["tasks.md:1: has no task: a task is an item that begins with '[ ]' or '[x]'"],
        ),
    ],
)
def test_a_bad_entry_is_a_fault_with_its_place(
    lab: Lab, change: dict[str, Entry], expected: list[str]
) -> None:
    evil(lab, change)
    assert faults(lab) == [f"{FOLDER}/{line}" for line in expected]


def test_a_name_that_is_not_utf8_is_a_fault(lab: Lab) -> None:
    evil(lab, {})
    raw = b"100644 blob " + blob(lab, "# S\n").encode() + b"\t\xff.md\0"
    (lab.root / "entries").write_bytes(raw)
    folder = lab.run_program("sh", "-c", f"git mktree -z <'{lab.root}/entries'").out.strip()
    evil(lab, {"specs": ("040000", folder)})
    assert faults(lab) == [rf"{FOLDER}/specs:1: has an entry with an unusable name: '\udcff.md'"]


def test_few_objects_with_many_folders_end_at_a_bound(lab: Lab) -> None:
    workshop(lab)
    folder: Entry = {"spec.md": "# S\n"}
    for _ in range(8):
        folder = ("040000", tree(lab, {f"d{n}": folder for n in range(10)}))
    evil(lab, {"specs": folder})
    assert faults(lab) == [f"{FOLDER}/specs:1: has more than 1,000 folders"]


def test_the_files_of_a_change_have_a_bound_together(lab: Lab) -> None:
    workshop(lab)
    large = ("100644", blob(lab, "a " * 250_000))
    evil(lab, {"specs": {f"{n}.md": large for n in range(150)}})
    assert faults(lab) == [f"{FOLDER}/specs/105.md:1: is too much: a change has at most 4,194,304 bytes"]


def test_a_reader_that_takes_too_long_is_stopped(lab: Lab) -> None:
    evil(lab, {"specs": {f"{n}.md": "1. a\n" * 50_000 for n in range(10)}})
    with open_source(lab.repo, "origin/evil") as source:
        change = load_change(source, "shrink", seconds=1)
    assert [fault.message for fault in change.faults] == [
        "cannot be read: the reader of its files took more than 1 seconds"
    ]


def test_thousands_of_changes_are_not_validated_at_once(lab: Lab) -> None:
    evil(lab, {})
    changes = ("040000", tree(lab, {f"c{n}": ("040000", OF_NOWHERE) for n in range(3000)}))
    commit = lab.git("commit-tree", tree(lab, {"openspec": {"changes": changes}}), "-m", "many")
    done = spec(lab, "validate", "--from", commit)
    assert (done.status, done.out) == (1, "")
    assert "has 3,000 changes; at most 200 are validated at once (E_SPEC)" in done.err


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": '{"a":' * 50_000, "pyproject.toml": "a = " + "[" * 100_000},
        {"pyproject.toml": "a" + ".a" * 200_000 + " = 1\n"},
        {"a\nb": {"x": "y"}, "Makefile": "test \t " * 50_000, "package.json": SUBMODULE},
        {f"d{n}": ("040000", OF_NOWHERE) for n in range(3000)},
    ],
)
def test_files_that_only_suggest_commands_do_no_harm(lab: Lab, files: dict[str, Entry]) -> None:
    evil(lab, {}, files)
    lab.commit("no commands", {".planner/policy.yml": _without_verify(lab)})
    compiled = answer(lab, "compile")
    assert (compiled.get("verify"), compiled.get("verify_from")) == ([], "nothing"), compiled
    assert PLAN in lab.refs()


def _without_verify(lab: Lab) -> str:
    lines = lab.show("main:.planner/policy.yml").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("verify:"))
