"""Validation of documents: every limit of a schema is enforced, with one sentence per problem."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from git_planner import documents
from git_planner.errors import CODES, PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import Directive, directive_from, state_from
from git_planner.rules.plans.plan import add_steps, new_plan
from git_planner.rules.policy.parse import policy_from, policy_problems
from git_planner.rules.records.record import Record, record_from
from git_planner.rules.records.row import REASONS
from git_planner.rules.tasks.task import FIELDS, STATUSES
from git_planner.rules.tasks.transitions import TRANSITIONS
from tests.support import samples

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", " ", "x", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


FAMILY_WORDS = "the strategy family, with its 'family:' prefix; one of the families that the packet allows"


def stored(document: Any) -> Any:
    """Return a document as it is read back from a file."""
    return canonical_json.loads(canonical_json.dumps(document), "a file")


def directive(**changes: Any) -> Any:
    document = stored(samples.DIRECTIVE.document())
    return {**document, **changes}


@pytest.mark.parametrize("kind", documents.KINDS)
def test_every_schema_is_itself_valid_closed_and_explained(kind: str) -> None:
    schema = documents.schema(kind)
    Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        f"git-planner/{kind}@1",
    )
    assert schema["properties"]["schema"]["const"] == f"git-planner/{kind}@1"
    assert schema["title"]
    for where, node in nodes(schema):
        if node.get("type") == "object":
            assert "additionalProperties" in node, where
        if "properties" in node and "required" in node:
            assert set(node["required"]) <= set(node["properties"]), where
    for name, node in schema["properties"].items():
        target = schema["$defs"][node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else {}
        assert node.get("description") or target.get("description"), name


def nodes(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node of a schema with its place."""
    yield where, node
    for key in ("properties", "$defs"):
        for name, inner in node.get(key, {}).items():
            yield from nodes(inner, f"{where}/{key}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{where}/{key}")
    for place, inner in enumerate(node.get("anyOf", ())):
        yield from nodes(inner, f"{where}/anyOf/{place}")


def test_an_unknown_kind_is_an_error_that_lists_the_kinds() -> None:
    with pytest.raises(PlannerError) as raised:
        documents.schema("../policy")
    assert (raised.value.code, raised.value.message) == ("E_USAGE", "'../policy' is not a kind of document")
    with pytest.raises(PlannerError) as raised:
        documents.strict_schema("record")
    assert raised.value.hint == "kinds with a strict form: directive, plan-options, planning-plan"


@given(samples.DIRECTIVES)
def test_a_directive_survives_its_document(value: Directive) -> None:
    document = value.document()
    assert documents.validate("directive", document) == []
    assert directive_from(stored(document)) == value
    del document["schema"]
    assert directive_from(documents.complete_answer("directive", stored(document))) == value


@given(samples.PLANNING_PLANS)
def test_every_planning_plan_of_the_samples_is_valid(document: dict[str, Any]) -> None:
    assert documents.validate("planning-plan", document) == []


def test_state_and_record_survive_their_documents() -> None:
    assert documents.validate("state", samples.STATE.document()) == []
    assert state_from(stored(samples.STATE.document())) == samples.STATE
    least = Record(
        id=samples.RECORD_ID,
        plan="p",
        kind="imported",
        verdict="invalid",
        reason="incorrect",
        commit="",
        tree="",
        patch_id=None,
        base="",
        branch=None,
        iteration=None,
        slug=None,
        instrument=None,
        environment_digest=None,
        created_at=samples.TIME,
    )
    for record in (samples.RECORD, least):
        assert documents.validate("record", record.document()) == []
        assert record_from(stored(record.document())) == record


def test_only_an_imported_record_may_not_know_its_commit() -> None:
    unknown = samples.RECORD.with_(commit="", tree="", base="")
    assert documents.validate("record", unknown.with_(kind="imported").document()) == []
    assert [problem.partition(":")[0] for problem in documents.validate("record", unknown.document())] == [
        "/base",
        "/commit",
        "/tree",
    ]


