"""Making iterations: one transaction, whatever the worktree looks like and whenever we are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.planning.ask_planner import make_iteration, make_planning_plan
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.flows.plans.plan_document import read_plan
from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab
from tests.support.sweeps import sampled
from tests.support.workshop import POLICY, directive, planning_plan, workshop

OFFLINE = PlanOptions(slug="next")


def hush(_: str) -> None:
    """Say nothing."""


def read(lab: Lab, name: str) -> Any:
    return json.loads(lab.show(name))


def scripted(lab: Lab, *answers: Any, before: str = "") -> None:
    """Make the policy's planner a program that prints the answers one after the other, then fails."""
    lines = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    program = lab.root / "planner.py"
    program.write_text(
        "import pathlib, sys, time\n"
        f"{before}\n"
        f"count = pathlib.Path({str(lab.root / 'asked')!r})\n"
        "asked = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(asked + 1))\n"
        f"pathlib.Path({str(lab.root / 'prompt')!r}).write_text(sys.stdin.read())\n"
        "pathlib.Path('src/size.txt').write_text('the planner was here')\n"
        f"print({lines!r}[asked])\n"
    )
    run = json.dumps([sys.executable, "-I", "-S", str(program)])
    agents = (
        "agents: {sandbox: off, planner: command, attempts: 2, "
        f"command: {{planner: {{run: {run}, timeout: 20}}}}}}\n"
    )
    policy = POLICY[: POLICY.index("agents:")] + agents
    lab.commit("another planner", {".git-planner.yml": policy})


