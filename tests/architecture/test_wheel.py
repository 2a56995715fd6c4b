"""What is built from a checkout holds all that is needed, and runs where no checkout is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lab import Lab, Ran, sealed

ROOT = Path(__file__).parents[2]
PROGRAMS = ("git-bo4", "git-iterate", "git-plan", "git-planner", "git-record")


def files(*folders: str) -> set[str]:
    """The files in folders of the checkout that git does not ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *folders],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = listing.stdout.decode().split("\0")
    return {name for name in names if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of a copy of the checkout."""
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "copy"
    for name in files("."):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    argv = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(argv, cwd=copy, check=True, capture_output=True, env=sealed(folder / "home"))
    return folder


def wheel(built: Path) -> Path:
    """The one wheel that was built."""
    (path,) = built.glob("*.whl")
    return path


def test_wheel_holds_package_hooks_and_templates(built: Path) -> None:
    listed = {name for name in zipfile.ZipFile(wheel(built)).namelist() if ".dist-info/" not in name}
    beside = {name.split("/data/share/")[1] for name in listed if ".data/" in name}
    assert {
        "man/man1/git-plan.1",
        "man/man5/gitplanner-config.5",
        "man/man5/gitplanner-policy.5",
        "man/man5/gitplanner-schema.5",
        "bash-completion/completions/git-record",
        "zsh/site-functions/_git-iterate",
        "fish/vendor_completions.d/git-planner.fish",
    } <= beside
    within = {name for name in listed if ".data/" not in name}
    shipped = {f"git_planner/{name}" for name in files("hooks", "templates")}
    build_time = {name for name in files("git_planner") if name.startswith("git_planner/cli/reference/")}
    assert build_time
    assert within == (files("git_planner") - build_time) | shipped
    assert len(shipped) > 10


def test_source_distribution_holds_what_it_takes_to_test(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        within = {name.split("/", 1)[1] for name in archive.getnames()}
    assert (
        files("git_planner", "hooks", "templates", "tests", "docs", "Makefile", "README.md") - within == set()
    )


def test_programs_run_from_the_wheel_outside_the_checkout(built: Path, lab: Lab) -> None:
    target = lab.root / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    assert lab.run_program(*pip, "--target", str(target), str(wheel(built))).err == ""
    env = {"PYTHONPATH": str(target), "PATH": f"{target / 'bin'}{os.pathsep}{lab.env['PATH']}"}
    where = lab.run_program(sys.executable, "-c", "import git_planner; print(git_planner.__file__)", env=env)
    assert where.out == f"{target}/git_planner/__init__.py\n"
    check_programs(lab, env)


@pytest.mark.real
def test_wheel_in_an_environment_of_its_own(built: Path, make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    home = lab.root / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    # Not sealed: the machine's own pip settings say where packages come from.
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel(built))], check=True, cwd=lab.root)
    check_programs(
        lab, {"PATH": f"{home / 'bin'}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"}
    )


def check_programs(lab: Lab, env: dict[str, str]) -> None:
    """Every program answers, as git's subcommand too, and finds its templates, schemas and hooks."""

    def git(*argv: str) -> Ran:
        return lab.run_program("git", *argv, env=env)

    for program in PROGRAMS:
        ran = git(program.removeprefix("git-"), "-h")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith(f"Usage: git {program.removeprefix('git-')} ")
    assert git("planner", "schema", "directive").out.startswith("{")
    started = git("planner", "init")
    assert started.status == 0, started.err
    assert (lab.path / ".git-planner.yml").is_file()
