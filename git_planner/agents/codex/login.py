"""Where codex finds its login: homes, keys, and what `codex login status` says.

A home is a CODEX_HOME: its folder for configuration and login. None is codex's own default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.gitio.git import environment
from git_planner.gitio.repository import open_repository
from git_planner.host import process

KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
HOME, API_HOME = ".codex_home", ".codex_home_api"
_SECONDS = 30.0
_LINE = re.compile(r"\s*(?:export\s+)?([A-Z_]+)\s*=\s*(.*?)\s*")


class LoginKind(Enum):
    """What a home is logged in with."""

    CHATGPT = "ChatGPT login"
    API_KEY = "API key"
    PROVIDER = "own model provider"
    NONE = "not logged in"
    BROKEN = "login cannot be read"


@dataclass(frozen=True, slots=True)
class Login:
    """How a codex will be run: its home, its variables, and what it logs in with, in words for a person."""

    home: Path | None
    env: Mapping[str, str]
    drop: tuple[str, ...]
    kind: LoginKind
    source: str


def login_kind(home: Path | None, binary: str = "codex") -> LoginKind:
    """Ask codex itself what a home is logged in with; no key is checked and no network is used.

    Args:
        home: the CODEX_HOME, or None for codex's own default.
        binary: the program, by name or path.

    Raises:
        PlannerError: E_MISSING_TOOL, E_DEADLINE.
    """
    if own_provider(home):
        return LoginKind.PROVIDER
    with told_how_to_install():
        done = process.run(
            [binary, "login", "status"], cwd=Path.cwd(), env=_without_keys(home), seconds=_SECONDS
        )
    if done.timed_out:
        raise PlannerError("E_DEADLINE", f"'codex login status' took more than {_SECONDS:.0f} s")
    # All of it is on stderr; older versions say "Logged in using an API key".
    said = (done.stderr + done.stdout).decode(errors="replace")
    if done.status == 0 and "ChatGPT" in said:
        return LoginKind.CHATGPT
    if done.status == 0 and "API key" in said:
        return LoginKind.API_KEY
    return LoginKind.NONE if "not logged in" in said.lower() else LoginKind.BROKEN


@contextmanager
def told_how_to_install() -> Iterator[None]:
    """Say where codex comes from when it is missing."""
    try:
        yield
    except PlannerError as error:
        if error.code != "E_MISSING_TOOL":
            raise
        hint = "npm install --global @openai/codex, or name it: git config planner.codex /path/to/codex"
        raise PlannerError(error.code, error.message, hint=hint) from None


def own_provider(home: Path | None) -> str | None:
    """The name of the model provider of a home when it is not the built-in one; it brings its own key."""
    folder = home or Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")
    try:
        settings = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # codex itself says what is wrong with it
    name = settings.get("model_provider")
    return name if isinstance(name, str) and name != "openai" else None


def implementing_home(settings: Settings, folder: Path) -> Path | None:
    """The home for implementing and for planning with a ChatGPT login.

    The settings' own, else CODEX_HOME, else '.codex_home' beside the repository's files when it exists.

    Args:
        settings: a person's settings.
        folder: any folder in the repository or in its git directory.
    """
    if settings.codex_home is not None:
        return settings.codex_home
    if os.environ.get("CODEX_HOME"):
        return Path(os.environ["CODEX_HOME"]).absolute()
    return _existing(folder, HOME)


def planning_home(settings: Settings, folder: Path) -> Path | None:
    """The home for planning with an API key; its own one where there is one, so that logins do not mix."""
    if settings.codex_home_api is not None:
        return settings.codex_home_api
    if os.environ.get("CODEX_HOME_PLANNER"):
        return Path(os.environ["CODEX_HOME_PLANNER"]).absolute()
    return _existing(folder, API_HOME) or implementing_home(settings, folder)


def chatgpt_login(settings: Settings, folder: Path) -> Login:
    """The login of the modes that use codex as it is: ChatGPT, else a stored API key, else a provider's own.

    Key variables are taken away, so that a stored login is what counts.

    Raises:
        PlannerError: E_CODEX_AUTH, E_MISSING_TOOL, E_DEADLINE.
    """
    home = implementing_home(settings, folder)
    kind = login_kind(home, settings.codex)
    if kind in (LoginKind.NONE, LoginKind.BROKEN):
        raise _no_login(home, kind, "codex login")
    drop = () if kind is LoginKind.PROVIDER else KEYS
    return Login(home, _variables(home), drop, kind, kind.value)


def api_login(settings: Settings, folder: Path) -> Login:
    """The login of the 'api' mode: CODEX_API_KEY, OPENAI_API_KEY, '.env', then a stored API key.

    Raises:
        PlannerError: E_CODEX_AUTH, E_MISSING_TOOL, E_DEADLINE.
    """
    home = planning_home(settings, folder)
    for source, key in _keys(folder):
        env = {**_variables(home), "CODEX_API_KEY": key}
        return Login(home, env, (), LoginKind.API_KEY, f"API key of {source}")
    kind = login_kind(home, settings.codex)
    if kind in (LoginKind.API_KEY, LoginKind.PROVIDER):
        return Login(home, _variables(home), (), kind, kind.value)
    raise _no_login(home, kind, "codex login --with-api-key")


def read_env_file(path: Path) -> dict[str, str]:
    """The two keys that count from a '.env' file. Nothing in it is run or expanded."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and match[1] in KEYS and (value := _value(match[2])):
            found[match[1]] = value
    return found


def _keys(folder: Path) -> list[tuple[str, str]]:
    top = _top(folder)
    stored = read_env_file(top / ".env") if top else {}
    places = [(f"the variable {name}", os.environ.get(name, "").strip()) for name in KEYS]
    places += [(f"{name} in '.env'", stored.get(name, "")) for name in KEYS]
    return [(source, key) for source, key in places if key]


def _value(text: str) -> str:
    if len(text) >= 2 and text[0] in "\"'" and (end := text.find(text[0], 1)) > 0:
        return text[1:end]
    return text.partition(" #")[0].strip()


def _no_login(home: Path | None, kind: LoginKind, command: str) -> PlannerError:
    place = f"'{home}'" if home else "codex's own home"
    prefix = f"CODEX_HOME='{home}' " if home else ""
    wanted = "an API key" if "api-key" in command else "a login"
    if kind is LoginKind.CHATGPT:
        said = f"{place} has a ChatGPT login, and {wanted} is needed"
    elif kind is LoginKind.BROKEN:
        said = f"the login in {place} cannot be read"
    else:
        said = f"codex is not logged in: {place} has no login"
    return PlannerError("E_CODEX_AUTH", said, hint=f"run: {prefix}{command}")


def _variables(home: Path | None) -> dict[str, str]:
    return {"CODEX_HOME": str(home)} if home else {}


def _without_keys(home: Path | None) -> dict[str, str]:
    return {name: value for name, value in environment(_variables(home)).items() if name not in KEYS}


def _existing(folder: Path, name: str) -> Path | None:
    top = _top(folder)
    return top / name if top and (top / name).is_dir() else None


def _top(folder: Path) -> Path | None:
    """The folder of the main worktree, where a person keeps '.env' and homes that git ignores."""
    try:
        repo = open_repository(folder)
    except PlannerError:
        return None
    return repo.common.parent if repo.common.name == ".git" else repo.top