def test_all_reasons_and_statuses_fit_their_schemas() -> None:
    for reason in REASONS:
        assert documents.validate("record", samples.RECORD.with_(reason=reason).document()) == []
    status = documents.schema("plan")["$defs"]["task"]["properties"]["status"]
    assert tuple(status["enum"]) == STATUSES == tuple(TRANSITIONS)
    assert tuple(documents.schema("task")["required"]) == FIELDS


def test_plan_policy_tests_and_error_documents_are_accepted() -> None:
    plan = new_plan("p", "goal", base=samples.OID, base_ref="main", created_at=samples.TIME)
    answer = samples.PLANNING_PLAN
    assert documents.validate("plan", plan) == []
    assert documents.validate("plan", add_steps(plan, answer, samples.DIGEST)) == []
    assert documents.validate("policy", samples.POLICY) == []
    assert policy_problems(samples.POLICY) == []
    assert policy_from(samples.POLICY).document == samples.POLICY
    listed = {"schema": "git-planner/tests@1", "passed": ["a::b"], "failed": [], "skipped": []}
    assert documents.validate("tests", listed) == []
    for code in CODES:
        error = PlannerError(code, "words", hint=None, details=["more"])
        assert documents.validate("error", error.document()) == []


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"expected_effect": True}, ["/expected_effect: must be a whole number, not true"]),
        ({"expected_effect": 1.0}, ["/expected_effect: must be a whole number, not 1.0"]),
        ({"expected_effect": "1"}, ["/expected_effect: must be a whole number, not '1'"]),
        (
            {"expected_effect": 2**53},
            ["/expected_effect: must be at most 9007199254740991, not 9007199254740992"],
        ),
        ({"did_web_search": 1}, ["/did_web_search: must be true or false, not 1"]),
        ({"risk": "low"}, ["/risk: must be one of 'Low', 'Medium', 'High', not 'low'"]),
        ({"risk": None}, ["/risk: must be a string, not null"]),
        ({"objective": ""}, ["/objective: must not be blank"]),
        ({"objective": " \n\t "}, ["/objective: must not be blank"]),
        ({"objective": "a\x07b"}, ["/objective: has the control character U+0007 (character 2)"]),
        ({"objective": "\x9b31m"}, ["/objective: has the control character U+009B (character 1)"]),
        ({"objective": "a\r\nb"}, ["/objective: has the control character U+000D (character 2)"]),
        ({"objective": "x" * 4001}, ["/objective: has 4,001 characters; at most 4,000 are allowed"]),
        ({"step_plan": ["a", "b"]}, ["/step_plan: has 2 items; at least 3 are needed"]),
        ({"step_plan": ["a"] * 13}, ["/step_plan: has 13 items; at most 12 are allowed"]),
        (
            {"step_plan": ["a", "", " ", 4, "x" * 2001]},
            [
                "/step_plan/1: must not be blank",
                "/step_plan/2: must not be blank",
                "/step_plan/3: must be a string, not 4",
                "/step_plan/4: has 2,001 characters; at most 2,000 are allowed",
            ],
        ),
        ({"step_plan": "abc"}, ["/step_plan: must be a list, not 'abc'"]),
        ({"strategy_modifiers": ["a"] * 4}, ["/strategy_modifiers: has 4 items; at most 3 are allowed"]),
        ({"change_summary": []}, ["/change_summary: has 0 items; at least 1 are needed"]),
        ({"next_packet_requests": ["a"] * 7}, ["/next_packet_requests: has 7 items; at most 6 are allowed"]),
        (
            {"validation": {"commands": [], "pass_criteria": ["a"] * 7, "more/~": 1}},
            [
                "/validation/commands: has 0 items; at least 1 are needed",
                "/validation/more~1~0: is not a known key",
                "/validation/pass_criteria: has 7 items; at most 6 are allowed",
            ],
        ),
        ({"validation": {}}, ["/validation/commands: is missing", "/validation/pass_criteria: is missing"]),
        ({"validation": []}, ["/validation: must be an object, not a list of 0"]),
        ({"stepplan": []}, ["/stepplan: is not a known key; did you mean 'step_plan'?"]),
        (
            {"strategy_family": "schedule"},
            [f"/strategy_family: 'schedule' is not accepted here: {FAMILY_WORDS}"],
        ),
        (
            {"schema": "git-planner/directive@2"},
            ["/schema: must be 'git-planner/directive@1', not 'git-planner/directive@2'"],
        ),
    ],
)
def test_every_limit_of_a_directive_is_enforced(changes: dict[str, Any], problems: list[str]) -> None:
    assert documents.validate("directive", directive(**changes)) == problems


