"""Harvests beside a `git gc --prune=now` that never ends: no variant and no object is lost."""

from __future__ import annotations

import subprocess
import threading

from tests.support.lab import GIT, Lab, command_line
from tests.support.small_campaign import campaign
from tests.support.sweeps import sampled
from tests.tournament.collecting.cloud_case import value


@sampled(8, 60)
def test_no_object_is_lost_beside_a_gc(lab: Lab, stride: int) -> None:
    campaign(lab)
    folder = lab.root / "diffs"
    folder.mkdir()
    for number in range(stride):
        (folder / f"{number:03d}.diff").write_text(value(number))
    runs = ("one", "two")
    for run in runs:
        words = ("--run", run, "--prompt", run, "--patches", str(folder))
        assert lab.run("git-bo4", "new", *words).status == 0
        assert lab.run("git-bo4", "watch", run).status == 0
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            argv = [GIT, "gc", "-q", "--prune=now"]
            subprocess.run(argv, cwd=lab.path, env=lab.env, capture_output=True, check=False)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        started = [
            subprocess.Popen(
                command_line("git-bo4", "harvest", run), cwd=lab.path, env=lab.env, stdout=-1, stderr=-1
            )
            for run in runs
        ]
        ended = [(process.communicate()[1], process.returncode) for process in started]
    finally:
        over.set()
        thread.join()
    assert [status for _, status in ended] == [0, 0], ended
    lab.fsck()
    names = [ref for ref in lab.refs() if "/v" in ref.removeprefix("refs/heads/bo4/")]
    assert len(names) == 2 * stride