def test_an_iteration_is_a_branch_a_trusted_copy_and_a_packet(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    with lab.undisturbed():
        planned = make_iteration(lab.repo, OFFLINE, hush)
    refs = lab.refs()
    commit = refs["refs/heads/iter/0001-next"]
    assert set(refs) == {
        "refs/heads/main",
        "refs/heads/iter/0001-next",
        "refs/heads/plan/default",
        "refs/planner/iterations/0001",
        "refs/planner/numbers/iter/0001",
    }
    assert refs["refs/planner/iterations/0001"] == commit == planned.commit
    assert lab.git("rev-parse", f"{commit}^@") == base
    assert lab.git("diff", "--name-status", base, commit) == "A\t.advisor/state.json"
    state = read(lab, f"{commit}:.advisor/state.json")
    assert canonical_json.compact(state) == canonical_json.compact(planned.state.document())
    packet = read(lab, "plan/default:planner_packets/0001/packet.json")
    assert (state["base"], state["base_ref"], state["goal"], state["threshold"]) == (
        base,
        "main",
        "best",
        None,
    )
    assert state["packet"] == canonical_json.digest(packet)
    assert state["directive_digest"] == canonical_json.digest(state["directive"])
    assert read(lab, "plan/default:planner_packets/0001/directive.json") == state["directive"]
    assert lab.git("rev-parse", "plan/default^@") == base
    assert lab.git("diff", "--name-only", base, "plan/default").splitlines() == [
        ".plans/default/plan.json",
        "planner_packets/0001/directive.json",
        "planner_packets/0001/packet.json",
    ]
    assert read_plan(lab.repo, "default") == {
        "schema": "git-planner/plan@1",
        "name": "default",
        "goal": "Make 'size' lower and keep every test passing.",
        "base": base,
        "base_ref": "main",
        "created_at": "2023-11-14T22:15:20Z",
        "constraints": [],
        "acceptance": [],
        "planning_plan": None,
        "tasks": [],
    }
    assert lab.git("log", "-1", "--format=%(trailers:only)", commit).splitlines() == [
        f"Planner-Directive: {state['directive_digest']}",
        "Planner-Plan: default",
        "Planner-Run: iter/0001-next",
    ]
    lab.fsck()


def test_the_second_iteration_keeps_the_first_packet(lab: Lab) -> None:
    workshop(lab)
    first, second = (make_iteration(lab.repo, OFFLINE, hush) for _ in range(2))
    assert (first.ref, second.ref) == ("refs/heads/iter/0001-next", "refs/heads/iter/0002-next")
    names = lab.git("ls-tree", "-r", "--name-only", "plan/default", "planner_packets").splitlines()
    assert [name.split("/", 1)[1] for name in names] == [
        f"{number}/{name}" for number in ("0001", "0002") for name in ("directive.json", "packet.json")
    ]


def dirty(lab: Lab) -> None:
    (lab.path / "src/size.txt").write_text("dirty\n")
    (lab.path / "new").write_text("new\n")
    lab.git("add", "src/size.txt")


def detached(lab: Lab) -> None:
    lab.git("checkout", "-q", "--detach")


def merging(lab: Lab) -> None:
    lab.git("checkout", "-q", "-b", "other", "HEAD~1")
    lab.commit("theirs", {"src/size.txt": "7\n"})
    lab.git("checkout", "-q", "main")
    assert lab.run_git("merge", "other").status == 1


def with_submodule(lab: Lab) -> None:
    tip = lab.git("rev-parse", "HEAD")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{tip},tests/module")
    lab.git("commit", "-q", "-m", "a submodule")
    (lab.path / "tests/module").mkdir()


def elsewhere(lab: Lab) -> None:
    lab.git("checkout", "-q", "--orphan", "nowhere")


@pytest.mark.parametrize("mess", [dirty, detached, merging, with_submodule, elsewhere])
def test_the_worktree_does_not_matter(lab: Lab, mess: Callable[[Lab], None]) -> None:
    mess(workshop(lab))
    with lab.undisturbed():
        planned = make_iteration(lab.repo, OFFLINE, hush)
    assert planned.state.base == lab.git("rev-parse", "main")


def test_a_repository_with_longer_ids(make_lab: Callable[..., Lab]) -> None:
    lab = workshop(make_lab("--object-format=sha256"))
    with lab.entered():
        planned = make_iteration(lab.repo, OFFLINE, hush)
    assert (len(planned.commit), lab.refs()[planned.ref]) == (64, planned.commit)
    lab.fsck()


def test_a_bare_repository_and_a_linked_worktree(make_lab: Callable[..., Lab]) -> None:
    lab, bare = workshop(make_lab()), make_lab("--bare")
    lab.git("push", "-q", str(bare.path), "main")
    with bare.entered():
        assert make_iteration(bare.repo, OFFLINE, hush).state.iteration == 1
    place = lab.worktree("linked", lab.git("rev-parse", "HEAD"))
    with lab.entered(place), lab.undisturbed():
        assert make_iteration(lab.repo, OFFLINE, hush).state.iteration == 1


def test_a_checked_out_plan_branch_follows(lab: Lab) -> None:
    workshop(lab)
    make_iteration(lab.repo, OFFLINE, hush)
    place = lab.worktree("reading", "plan/default")
    make_iteration(lab.repo, OFFLINE, hush)
    assert (place / "planner_packets/0002/packet.json").is_file()
    assert lab.git("status", "--porcelain", cwd=place) == ""


def test_a_planner_that_fails_uses_up_a_number_and_nothing_else(lab: Lab) -> None:
    scripted(workshop(lab), "no plan, sorry", "still none", directive())
    before = set(lab.refs())
    with lab.undisturbed(), pytest.raises(PlannerError) as caught:
        make_iteration(lab.repo, OFFLINE, hush)
    assert caught.value.code == "E_ANSWER"
    assert set(lab.refs()) - before == {"refs/planner/numbers/iter/0001"}
    assert make_iteration(lab.repo, OFFLINE, hush).ref == "refs/heads/iter/0002-next"
    assert set(lab.refs()) - before == {
        "refs/heads/iter/0002-next",
        "refs/heads/plan/default",
        "refs/planner/iterations/0002",
        "refs/planner/numbers/iter/0001",
        "refs/planner/numbers/iter/0002",
    }


def test_an_unknown_family_is_told_to_the_planner(lab: Lab) -> None:
    scripted(workshop(lab), directive(strategy_family="family:magic"), directive())
    planned = make_iteration(lab.repo, OFFLINE, hush)
    assert (planned.state.planner["name"], planned.state.planner["attempts"]) == ("command", 2)
    assert "/strategy_family" in (lab.root / "prompt").read_text()
    kept = lab.repo.private("runs", "0001", "plan")
    assert planned.folder == kept
    assert sorted(path.name for path in kept.iterdir() if path.is_dir()) == ["attempt-1", "attempt-2"]


def test_an_answer_without_schema_gets_one(lab: Lab) -> None:
    scripted(workshop(lab), directive(schema=None))
    planned = make_iteration(lab.repo, OFFLINE, hush)
    assert canonical_json.digest(directive()) == planned.state.directive_digest


def test_an_unknown_planner_costs_nothing(lab: Lab) -> None:
    workshop(lab)
    before = lab.refs()
    with pytest.raises(PlannerError) as caught:
        make_iteration(lab.repo, PlanOptions(planner="oracle"), hush)
    assert (caught.value.code, lab.refs()) == ("E_AGENT", before)


def test_an_interrupted_planner_leaves_a_number_only(lab: Lab) -> None:
    started = lab.root / "started"
    wait = f"pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    scripted(workshop(lab), directive(), before=wait)
    before = set(lab.refs())
    code = "import sys; from git_planner import cli; sys.exit(cli.main('git-plan', ['command']))"
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=lab.path, env=ours(lab), stderr=subprocess.PIPE
    )
    while not started.exists():
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert (child.returncode, stderr.decode().splitlines()[-1]) == (130, "error: interrupted (E_INTERRUPTED)")
    assert set(lab.refs()) - before == {"refs/planner/numbers/iter/0001"}