@pytest.mark.parametrize("key", documents.schema("directive")["required"])
def test_every_key_of_a_directive_is_needed(key: str) -> None:
    document = directive()
    del document[key]
    assert documents.validate("directive", document) == [f"/{key}: is missing"]


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_what_is_not_an_object_is_told_at_the_root(document: Any) -> None:
    (problem,) = documents.validate("directive", document)
    assert problem.startswith("/: must be an object, not ")
    assert documents.complete_answer("directive", document) == document
    with pytest.raises(PlannerError):
        documents.check("directive", document, "x")


def test_families_come_from_the_policy_and_blocked_ones_are_out() -> None:
    def problems(*families: str, blocked: tuple[str, ...] = ()) -> list[str]:
        return documents.validate("directive", directive(), families=families, blocked=blocked)

    assert problems() == []
    assert problems("schedule", "reduce_loads") == []
    assert problems("family:reduce_loads") == []
    assert problems("reduce_loads", blocked=("family:reduce_loads",)) == []
    assert problems("schedule") == ["/strategy_family: must be 'family:schedule', not 'family:reduce_loads'"]
    assert problems("a", "b", "reduce_loads", blocked=("reduce_loads",)) == [
        "/strategy_family: must be one of 'family:a', 'family:b', not 'family:reduce_loads'"
    ]
    strict = documents.strict_schema("directive", families=["a", "b"], blocked=["a"])
    assert strict["properties"]["strategy_family"]["enum"] == ["family:b"]
    # Options of one call do not affect the next.
    assert "enum" not in documents.schema("directive")["properties"]["strategy_family"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/..",
        "..",
        ".",
        "./a",
        "a/./b",
        "a//b",
        ":!a",
        ":(top)a",
        "a\nb",
        "a\x00",
        "a\n",
        "",
        ".git/hooks/x",
        "a/.GIT/x",
        "\x7f",
        "a\x1b[2J",
    ],
)
def test_paths_that_leave_the_repository_or_mislead_are_refused(path: str) -> None:
    step = {**samples.STEP, "files": [path]}
    plan = {**samples.PLANNING_PLAN, "steps": [step]}
    assert [problem.partition(":")[0] for problem in documents.validate("planning-plan", plan)] == [
        "/steps/0/files/0"
    ]
    for key, value in {
        "guard": [path],
        "context": [path],
        "scope": {"allow": [path]},
        "agents": {"patches": path},
    }.items():
        (problem,) = documents.validate("policy", {**samples.POLICY, key: value})
        assert problem.startswith(f"/{key}"), problem
        assert problem.isprintable(), problem


