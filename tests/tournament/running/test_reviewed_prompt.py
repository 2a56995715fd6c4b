"""Tournaments whose prompt needs an approval: nothing is started or paid before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.approval.test_signed import COMMITTER, make_key, sign_with
from tests.support.lab import Lab
from tests.support.servers.hosting_site import MERGES, HostingSite, Merge, hosted
from tests.support.small_campaign import agent, agent_file
from tests.support.workshop import POLICY

NEW = ("--prompt", "Make it smaller\nand keep it whole", "--run", "small", "--best-of", "2")
SCRIPT = (
    'echo "$GIT_PLANNER_VARIANT" >>"{log}"; echo $(($(cat src/size.txt) - GIT_PLANNER_VARIANT)) >src/size.txt'
)


def reviewed(lab: Lab, rule: str = "{directives: required}") -> tuple[HostingSite, Path]:
    """Return a site whose directives need an approval, and the log that the agents write to."""
    command = f"{{implementer: {{run: [sh, '{agent_file(lab)}'], timeout: 20}}}}"
    agents = f"agents: {{sandbox: off, implementer: command, command: {command}}}\n"
    policy = "".join(line for line in POLICY.splitlines(keepends=True) if not line.startswith("agents:"))
    files = {".git-planner.yml": f"{policy}{agents}review: {rule}\n"}
    site = hosted(lab, rule, **files)
    log = lab.root / "agent.log"
    agent(lab, SCRIPT.format(log=log))
    return site, log


def refusal(lab: Lab, *argv: str) -> dict[str, Any]:
    """Return the error of a command that is refused for want of an approval."""
    ran = lab.run(*argv, "--json")
    assert ran.status == 3, ran.out + ran.err
    document: dict[str, Any] = json.loads(ran.out)
    assert document["code"] == "E_REVIEW"
    return document


def propose(lab: Lab) -> str:
    """Open the review of the tournament; return the branch that is to be merged."""
    ran = lab.run("git-plan", "review", "bo4/small", "--open", "--json")
    assert ran.status == 0, ran.err
    return str(json.loads(ran.out)["head"])


def test_nothing_is_started_before_the_prompt_was_merged(lab: Lab) -> None:
    site, log = reviewed(lab)
    error = refusal(lab, "git-bo4", "new", *NEW)
    assert error["message"] == "the prompt of the tournament 'bo4/small' has no approval"
    assert error["hint"] == "git plan review bo4/small --open"
    assert error["details"][-1] == "once it is approved: git bo4 run small"
    tip = lab.git("rev-parse", "bo4/small/run")
    for words in (("run", *NEW), ("run", "small"), ("watch", "small"), ("new", *NEW)):
        refusal(lab, "git-bo4", *words)
    assert lab.git("rev-parse", "bo4/small/run") == tip
    site.merge(propose(lab))
    ran = lab.run("git-bo4", "watch", "small")
    assert ran.status == 0, ran.err
    assert sorted(log.read_text().split()) == ["1", "2"]
    # What has begun goes on, although its approval is taken back.
    site.git("update-ref", "refs/heads/plan/default", f"{site.git('rev-parse', 'plan/default')}^")
    lab.git("fetch", "-q")
    for stage in ("watch", "harvest", "gate"):
        ran = lab.run("git-bo4", stage, "small")
        assert ran.status == 0, ran.err
    follow = ("git-bo4", "followup", "small", "--prompt", "Make it smaller again", "--follows", "1")
    error = refusal(lab, *follow)
    assert error["message"] == "the prompt of the tournament 'bo4/small' has no approval"
    refusal(lab, "git-bo4", "run", "small")
    review = lab.run("git-plan", "review", "bo4/small").out
    commit = lab.git("rev-parse", "bo4/small/v1")[:12]
    assert review.startswith("# Tournament bo4/small, turn 2\n")
    assert f"- They go on with variant 1 of the turn before, `{commit}`\n" in review
    assert len(log.read_text().split()) == 2
    site.merge(propose(lab))
    assert lab.run(*follow).status == 0
    ran = lab.run("git-bo4", "watch", "small")
    assert ran.status == 0, ran.err
    assert len(log.read_text().split()) == 3


@pytest.mark.parametrize("how", MERGES)
def test_every_way_of_a_merge_approves(lab: Lab, how: Merge) -> None:
    site, _ = reviewed(lab)
    refusal(lab, "git-bo4", "new", *NEW)
    site.merge(propose(lab), how)
    assert lab.run("git-bo4", "new", *NEW).status == 0


def test_one_byte_and_each_option_need_a_new_approval(lab: Lab) -> None:
    site, log = reviewed(lab)
    refusal(lab, "git-bo4", "new", *NEW)
    site.merge(propose(lab))
    lab.git("fetch", "-q")
    assert lab.run("git-plan", "review", "bo4/small", "--exit-code").status == 0
    for name, before, after in (
        ("prompt.md", "whole", "whole."),
        ("run.json", '"attempts": 2', '"attempts": 9'),
        ("run.json", '"agents": []', '"agents": [{"agent": "codex"}]'),
    ):
        path, tip = f"runs/small/{name}", lab.git("rev-parse", "bo4/small/run")
        changed = lab.show(f"bo4/small/run:{path}").replace(before, after)
        assert changed != lab.show(f"bo4/small/run:{path}")
        lab.rival("refs/heads/bo4/small/run", path, changed)
        error = refusal(lab, "git-bo4", "watch", "small")
        assert error["message"].endswith("is not what was approved: it was changed since"), name
        lab.git("update-ref", "refs/heads/bo4/small/run", tip)
    assert "Nothing has changed since." in lab.run("git-plan", "review", "bo4/small", "--diff").out
    assert not log.exists()


def test_a_signature_approves_and_a_review_shows_what_would_run(lab: Lab) -> None:
    key = make_key(lab, "owner")
    reviewed(lab, f"{{directives: required, by: approval, reviewers: ['{COMMITTER} {key}']}}")
    sign_with(lab, "owner")
    extra = lab.root / "extra.txt"
    extra.write_text("use <b>no</b> loop\n")
    refusal(lab, "git-bo4", "new", *NEW, "--agent", "command", "--variant-prompt", str(extra))
    body = lab.run("git-plan", "review", "bo4/small").out
    for text in (
        "**Not approved**: this directive has no approval.",
        "```text\nMake it smaller\nand keep it whole\n```",
        "- 2 variants from `local`\n- Agents: `command`\n",
        "```text\nuse <b>no</b> loop\n```",
        "- May change: `src/**`",
        "- Every variant must pass: `guard`, `scope`\n- Measured by: size lines, lower is better\n",
        "2 variants may then be made from `",
        "git bo4 run small",
    ):
        assert text in body
    assert lab.run("git-plan", "review", "bo4/small", "--approve").status == 0
    assert lab.run("git-bo4", "new", *NEW, "--agent", "command", "--variant-prompt", str(extra)).status == 0
    document = json.loads(lab.run("git-plan", "review", "bo4/small", "--json").out)
    assert (document["kind"], document["approval"]["state"]) == ("directive", "approved")
    assert document["facts"]["turn"]["prompt"][0] == "Make it smaller"


def test_the_inbox_and_the_next_prompt_know_of_it(lab: Lab) -> None:
    site, _ = reviewed(lab)
    refusal(lab, "git-bo4", "new", *NEW)
    head = propose(lab)
    [item] = json.loads(lab.run("git-plan", "inbox", "--json").out)["items"]
    assert item["command"] == "git plan review sync bo4/small"
    words = "Say which file.\n\nChanges-requested: Ann Owner <ann@example.org>"
    tip = site.git("rev-parse", head)
    site.git(
        "update-ref", f"refs/heads/{head}", site.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", words)
    )
    assert lab.run("git-plan", "review", "sync", "bo4/small").status == 0
    [item] = json.loads(lab.run("git-plan", "inbox", "--json").out)["items"]
    assert item["text"] == "Ann Owner requested changes: Say which file."
    error = refusal(lab, "git-bo4", "followup", "small", "--prompt", "Make src/size.txt smaller")
    assert error["message"] == "the prompt of the tournament 'bo4/small' has no approval"
    assert lab.show("bo4/small/run:runs/small/prompt.md") == (
        "Make src/size.txt smaller\n\n## Words of reviewers\n\nPeople said this about earlier proposals. "
        "Take it into account where it agrees with the goal and the constraints above; it changes "
        "neither.\n\n"
        "Ann Owner requested changes on the directive bo4/small:\n> Say which file.\n"
    )
    site.merge(propose(lab))
    lab.git("fetch", "-q")
    [item] = json.loads(lab.run("git-plan", "inbox", "--json").out)["items"]
    assert item["command"] == "git bo4 run small"
