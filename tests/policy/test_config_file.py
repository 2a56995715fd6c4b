"""The user's configuration file: what wins over it, what it may hold, and what reading it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.config import config_file
from git_planner.config.config_file import MOST_BYTES, config_file_path
from git_planner.config.settings import is_set, read_settings
from git_planner.config.yaml_subset import read_yaml
from git_planner.errors import PlannerError
from git_planner.flows.setup import doctor
from tests.support.lab import Lab


def write(lab: Lab, text: str | bytes) -> dict[str, str]:
    """Write the configuration file and return the environment that finds it."""
    path = lab.home / ".config/git-planner/config.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return {"HOME": str(lab.home)}


def refused(lab: Lab, environ: dict[str, str]) -> PlannerError:
    """Return the error of reading the settings."""
    with pytest.raises(PlannerError) as raised:
        read_settings(lab.repo, environ=environ)
    return raised.value


def test_the_file_comes_after_git_s_configuration_and_before_the_policy(lab: Lab) -> None:
    environ = write(lab, "planner_model: of-file\nmax_heavy_leases: 3 # three\nmax_loadavg_1: 2.5\n")

    def model(**variables: str) -> str | None:
        return read_settings(lab.repo, environ={**environ, **variables}).planner_model

    models = [model()]
    lab.git("config", "--global", "planner.plannerModel", "of-global")
    models.append(model())
    lab.git("config", "planner.plannerModel", "of-local")
    models += [model(), model(GIT_PLANNER_PLANNER_MODEL="of-environment")]
    assert models == ["of-file", "of-global", "of-local", "of-environment"]
    settings = read_settings(lab.repo, environ=environ)
    assert (settings.max_heavy_leases, settings.max_loadavg_1) == (3, 2.5)
    assert read_settings(lab.repo, environ={}).max_heavy_leases is None
    assert is_set(lab.repo, "max_heavy_leases", environ)
    assert not is_set(lab.repo, "attempts", environ)


def test_workers_inherit_the_limits_of_the_file(lab: Lab) -> None:
    write(lab, "max_loadavg_1: 0.001\nmin_mem_available_gb: 1\nworker_spawn_min_mem_available_gb: 99999\n")
    done = lab.run("git-plan", "resources", "--json")
    assert '"max_loadavg_1": 0.001' in done.out.split('"spawn"')[1]
    assert '"min_mem_available_gb": 99999' in done.out.split('"spawn"')[1]
    assert '"min_mem_available_gb": 1' in done.out.split('"heavy"')[1].split('"spawn"')[0]


def test_the_file_is_found_where_xdg_and_the_variable_say(tmp_path: Path) -> None:
    end = "git-planner/config.yml"
    assert config_file_path({"HOME": "/h"}) == Path("/h/.config", end)
    assert config_file_path({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c", end)
    assert config_file_path({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == Path("/h/.config", end)
    assert config_file_path({"HOME": "/h", "GIT_PLANNER_CONFIG": "/x.yml"}) == Path("/x.yml")
    assert config_file_path({}) is None


def test_a_path_counts_from_the_file_and_knows_the_home_folder(lab: Lab) -> None:
    environ = write(lab, "worktrees: ../trees\npatches: ~/patches\ncodex_home: ''\n")
    settings = read_settings(lab.repo, environ=environ)
    assert os.path.normpath(settings.worktrees) == str(lab.home / ".config/trees")
    assert settings.patches == Path.home() / "patches"
    assert settings.codex_home is None


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (
            "# a\nmax_heavy_lease: 3\n",
            2,
            "max_heavy_lease' is not a setting",
            "did you mean 'max_heavy_leases'?",
        ),
        ("zebra: 3\n", 1, "zebra' is not a setting", "see all with 'man gitplanner-config'"),
        (
            "plan: x\n",
            1,
            "plan' belongs to one repository, not to all",
            "set it there with 'git plan use NAME'",
        ),
        (
            "attempts: 2.5",
            1,
            "attempts' is '2.5', which is not a whole number from 1 to 20",
            "correct it there",
        ),
        ("\n\nattempts: 21", 3, "attempts' is '21', which is not a whole number from 1 to 20", None),
        (
            "attempts: '3'",
            1,
            "attempts' is '3', which is not a whole number from 1 to 20",
            "correct it there",
        ),
        ("attempts: true", 1, "attempts' is 'true', which is not a whole number from 1 to 20", None),
        ("heartbeat: [1]", 1, "heartbeat' is '[1]', which is not a number", "correct it there"),
        ("heartbeat: 0", 1, "heartbeat' is '0', which is not seconds, more than 0, at most a week", None),
        ("codex: 12", 1, "codex' is '12', which is not text", "write it in quotes"),
        ("codex:", 1, "codex' is 'null', which is not text", "correct it there"),
        (
            "{attempts: 3,\n codex: {a: b}}",
            2,
            "codex' is '{'a': 'b'}', which is not text",
            "correct it there",
        ),
    ],
)
def test_what_does_not_fit_names_file_and_line(
    lab: Lab, text: str, line: int, message: str, hint: str | None
) -> None:
    error = refused(lab, write(lab, text))
    path = lab.home / ".config/git-planner/config.yml"
    assert (error.code, error.message) == ("E_USAGE", f"'{path}, line {line}: {message}")
    assert hint is None or error.hint == hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "cannot be read: did not find expected node content (line 2, column 1)"),
        ("attempts: 3\nattempts: 4\n", "cannot be read: the key 'attempts' appears twice (line 2, column 1)"),
        ("- a\n", "is not a mapping (line 1)"),
        ("codex: &a x\ngemini: *a\n", "uses anchors and aliases, which are not allowed (line 1, column 8)"),
        (b"\xff", "is not UTF-8 (byte 0)"),
    ],
)
def test_a_file_that_is_no_flat_map_is_refused(lab: Lab, text: str | bytes, reason: str) -> None:
    error = refused(lab, write(lab, text))
    assert (error.code, error.message) == ("E_USAGE", f"'{lab.home}/.config/git-planner/config.yml' {reason}")


def test_an_unreadable_file_is_an_error_of_its_own_and_a_missing_one_is_none(lab: Lab) -> None:
    path = lab.home / ".config/git-planner/config.yml"
    environ = write(lab, "#" * (MOST_BYTES + 1))
    assert refused(lab, environ).message == (
        f"the configuration file '{path}' cannot be read: more than {MOST_BYTES:,} bytes"
    )
    path.unlink()
    assert read_settings(lab.repo, environ=environ).attempts == 3
    os.mkfifo(path)
    assert refused(lab, environ).code == "E_CONFIG"
    path.unlink()
    path.mkdir()
    assert refused(lab, environ).code == "E_CONFIG"
    named = refused(lab, {"GIT_PLANNER_CONFIG": str(lab.home / "nowhere.yml")})
    assert (named.code, named.hint) == ("E_CONFIG", "correct it, or name another file in GIT_PLANNER_CONFIG")
    assert read_settings(lab.repo, environ={**environ, "GIT_PLANNER_CONFIG": os.devnull}).attempts == 3


NAMES = st.sampled_from(["attempts", "codex", "a_1", "True", "null", "1a", "-", "'a'"])
WORDS = (
    "true True null ~ ~/x ~x /a/b a.b-c_d 1 01 1.5 .5 1.x -3 1e3 0x1 yes '1' a:b a#b - 1_0 12:30 2026-01-01"
)
VALUES = st.sampled_from([*WORDS.split(" "), "", "x # c", "# c", "a b", "1 2", "[1]", "{a: 1}", "|", "é"])
LINES = st.tuples(st.sampled_from(["", " "]), NAMES, st.sampled_from([": ", ":", ":  ", " : "]), VALUES).map(
    "".join
)
OTHER_LINES = st.sampled_from(["", " ", "# a: 1", " # b", "---", "...", "#", "\t", "a"])


@given(st.lists(LINES | OTHER_LINES, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_plain_lines_are_read_as_yaml(lines: list[str], end: str) -> None:
    data = end.join(lines).encode()
    values = config_file.plain_values(data)
    if values is not None:
        document: Any = read_yaml(data, "f") or {}
        assert values == document
        assert {name: type(value) for name, value in values.items()} == {
            name: type(value) for name, value in document.items()
        }


def test_plain_lines_load_no_yaml_reader(lab: Lab) -> None:
    environ = write(lab, "# mine\nmax_heavy_leases: 3\ncodex: /usr/bin/codex # here\nworktrees: ~/trees\n")
    text = (
        "import sys; from git_planner.config.settings import file_settings; "
        "print(len(file_settings()[1]), 'yaml' in sys.modules)"
    )
    argv = [sys.executable, "-c", text]
    env = {**lab.env, **environ}
    assert subprocess.check_output(argv, env=env, text=True, timeout=60) == "3 False\n"


def test_the_doctor_shows_the_file_and_what_overrides_it(lab: Lab) -> None:
    environ = write(lab, "attempts: 2\nheartbeat: 5\n")
    lab.git("config", "planner.heartbeat", "7")
    report = doctor.run_checks(lab.repo)
    path = f"{environ['HOME']}/.config/git-planner/config.yml"
    assert report.facts["configuration file"] == f"{path} sets attempts, heartbeat"
    assert [finding.message for finding in report.findings if finding.code == "config-overridden"] == [
        "'planner.heartbeat' of git's configuration overrides 'heartbeat' of the configuration file"
    ]
    write(lab, "atempts: 2\n")
    findings = [finding for finding in doctor.run_checks(lab.repo).findings if "atempts" in finding.message]
    assert [(finding.code, finding.target, finding.fix) for finding in findings] == [
        ("check-failed", "E_USAGE", "did you mean 'attempts'?")
    ]
