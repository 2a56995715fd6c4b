"""The toolchains of rustup, whose programs look for them in HOME."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.host.machine import rustup_home
from tests.support.lab import Lab

RUSTC = '#!/bin/sh\nexec "${RUSTUP_HOME:-$HOME/.rustup}/toolchains/stable/bin/rustc"\n'


@pytest.fixture
def rustup(lab: Lab) -> Path:
    """Install a rustup as it looks: its programs beside it, its toolchains in the home."""
    programs, toolchain = lab.root / "cargo/bin", lab.home / ".rustup/toolchains/stable/bin"
    for folder in (programs, toolchain):
        folder.mkdir(parents=True)
    for path, text in (
        (programs / "rustup", RUSTC),
        (programs / "rustc", RUSTC),
        (toolchain / "rustc", "#!/bin/sh\necho 'LINES: 5'\n"),
    ):
        path.write_text(text)
        path.chmod(0o755)
    lab.env["PATH"] = f"{programs}:{lab.env['PATH']}"
    return programs


def test_without_rustup_there_is_no_folder(tmp_path: Path) -> None:
    assert rustup_home(str(tmp_path)) is None


def test_a_measured_command_finds_the_toolchain(lab: Lab, rustup: Path, make_lab: Callable[..., Lab]) -> None:
    with lab.entered():
        assert rustup_home(str(rustup)) == lab.home / ".rustup"
    policy = (
        "schema: git-planner/policy@1\nbase: main\nguard: [x]\n"
        "metrics: [{name: lines, run: [rustc], pattern: 'LINES: (\\d+)', better: lower}]\n"
    )
    lab.commit("policy", {".git-planner.yml": policy})
    ran = lab.run("git-record", "main")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("baseline: lines 5")
