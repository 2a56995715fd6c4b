"""Harvesting variants: commits, branches, the archive, broken ones, interruptions, many at once."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.tournament.collecting.archive import VariantArchive, task_folder
from git_planner.flows.tournament.collecting.harvest import harvest
from git_planner.flows.tournament.run_store import RunChange, RunStore
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.run import TournamentTurn
from git_planner.rules.tournament.source import Payload
from tests.support.lab import Lab
from tests.support.small_campaign import campaign, hush
from tests.support.sweeps import sampled
from tests.tournament.collecting.cloud_case import (
    SleepingClock,
    cloud_run,
    codes,
    module,
    row,
    serve,
    states,
    value,
    view,
    watched,
)


def archive(lab: Lab, number: int, turn: int = 1) -> Path:
    """Return the folder of a payload."""
    return lab.root / ".codex-cloud" / "variants" / "task_1" / f"turn{turn}" / f"var{number}"


def harvested(lab: Lab, *words: str, status: int = 0) -> dict[str, Any]:
    """Harvest the run."""
    ran = lab.run("git-bo4", "harvest", "--json", *words)
    assert ran.status == status, ran.err
    return json.loads(ran.out)  # type: ignore[no-any-return]


def test_each_variant_becomes_a_commit_on_its_branch(lab: Lab) -> None:
    variants = [row(1, diff=value(90), report=["did it"]), row(2, "failed"), row(3, diff=value(80))]
    serve(lab, variants=[*variants, row(4, diff=value(90))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    with lab.undisturbed():
        document = harvested(lab)
    assert states(lab) == {1: "harvested", 2: "failed", 3: "harvested", 4: "harvested"}
    base = lab.git("rev-parse", "main")
    for number, text in ((1, "90"), (3, "80"), (4, "90")):
        assert lab.show(f"bo4/speed/v{number}:value") == f"{text}\n"
        assert lab.git("rev-parse", f"bo4/speed/v{number}^") == base
    assert [variant["same_as"] for variant in document["variants"]] == [None, None, None, 1]
    first = document["variants"][0]
    assert (first["files"], first["added"], first["removed"]) == (1, 1, 1)
    assert first["commit"] == lab.git("rev-parse", first["branch"])
    assert first["archive"] == ".codex-cloud/variants/task_1/turn1/var1"
    assert (archive(lab, 1) / "patch.diff").read_text() == value(90)
    assert json.loads((archive(lab, 1) / "report.json").read_text())["messages"] == ["did it"]
    assert json.loads((archive(lab, 1) / "variant.json").read_text())["status"] == "completed"
    manifest = json.loads((archive(lab, 1) / "manifest.json").read_text())
    assert manifest["files"]["patch.diff"] == first["patch_sha256"] == sha256(value(90).encode()).hexdigest()
    assert manifest.pop("run") == document["run"]["uid"]
    assert canonical_json.digest(manifest) == first["manifest_sha256"]
    assert codes(lab)[-3:] == ["VARIANT_HARVESTED"] * 3
    assert document["run"]["stages"]["harvest"]["outcome"] == "done"
    lab.fsck()


def test_the_layout_of_a_run(lab: Lab) -> None:
    campaign(lab)
    lab.commit("coverage", {"examples/coverage.json": '{"goals": ["cache"], "provides": []}\n'})
    serve(lab, name="demo-headless", variants=[row(1, diff=module("cache")), row(2, "failed")])
    words = ("--task", "demo-headless", "--coverage", "examples/coverage.json", "--json")
    ran = lab.run("git-bo4", "new", *words)
    assert ran.status == 0, ran.err
    run = json.loads(ran.out)["run"]["run"]
    assert run.endswith("-demo-headless")
    for command in ("watch", "harvest"):
        assert lab.run("git-bo4", command).status == 0
    names = lab.git("ls-tree", "-r", "--name-only", f"bo4/{run}/run", "runs/").splitlines()
    assert names == [
        f"runs/{run}/artifacts/events.ndjson",
        f"runs/{run}/artifacts/events.watch.ndjson",
        f"runs/{run}/prompt.md",
        f"runs/{run}/run.json",
        f"runs/{run}/variants/var1.json",
        f"runs/{run}/variants/var2.json",
    ]
    metadata = json.loads(lab.show(f"bo4/{run}/run:runs/{run}/variants/var1.json"))
    folder = lab.path.parent / metadata["archive"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("manifest.json", "patch.diff", "report.json", "variant.json")
    ]
    assert metadata["modules"] == ["cache"]
    assert lab.git("status", "--porcelain") == ""


def test_harvesting_again_changes_nothing(lab: Lab) -> None:
    calls = serve(lab, variants=[row(1, diff=value(90))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    harvested(lab)
    before, asked = lab.refs(), len(calls.read_text().splitlines())
    harvested(lab)
    assert lab.refs() == before
    assert len(calls.read_text().splitlines()) == asked
    lab.env["CODEX_BIN"] = "no-such-program"
    harvested(lab)


def test_attempts_that_are_counted_by_their_diffs(lab: Lab) -> None:
    variants = [row(1, diff=value(90)), row(2, "failed"), row(3, diff=value(80)), row(4, diff="prose")]
    serve(lab, ["pending", "ready"], variants, dialect="attempts")
    cloud_run(lab, sent=True)
    watched(lab, SleepingClock())
    harvested(lab)
    assert states(lab) == {1: "harvested", 2: "harvested", 3: "broken", 4: "failed"}
    assert lab.show("bo4/speed/v2:value") == "80\n"
    assert view(lab).variant(4).reported == "no diff"


BROKEN: dict[str, tuple[str, str]] = {
    "another base": (value(90, old="7"), "does not apply"),
    "prose": ("I changed it.\n", "is not a patch"),
    "above": (module("../../../x").replace("modules/../../../x", "../../x"), "invalid path"),
    "git": (module("x").replace("modules/x/module.json", ".git/hooks/pre-commit"), "invalid path"),
}


def test_broken_variants_are_marked_and_the_others_go_on(lab: Lab) -> None:
    variants = [row(number, diff=diff) for number, (diff, _) in enumerate(BROKEN.values(), 2)]
    serve(lab, variants=[row(1, diff=value(90)), *variants, row(6, diff=None)])
    cloud_run(lab)
    watched(lab, SleepingClock())
    document = harvested(lab)
    assert states(lab) == {1: "harvested", **dict.fromkeys(range(2, 7), "broken")}
    for variant, (_, words) in zip(document["variants"][1:], BROKEN.values(), strict=False):
        assert variant["error"]["code"] == "E_PATCH"
        assert words in variant["error"]["message"], variant["error"]
    assert "has no diff" in document["variants"][5]["error"]["message"]
    assert sorted(ref for ref in lab.refs() if "bo4/" in ref) == [
        "refs/heads/bo4/speed/run",
        "refs/heads/bo4/speed/v1",
    ]
    assert not (lab.root / "x").exists()
    # Once the service has a good payload, the variant is mended, and the broken one is kept beside it.
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(70))])
    harvested(lab)
    assert (states(lab)[1], states(lab)[2]) == ("harvested", "harvested")
    assert len(list(archive(lab, 2).parent.glob("var2*"))) == 2


def test_guarded_paths_are_committed_and_left_to_the_gates(lab: Lab) -> None:
    patch = "diff --git a/tests/test_it b/tests/test_it\n--- a/tests/test_it\n+++ b/tests/test_it\n"
    serve(lab, variants=[row(1, diff=f"{patch}@@ -1 +1 @@\n-guarded\n+mine\n")])
    cloud_run(lab)
    assert lab.run("git-planner", "init").status == 0
    watched(lab, SleepingClock())
    harvested(lab)
    assert lab.show("bo4/speed/v1:tests/test_it") == "mine\n"


def test_modules_where_they_are_needed(lab: Lab) -> None:
    variants = [
        row(1, diff=module("cache") + module("b")),
        row(2, diff=value(90)),
        row(3, diff=module("cache")),
    ]
    serve(lab, variants=variants)
    cloud_run(lab, "--modules")
    watched(lab, SleepingClock())
    document = harvested(lab)
    assert [variant["modules"] for variant in document["variants"]] == [["b", "cache"], [], ["cache"]]
    assert document["variants"][1]["error"]["code"] == "E_VARIANT_NO_MODULES"
    assert states(lab) == {1: "harvested", 2: "broken", 3: "harvested"}


@pytest.mark.parametrize("diff", [None, "prose"])
def test_nothing_to_harvest_is_no_success(lab: Lab, diff: str | None) -> None:
    serve(lab, ["pending"], [row(1, "completed" if diff else "failed", diff=diff)])
    cloud_run(lab)
    assert harvested(lab, status=1)["code"] == "E_NO_VARIANT"
    stage = view(lab).run.stage("harvest")
    assert stage is not None
    assert stage.outcome == "failed"


def test_a_service_that_fails_meanwhile_loses_no_variant(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(80))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    archive_of_turn = VariantArchive(archive(lab, 1).parents[2], view(lab).run.uid, "task_1", 1)
    with lab.entered():
        archive_of_turn.put(1, Payload(value(90).encode()))
    serve(lab, ["!denied"], [row(1, diff=value(90)), row(2, diff=value(80))])
    assert harvested(lab, status=4)["code"] == "E_CODEX_AUTH"
    assert states(lab) == {1: "ready", 2: "ready"}
    serve(lab, ["ready"], [row(1, diff="changed"), row(2, diff=value(80))])
    harvested(lab)
    assert lab.show("bo4/speed/v1:value") == "90\n"


def test_a_service_that_is_down_for_a_while(lab: Lab) -> None:
    variants = [row(number, diff=value(number)) for number in range(1, 6)]
    serve(lab, variants=variants)
    cloud_run(lab)
    watched(lab, SleepingClock())
    calls = serve(lab, ["!500"], variants)
    calls.unlink()
    with lab.entered():
        VariantArchive(archive(lab, 1).parents[2], view(lab).run.uid, "task_1", 1).put(
            4, Payload(value(4).encode())
        )
    clock = SleepingClock()
    with lab.entered(), pytest.raises(PlannerError) as caught:
        harvest(lab.repo, "speed", hush, sleep=clock.sleep)
    assert caught.value.code == "E_CODEX_SERVER"
    assert states(lab) == {1: "ready", 2: "ready", 3: "ready", 4: "harvested", 5: "ready"}
    stage = view(lab).run.stage("harvest")
    assert stage is not None
    assert (stage.outcome, stage.message) == ("begun", "4 ready, 1 harvested")
    exports = [line.split()[2] for line in calls.read_text().splitlines() if line.startswith("export")]
    assert exports == [number for number in "123" for _ in range(4)]
    assert clock.pauses == [1.0, 4.0, 15.0] * 3
    serve(lab, variants=variants)
    harvested(lab)
    assert set(states(lab).values()) == {"harvested"}


def test_a_task_of_the_same_id_in_another_run(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(80))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    first = harvested(lab)["variants"]
    # Another service, which has a task of that id, too.
    serve(lab, variants=[row(1, diff=value(70)), row(2, diff=value(80))])
    assert lab.run("git-bo4", "new", "--run", "other", "--task", "task_1", "--best-of", "2").status == 0
    for command in ("watch", "harvest"):
        assert lab.run("git-bo4", command, "other").status == 0
    assert [lab.show(f"bo4/other/v{number}:value") for number in (1, 2)] == ["70\n", "80\n"]
    assert [lab.show(f"bo4/speed/v{number}:value") for number in (1, 2)] == ["90\n", "80\n"]
    kept = archive(lab, 1).with_name(f"var1.{first[0]['manifest_sha256'][:12]}")
    assert (kept / "patch.diff").read_text() == value(90)
    assert sorted(path.name for path in kept.parent.iterdir()) == ["var1", kept.name, "var2"]


def test_an_archived_commit_that_is_not_here(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(80))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    with lab.entered():
        payloads = VariantArchive(archive(lab, 1).parents[2], view(lab).run.uid, "task_1", 1)
        payloads.put(1, Payload(None, "1" * 40))
        with pytest.raises(PlannerError) as caught:
            payloads.put(2, Payload(b"x" * (MOST_PATCH_BYTES + 1)))
    assert caught.value.code == "E_TOO_LARGE"
    assert harvested(lab)["variants"][0]["error"]["code"] == "E_UNKNOWN_REF"
    assert states(lab) == {1: "broken", 2: "harvested"}
    harvested(lab)
    assert states(lab) == {1: "harvested", 2: "harvested"}


def test_what_is_ready_before_the_rest(lab: Lab) -> None:
    serve(lab, ["in_progress"], [row(1, diff=value(90)), row(2, "in_progress")])
    cloud_run(lab)
    assert harvested(lab)["run"]["stages"]["harvest"]["outcome"] == "begun"
    assert states(lab) == {1: "harvested", 2: "working"}
    serve(lab, ["ready"], [row(1, diff=value(90)), row(2, diff=value(80))])
    watched(lab, SleepingClock())
    assert harvested(lab)["run"]["stages"]["harvest"]["outcome"] == "done"
    assert states(lab) == {1: "harvested", 2: "harvested"}
    serve(lab, ["!gone"])
    assert harvested(lab)["variants"][1]["state"] == "harvested"


def test_a_second_turn_has_branches_and_folders_of_its_own(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    harvested(lab)
    turn = TournamentTurn(2, "0" * 64, "prompt.md", "2026-11-30T00:00:00Z", task="task_1", follows=1)
    with lab.entered():
        store = RunStore(lab.repo, "speed")
        store.change(lambda now: RunChange(replace(now.run, turns=(*now.run.turns, turn))), "followup")
    serve(lab, variants=[row(1, diff=value(70))])
    watched(lab, SleepingClock())
    document = harvested(lab)
    assert document["variants"][0]["branch"] == "bo4/speed/turn2/v1"
    assert [lab.show(f"bo4/speed/{name}:value") for name in ("v1", "turn2/v1")] == ["90\n", "70\n"]
    assert (archive(lab, 1, turn=2) / "patch.diff").read_text() == value(70)
    assert (archive(lab, 1) / "patch.diff").read_text() == value(90)
    assert lab.show("bo4/speed/run:runs/speed/variants/turn2/var1.json")


def test_a_branch_of_somebody_else_is_left_alone(lab: Lab) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff=value(80))])
    cloud_run(lab)
    lab.git("branch", "bo4/speed/v1", "main")
    watched(lab, SleepingClock())
    harvested(lab)
    assert lab.git("rev-parse", "bo4/speed/v1") == lab.git("rev-parse", "main")
    assert states(lab) == {1: "broken", 2: "harvested"}
    lab.git("branch", "-m", "bo4/speed/v1", "mine")
    harvested(lab)
    assert states(lab) == {1: "harvested", 2: "harvested"}


@sampled(7)
def test_a_killed_harvest_goes_on(lab: Lab, stride: int) -> None:
    serve(lab, variants=[row(1, diff=value(90)), row(2, diff="prose"), row(3, diff=value(90))])
    cloud_run(lab)
    watched(lab, SleepingClock())
    for call in range(7, 200, stride):
        ran = lab.spawn("git-bo4", "harvest", **lab.crash_after(call))
        if ran.status == 0:
            break
    assert ran.status == 0
    assert call > 20
    assert states(lab) == {1: "harvested", 2: "broken", 3: "harvested"}
    assert codes(lab)[-3:] == ["VARIANT_HARVESTED", "VARIANT_BROKEN", "VARIANT_HARVESTED"]
    assert sorted(path.name for path in archive(lab, 1).parent.iterdir()) == ["var1", "var2", "var3"]
    lab.fsck()


@pytest.mark.real
def test_a_harvest_that_is_killed_at_any_time_goes_on(lab: Lab) -> None:
    serve(lab, variants=[row(number, diff=value(number)) for number in range(1, 9)])
    cloud_run(lab)
    watched(lab, SleepingClock())
    for tenths in range(1, 80):
        started = lab.start("git-bo4", "harvest")
        try:
            started.wait(tenths / 10)
            break
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
    assert lab.run("git-bo4", "harvest").status == 0
    assert set(states(lab).values()) == {"harvested"}
    assert codes(lab).count("VARIANT_HARVESTED") == 8
    names = sorted(path.name for path in archive(lab, 1).parent.iterdir())
    assert [name for name in names if not name.startswith(".")] == [f"var{number}" for number in range(1, 9)]
    lab.fsck()


@pytest.mark.real
def test_twenty_harvests_at_once(lab: Lab) -> None:
    check_many(lab, 20)


def test_many_harvests_at_once(lab: Lab) -> None:
    check_many(lab, 5)


def check_many(lab: Lab, processes: int) -> None:
    """Harvest in several processes at once: each succeeds, and each variant is harvested once."""
    serve(lab, variants=[row(number, diff=value(number)) for number in range(1, 5)])
    cloud_run(lab)
    watched(lab, SleepingClock())
    with ThreadPoolExecutor(processes) as pool:
        ran = list(pool.map(lambda _: lab.spawn("git-bo4", "harvest"), range(processes)))
    assert [done.status for done in ran] == [0] * processes, [done.err for done in ran]
    assert set(states(lab).values()) == {"harvested"}
    assert codes(lab).count("VARIANT_HARVESTED") == 4


def test_a_full_disk_loses_nothing(lab: Lab) -> None:
    disk = lab.root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    lab.env["GIT_PLANNER_VARIANTS"] = str(disk / "variants")
    try:
        large = f"{value(80)}{module('x' * 100) * 2000}"
        serve(lab, variants=[row(1, diff=value(90)), row(2, diff=large), row(3, diff=value(70))])
        cloud_run(lab)
        watched(lab, SleepingClock())
        assert harvested(lab, status=4)["code"] == "E_NO_SPACE"
        assert states(lab) == {1: "ready", 2: "ready", 3: "ready"}
        turn = disk / "variants" / "task_1" / "turn1"
        assert [path.name for path in turn.iterdir()] == ["var1"]
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        harvested(lab)
        assert set(states(lab).values()) == {"harvested"}
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_patch_of_200_megabytes_is_not_read(lab: Lab) -> None:
    folder = lab.root / "diffs"
    folder.mkdir()
    (folder / "a.diff").write_text(value(90))
    with open(folder / "b.diff", "wb") as file:
        file.truncate(200 * 2**20)
    campaign(lab)
    words = ("--run", "speed", "--prompt", "x", "--patches", str(folder))
    assert lab.run("git-bo4", "new", *words).status == 0
    watched(lab, SleepingClock())
    document = harvested(lab)
    error = document["variants"][1]["error"]
    assert (error["code"], error["message"][:38]) == ("E_TOO_LARGE", "'b.diff' has 209,715,200 bytes; at mos")
    assert states(lab) == {1: "harvested", 2: "broken"}


def test_patches_of_a_folder(lab: Lab) -> None:
    campaign(lab)
    folder = lab.root / "diffs"
    folder.mkdir()
    (folder / "b.diff").write_text(value(80))
    (folder / "c.patch").write_text("prose")
    (folder / "notes.txt").write_text("no patch")
    words = ("--run", "speed", "--prompt", "x", "--patches", str(folder))
    assert lab.run("git-bo4", "new", *words).status == 0
    watched(lab, SleepingClock())
    (folder / "a.diff").write_text(value(70))
    harvested(lab)
    assert states(lab) == {1: "harvested", 2: "broken"}
    assert view(lab).variant(1).source_id == "b.diff"
    assert lab.show("bo4/speed/v1:value") == "80\n"


def test_a_linked_worktree_of_a_repository_with_long_ids(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "--object-format=sha256")
    campaign(lab)
    (lab.root / "diffs").mkdir()
    for number in (80, 70):
        (lab.root / "diffs" / f"{number}.diff").write_text(value(number))
    place = lab.root / "side"
    lab.git("worktree", "add", "-q", "--detach", str(place), "main")
    words = ("new", "--run", "speed", "--prompt", "x", "--patches", "../diffs")
    for command in (words, ("watch",), ("harvest",)):
        ran = lab.run("git-bo4", *command, cwd=place)
        assert ran.status == 0, ran.err
    assert [lab.show(f"bo4/speed/v{number}:value") for number in (1, 2)] == ["70\n", "80\n"]
    (folder,) = (lab.root / ".codex-cloud" / "variants").glob("patches-*")
    assert (folder / "turn1" / "var1").is_dir()


def test_branches_that_exist(lab: Lab) -> None:
    lab.git("branch", "old")
    campaign(lab)
    lab.git("switch", "-q", "-c", "direct")
    direct = lab.commit("faster", {"value": "70\n"})
    lab.git("switch", "-q", "old")
    lab.commit("aside", {"notes/x": "aside\n"})
    lab.git("switch", "-q", "--orphan", "stranger")
    lab.commit("unrelated", {"y": "1\n"})
    lab.git("switch", "-q", "main")
    words = [word for name in ("direct", "old", "stranger", "no-such") for word in ("--ref", name)]
    assert lab.run("git-bo4", "new", "--run", "speed", "--prompt", "x", *words).status == 0
    watched(lab, SleepingClock())
    document = harvested(lab)
    assert states(lab) == {1: "harvested", 2: "harvested", 3: "broken", 4: "failed"}
    assert document["variants"][0]["commit"] == direct
    assert lab.git("rev-parse", "bo4/speed/v2^") == lab.git("rev-parse", "main")
    assert lab.show("bo4/speed/v2:notes/x") == "aside\n"
    assert document["variants"][0]["added"] == 1
    assert "shares no history" in document["variants"][2]["error"]["message"]


def test_the_archive_checks_names_and_digests(tmp_path: Path) -> None:
    assert task_folder("task_abc123") == "task_abc123"
    for odd in ("../../keep", "A", "a.b", ".", "", "x" * 99, "a/b"):
        name = task_folder(odd)
        assert "/" not in name
        assert "." not in name
        assert name.endswith(sha256(odd.encode()).hexdigest()[:12])
    folder = VariantArchive(tmp_path, "run", "t", 2)
    first = folder.put(1, Payload(b"one"))
    assert folder.put(1, Payload(b"one")) == first
    (first.folder / "patch.diff").write_bytes(b"damaged")
    assert folder.find(1) is None
    second = folder.put(1, Payload(b"two"))
    assert second.patch() == b"two"
    assert folder.put(1, Payload(b"one")).patch() == b"one"
    names = sorted(path.name for path in (tmp_path / "t" / "turn2").iterdir())
    assert names[0] == "var1"
    assert names[1:] == sorted([f"var1.{second.manifest_sha256[:12]}", names[-1]])
    assert names[-1].startswith("var1.damaged-")
