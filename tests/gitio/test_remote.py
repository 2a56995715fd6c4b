"""Pushes to and listings of real remotes: leases, lost races, progress, and git's error messages."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import remote
from git_planner.gitio.remote import LostRace, Pushed, Update
from tests.support.lab import Lab

MAIN = "refs/heads/main"
WORK = "refs/heads/work"


def hush(_: str) -> None:
    """No progress wanted."""


def with_origin(lab: Lab) -> Path:
    """Give a laboratory a bare remote 'origin' that holds its main."""
    bare = lab.root / "origin.git"
    extra = ["--object-format=sha256"] if lab.repo.object_format == "sha256" else []
    lab.git("init", "-q", "--bare", *extra, str(bare))
    lab.git("remote", "add", "origin", str(bare))
    lab.git("push", "-q", "origin", "main")
    return bare


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_pushes_all_or_nothing_under_leases(make_lab: Callable[..., Lab], kind: str) -> None:
    lab = make_lab(f"--object-format={kind}")
    with lab.entered():
        with_origin(lab)
        first = lab.git("rev-parse", "main")
        second = lab.commit("second", {"a": "2\n"})
        assert remote.push(
            lab.repo, "origin", [Update(MAIN, second, first), Update(WORK, first, None)], hush
        ) == Pushed({MAIN: second, WORK: first})
        third = lab.commit("third", {"a": "3\n"})
        lost = remote.push(lab.repo, "origin", [Update(MAIN, third, second), Update(WORK, third, None)], hush)
        assert lost == LostRace({MAIN: second, WORK: first})
        assert remote.listing(lab.repo, "origin") == {MAIN: second, WORK: first}


def test_a_rival_that_was_faster_is_seen(lab: Lab) -> None:
    bare = with_origin(lab)
    first = lab.git("rev-parse", "main")
    rival = lab.clone("rival", "--origin", "up")
    theirs = rival.commit("theirs", {"b": "1\n"})
    rival.git("push", "-q", str(bare), "main")
    ours = lab.commit("ours", {"a": "1\n"})
    assert remote.push(lab.repo, "origin", [Update(MAIN, ours, first)], hush) == LostRace({MAIN: theirs})
    remote.fetch(lab.repo, "origin", [f"+{MAIN}:refs/planner/seen"], hush)
    assert lab.git("rev-parse", "refs/planner/seen") == theirs
    assert not (lab.repo.git_dir / "FETCH_HEAD").exists()


def test_a_dry_run_moves_nothing(lab: Lab) -> None:
    with_origin(lab)
    first = lab.git("rev-parse", "main")
    second = lab.commit("second", {"a": "2\n"})
    result = remote.push(lab.repo, "origin", [Update(MAIN, second, first)], hush, dry_run=True)
    assert result == Pushed({MAIN: second})
    assert remote.listing(lab.repo, "origin") == {MAIN: first}


def test_a_refusing_server_hook_is_no_lost_race(lab: Lab) -> None:
    bare = with_origin(lab)
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'not on a friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    first = lab.git("rev-parse", "main")
    second = lab.commit("second", {"a": "2\n"})
    with pytest.raises(PlannerError) as caught:
        remote.push(lab.repo, "origin", [Update(MAIN, second, first)], hush)
    assert caught.value.code == "E_REMOTE"
    assert "not on a friday" in "\n".join(caught.value.details)


def test_progress_is_told(lab: Lab) -> None:
    with_origin(lab)
    progress_lines: list[str] = []
    first = lab.git("rev-parse", "main")
    second = lab.commit("second", {f"f{n}": f"{n}\n" for n in range(40)})
    remote.push(lab.repo, "origin", [Update(MAIN, second, first)], progress_lines.append)
    assert "writing objects: done" in progress_lines


def test_no_remote_and_no_answer_are_told_apart(lab: Lab) -> None:
    with pytest.raises(PlannerError) as caught:
        remote.listing(lab.repo, "origin")
    assert (caught.value.code, caught.value.message) == ("E_REMOTE", "there is no remote 'origin' here")
    lab.git("remote", "add", "gone", str(lab.root / "nowhere"))
    with pytest.raises(PlannerError) as caught:
        remote.listing(lab.repo, "gone")
    assert caught.value.message.startswith("the remote 'gone' could not be read: ")
    assert "does not appear to be a git repository" in caught.value.message


def test_credentials_are_never_shown(lab: Lab) -> None:
    lab.git("remote", "add", "secret", "http://user:hunter2@127.0.0.1:9/x.git")
    with pytest.raises(PlannerError) as caught:
        remote.listing(lab.repo, "secret")
    assert "hunter2" not in str(caught.value.document())
    assert remote.url(lab.repo, "secret") == "http://***@127.0.0.1:9/x.git"


def test_a_server_that_never_answers_meets_the_deadline(lab: Lab) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held: list[socket.socket] = []
        thread = threading.Thread(target=lambda: held.append(server.accept()[0]), daemon=True)
        thread.start()
        lab.git("remote", "add", "slow", f"git://127.0.0.1:{server.getsockname()[1]}/x.git")
        with pytest.raises(PlannerError) as caught:
            remote.fetch(lab.repo, "slow", ["refs/heads/main:refs/planner/seen"], hush, deadline=0.5)
        thread.join()
        held[0].close()
    assert caught.value.message == "the remote 'slow' could not be fetched from: it did not answer in time"


def test_foreign_variables_do_not_lead_elsewhere(lab: Lab, tmp_path: Path) -> None:
    with_origin(lab)
    repo = lab.repo
    os.environ["GIT_DIR"] = str(tmp_path / "nowhere")
    os.environ["GIT_INDEX_FILE"] = str(tmp_path / "no-index")
    assert list(remote.listing(repo, "origin")) == [MAIN]
