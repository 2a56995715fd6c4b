"""The cache of kept outputs: what is listed, what is removed, and what stays."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

from tests.measuring.prepared.test_prepare import kept, preparing, record
from tests.support.lab import Lab


def cache(lab: Lab, *argv: str) -> dict[str, Any]:
    """Return the document of a command of the cache."""
    ran = lab.run("git-planner", "cache", *argv, "--json")
    assert ran.status == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def used(lab: Lab, days: float) -> None:
    """Let the only entry have been used some days ago."""
    (entry,) = kept(lab)
    then = time.time() - days * 86_400
    os.utime(entry.with_name(f"{entry.name}.lock"), (then, then))


def test_an_empty_cache_is_listed_and_pruned(lab: Lab) -> None:
    assert cache(lab, "list")["entries"] == []
    assert cache(lab, "prune")["entries"] == []


def test_outputs_are_listed_with_age_size_and_step(lab: Lab) -> None:
    preparing(lab)
    record(lab)
    used(lab, 3)
    document = cache(lab, "list")
    (entry,) = document["entries"]
    assert (entry["step"], entry["outputs"], entry["files"]) == ("dependencies", ["vendored"], 2)
    assert entry["bytes"] == document["bytes"] > 0
    assert (round(entry["unused_seconds"] / 86_400), entry["in_use"]) == (3, False)
    assert "dependencies: vendored" in (out := lab.run("git-planner", "cache", "list").out)
    assert "unused for 3 days" in out


def test_only_what_is_unused_is_removed(lab: Lab) -> None:
    preparing(lab)
    record(lab)
    used(lab, 3)
    assert cache(lab, "prune")["entries"] == []
    assert len(cache(lab, "prune", "--unused", "2", "--dry-run")["entries"]) == 1
    (entry,) = kept(lab)
    with entry.with_name(f"{entry.name}.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert cache(lab, "list")["entries"][0]["in_use"]
        assert cache(lab, "prune", "--unused", "0")["entries"] == []
    assert len(cache(lab, "prune", "--unused", "2")["entries"]) == 1
    assert kept(lab) == []


def test_damaged_outputs_are_removed(lab: Lab) -> None:
    preparing(lab)
    record(lab)
    (kept(lab)[0] / "seal.json").unlink()
    assert "damaged" in lab.run("git-planner", "cache", "list").out
    assert len(cache(lab, "prune")["entries"]) == 1
    assert kept(lab) == []


def test_an_uninstallation_names_the_cache_that_stays(lab: Lab) -> None:
    preparing(lab)
    assert "cache prune" not in lab.run("git-planner", "uninstall", "--dry-run").out
    record(lab)
    assert "cache prune --unused 0" in lab.run("git-planner", "uninstall", "--dry-run").out
