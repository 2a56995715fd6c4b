"""Staged documents are judged as they are in the index, with path and JSON pointer."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.flows.hooks import install
from git_planner.rules.documents import canonical_json
from tests.hooks.hooked_repository import guarded_lab
from tests.support.lab import Lab

DIRECTIVE = "planner_packets/0001/directive.json"


@pytest.fixture
def plan(lab: Lab) -> Lab:
    """On a plan's branch, with hooks."""
    guarded_lab(lab)
    lab.git("checkout", "-q", "-b", "plan/default")
    return lab


def stage(lab: Lab, path: str, text: str) -> None:
    place = lab.path / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    lab.git("add", "--", path)


def refused(lab: Lab) -> str:
    result = lab.run_git("commit", "-q", "-m", "x")
    assert result.status == 1
    return result.err


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".plans/speed/plan.json", "plan"),
        (".plans/speed/plan-0002.json", "plan"),
        (".plans/speed/preplan/CHOICE.json", "choice"),
        ("planner_packets/0001/packet.json", "packet"),
        (DIRECTIVE, "directive"),
        (".plans/speed/planner_packets/directive.json", "directive"),
        ("experiments/records/20261121T114055Z-k3v9x2ab.json", "record"),
    ],
)
def test_each_kind(plan: Lab, path: str, kind: str) -> None:
    stage(plan, path, f'{{"schema": "git-planner/{kind}@1", "surplus": 1}}\n')
    message = refused(plan)
    assert message.startswith(f"error: '{path}' is not a valid {kind}: /")
    assert "\n  /surplus: " in message
    assert message.endswith(f"hint: see the schema with 'git planner schema {kind}'\n")


def test_no_json_at_all(plan: Lab) -> None:
    stage(plan, ".plans/speed/plan.json", "{")
    assert "(E_JSON)" in refused(plan)


def test_the_index_counts_not_the_working_tree(plan: Lab) -> None:
    stage(plan, DIRECTIVE, '{"objective": 1}')
    (plan.path / DIRECTIVE).write_text("{}")
    assert "(E_SCHEMA)" in refused(plan)
    plan.git("add", DIRECTIVE)
    (plan.path / DIRECTIVE).write_text('{"objective": 1}')
    plan.git("commit", "-q", "-m", "the empty directive of a pack")


def test_an_answer_without_schema_is_completed(plan: Lab) -> None:
    stage(plan, DIRECTIVE, '{"surplus": 1}')
    assert "/schema" not in refused(plan)


def test_a_planning_plan_may_be_the_answer(plan: Lab) -> None:
    stage(plan, DIRECTIVE, '{"schema": "git-planner/planning-plan@1", "surplus": 1}')
    assert refused(plan).startswith(f"error: '{DIRECTIVE}' is not a valid planning plan: /")


def test_a_link_is_no_document(plan: Lab) -> None:
    place = plan.path / ".plans/speed/plan.json"
    place.parent.mkdir(parents=True)
    place.symlink_to(Path("../../README.md"))
    plan.git("add", ".plans")
    assert refused(plan) == "error: '.plans/speed/plan.json' is not an ordinary file (E_SCHEMA)\n"


def test_several_at_once(plan: Lab) -> None:
    stage(plan, ".plans/a/plan.json", "{")
    stage(plan, ".plans/b/plan.json", '{"schema": "git-planner/plan@1", "surplus": 1}')
    lines = refused(plan).splitlines()
    assert lines[0] == "error: 2 staged documents are not valid (E_JSON)"
    assert [line[2:].split("'")[1] for line in lines if line.startswith("  '")] == [
        ".plans/a/plan.json",
        ".plans/b/plan.json",
    ]


def test_removing_a_document_is_no_fault(plan: Lab) -> None:
    stage(plan, DIRECTIVE, "{}")
    plan.git("commit", "-q", "-m", "pack")
    plan.git("rm", "-q", DIRECTIVE)
    plan.git("commit", "-q", "-m", "packed away")
    assert plan.git("ls-tree", "-r", "--name-only", "HEAD", "planner_packets") == ""


def test_schemas_of_the_packet_and_files_that_are_nobody_s(plan: Lab) -> None:
    stage(plan, "planner_packets/0001/directive_schema.json", "{}")
    stage(plan, "planner_packets/0001/notes.json", "[")
    plan.git("commit", "-q", "-m", "fine")
    assert plan.git("log", "-1", "--format=%s") == "fine"


def test_what_our_store_writes_passes(plan: Lab) -> None:
    """A person may take our own document and commit it again."""
    stage(plan, DIRECTIVE, canonical_json.dumps({}).decode())
    plan.git("commit", "-q", "-m", "fine")
    assert plan.show(f"HEAD:{DIRECTIVE}").strip() == "{}"


def test_on_the_base_branch_by_command(lab: Lab) -> None:
    install.install_hooks(lab.repo)
    stage(lab, ".git-planner.yml", "schema: git-planner/policy@1\nsurplus: 1\n")
    result = lab.run("git-planner", "gate", "documents")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("error: '.git-planner.yml' is not a valid policy: /")
    # The native hooks do not run here: the base branch is not ours.
    lab.git("commit", "-q", "-m", "as the person likes")
    assert lab.git("log", "-1", "--format=%s") == "as the person likes"
