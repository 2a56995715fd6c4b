"""Folders that the tools of a command need, where this user may not look at all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.host.jail import tool_folders

NOBODY = 65534


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Make a folder that this user may not enter, such as the home of somebody who installed a Python."""
    folder = tmp_path / "closed"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /elsewhere\n")
    (folder / "bin/tool").write_text("#!/bin/sh\n")
    folder.chmod(0)
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_a_tool_that_may_not_be_looked_at_is_left_to_the_start(closed: Path) -> None:
    assert tool_folders(str(closed / "bin/tool"), (str(closed / "bin"),), ()) == (
        str(closed / "bin"),
        str(closed / "lib"),
    )
