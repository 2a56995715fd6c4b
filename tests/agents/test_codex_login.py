"""Places where logins are searched. tests/real tests the status that codex reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.agents.codex.login import (
    LoginKind,
    custom_provider,
    find_api_login,
    implementer_home,
    planner_home,
    read_env_file,
)
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from tests.agents.cases import variables
from tests.support.lab import Lab

NONE = {"CODEX_HOME": None, "CODEX_HOME_PLANNER": None, "CODEX_API_KEY": None, "OPENAI_API_KEY": None}


def test_only_two_keys_of_an_env_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "\ufeff# comment\nAWS_SECRET=x\nexport CODEX_API_KEY = 'a b' # why\nOPENAI_API_KEY=sk-1 # mine\n"
        "PATH=/evil\nnot a line\nOPENAI_API_KEYS=no\n"
    )
    assert read_env_file(path) == {"CODEX_API_KEY": "a b", "OPENAI_API_KEY": "sk-1"}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("CODEX_API_KEY=", {}),
        ("CODEX_API_KEY=''", {}),
        ("CODEX_API_KEY=$(rm -rf x)", {"CODEX_API_KEY": "$(rm -rf x)"}),
        ('CODEX_API_KEY="un', {"CODEX_API_KEY": '"un'}),
        ("CODEX_API_KEY=a\nCODEX_API_KEY=b", {"CODEX_API_KEY": "b"}),
        ("#CODEX_API_KEY=a", {}),
    ],
)
def test_odd_lines_of_an_env_file(tmp_path: Path, text: str, keys: dict[str, str]) -> None:
    (tmp_path / ".env").write_text(text)
    assert read_env_file(tmp_path / ".env") == keys


def test_an_unreadable_env_file(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"CODEX_API_KEY=\xff\xfe")
    assert (
        read_env_file(tmp_path / "gone") == read_env_file(tmp_path) == read_env_file(tmp_path / "bytes") == {}
    )


def test_the_home_of_the_implementer(lab: Lab) -> None:
    with variables(**NONE):
        settings = read_settings(lab.repo)
        assert implementer_home(settings, lab.path) is None
        (lab.path / ".codex_home").mkdir()
        assert implementer_home(settings, lab.path) == lab.path / ".codex_home"
        assert implementer_home(settings, lab.repo.common / "objects") == lab.path / ".codex_home"
        lab.git("branch", "other")
        assert implementer_home(settings, lab.worktree("linked", "other")) == lab.path / ".codex_home"
        with variables(CODEX_HOME="/some/home"):
            assert implementer_home(settings, lab.path) == Path("/some/home")
            assert implementer_home(read_settings(lab.repo, codex_home="/mine"), lab.path) == Path("/mine")
    assert implementer_home(settings, lab.root) is None


def test_the_home_of_the_planner(lab: Lab) -> None:
    with variables(**NONE):
        settings = read_settings(lab.repo)
        (lab.path / ".codex_home").mkdir()
        assert planner_home(settings, lab.path) == lab.path / ".codex_home"
        (lab.path / ".codex_home_api").mkdir()
        assert planner_home(settings, lab.path) == lab.path / ".codex_home_api"
        with variables(CODEX_HOME_PLANNER="/planner"):
            assert planner_home(settings, lab.path) == Path("/planner")
            assert planner_home(read_settings(lab.repo, codex_home_api="/mine"), lab.path) == Path("/mine")


def test_precedence_of_keys(lab: Lab) -> None:
    with variables(**NONE):
        settings = read_settings(lab.repo)
        logins = []
        (lab.path / ".env").write_text("OPENAI_API_KEY=four\n")
        logins.append(find_api_login(settings, lab.path))
        (lab.path / ".env").write_text("OPENAI_API_KEY=four\nCODEX_API_KEY=three\n")
        logins.append(find_api_login(settings, lab.path))
        with variables(OPENAI_API_KEY="two"):
            logins.append(find_api_login(settings, lab.path))
            with variables(CODEX_API_KEY="one"):
                logins.append(find_api_login(settings, lab.path))
    assert [(login.env["CODEX_API_KEY"], login.source) for login in logins] == [
        ("four", "API key of OPENAI_API_KEY in '.env'"),
        ("three", "API key of CODEX_API_KEY in '.env'"),
        ("two", "API key of the variable OPENAI_API_KEY"),
        ("one", "API key of the variable CODEX_API_KEY"),
    ]
    assert {login.kind for login in logins} == {LoginKind.API_KEY}


def test_a_custom_provider_counts_as_a_login(lab: Lab) -> None:
    home = lab.root / "home-of-codex"
    home.mkdir()
    assert custom_provider(home) is None
    for text, name in (
        ('model_provider = "stub"', "stub"),
        ('model_provider = "openai"', None),
        ("model = 'x'", None),
        ("broken =", None),
    ):
        (home / "config.toml").write_text(text)
        assert custom_provider(home) == name
    (home / "config.toml").write_text('model_provider = "stub"')
    with variables(**NONE):
        login = find_api_login(read_settings(lab.repo, codex_home_api=str(home)), lab.path)
    assert (login.home, login.kind, login.env) == (home, LoginKind.PROVIDER, {"CODEX_HOME": str(home)})


def test_a_missing_codex_has_an_install_hint(lab: Lab) -> None:
    with variables(**NONE), pytest.raises(PlannerError) as caught:
        find_api_login(read_settings(lab.repo, codex="/no/codex"), lab.path)
    assert (caught.value.code, caught.value.message) == ("E_MISSING_TOOL", "'/no/codex' does not exist")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("install it with 'npm install --global @openai/codex'")
