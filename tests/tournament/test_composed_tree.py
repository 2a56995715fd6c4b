"""Trees of compositions: the base's, with each module taken from its variant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.tournament.winner.composed_tree import (
    ComposedTree,
    ModuleSource,
    compose_tree,
    read_manifests,
)
from tests.support.lab import Lab

Files = Mapping[str, str | None]
BASE = {
    "docs/guide.md": "guide\n",
    "src/alpha/a.py": "a = 0\n",
    "src/alpha/inner/b.py": "b = 0\n",
    "src/beta/c.py": "c = 0\n",
}
PATTERNS = {"alpha": ["src/alpha/**"], "beta": ["src/beta/**"]}


def start(lab: Lab) -> Lab:
    """Bring a laboratory into the state that all tests start from."""
    lab.commit("base", BASE)
    return lab


def variant(lab: Lab, number: int, files: Files) -> str:
    """Commit a variant from the base, and return to main."""
    lab.git("switch", "-q", "-c", f"v{number}", "main")
    commit = lab.commit(f"variant {number}", files)
    lab.git("switch", "-q", "main")
    return commit


def compose(lab: Lab, patterns: Mapping[str, list[str]], **modules: str) -> ComposedTree:
    sources = [
        ModuleSource(name, int(place.lstrip("v")), lab.git("rev-parse", place))
        for name, place in modules.items()
    ]
    return compose_tree(lab.repo, lab.git("rev-parse", "main"), sources, patterns)


def changes(lab: Lab, tree: str) -> str:
    return lab.git("diff-tree", "-r", "--name-status", "main", tree)


def refusal(lab: Lab, patterns: Mapping[str, list[str]], **modules: str) -> PlannerError:
    with pytest.raises(PlannerError) as raised:
        compose(lab, patterns, **modules)
    assert raised.value.code == "E_COMPOSE"
    return raised.value


def manifest(module: str, **more: Any) -> str:
    return json.dumps({"id": module, "version": "1.0.0", "provides": [], **more})


def test_each_module_is_taken_from_its_variant_and_the_rest_from_the_base(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    variant(lab, 1, {"src/alpha/a.py": "a = 1\n", "src/beta/c.py": "c = 1\n", "docs/guide.md": "v1\n"})
    variant(
        lab,
        2,
        {
            "src/alpha/a.py": "a = 2\n",
            "src/beta/c.py": None,
            "src/beta/new/d.py": "d = 2\n",
            "top.txt": "v2\n",
        },
    )
    with lab.undisturbed():
        composed = compose(lab, PATTERNS, alpha="v1", beta="v2")
    assert changes(lab, composed.tree).split("\n") == [
        "M\tsrc/alpha/a.py",
        "D\tsrc/beta/c.py",
        "A\tsrc/beta/new/d.py",
    ]
    assert lab.show(f"{composed.tree}:src/alpha/a.py") == "a = 1\n"
    assert composed.changed == {"alpha": 1, "beta": 2}
    assert composed.left_out == {1: ("docs/guide.md",), 2: ("top.txt",)}
    lab.fsck()


def test_modes_links_and_odd_names_are_taken_as_they_are(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    lab.git("switch", "-q", "-c", "v1", "main")
    tool = lab.path / "src/alpha/tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (lab.path / "src/alpha/link").symlink_to("a.py")
    (lab.path / "src/alpha/na me\tß").write_bytes(b"\0\r\n")
    lab.commit("variant 1", {})
    lab.git("add", "src")
    lab.git("commit", "-q", "--amend", "--no-edit")
    lab.git("switch", "-q", "main")
    composed = compose(lab, PATTERNS, alpha="v1")
    assert composed.tree == lab.git("rev-parse", "v1^{tree}")


def test_a_module_is_the_folder_of_its_manifest(lab: Lab) -> None:
    lab.commit("base", {"mods/one/module.json": manifest("one"), "mods/one/a.py": "0\n", "free.txt": "0\n"})
    variant(
        lab,
        1,
        {
            "mods/one/module.json": manifest("one", provides=["P@1"], requires=["Q"]),
            "mods/one/a.py": "1\n",
            "mods/two/module.json": manifest("two"),
            "free.txt": "1\n",
        },
    )
    composed = compose(lab, {}, one="v1")
    assert changes(lab, composed.tree).split("\n") == ["M\tmods/one/a.py", "M\tmods/one/module.json"]
    assert composed.manifests["one"].provides == ("P@1",)
    # What belongs to a module that was not chosen is not outside of all modules.
    assert composed.left_out == {1: ("free.txt",)}


def test_a_module_that_moved_leaves_its_old_folder(lab: Lab) -> None:
    lab.commit("base", {"old/module.json": manifest("one"), "old/a.py": "0\n"})
    variant(
        lab,
        1,
        {
            "new/module.json": manifest("one"),
            "new/a.py": "0\n",
            "old/module.json": None,
            "old/a.py": None,
        },
    )
    composed = compose(lab, {}, one="v1")
    assert composed.tree == lab.git("rev-parse", "v1^{tree}")


def test_the_same_variant_for_all_modules_is_that_variant(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    variant(lab, 1, {"src/alpha/a.py": "a = 1\n", "src/beta/c.py": "c = 1\n"})
    composed = compose(lab, PATTERNS, alpha="v1", beta="v1")
    assert (composed.tree, composed.left_out) == (lab.git("rev-parse", "v1^{tree}"), {})
    variant(lab, 2, {})
    assert compose(lab, PATTERNS, alpha="v2").tree == lab.git("rev-parse", "main^{tree}")


def test_a_module_that_its_variant_lacks_or_deletes_is_refused(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    variant(lab, 1, {"src/beta/c.py": None})
    assert refusal(lab, PATTERNS, beta="v1").message == "variant 1 deletes the module 'beta'"
    assert refusal(lab, PATTERNS, gamma="v1").message == "variant 1 has no files of the module 'gamma'"
    nowhere = {"gamma": ["src/gamma/**"]}
    assert refusal(lab, nowhere, gamma="v1").message == "variant 1 has no files of the module 'gamma'"


def test_a_path_of_two_modules_is_refused(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    variant(lab, 1, {"src/alpha/a.py": "a = 1\n"})
    variant(lab, 2, {"src/alpha/inner/b.py": "b = 2\n"})
    patterns = {"alpha": ["src/alpha/**"], "inner": ["src/*/inner/**"]}
    # Both change it, only the other one changes it, and both come from the same variant.
    for modules in (
        {"alpha": "v2", "inner": "v2"},
        {"alpha": "v1", "inner": "v2"},
        {"inner": "v2", "alpha": "v1"},
    ):
        assert refusal(lab, patterns, **modules).message.startswith("'src/alpha/inner/b.py' belongs to the")


def test_a_file_in_the_place_of_a_folder_of_another_module_is_refused(lab: Lab) -> None:
    lab.prepare("composed tree", start)
    lab.git("switch", "-q", "-c", "v1")
    lab.git("rm", "-q", "-r", "src/alpha/inner")
    lab.commit("variant 1", {"src/alpha/inner": "now a file\n"})
    lab.git("switch", "-q", "main")
    variant(lab, 2, {"src/alpha/inner/b.py": "b = 2\n"})
    error = refusal(lab, {"file": ["src/alpha/inne?"], "rest": ["src/alpha/inner/b*"]}, file="v1", rest="v2")
    assert "would be both a file and a folder" in error.message


def test_manifests_that_cannot_be_read_are_told_only_for_chosen_modules(lab: Lab) -> None:
    lab.commit("base", {"good/module.json": manifest("good"), "good/a": "0\n"})
    variant(lab, 1, {"bad/module.json": "{", "good/a": "1\n", "worse/module.json": '{"id": "x"}'})
    manifests = read_manifests(lab.repo, "v1")
    assert [(row.folder, row.module, row.problem and row.problem.code) for row in manifests] == [
        ("bad", "bad", "E_JSON"),
        ("good", "good", None),
        ("worse", "worse", "E_SCHEMA"),
    ]
    assert changes(lab, compose(lab, {}, good="v1").tree) == "M\tgood/a"
    with pytest.raises(PlannerError) as raised:
        compose(lab, {}, bad="v1")
    assert raised.value.code == "E_JSON"
