"""Time of harvesting 100 variants of a repository of 10,000 files, beside git alone with the same patches."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from git_planner.flows.tournament.collecting.harvest import harvest
from git_planner.flows.tournament.collecting.watch import watch
from git_planner.flows.tournament.new import NewTournament, new_run
from git_planner.gitio.repository import Repository, open_repository
from tests.bench.timing import Figure

FILES, VARIANTS, CHANGES = 10_000, 100, 20
POLICY = """\
schema: git-planner/policy@1
base: main
metrics:
  - {name: cost, run: [cat, value], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic}
"""


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Harvest a folder of patches, and let git alone make the same commits, in turn."""
    os.environ.update(env)
    repo, patches = _repository(root / "repo"), [_patch(number) for number in range(VARIANTS)]
    folder = root / "patches"
    folder.mkdir()
    for number, patch in enumerate(patches):
        (folder / f"{number:03d}.diff").write_bytes(patch)
    ours, alone = [], []
    for turn in range(max(1, 5 // fewer)):
        alone.append(_by_git(repo, root, patches, turn))
        ours.append(_by_harvest(repo, folder, turn))
    best, best_alone = min(ours), min(alone)
    yield Figure(f"harvest of {VARIANTS} variants of {FILES:,} files", 10, best, "s")
    remark = f"{best:.2f} s and {best_alone:.2f} s"
    yield Figure("harvest over git alone with the same patches", 1.2, best / best_alone, "x", remark)


def _repository(path: Path) -> Repository:
    for number in range(FILES):
        file = path / _name(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"value = {number}\n" * 20)
    (path / ".git-planner.yml").write_text(POLICY)
    for args in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "base")):
        subprocess.run(["git", *args], cwd=path, check=True)
    return open_repository(path)


def _name(number: int) -> str:
    return f"src/part{number // 100:03d}/module{number % 100:02d}.py"


def _patch(variant: int) -> bytes:
    """Return a patch of one line in each of some files."""
    parts = []
    for change in range(CHANGES):
        number = (variant * 97 + change * 503) % FILES
        name, line = _name(number), f"value = {number}"
        head = f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1,3 +1,3 @@\n"
        parts.append(f"{head}-{line}\n+{line} + {variant}\n {line}\n {line}\n")
    return "".join(parts).encode()


def _by_git(repo: Repository, root: Path, patches: Sequence[bytes], turn: int) -> float:
    """Return the seconds that git needs: one index, read once; then patch, tree, commit and branch."""
    base, index = root / "base-index", root / "index"
    env = {**os.environ, "GIT_INDEX_FILE": str(index)}

    def git(*args: str, data: bytes = b"") -> str:
        argv = ["git", *args]
        done = subprocess.run(argv, cwd=repo.top, env=env, input=data, capture_output=True, check=True)
        return done.stdout.decode().strip()

    started = time.perf_counter()
    git("read-tree", "main")
    shutil.copyfile(index, base)
    for number, patch in enumerate(patches):
        shutil.copyfile(base, index)
        git("apply", "--cached", "--whitespace=nowarn", "-", data=patch)
        commit = git("commit-tree", git("write-tree"), "-p", "main", "-m", f"variant {number}, {turn}")
        git("update-ref", f"refs/heads/alone{turn}/v{number}", commit)
    return time.perf_counter() - started


def _by_harvest(repo: Repository, folder: Path, turn: int) -> float:
    source = {"kind": "patches", "folder": str(folder)}
    run = f"bench-{turn}"
    new_run(repo, NewTournament(prompt=f"turn {turn}", source=source, attempts=VARIANTS, run=run))
    watch(repo, run, _hush)
    started = time.perf_counter()
    view = harvest(repo, run, _hush)
    took = time.perf_counter() - started
    assert sum(variant.state == "harvested" for variant in view.current) == VARIANTS
    return took


def _hush(_: str) -> None:
    """Show no progress."""
