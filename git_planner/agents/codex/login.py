"""Find the login of codex: homes, API keys, and the output of `codex login status`.

A home is a CODEX_HOME: the folder of codex's configuration and login. None is codex's default.
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

from git_planner import atomic_file
from git_planner.agents.run_program import check_installed
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.gitio.git import program_environment
from git_planner.gitio.repository import open_repository
from git_planner.host import process

KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
HOME, API_HOME = ".codex_home", ".codex_home_api"
_STATUS_SECONDS = 30.0
INSTALL = (
    "install it with 'npm install --global @openai/codex', or name it with"
    " 'git config planner.codex /path/to/codex'"
)
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Z_]+)\s*=\s*(.*)")


class LoginKind(Enum):
    """Kind of login of a home."""

    CHATGPT = "ChatGPT login"
    API_KEY = "API key"
    PROVIDER = "own model provider"
    NONE = "not logged in"
    BROKEN = "login cannot be read"


@dataclass(frozen=True, slots=True)
class Login:
    """Login for a run of codex: its home, its environment variables, and a description of the login."""

    home: Path | None
    env: Mapping[str, str]
    drop: tuple[str, ...]
    kind: LoginKind
    source: str


def read_login_kind(home: Path | None, binary: str = "codex") -> LoginKind:
    """Ask codex for the kind of login of a home; this checks no key and uses no network.

    Args:
        home: the CODEX_HOME, or None for codex's default.
        binary: the program, by name or path.

    Raises:
        PlannerError: E_MISSING_TOOL, E_DEADLINE.
    """
    if custom_provider(home):
        return LoginKind.PROVIDER
    with install_hint():
        done = process.run(
            [binary, "login", "status"], cwd=Path.cwd(), env=_without_keys(home), seconds=_STATUS_SECONDS
        )
    if done.timed_out:
        raise PlannerError("E_DEADLINE", f"'codex login status' took more than {_STATUS_SECONDS:.0f} s")
    # The status is on stderr; older versions print "Logged in using an API key".
    status = (done.stderr + done.stdout).decode(errors="replace")
    if done.status == 0 and "ChatGPT" in status:
        return LoginKind.CHATGPT
    if done.status == 0 and "API key" in status:
        return LoginKind.API_KEY
    return LoginKind.NONE if "not logged in" in status.lower() else LoginKind.BROKEN


@contextmanager
def install_hint() -> Iterator[None]:
    """Add a hint on how to install codex to the error that it is missing."""
    try:
        yield
    except PlannerError as error:
        if error.code != "E_MISSING_TOOL":
            raise
        raise PlannerError(error.code, error.message, hint=INSTALL) from None


def check_codex(program: str) -> None:
    """Check that codex is installed, before anything is measured, committed or paid for it.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    with install_hint():
        check_installed(program)


def custom_provider(home: Path | None) -> str | None:
    """Return the name of a home's model provider if it is not the built-in one; it has its own key."""
    folder = home or Path(os.environ.get("CODEX_HOME") or os.path.expanduser("~/.codex"))
    try:
        settings = tomllib.loads(atomic_file.read(folder / "config.toml").decode("utf-8"))
    except (OSError, ValueError):
        return None  # codex reports the fault itself
    name = settings.get("model_provider")
    return name if isinstance(name, str) and name != "openai" else None


def implementer_home(settings: Settings, folder: Path) -> Path | None:
    """Return the home of the implementer and of planners with a ChatGPT login.

    It is that of the settings, else CODEX_HOME, else '.codex_home' at the top of the repository if it exists.

    Args:
        settings: personal settings.
        folder: any folder in the repository or in its git directory.
    """
    if settings.codex_home is not None:
        return settings.codex_home
    if os.environ.get("CODEX_HOME"):
        return Path(os.environ["CODEX_HOME"]).absolute()
    return _existing_home(folder, HOME)


