"""`git plan` as a person and as a script sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.recorded_history import keep, record
from tests.support.workshop import directive, one_document, workshop

ANSWER = json.dumps(directive())


def plan(lab: Lab, *argv: str, status: int = 0, stdin: str = "") -> tuple[str, str]:
    """Run git plan; its stdout and stderr."""
    ran = lab.run("git-plan", *argv, stdin=stdin)
    assert ran.status == status, ran.out + ran.err
    return ran.out, ran.err


def test_help_names_every_command(lab: Lab) -> None:
    out, _ = plan(lab, "-h")
    for name in ("codex", "api", "manual", "offline", "command", "status", "list", "show", "validate"):
        assert f"\n  {name} " in out
        assert "Usage: git plan " + name in plan(lab, name, "-h")[0]


def test_planning_offline(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "--short=12", "HEAD")
    with lab.undisturbed():
        out, err = plan(lab, "offline", "--slug", "../../x; rm")
    assert out == (
        f"iter/0001-x-rm: plan 'default', from 'main' at {base}\n"
        "objective: Offline directive: a lower size.\n"
        "hypothesis: A small change of family:shrink in src/** helps. Nothing has been measured yet.\n"
        "family: family:shrink, risk: Low\n"
        "next: git iterate resume 1, which gives it to an agent\n"
        "by hand: git switch iter/0001-x-rm, commit the change, then\n"
        "         git iterate resume 1 --impl manual\n"
    )
    assert err == ""


def test_planning_as_json_is_one_document(lab: Lab) -> None:
    workshop(lab)
    document = one_document(plan(lab, "offline", "--json", "--goal", "threshold", "--threshold", "50")[0])
    assert (document["schema"], document["branch"]) == ("git-planner/planned@1", "iter/0001-auto")
    assert lab.refs()["refs/heads/iter/0001-auto"] == document["commit"]
    state = json.loads(lab.show("iter/0001-auto:.advisor/state.json"))
    assert (state["goal"], state["threshold"]) == ("threshold", 50)


def test_errors_are_one_document_too(lab: Lab) -> None:
    document = one_document(plan(lab, "offline", "--json", status=2)[0])
    assert (document["schema"], document["code"]) == ("git-planner/error@1", "E_NO_POLICY")
    document = one_document(plan(lab, "offline", "--goal", "fastest", "--json", status=2)[0])
    assert document["code"] == "E_USAGE"


def test_steps_of_a_planning_plan(lab: Lab) -> None:
    workshop(lab)
    out, _ = plan(lab, "offline", "--kind", "planning-plan", "--plan", "fast", "--goal-text", "be fast")
    assert out == (
        "plan/fast: Offline plan: a lower size.\n"
        "task_001  todo          Read the code\n"
        "task_002  todo          Make one change (after task_001)\n"
        "task_003  todo          Check the result (after task_002)\n"
    )
    document = one_document(plan(lab, "offline", "--kind", "planning-plan", "--json")[0])
    assert [task["id"] for task in document["tasks"]] == ["task_001", "task_002", "task_003"]


def test_by_hand(lab: Lab, tmp_path: Path) -> None:
    base = workshop(lab).git("rev-parse", "--short=12", "HEAD")
    out, _ = plan(lab, "manual", "pack", "--slug", "hand")
    assert out.startswith(f"plan/0001-hand: a packet from 'main' at {base}\nprompt, about ")
    _, err = plan(lab, "manual", "apply", status=1)
    assert err.startswith("error: 'plan/0001-hand:planner_packets/directive.json' has no answer yet")
    out, err = plan(lab, "manual", "apply", "-", stdin=json.dumps(directive(risk="None")), status=1)
    assert out == ""
    assert err.startswith("Your last answer is invalid:\n\n1. /risk: ")
    assert "/risk: must be one of 'Low', 'Medium', 'High', not 'None' (E_ANSWER)\n" in err
    reply = tmp_path / "reply.txt"
    wrong = tmp_path / "answer.txt"
    wrong.write_text("nonsense")
    _, err = plan(lab, "manual", "apply", str(wrong), "--reply", str(tmp_path / "no/file"), status=2)
    assert err.startswith(f"error: '{tmp_path}/no/file' cannot be written: No such file")
    reply.write_text("an earlier one")
    os.link(reply, tmp_path / "earlier.txt")
    out, err = plan(lab, "manual", "apply", "--file", str(wrong), "--reply", str(reply), "--json", status=1)
    assert one_document(out)["code"] == "E_ANSWER"
    assert reply.read_text().startswith("Your last answer is invalid:")
    assert (tmp_path / "earlier.txt").read_text() == "an earlier one"
    assert f"the reply to paste back is in '{reply}'\n" in err
    wrong.write_text(f"Yes.\n```json\n{ANSWER}\n```")
    out, _ = plan(lab, "manual", "apply", str(wrong))
    assert out.startswith(f"iter/0001-hand: plan 'default', from 'main' at {base}\n")
    out, _ = plan(lab, "manual", "apply", "plan/0001-hand", "--slug", "again", "--json")
    assert one_document(out)["branch"] == "iter/0002-again"


def test_a_stale_base_and_files_that_cannot_be_used(lab: Lab, tmp_path: Path) -> None:
    workshop(lab)
    plan(lab, "manual", "pack")
    lab.commit("meanwhile", {"src/size.txt": "9\n"})
    _, err = plan(lab, "manual", "apply", "-", stdin=ANSWER, status=3)
    assert "(E_STALE_BASE)" in err
    plan(lab, "manual", "apply", "-", "--allow-stale-base", stdin=ANSWER)
    for name in (str(tmp_path / "gone"), str(tmp_path)):
        _, err = plan(lab, "manual", "apply", name, status=2)
        assert err.startswith(f"error: '{name}' cannot be read: ")
    nowhere = str(tmp_path / "no" / "reply")
    _, err = plan(lab, "manual", "apply", "-", "--reply", nowhere, stdin="no", status=2)
    assert err.startswith(f"error: '{nowhere}' cannot be written: ")


def test_status_lines(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    assert plan(lab, "status")[0] == "PLAN: default\nATTEMPT: none yet\n"
    plan(lab, "offline", "--slug", "x")
    plan(lab, "offline", "--slug", "x")
    lines = plan(lab, "status")[0].splitlines()
    assert lines == [
        "PLAN: default: Make 'size' lower and keep every test passing.",
        f"ATTEMPT: iter/0002-x from main at {base[:12]}",
        "HYPOTHESIS: A small change of family:reuse in src/** helps. Nothing has been measured yet.",
        "CHANGE_SUMMARY: One small change of family:reuse in src/**.",
        "OUTCOME: (not recorded yet)",
        "OPEN: iter/0001-x (planned), iter/0002-x (planned)",
    ]
    keep(lab, record(1, base, 90.0, "shrink"), record(2, base, 95.0, "shrink", verdict="worse"))
    plan(lab, "manual", "pack", "--slug", "hand")
    lines = plan(lab, "status")[0].splitlines()
    assert lines[4:] == [
        "OUTCOME: worse: size=95.0",
        "BEST: 90 lines (iter/0001-x)",
        "PLATEAU: 1 valid attempts since",
        "BLOCKED: family:shrink (the last 2 attempts were of 'family:shrink'; at most 2 in a row)",
        "PACKETS: plan/0001-hand",
    ]
    document = one_document(plan(lab, "status", "--json")[0])
    assert (document["schema"], document["current"]["branch"]) == ("git-planner/status@1", "iter/0002-x")
    assert document["directive"]["strategy_family"] == "family:reuse"


def test_long_texts_are_cut_to_one_line(lab: Lab) -> None:
    workshop(lab)
    plan(lab, "manual", "pack")
    answer = directive(primary_hypothesis="word " * 100, change_summary=["line\nbreak-" * 30])
    plan(lab, "manual", "apply", "-", stdin=json.dumps(answer))
    lines = plan(lab, "status")[0].splitlines()
    assert lines[2] == "HYPOTHESIS: " + "word " * 15 + "word…"
    assert lines[3] == f"CHANGE_SUMMARY: {('line break-' * 30)[:159].rstrip()}…"


def test_a_list(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    assert plan(lab, "list") == ("", "no plans yet; start one with 'git plan offline' or 'git plan codex'\n")
    plan(lab, "offline")
    plan(lab, "offline", "--kind", "planning-plan", "--plan", "fast", "--goal-text", "be fast")
    plan(lab, "manual", "pack", "--slug", "hand")
    lab.git("update-ref", "refs/heads/iter/best", base)
    lab.git("tag", "-a", "-m", "best", "best/90-x-i1", base)
    out, _ = plan(lab, "list")
    assert out == (
        "* default  2023-11-14  0 records, best 90, no tasks  "
        "Make 'size' lower and keep every test passing.\n"
        "  fast  2023-11-14  0 records, no best, 3 todo  be fast\n"
        "  plan/0002-hand  packet: git plan manual apply --from plan/0002-hand\n"
    )
    document = one_document(plan(lab, "list", "--json")[0])
    assert [entry["name"] for entry in document["plans"]] == ["default", "fast"]
    assert (document["schema"], document["packets"]) == ("git-planner/plans@1", ["plan/0002-hand"])


def test_show(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "--short=12", "HEAD")
    _, err = plan(lab, "show", status=2)
    assert err.startswith("error: the plan 'default' has no iteration yet (E_UNKNOWN_REF)\n")
    plan(lab, "offline")
    out, _ = plan(lab, "show", "1")
    assert out == (
        f"iter/0001-auto: plan 'default', from 'main' at {base}\n"
        "planner: offline (offline)\n"
        "objective: Offline directive: a lower size.\n"
        "hypothesis: A small change of family:shrink in src/** helps. Nothing has been measured yet.\n"
        "family: family:shrink (offline), risk: Low\n"
        "expected effect: +0\n"
        "changes:\n"
        "  1. One small change of family:shrink in src/**.\n"
        "steps:\n"
        "  1. Read src/** and the last results. Nothing has been measured yet.\n"
        "  2. Make one small change of family:shrink, within the allowed paths.\n"
        "  3. Run the validation commands and leave the change in the worktree.\n"
        "commands:\n"
        "  1. git diff --stat\n"
        "  2. git status --short\n"
        "pass criteria:\n"
        "  1. Only allowed paths changed.\n"
        "  2. a lower size.\n"
    )
    document = one_document(plan(lab, "show", "--json")[0])
    assert document["state"] == json.loads(lab.show("iter/0001-auto:.advisor/state.json"))


@pytest.mark.parametrize("as_json", [False, True])
def test_validate(lab: Lab, tmp_path: Path, *, as_json: bool) -> None:
    workshop(lab)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(ANSWER)
    bad.write_text(json.dumps(directive(risk="Huge")))
    flags = ["--json"] if as_json else []

    def validation(*argv: str, status: int, stdin: str = "") -> Any:
        out, _ = plan(lab, "validate", *argv, *flags, status=status, stdin=stdin)
        return one_document(out) if as_json else out

    fault = "/risk: must be one of 'Low', 'Medium', 'High', not 'Huge'"
    first, second = validation(str(good), status=0), validation(str(bad), status=1)
    third = validation("-", status=1, stdin="{}")
    fourth = validation("HEAD:.git-planner.yml", status=0)
    if as_json:
        assert (first["valid"], second["faults"], third["kind"]) == (True, [fault], None)
        assert (fourth["kind"], fourth["valid"]) == ("policy", True)
    else:
        assert first == f"{good}: valid (directive)\n"
        assert second == f"{bad}: not valid (directive)\n  {fault}\n"
        assert third.startswith("stdin: not valid (unknown kind)\n  /schema: must be one of ")
        assert fourth == "HEAD:.git-planner.yml: valid (policy)\n"


def test_validate_needs_no_repository(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(ANSWER)
    ran = lab.run("git-plan", "validate", str(file), cwd=tmp_path)
    assert (ran.status, ran.out) == (0, f"{file}: valid (directive)\n")
