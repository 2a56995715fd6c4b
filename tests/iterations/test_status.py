"""Where plans stand, and documents of every kind judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.status import look_up_iteration, plan_status
from git_planner.flows.planning.ask_planner import make_iteration, make_planning_plan
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.flows.planning.manual import make_packet_branch
from git_planner.flows.plans.list_plans import PlanSummary, list_plans
from git_planner.flows.setup.validate_document import check_document, load_document
from git_planner.gitio import git
from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab
from tests.support.recorded_history import keep, record
from tests.support.workshop import POLICY, directive, planning_plan, workshop

GOAL = "Make 'size' lower and keep every test passing."


def hush(_: str) -> None:
    """Say nothing."""


def test_a_plan_that_does_not_exist_yet(lab: Lab) -> None:
    report = plan_status(workshop(lab).repo, None)
    assert (report.plan, report.current, report.record, report.best, report.open) == (
        "default",
        None,
        None,
        None,
        (),
    )


def test_the_current_iteration_is_the_checked_out_one_or_the_newest(lab: Lab) -> None:
    workshop(lab)
    first, second = (make_iteration(lab.repo, PlanOptions(slug="next"), hush) for _ in range(2))
    report = plan_status(lab.repo, None)
    assert report.current is not None
    assert report.current.branch == second.state.branch
    assert [(iteration.branch, iteration.phase) for iteration in report.open] == [
        ("iter/0001-next", "planned"),
        ("iter/0002-next", "planned"),
    ]
    lab.git("checkout", "-q", first.state.branch)
    report = plan_status(lab.repo, None)
    assert report.current is not None
    assert report.current.branch == first.state.branch


def test_best_plateau_and_blocked_family(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    for _ in range(3):
        make_iteration(lab.repo, PlanOptions(slug="x"), hush)
    keep(
        lab,
        record(1, base, 90.0, "shrink"),
        record(2, base, 95.0, "shrink", verdict="worse"),
        record(3, base, None, "shrink"),
    )
    make_planning_plan(lab.repo, PlanOptions(), hush)
    make_packet_branch(lab.repo, PlanOptions(slug="hand"), hush)
    report = plan_status(lab.repo, None)
    assert report.best is not None
    assert (report.best.value, report.plateau) == (90.0, 1)
    assert report.rule is not None
    assert report.rule.blocked == ("family:shrink",)
    assert report.record is not None
    assert report.record.reason == "guard"
    assert (report.open, report.packets, report.tasks) == ((), ("plan/0002-hand",), {"todo": 3})
    assert json.loads(json.dumps(report.document()))["best"]["value"] == 90.0


def test_a_list_of_plans(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    make_iteration(lab.repo, PlanOptions(), hush)
    make_planning_plan(lab.repo, PlanOptions(plan="fast", goal_text="be fast"), hush)
    make_packet_branch(lab.repo, PlanOptions(slug="hand"), hush)
    keep(lab, *(record(number, base, 90.0, "shrink") for number in range(1, 4)))
    lab.git("branch", "plan/Not-Ours")
    lab.git("branch", "plan/neither")
    lab.git("update-ref", "refs/heads/iter/best", base)
    lab.git("tag", "-a", "-m", "best", "best/90.5-x-i1", base)
    early, late = (int(lab.git("log", "-1", "--format=%ct", f"plan/{name}")) for name in ("fast", "default"))
    assert list_plans(lab.repo) == (
        [
            PlanSummary("default", GOAL, {}, 3, 90.5, "best/90.5-x-i1", late),
            PlanSummary("fast", "be fast", {"todo": 3}, 0, None, None, early),
        ],
        ["plan/0002-hand"],
    )


def test_a_list_takes_at_most_four_calls_of_git_however_many_plans(lab: Lab) -> None:
    workshop(lab)
    repo = lab.repo
    counts = []
    for number in range(3):
        make_iteration(repo, PlanOptions(plan=f"p{number}"), hush)
        before = git.spawned
        assert len(list_plans(repo)[0]) == number + 1
        counts.append(git.spawned - before)
    assert max(counts) <= 4


def test_a_list_survives_what_somebody_wrote_there(lab: Lab) -> None:
    workshop(lab)
    lab.rival("refs/heads/plan/odd", ".plans/odd/plan.json", "not json")
    lab.rival("refs/heads/plan/list", ".plans/list/plan.json", "[1]")
    assert [(plan.name, plan.goal, plan.tasks) for plan in list_plans(lab.repo)[0]] == [
        ("list", "", {}),
        ("odd", "", {}),
    ]


def test_an_iteration_by_number_branch_or_commit(lab: Lab) -> None:
    workshop(lab)
    first, second = (make_iteration(lab.repo, PlanOptions(slug="next"), hush) for _ in range(2))
    for name in ("1", "0001", "iter/1", "iter/0001-next", "refs/heads/iter/0001-next", first.commit):
        assert look_up_iteration(lab.repo, name).state == first.state
    assert look_up_iteration(lab.repo, None).state == second.state
    for name in ("3", "main", "nowhere"):
        with pytest.raises(PlannerError) as caught:
            look_up_iteration(lab.repo, name)
        assert caught.value.code == "E_UNKNOWN_REF"


def test_no_iteration_to_show(lab: Lab) -> None:
    with pytest.raises(PlannerError) as caught:
        look_up_iteration(workshop(lab).repo, None)
    assert caught.value.hint == "make one with 'git plan codex' or 'git plan offline'"


def judged(document: Any, where: str = "x.json") -> tuple[str | None, list[str]]:
    data = document if isinstance(document, bytes) else canonical_json.dumps(document)
    checked = check_document(data, where)
    return checked.kind, list(checked.faults)


def test_documents_of_every_kind_are_judged(lab: Lab) -> None:
    workshop(lab)
    make_planning_plan(lab.repo, PlanOptions(), hush)
    planned = make_iteration(lab.repo, PlanOptions(), hush)
    keep(lab, record(1, "c" * 40, 9.0, "shrink", base="e" * 40))
    names = {
        "main:.git-planner.yml": "policy",
        "iter/0001-auto": "state",
        "plan/default": "plan",
        "plan/default:planner_packets/0001/packet.json": "packet",
        "plan/default:planner_packets/0001/directive.json": "directive",
        "plan/default:.plans/default/planning-plan.json": "planning-plan",
        "plan/default:experiments/records/20261121T100001Z-abcdefgh.json": "record",
        planned.commit: "state",
    }
    for name, kind in names.items():
        checked = check_document(*load_document(lab.repo, name))
        assert (checked.kind, checked.faults) == (kind, ()), name


def test_faults_have_pointers() -> None:
    assert judged(directive()) == ("directive", [])
    assert judged(directive(schema=None)) == ("directive", [])
    kind, faults = judged(directive(risk="Huge", step_plan=["a", "b", " "]))
    assert kind == "directive"
    assert [fault.split(":")[0] for fault in faults] == ["/risk", "/step_plan/2"]
    assert judged(planning_plan(dependencies=["nowhere"]))[1][0].startswith("/steps/0/dependencies/0:")
    assert judged(b"{")[1] == ["/: 'x.json' is not JSON: " + judged(b"{")[1][0].partition("JSON: ")[2]]
    assert judged([1]) == (None, ["/: is not an object"])
    assert judged({"a": 1})[1][0].startswith("/schema: must be one of 'git-planner/")
    assert judged({"schema": "git-planner/directive@2"})[0] is None
    kind, faults = judged(POLICY.replace("base: main", "bass: main").encode(), ".git-planner.yml")
    assert kind == "policy"
    assert faults[0].startswith("/bass:")


def test_what_a_schema_cannot_say(lab: Lab) -> None:
    state = make_iteration(workshop(lab).repo, PlanOptions(), hush).state
    document = json.loads(json.dumps(state.document()))
    document["directive"]["objective"] = "another one"
    assert judged(document) == ("state", ["/directive_digest: is not the digest of /directive"])
    steps = make_planning_plan(lab.repo, PlanOptions(), hush)
    plan = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    plan["tasks"][0]["dependencies"] = [steps.tasks[2]["id"]]
    kind, faults = judged(plan)
    assert (kind, faults[0].startswith("/tasks: dependency cycle: ")) == ("plan", True)
    plan["tasks"][1]["id"] = "task_001"
    assert judged(plan)[1] == ["/tasks: two tasks have the same id"]


def test_what_is_not_there(lab: Lab) -> None:
    for name in ("nowhere", "HEAD", "HEAD:nowhere", "plan/x", "a\nb"):
        with pytest.raises(PlannerError) as caught:
            load_document(lab.repo, name)
        assert caught.value.code in ("E_UNKNOWN_REF", "E_NAME")
