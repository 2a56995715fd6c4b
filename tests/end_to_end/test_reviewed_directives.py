"""Three directives under review: one is approved, one is planned again with a reviewer's words, one waits."""

from __future__ import annotations

import json
import sys

from tests.support.lab import Lab
from tests.support.servers.hosting_site import OWNER, HostingSite, hosted
from tests.support.workshop import POLICY, directive

OBJECTIVES = ("Shrink it with a loop", "Shrink it by hand", "Rewrite all of it", "Shrink it with a table")
WORDS = "By hand is not maintained here: use a table."


def planner(lab: Lab) -> str:
    """Write a planner that keeps its prompts and proposes one objective after the other; return a policy."""
    program = lab.root / "planner.py"
    answers = [json.dumps(directive(objective=objective)) for objective in OBJECTIVES]
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


def planned(lab: Lab, number: int) -> str:
    """Plan a directive that has to wait; return its branch."""
    ran = lab.run("git-iterate", "--json")
    document = json.loads(ran.out)
    assert (ran.status, document["code"]) == (3, "E_REVIEW"), ran.err
    assert document["details"][-1] == f"once it is approved: git iterate resume {number}"
    return lab.git("for-each-ref", "--format=%(refname:short)", f"refs/heads/iter/{number:04d}-*")


def opened(lab: Lab, branch: str) -> str:
    """Open the review of a directive; return the branch that proposes it."""
    ran = lab.run("git-plan", "review", branch, "--open", "--json")
    assert ran.status == 0, ran.err
    return str(json.loads(ran.out)["head"])


def requests_changes(site: HostingSite, proposal: str) -> None:
    """Commit a reviewer's words to a proposal on the site, as works on every one."""
    ref = f"refs/heads/{proposal}"
    tip = site.git("rev-parse", ref)
    message = f"{WORDS}\n\nChanges-requested: {OWNER[0]} <{OWNER[1]}>"
    new = site.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", message)
    site.git("update-ref", ref, new, tip)


def commits(lab: Lab, branch: str) -> int:
    """Return how many commits a branch has that main lacks."""
    return int(lab.git("rev-list", "--count", branch, "^main"))


def test_three_directives(lab: Lab) -> None:
    # Another person than the reviewer plans and pushes.
    site = hosted(lab, "{directives: off}")
    lab.commit("reviews are required", {".git-planner.yml": planner(lab)})
    lab.git("push", "-q", "origin", "main")
    first, second, third = planned(lab, 1), planned(lab, 2), planned(lab, 3)
    opened(lab, third)

    # One is approved by a squash, with the name of who approved it.
    site.merge(opened(lab, first), "github squash", text="\n\nApproved-by: Ann Owner <ann@example.org>")
    assert lab.run("git-iterate", "resume", "1").status == 0
    assert lab.git("show", "iter/best:src/size.txt") == "90"

    # One gets words of the reviewer, and is planned again with them.
    requests_changes(site, opened(lab, second))
    synced = lab.run("git-plan", "review", "sync", second, "--json")
    assert synced.status == 0, synced.err
    assert [remark["decision"] for remark in json.loads(synced.out)["remarks"]] == ["changes_requested"]
    again = planned(lab, 4)
    prompts = [(lab.root / f"prompt-{number}").read_text() for number in (1, 2, 3, 4)]
    assert [WORDS in prompt for prompt in prompts] == [False, False, False, True]
    assert f"Ann Owner requested changes on the directive {second}" in prompts[3]
    site.merge(opened(lab, again), "merge")
    assert lab.run("git-iterate", "resume", "4").status == 0
    assert lab.git("show", "iter/best:src/size.txt") == "80"

    # One is never approved, and never runs; nor does the one that was sent back.
    for number in (2, 3):
        ran = lab.run("git-iterate", "resume", str(number))
        assert (ran.status, "has no approval (E_REVIEW)" in ran.err) == (3, True), ran.err
    assert [commits(lab, branch) for branch in (second, third)] == [1, 1]
    assert lab.git("tag", "--list", "best/*").split() == ["best/80-auto-i4", "best/90-auto-i1"]
    lab.fsck()
