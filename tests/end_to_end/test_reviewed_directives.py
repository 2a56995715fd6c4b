"""A loop of three directives: one is approved, one planned again with a reviewer's words, one never runs."""

from __future__ import annotations

import json
import sys

from tests.support.lab import Lab
from tests.support.servers.hosting_site import OWNER, HostingSite, hosted
from tests.support.waiting import wait_until
from tests.support.workshop import POLICY, directive, patch

OBJECTIVES = (
    "Shrink it with a loop",
    "Shrink it by hand",
    "Rewrite all of it",
    "Something else",
    "Shrink it with a table",
)
WORDS = "By hand is not maintained here: use a table."


def planner(lab: Lab) -> str:
    """Write a planner that keeps its prompts and proposes one objective after the other; return a policy."""
    program = lab.root / "planner.py"
    families = ["family:shrink"] * 3 + ["family:reuse"] * 2
    answers = [
        json.dumps(directive(objective=objective, strategy_family=family))
        for objective, family in zip(OBJECTIVES, families, strict=True)
    ]
    program.write_text(
        "import pathlib, sys\n"
        f"folder = pathlib.Path({str(lab.root)!r})\n"
        "asked = len(list(folder.glob('prompt-*')))\n"
        "(folder / f'prompt-{asked + 1}').write_text(sys.stdin.read())\n"
        f"print({answers!r}[asked])\n"
    )
    run = json.dumps([sys.executable, "-I", "-S", str(program)])
    agents = f"sandbox: off, planner: command, command: {{planner: {{run: {run}, timeout: 20}}}}, "
    return POLICY.replace("planner: offline, ", agents) + "review: {directives: required, others: true}\n"


def proposals(site: HostingSite) -> dict[str, str]:
    """Return the branches on the site that propose approvals: the number of the directive -> branch."""
    names = site.git("for-each-ref", "--format=%(refname:short)", "refs/heads/review/").split()
    return {name.removeprefix("review/")[:4]: name for name in names}


def requests_changes(site: HostingSite, proposal: str) -> None:
    """Commit a reviewer's words to a proposal on the site, as works on every one."""
    ref = f"refs/heads/{proposal}"
    tip = site.git("rev-parse", ref)
    message = f"{WORDS}\n\nChanges-requested: {OWNER[0]} <{OWNER[1]}>"
    new = site.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", message)
    site.git("update-ref", ref, new, tip)


def branch_of(lab: Lab, number: int) -> str:
    """Return the branch of an iteration."""
    return lab.git("for-each-ref", "--format=%(refname:short)", f"refs/heads/iter/{number:04d}-*")


def test_a_loop_of_three_directives(lab: Lab) -> None:
    # The directive that is given up counts as an attempt, with a patch.
    site = hosted(lab, "{directives: off}", **{"patches/3.patch": patch(90, 80)})
    lab.commit("reviews are required", {".git-planner.yml": planner(lab)})
    lab.git("push", "-q", "origin", "main")
    process = lab.start("git-iterate", "--loop", "--wait-review", "--max-attempts", "2")
    try:
        wait_until(lambda: len(proposals(site)) == 3)
        assert "refs/heads/iter/best" not in lab.refs()
        approved = "\n\nApproved-by: Ann Owner <ann@example.org>"
        site.merge(proposals(site)["0001"], "github squash", text=approved)
        # It plans the next one from the new best, since no more than three may wait.
        wait_until(lambda: "0004" in proposals(site))
        requests_changes(site, proposals(site)["0002"])
        wait_until(lambda: "0005" in proposals(site))
        site.merge(proposals(site)["0005"], "merge")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    finally:
        process.kill()
        process.wait()
    prompts = [(lab.root / f"prompt-{number}").read_text() for number in range(1, 6)]
    assert [WORDS in prompt for prompt in prompts] == [False, False, False, False, True]
    assert f"Ann Owner requested changes on the directive {branch_of(lab, 2)}" in prompts[4]
    assert lab.git("show", "iter/best:src/size.txt") == "80"
    assert lab.git("tag", "--list", "best/*").split() == ["best/80-auto-i5", "best/90-auto-i1"]

    # Neither the directive that was sent back nor the one that nobody approved has run, or runs.
    for number in (2, 3, 4):
        assert lab.git("rev-list", "--count", branch_of(lab, number), "^main", "^iter/best") == "1"
    ran = lab.run("git-iterate", "resume", "3")
    assert (ran.status, "has no approval (E_REVIEW)" in ran.err) == (3, True), ran.err
    assert "changes requested by Ann Owner" in lab.run("git-iterate", "resume", "2").out
    lab.fsck()