def ours(lab: Lab) -> dict[str, str]:
    return {**lab.env, "PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}


def test_racing_makers_get_numbers_of_their_own(lab: Lab) -> None:
    workshop(lab)
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda slug: lab.spawn("git-plan", "offline", "--slug", slug, "--json"), "abcd"))
    assert [item.status for item in ran] == [0, 0, 0, 0], [item.err for item in ran]
    planned = [json.loads(item.out) for item in ran]
    assert sorted(item["iteration"] for item in planned) == [1, 2, 3, 4]
    for item in planned:
        number = f"{item['iteration']:04d}"
        assert lab.refs()[f"refs/planner/iterations/{number}"] == item["commit"]
        packet = read(lab, f"plan/default:planner_packets/{number}/packet.json")
        assert (packet["branch"], canonical_json.digest(packet)) == (item["branch"], item["packet"])
    lab.fsck()


def forked(lab: Lab, env: dict[str, str]) -> int:
    """Make an iteration in a process of its own, without the start of an interpreter; its wait status."""
    child = os.fork()
    if child == 0:
        os.environ.update(env)
        with contextlib.suppress(BaseException):
            make_iteration(lab.repo, PlanOptions(), hush)
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@sampled(3)
def test_killed_at_any_call_of_git_it_is_there_or_it_is_not(lab: Lab, stride: int) -> None:
    workshop(lab)
    whole = ("refs/heads/iter/{}-auto", "refs/planner/iterations/{}")
    for calls in range(1, 200, stride):
        status = forked(lab, lab.crash_after(calls, after=calls % 2 == 0))
        refs = lab.refs()
        packets = lab.run_git("ls-tree", "--name-only", "plan/default", "planner_packets/").out.split()
        for number in (ref[-4:] for ref in refs if ref.startswith("refs/planner/numbers/iter/")):
            there = {*(ref.format(number) in refs for ref in whole), f"planner_packets/{number}" in packets}
            assert len(there) == 1, (calls, number, there)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert status == 0
    assert calls > 15
    lab.fsck()
    assert make_iteration(lab.repo, PlanOptions(), hush).commit


@pytest.mark.parametrize(
    ("slug", "last"),
    [
        ("../../x; rm", "x-rm"),
        ("-x", "x"),
        ("\U0001f680", "auto"),
        ("a" * 10_000, "a" * 40),
        ("", "auto"),
        ("$(touch gone)\n", "touch-gone"),
        ("refs/heads/main", "refs-heads-main"),
        ("a..b@{1}~^:?*[\\", "a-b-1"),
    ],
)
def test_slugs_are_tamed(lab: Lab, slug: str, last: str) -> None:
    workshop(lab)
    with lab.undisturbed():
        assert make_iteration(lab.repo, PlanOptions(slug=slug), hush).state.branch == f"iter/0001-{last}"


@pytest.mark.parametrize("name", ["../x", "X", "0001-next", "best", "a/b", "-a", "", "a.lock", "\u00e4"])
def test_names_that_no_plan_can_have(lab: Lab, name: str) -> None:
    workshop(lab)
    before = lab.refs()
    with pytest.raises(PlannerError) as caught:
        make_iteration(lab.repo, PlanOptions(plan=name), hush)
    assert (caught.value.code, lab.refs()) == ("E_NAME", before)


def test_where_an_iteration_starts(lab: Lab) -> None:
    main = workshop(lab).git("rev-parse", "HEAD")
    other = lab.commit("later", {"src/size.txt": "99\n"})
    lab.git("branch", "other", other)
    lab.git("reset", "-q", "--hard", main)

    def starts(**options: Any) -> tuple[str, str]:
        state = make_iteration(lab.repo, PlanOptions(**options), hush).state
        return state.base, state.base_ref

    assert starts() == (main, "main")
    assert starts(from_ref="other") == (other, "other")
    assert starts(from_ref=other[:12]) == (other, other)
    lab.git("update-ref", "refs/heads/iter/best", other)
    assert starts() == (other, "iter/best")
    assert starts(plan="fast") == (main, "main")
    lab.git("update-ref", "refs/heads/iter/best-fast", other)
    assert starts(plan="fast") == (other, "iter/best-fast")
    with pytest.raises(PlannerError) as caught:
        starts(from_ref="nowhere")
    assert caught.value.code == "E_UNKNOWN_REF"


