"""Branches, tags and commits as variants."""

from __future__ import annotations

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.tournament.sources.branches import BranchesSource
from tests.support.lab import Lab


def test_the_changes_of_a_branch_have_a_limit(lab: Lab) -> None:
    lab.commit("first", {"value": "1\n"})
    lab.git("branch", "other")
    base = lab.commit("second", {"value": "2\n"})
    lab.git("switch", "-q", "other")
    lab.commit("large", {"data": "x\n" * 1000})
    source = BranchesSource(lab.repo, "uid", base, ["other"], most_bytes=1000)
    with pytest.raises(PlannerError) as caught:
        source.fetch("branches", 1)
    assert caught.value.code == "E_TOO_LARGE"
    assert BranchesSource(lab.repo, "uid", base, ["other"]).fetch("branches", 1).patch
