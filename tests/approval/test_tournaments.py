"""Prompts of tournaments that need an approval before agents are started."""

from __future__ import annotations

import json
import re

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.review.proposed import render_proposed
from tests.approval.test_plans import approve
from tests.support.lab import Lab
from tests.support.servers.hosting_site import hosted

RULE = "{directives: required}"
NEW = ("git-bo4", "run", "--prompt", "Lower the value", "--best-of", "2", "--source", "local")


def variants(lab: Lab) -> int:
    """Return how many branches of variants there are."""
    return sum(re.fullmatch("refs/heads/bo4/.*/v[0-9]+", ref) is not None for ref in lab.refs())


def test_no_agent_starts_before_its_prompt_was_merged(lab: Lab) -> None:
    site = hosted(lab, RULE)
    ran = lab.run(*NEW)
    assert ran.status == 3, ran.out + ran.err
    (run,) = (row["run"] for row in json.loads(lab.run("git-bo4", "list", "--json").out)["runs"])
    assert f"the prompt of the tournament 'bo4/{run}' has no approval (E_REVIEW)" in ran.err
    assert f"git bo4 run {run}" in ran.err
    for again in (("git-bo4", "watch", run), ("git-bo4", "run", run), NEW):
        assert (lab.run(*again).status, variants(lab)) == (3, 0)
    text = lab.run("git-plan", "review", f"bo4/{run}")
    assert text.status == 0, text.err
    for words in ("Lower the value", "## What approving means", "2 variants from `local`", "tests/**"):
        assert words in text.out
    assert lab.run("git-plan", "review", f"bo4/{run}", "--exit-code").status == 1
    approve(site, f"bo4/{run}")
    ran = lab.run("git-bo4", "run", run)
    assert ran.status == 0, ran.out + ran.err
    assert variants(lab) == 2
    assert lab.run("git-plan", "review", f"bo4/{run}", "--exit-code").status == 0
    # The next turn has a prompt of its own.
    ran = lab.run("git-bo4", "followup", run, "--prompt", "Lower the value once more")
    assert (ran.status, "is not what was approved" in ran.err) == (3, True), ran.err
    assert lab.run("git-bo4", "run", run).status == 3
    difference = lab.run("git-plan", "review", f"bo4/{run}", "--diff").out
    assert '+ "Lower the value once more' in " ".join(difference.split())
    approve(site, f"bo4/{run}")
    assert lab.run("git-bo4", "run", run).status in (0, 1)
    assert variants(lab) == 4


def test_patches_start_no_agent_and_need_no_approval(lab: Lab) -> None:
    hosted(lab, RULE)
    folder = lab.root / "patches"
    folder.mkdir()
    ran = lab.run("git-bo4", "new", "--prompt", "Lower it", "--patches", str(folder))
    assert ran.status == 0, ran.err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"document": {"prompt": 7}}, "does not hold the directive"),
        ({"name": "bo4/../x"}, "names another tournament"),
        ({"name": "bo4/$(date)"}, "names another tournament"),
    ],
)
def test_a_forged_request_for_a_prompt_is_refused(lab: Lab, change: dict[str, object], problem: str) -> None:
    from git_planner.flows.review.review import review
    from git_planner.flows.review.subjects import find_subject
    from git_planner.rules.approval.subject import approval_document

    hosted(lab, RULE)
    assert lab.run(*NEW).status == 3
    (run,) = (row["run"] for row in json.loads(lab.run("git-bo4", "list", "--json").out)["runs"])
    _, subject = find_subject(lab.repo, review(lab.repo, f"bo4/{run}"))
    document = approval_document(subject, "A <a@b.c>", "2026-01-01T00:00:00Z")
    assert "Lower the value" in render_proposed(lab.repo, document, "x.json")
    with pytest.raises(PlannerError, match=problem):
        render_proposed(lab.repo, {**document, **change}, "x.json")