def test_a_candidate_does_not_say_what_the_base_is(lab: Lab) -> None:
    main = workshop(lab).git("rev-parse", "HEAD")
    lab.git("checkout", "-q", "-b", "evil")
    lab.commit("mine", {".git-planner.yml": POLICY.replace("base: main", "base: evil")})
    assert make_iteration(lab.repo, OFFLINE, hush).state.base == main


def test_without_a_policy_the_hint_says_what_to_do(lab: Lab) -> None:
    with pytest.raises(PlannerError) as caught:
        make_iteration(lab.repo, OFFLINE, hush)
    assert caught.value.code == "E_NO_POLICY"
    assert "git planner init" in (caught.value.hint or "")


def test_a_threshold_needs_a_value(lab: Lab) -> None:
    workshop(lab)
    with pytest.raises(PlannerError) as caught:
        make_iteration(lab.repo, PlanOptions(goal="threshold"), hush)
    assert caught.value.code == "E_USAGE"
    state = make_iteration(lab.repo, PlanOptions(threshold=80.0), hush).state
    assert (state.goal, state.threshold) == ("threshold", 80.0)
    state = make_iteration(lab.repo, PlanOptions(goal="best", threshold=80.0), hush).state
    assert (state.goal, state.threshold) == ("best", None)


def test_numbers_of_other_clones_are_not_used_again(lab: Lab) -> None:
    workshop(lab)
    lab.git("update-ref", "refs/remotes/origin/iter/0041-theirs", "HEAD")
    assert make_iteration(lab.repo, OFFLINE, hush).state.iteration == 42


def test_a_plans_goal_is_kept_and_can_be_changed(lab: Lab) -> None:
    workshop(lab)
    packets = [
        make_iteration(lab.repo, PlanOptions(goal_text=text), hush).packet
        for text in (None, "make it small", None)
    ]
    assert [packet["goal_text"] for packet in packets] == [
        "Make 'size' lower and keep every test passing.",
        "make it small",
        "make it small",
    ]


def test_the_checked_out_iteration_says_which_plan_is_meant(lab: Lab) -> None:
    workshop(lab)
    first = make_iteration(lab.repo, PlanOptions(plan="fast", slug="next"), hush)
    lab.git("checkout", "-q", first.state.branch)
    assert make_iteration(lab.repo, OFFLINE, hush).state.plan == "fast"
    lab.git("config", "planner.plan", "other")
    lab.git("checkout", "-q", "main")
    assert make_iteration(lab.repo, OFFLINE, hush).state.plan == "other"


def test_steps_become_tasks(lab: Lab) -> None:
    answer = planning_plan(files=["src/size.txt"])
    answer["steps"].append({**answer["steps"][0], "id": "two", "dependencies": ["one"]})
    cyclic = planning_plan(dependencies=["one"])
    scripted(workshop(lab), cyclic, answer, answer, planning_plan())
    with lab.undisturbed():
        steps = make_planning_plan(lab.repo, PlanOptions(), hush)
    assert "/steps/0/dependencies/0" in (lab.root / "prompt").read_text()
    short = [(task["id"], task["status"], task["write_scope"], task["dependencies"]) for task in steps.tasks]
    assert short == [
        ("task_001", "todo", ["src/size.txt"], []),
        ("task_002", "todo", ["src/size.txt"], ["task_001"]),
    ]
    tip = lab.refs()["refs/heads/plan/default"]
    make_planning_plan(lab.repo, PlanOptions(), hush)
    assert lab.refs()["refs/heads/plan/default"] == tip
    again = make_planning_plan(lab.repo, PlanOptions(), hush)
    assert [(task["id"], task["status"]) for task in again.tasks] == [
        ("task_001", "cancelled"),
        ("task_002", "cancelled"),
        ("task_003", "todo"),
    ]
    assert read(lab, "plan/default:.plans/default/planning-plan.json") == planning_plan()


def test_the_planner_cannot_touch_the_worktree(lab: Lab) -> None:
    scripted(workshop(lab), directive())
    with lab.undisturbed():
        make_iteration(lab.repo, OFFLINE, hush)
    assert not list(Path(lab.env["TMPDIR"]).glob("git-planner-*"))