def planner_home(settings: Settings, folder: Path) -> Path | None:
    """Return the home of planners with an API key: a separate one, if it exists, keeps logins apart."""
    if settings.codex_home_api is not None:
        return settings.codex_home_api
    if os.environ.get("CODEX_HOME_PLANNER"):
        return Path(os.environ["CODEX_HOME_PLANNER"]).absolute()
    return _existing_home(folder, API_HOME) or implementer_home(settings, folder)


def find_chatgpt_login(settings: Settings, folder: Path) -> Login:
    """Find the stored login of codex: ChatGPT, else a stored API key, else that of a custom provider.

    Key variables are removed from the environment, so that codex uses the stored login.

    Raises:
        PlannerError: E_CODEX_AUTH, E_MISSING_TOOL, E_DEADLINE.
    """
    home = implementer_home(settings, folder)
    kind = read_login_kind(home, settings.codex)
    if kind in (LoginKind.NONE, LoginKind.BROKEN):
        raise _no_login(home, kind, "codex login")
    drop = () if kind is LoginKind.PROVIDER else KEYS
    return Login(home, _variables(home), drop, kind, kind.value)


def find_api_login(settings: Settings, folder: Path) -> Login:
    """Find the login of the planner 'api': CODEX_API_KEY, OPENAI_API_KEY, '.env', then a stored API key.

    Raises:
        PlannerError: E_CODEX_AUTH, E_MISSING_TOOL, E_DEADLINE.
    """
    home = planner_home(settings, folder)
    for source, key in _find_keys(folder):
        env = {**_variables(home), "CODEX_API_KEY": key}
        return Login(home, env, (), LoginKind.API_KEY, f"API key of {source}")
    kind = read_login_kind(home, settings.codex)
    if kind in (LoginKind.API_KEY, LoginKind.PROVIDER):
        return Login(home, _variables(home), (), kind, kind.value)
    raise _no_login(home, kind, "codex login --with-api-key")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the API keys in a '.env' file. Nothing in it is executed or expanded."""
    try:
        text = atomic_file.read(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    keys = {}
    for line in text.splitlines():
        match = _ASSIGNMENT.fullmatch(line.strip())
        if match and match[1] in KEYS and (value := _unquote(match[2])):
            keys[match[1]] = value
    return keys


def _find_keys(folder: Path) -> list[tuple[str, str]]:
    """Return the API keys with their sources, the preferred one first."""
    top = _main_worktree(folder)
    stored = read_env_file(top / ".env") if top else {}
    keys = [(f"the variable {name}", os.environ.get(name, "").strip()) for name in KEYS]
    keys += [(f"{name} in '.env'", stored.get(name, "")) for name in KEYS]
    return [(source, key) for source, key in keys if key]


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] in "\"'" and (end := text.find(text[0], 1)) > 0:
        return text[1:end]
    return text.partition(" #")[0].strip()


def _no_login(home: Path | None, kind: LoginKind, command: str) -> PlannerError:
    place = f"'{home}'" if home else "codex's default home"
    prefix = f"CODEX_HOME='{home}' " if home else ""
    wanted = "an API key" if "api-key" in command else "a login"
    if kind is LoginKind.CHATGPT:
        message = f"{place} has a ChatGPT login, and {wanted} is needed"
    elif kind is LoginKind.BROKEN:
        message = f"the login in {place} cannot be read"
    else:
        message = f"codex is not logged in: {place} has no login"
    return PlannerError("E_CODEX_AUTH", message, hint=f"run: {prefix}{command}")


def _variables(home: Path | None) -> dict[str, str]:
    return {"CODEX_HOME": str(home)} if home else {}


def _without_keys(home: Path | None) -> dict[str, str]:
    return {name: value for name, value in program_environment(_variables(home)).items() if name not in KEYS}


def _existing_home(folder: Path, name: str) -> Path | None:
    top = _main_worktree(folder)
    return top / name if top and (top / name).is_dir() else None


def _main_worktree(folder: Path) -> Path | None:
    """Return the folder of the main worktree, where '.env' and ignored homes are kept."""
    try:
        repo = open_repository(folder)
    except PlannerError:
        return None
    return repo.common.parent if repo.common.name == ".git" else repo.top
