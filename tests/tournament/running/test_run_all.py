"""`git bo4 run`: all stages in one command, from a prompt to a gated winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign
from tests.support.sweeps import sampled

# Variant 2 of two is the better one.
SCRIPT = """\
echo "$GIT_PLANNER_VARIANT" >>"{log}"
case $GIT_PLANNER_VARIANT in 2) echo 80 ;; *) echo 9$GIT_PLANNER_VARIANT ;; esac >value"""
RUN = ("git-bo4", "run", "--prompt", "make it faster", "--run", "speed", "--best-of", "2")


def ready(lab: Lab, script: str = SCRIPT) -> Path:
    """Commit a campaign whose agent is a script; return the log that it writes to."""
    campaign(lab)
    lab.git("config", "planner.implementer", "command")
    log = lab.root / "agent.log"
    agent(lab, script.format(log=log))
    return log


def played(lab: Lab, *words: str, status: int = 0) -> Any:
    ran = lab.run(*RUN, "--json", *words)
    assert ran.status == status, ran.err
    return json.loads(ran.out)


def test_from_a_prompt_to_a_gated_winner(lab: Lab) -> None:
    log = ready(lab)
    with lab.undisturbed():
        done = played(lab)
    assert done["winner"] == lab.git("rev-parse", "bo4/speed/winner")
    assert lab.show("bo4/speed/winner:value") == "80\n"
    assert done["run"]["selection"]["variant"] == 2
    assert {name: stage["outcome"] for name, stage in done["run"]["stages"].items()} == dict.fromkeys(
        ("new", "watch", "harvest", "gate", "judge", "meta", "compose", "ship"), "done"
    )
    assert sorted(log.read_text().split()) == ["1", "2"]
    tip = lab.git("rev-parse", "bo4/speed/run")
    assert played(lab)["winner"] == done["winner"]
    assert sorted(log.read_text().split()) == ["1", "2"]
    assert lab.git("rev-parse", "bo4/speed/run") == tip
    assert lab.run("git-bo4", "events", "validate", "speed").status == 0
    applied = lab.run("git-bo4", "apply", "speed", "--json")
    assert applied.status == 0, applied.err
    branch = json.loads(applied.out)["branch"]
    assert lab.git("diff", "--name-only", "main", branch) == "value"


def test_no_variant_that_is_better_is_a_result(lab: Lab) -> None:
    ready(lab, "echo 100 >value; echo x >>value")
    done = played(lab, status=1)
    assert done["winner"] is None
    assert "no variant is better than the base" in done["rationale"]


def test_a_variant_that_touches_the_tests_does_not_win(lab: Lab) -> None:
    ready(lab, '[ "$GIT_PLANNER_VARIANT" = 1 ] && echo x >tests/test_it; echo 5$GIT_PLANNER_VARIANT >value')
    done = played(lab)
    assert done["run"]["selection"]["variant"] == 2
    assert done["variants"][0]["state"] in ("failed", "broken")


@sampled(101, whole=31)
def test_a_run_that_is_killed_anywhere_goes_on(tmp_path: Path, stride: int) -> None:
    call, turn = 5, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        # The agents' own git must not be the one that kills.
        log = ready(lab, f"PATH='{lab.env['PATH']}'\n{SCRIPT}")
        killed = lab.spawn(*RUN, **lab.crash_after(call, after=bool(turn % 2)))
        count = len((root / "crash" / str(call) / "count").read_text())
        if killed.status == 0 and count < call:
            assert turn > 1, "nothing was killed"
            return
        ran = lab.run(*RUN)
        assert ran.status in (0, 1), ran.err
        assert sorted(log.read_text().split()) == ["1", "2"]
        if "was killed while its agent worked" not in lab.run("git-bo4", "show", "2", "speed").out:
            assert lab.show("bo4/speed/winner:value") == "80\n"
        assert lab.run("git-bo4", "events", "validate", "speed").status == 0
        call, turn = call + stride, turn + 1


def test_a_dry_run_starts_and_writes_nothing(lab: Lab) -> None:
    log = ready(lab)
    before = lab.refs()
    ran = lab.run(*RUN, "--dry-run", "--agent", "command:fast", "--agent", "codex")
    assert ran.status == 0, ran.err
    for line in (
        "v1: would start command, model fast",
        "v2: would start codex",
        "3 runs to choose the finalist",
    ):
        assert line in ran.out
    assert lab.refs() == before
    assert not log.exists()
    assert json.loads(lab.run(*RUN, "--dry-run", "--json").out)["measured"]["metric"] == "cost"


def test_headings_are_groups_of_lines_in_ci(lab: Lab) -> None:
    ready(lab)
    lab.env["CI"] = "true"
    ran = lab.run(*RUN)
    headings = [line for line in ran.err.splitlines() if line.startswith("::group::")]
    assert headings == [
        f"::group::{name}"
        for name in (
            *("watch", "harvest variants", "gate every variant", "judge", "meta compose", "compose + gates"),
        )
    ]
    assert ran.err.count("::endgroup::") == len(headings)


def test_a_follow_up_is_a_turn_of_its_own(lab: Lab) -> None:
    log = ready(lab)
    played(lab)
    first = lab.refs()
    refused = lab.run("git-bo4", "followup", "speed", "--prompt", "like variant 2, but faster")
    assert (refused.status, "does not stand alone" in refused.err) == (2, True), refused.err
    words = ("git-bo4", "followup", "speed", "--prompt", "halve the value", "--follows", "2", "--json")
    begun = lab.run(*words)
    assert begun.status == 0, begun.err
    document = json.loads(begun.out)
    assert document["run"]["turns"][1]["follows"] == 2
    assert document["run"]["attempts"] == 1
    assert {"gate", "judge", "compose", "ship"} <= set(document["stale"])
    assert lab.show("bo4/speed/run:runs/speed/meta/followup-turn2.txt") == "halve the value\n"
    assert lab.run(*words).out == begun.out
    stale = lab.run("git-bo4", "apply", "speed")
    assert stale.status == 3, stale.err
    agent(lab, f'cat value >>"{log}"; echo 40 >value')
    ran = lab.run("git-bo4", "run", "speed", "--json")
    assert ran.status == 0, ran.err
    assert log.read_text().split()[-1] == "80"
    assert lab.show("bo4/speed/winner:value") == "40\n"
    assert lab.show("bo4/speed/turn2/v1:value") == "40\n"
    now = lab.refs()
    assert {ref: now[ref] for ref in first if "/v" in ref} == {
        ref: first[ref] for ref in first if "/v" in ref
    }


@pytest.mark.parametrize("words", [("--prompt", "x", "--follows", "9"), ("--prompt", " ")])
def test_a_follow_up_that_cannot_be(lab: Lab, words: tuple[str, ...]) -> None:
    ready(lab)
    assert lab.run("git-bo4", "new", "--prompt", "x", "--run", "speed").status == 0
    early = lab.run("git-bo4", "followup", "speed", "--prompt", "x")
    assert (early.status, "has no variants yet" in early.err) == (3, True), early.err
    assert lab.run("git-bo4", "followup", "speed", *words).status in (2, 3)
