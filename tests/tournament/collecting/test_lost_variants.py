"""Variants whose branch was deleted; the words of a variant that cannot be used."""

from __future__ import annotations

import json

from tests.support.lab import Lab
from tests.tournament.collecting.cloud_case import SleepingClock, cloud_run, row, serve, value, watched


def test_a_variant_whose_branch_and_commit_are_gone_is_made_again(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(80))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    assert lab.run("git-bo4", "harvest").status == 0
    before = lab.refs()
    lab.git("update-ref", "-d", "refs/heads/bo4/speed/v1")
    lab.git("update-ref", "-d", "refs/heads/bo4/speed/v2")
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("prune", "--expire=now")
    refused = json.loads(lab.run("git-bo4", "gate", "--json").out)
    assert (refused["code"], refused["hint"]) == ("E_UNKNOWN_REF", "git bo4 harvest speed")
    assert "v1" in refused["message"]
    assert lab.run("git-bo4", "harvest").status == 0
    after = lab.refs()
    assert {ref: after.get(ref) for ref in before if "/v" in ref} == {
        ref: oid for ref, oid in before.items() if "/v" in ref
    }
    assert lab.run("git-bo4", "gate").status == 0


def test_a_broken_variant_says_each_reason_once(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90, old="7")), row(2, diff=value(80))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    assert lab.run("git-bo4", "harvest").status == 0
    error = json.loads(lab.run("git-bo4", "show", "1", "--json").out)["error"]
    assert (error["code"], error["message"].count("patch failed")) == ("E_PATCH", 1)