@pytest.mark.parametrize(
    "path", ["a", "a/b.py", "tests/**", ".github/x", "a/..b/c...", "a b", "é/*", "-x", "a.git"]
)
def test_ordinary_paths_are_accepted(path: str) -> None:
    assert documents.validate("policy", {**samples.POLICY, "guard": [path]}) == []


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("plan_summary", "x" * 513, "/plan_summary"),
        ("rationale", "x" * 2049, "/rationale"),
        ("focus_metrics", ["x"] * 11, "/focus_metrics"),
        ("guardrails", [], "/guardrails"),
        ("risks", ["x"] * 21, "/risks"),
        ("validation", [" "], "/validation/0"),
        ("steps", [], "/steps"),
        ("steps", [samples.STEP] * 7, "/steps"),
        ("steps", [{**samples.STEP, "id": "x" * 65}], "/steps/0/id"),
        ("steps", [{**samples.STEP, "title": "x" * 121}], "/steps/0/title"),
        ("steps", [{**samples.STEP, "intent": "x" * 401}], "/steps/0/intent"),
        ("steps", [{**samples.STEP, "actions": []}], "/steps/0/actions"),
        ("steps", [{**samples.STEP, "actions": ["x" * 201]}], "/steps/0/actions/0"),
        ("steps", [{**samples.STEP, "files": ["x"] * 31}], "/steps/0/files"),
        ("steps", [{**samples.STEP, "files": ["x" * 257]}], "/steps/0/files/0"),
        ("steps", [{**samples.STEP, "dependencies": ["x"] * 13}], "/steps/0/dependencies"),
        ("steps", [{**samples.STEP, "references": ["x" * 257]}], "/steps/0/references/0"),
        ("steps", [{**samples.STEP, "step_id": "x"}], "/steps/0/step_id"),
        ("handoff_notes", ["x"] * 21, "/handoff_notes"),
        ("fallback_plan", "x" * 1201, "/fallback_plan"),
        ("fallback_plan", 1, "/fallback_plan"),
    ],
)
def test_every_limit_of_a_planning_plan_is_enforced(key: str, value: Any, place: str) -> None:
    problems = documents.validate("planning-plan", {**samples.PLANNING_PLAN, key: value})
    assert [problem.partition(":")[0] for problem in problems] == [place]


def test_check_and_read_refuse_with_one_detail_a_fault() -> None:
    with pytest.raises(PlannerError) as raised:
        documents.read(
            "directive", canonical_json.dumps(directive(risk=1, objective="")), "plan/x:directive.json"
        )
    error = raised.value
    assert (error.code, error.message, error.hint, error.details) == (
        "E_SCHEMA",
        "'plan/x:directive.json' is not a valid directive: /objective: must not be blank",
        "see the schema with 'git planner schema directive'",
        (
            "/objective: must not be blank",
            "/risk: must be a string, not 1",
        ),
    )
    assert documents.read("directive", json.dumps(directive()), "x") == directive()


def test_values_in_sentences_are_short_and_harmless() -> None:
    long = "\x1b[2J\u202e" + "x" * 10_000
    problems = documents.validate("directive", directive(risk=long, **{long: 1}))
    assert problems == [
        "/\\u001b[2J\\u202e" + "x" * 54 + "…: is not a known key",
        "/risk: must be one of 'Low', 'Medium', 'High', not '\\u001b[2J\\u202e" + "x" * 54 + "…'",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"schema": "git-planner/policy@1", "guard": [1, "a", None] * 60_000},
        {f"k{number}": 1 for number in range(400_000)},
        {"guard": ["/." * 2_000_000, "a" + "/a" * 2_000_000, "a" + "../" * 1_000_000]},
        {"constraints": ["a"] * 1_000_000},
    ],
    ids=["mixed", "keys", "paths", "items"],
)
def test_hostile_documents_are_validated_in_bounded_time_and_output(document: Any) -> None:
    started = time.process_time()
    problems = documents.validate("policy", document)
    assert time.process_time() - started < 5
    assert 0 < len(problems) <= documents.MAX_PROBLEMS + 1
    assert sum(map(len, problems)) < 20_000


def test_jsonschema_is_imported_on_first_use_only() -> None:
    late = "{'jsonschema', 'yaml', 'referencing', 'orjson'}"
    code = f"import sys, git_planner.config.settings; print(sorted({late} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The strict form: the same documents, as far as strict mode can express.
