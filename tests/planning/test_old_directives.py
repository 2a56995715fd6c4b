"""Directives of earlier versions: the old name of `expected_effect` is read for ever, and never written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner import documents
from git_planner.flows.setup.validate_document import check_document
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import directive_from, state_from
from tests.support import samples
from tests.support.lab import Lab
from tests.support.workshop import directive, workshop

OLD, NEW = "expected_effect_cycles", "expected_effect"


def old(document: dict[str, Any]) -> dict[str, Any]:
    """Return a directive as an earlier version wrote it."""
    return {OLD if key == NEW else key: value for key, value in document.items()}


def old_state() -> dict[str, Any]:
    """Return a state as an earlier version committed it, with the digest of the directive as written."""
    state = samples.STATE.document()
    written = old(state["directive"])
    return {**state, "directive": written, "directive_digest": canonical_json.digest(written)}


def test_an_old_directive_is_read() -> None:
    written = samples.DIRECTIVE.document()
    assert documents.validate("directive", old(written)) == []
    assert directive_from(old(written)) == samples.DIRECTIVE
    assert directive_from(documents.complete_answer("directive", old(written))).document() == written


def test_both_names_are_refused() -> None:
    both = {**samples.DIRECTIVE.document(), OLD: 1}
    assert documents.validate("directive", both) == [f"/{OLD}: is not a known key; did you mean '{NEW}'?"]


def test_an_old_state_is_read_and_its_digest_is_that_of_the_text() -> None:
    state = old_state()
    data = canonical_json.dumps(state)
    assert state_from(documents.read("state", data, "state")) == state_from(state)
    assert state_from(state).directive == samples.STATE.directive
    assert state_from(state).directive_digest == state["directive_digest"]
    assert check_document(data, "state").faults == ()


def test_an_old_answer_is_stored_under_the_new_name(lab: Lab) -> None:
    workshop(lab)
    assert lab.run("git-plan", "manual", "pack", "--slug", "hand").status == 0
    ran = lab.run("git-plan", "manual", "apply", "-", "--json", stdin=json.dumps(old(directive())))
    assert ran.status == 0, ran.err
    branch = json.loads(ran.out)["branch"]
    state = json.loads(lab.show(f"{branch}:.advisor/state.json"))
    assert (NEW in state["directive"], OLD in state["directive"]) == (True, False)


@pytest.mark.parametrize("strict", [False, True])
def test_schemas_have_only_the_new_name(strict: bool) -> None:
    schema = documents.strict_schema("directive") if strict else documents.schema("directive")
    assert NEW in schema["properties"]
    assert OLD not in json.dumps(schema)
