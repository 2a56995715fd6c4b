"""User settings, from flags, environment, git configuration, configuration file, policy and defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_planner.config.config_file import OF_REPOSITORY, ConfigFile, read_config_file
from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.did_you_mean import close_names

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository
    from git_planner.rules.policy.policy import Policy


# Never compared or shown; every method that is generated costs each command that reads a setting.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Settings:
    """The settings of a user for one repository.

    `worktrees` is the folder for the worktrees of iterations. `codex` is the program, by name or path;
    `codex_home` its CODEX_HOME for planning and implementing, `codex_home_api` the one for planning by API
    key; `gemini` is the gemini program. Timeouts are in seconds, and so is `heartbeat`, the interval between
    two heartbeats of a run. `sign_timeout` is that of the program that signs commits. `patches` is the folder
    of diffs of the 'patches' implementer. None: not set.

    `max_heavy_leases` to `lease_ttl_seconds` are the limits of this host: number of heavy leases, load
    average of one minute and available memory in GiB for heavy work and for starting workers, time to live of
    a lease in seconds. `terminal` to `trust_prompt` are for sessions: where their terminals are, the client
    that they run, its sandbox (None: by the role), the model of workers, and who answers its prompt about the
    folder.

    `cloud_command` is the command of the cloud service that tournaments use, `watch_timeout` the time that
    they wait for it, and `variants` the folder of their archived variants. `engine` is where their jobs run
    (None: in programs of this host), `scheduler` that of dask, and `fetch_from` the repository that workers
    fetch commits from; a measurement on an engine takes `measure_timeout` at most (None: the policy's limits
    and ten minutes). `forge` is the web address of the repository on its hosting site (None: from the
    address of the remote).
    """

    plan: str
    worktrees: Path
    remote: str
    codex: str
    codex_home: Path | None
    codex_home_api: Path | None
    codex_profile: str | None
    planner: str
    implementer: str
    planner_model: str | None
    implementer_model: str | None
    implementer_effort: str | None
    planner_timeout: float
    implementer_timeout: float
    attempts: int
    patches: Path | None
    gemini: str
    researcher: str
    researcher_model: str | None
    researcher_timeout: float
    critic: str
    heartbeat: float
    sign_timeout: float
    session_timeout: float
    max_heavy_leases: int | None
    max_loadavg_1: float | None
    min_mem_available_gb: float | None
    worker_spawn_max_loadavg_1: float | None
    worker_spawn_min_mem_available_gb: float | None
    lease_ttl_seconds: float
    terminal: str
    tmux_socket: str
    session_client: str
    session_sandbox: str | None
    worker_model: str | None
    trust_prompt: str
    cloud_command: str | None
    watch_timeout: float
    variants: Path | None
    engine: str | None
    scheduler: str | None
    measure_timeout: float | None
    fetch_from: str | None
    forge: str | None


# Keys of git's configuration that are no settings: what they name belongs to the repository.
_OTHER_KEYS = ("planner.agentWrite", "planner.base", "planner.jailRead")
_PATHS = ("worktrees", "codex_home", "codex_home_api", "patches", "variants")
_SECONDS = (
    "planner_timeout",
    "implementer_timeout",
    "researcher_timeout",
    "heartbeat",
    "sign_timeout",
    "session_timeout",
    "lease_ttl_seconds",
    "watch_timeout",
    "measure_timeout",
)
_AMOUNTS = (
    "max_loadavg_1",
    "min_mem_available_gb",
    "worker_spawn_max_loadavg_1",
    "worker_spawn_min_mem_available_gb",
)
_COUNTS = {"attempts": 20, "max_heavy_leases": 1000}
_CHOICES = {
    "engine": ("local", "dask"),
    "session_sandbox": ("read-only", "workspace-write", "danger-full-access"),
    "terminal": ("auto", "desktop", "headless", "tmux"),
    "trust_prompt": ("answer", "ask"),
}


def config_key(setting: str) -> str:
    """Return the git config key of a setting, such as 'planner.codexHome'."""
    first, *rest = setting.split("_")
    return f"planner.{first}{''.join(word.capitalize() for word in rest)}"


def environment_variable(setting: str) -> str:
    """Return the environment variable of a setting, such as 'GIT_PLANNER_CODEX_HOME'."""
    return f"GIT_PLANNER_{setting.upper()}"


def read_settings(
    repo: Repository,
    *,
    policy: Policy | None = None,
    environ: Mapping[str, str] = os.environ,
    **flags: Any,
) -> Settings:
    """Read the settings, each from the first of: flag, environment, git config, file, policy, default.

    The file is the user's `config.yml`. Git's configuration comes before it as a whole, so that a global key
    means the same with and without a file.

    Args:
        repo: the repository.
        policy: the trusted policy, if the caller has one.
        environ: the environment.
        flags: the values of the command line; None means not given.

    Raises:
        PlannerError: E_USAGE naming the source of an invalid value; E_NAME for the plan's name; E_CONFIG if
            the configuration file cannot be read.
    """
    unknown = sorted(set(flags) - {field.name for field in fields(Settings)})
    if unknown:
        raise TypeError(f"not settings: {', '.join(unknown)}")
    configured = _git_config(repo)
    low = {**_defaults(repo), **_policy_settings(repo, policy), **file_settings(environ)[1]}
    values: dict[str, Any] = {}
    for field in fields(Settings):
        name, key = field.name, config_key(field.name)
        if flags.get(name) is not None:
            values[name] = _convert(name, flags[name], f"--{name.replace('_', '-')}")
        elif environ.get(environment_variable(name)):
            values[name] = _convert(name, environ[environment_variable(name)], environment_variable(name))
        elif configured.get(key.lower()):
            # A path in git's configuration counts from the repository, wherever the command was started.
            values[name] = _convert(name, configured[key.lower()], key, main_folder(repo))
        else:
            values[name] = low.get(name)
    refnames.check_plan_name(values["plan"])
    return Settings(**values)


def file_settings(environ: Mapping[str, str] = os.environ) -> tuple[Path | None, dict[str, Any]]:
    """Return the path of the configuration file, whether it exists or not, and the settings in it.

    Raises:
        PlannerError: E_CONFIG if it cannot be read; E_USAGE naming file and line of what it may not hold.
    """
    file = read_config_file(environ, [field.name for field in fields(Settings)])
    folder = Path() if file.path is None else file.path.parent
    return file.path, {
        name: _of_file(file, name, folder) for name, value in file.values.items() if value != ""
    }


def setting_names() -> list[str]:
    """Return the names of the settings that the configuration file may have."""
    return [field.name for field in fields(Settings) if field.name not in OF_REPOSITORY]


def check_file_value(name: str, value: Any, folder: Path) -> Any:
    """Return a value for the configuration file in a folder, as it is read from there.

    Raises:
        PlannerError: E_USAGE if it does not fit.
    """
    return _of_file(ConfigFile(None, {name: value}), name, folder)


def is_set(repo: Repository, name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether environment, git's configuration or the configuration file has a setting."""
    key = config_key(name).lower()
    return (
        bool(environ.get(environment_variable(name)) or _git_config(repo).get(key))
        or name in file_settings(environ)[1]
    )


def unknown_config_keys(repo: Repository) -> dict[str, list[str]]:
    """Return the planner.* keys of git's configuration that nothing reads, with keys of similar names."""
    known = [*(config_key(field.name) for field in fields(Settings)), *_OTHER_KEYS]
    unknown = sorted(_git_config(repo).keys() - {key.lower() for key in known})
    # Their common beginning would make all keys similar.
    names = [key.removeprefix("planner.") for key in known]
    return {
        key: [f"planner.{name}" for name in close_names(key.removeprefix("planner."), names)]
        for key in unknown
    }


def _of_file(file: ConfigFile, name: str, folder: Path) -> Any:
    """Return a value of the configuration file, of the setting's type; a path counts from the file."""
    value = file.values[name]
    kind: Any = str
    expected = "text"
    if name in _COUNTS:
        kind, expected = int, f"a whole number from 1 to {_COUNTS[name]}"
    elif name in (*_SECONDS, *_AMOUNTS):
        kind, expected = (int, float), "a number"
    if isinstance(value, bool) or not isinstance(value, kind):
        shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        raise PlannerError(
            "E_USAGE",
            f"'{file.place(name)}' is '{shown[:60]}', which is not {expected}",
            hint="write it in quotes"
            if kind is str and isinstance(value, int | float)
            else "correct it there",
        )
    try:
        return _convert(name, value, "", folder)
    except PlannerError:
        # The place needs the YAML reader, which is loaded for an error only.
        return _convert(name, value, file.place(name), folder)


def _convert(name: str, value: Any, source: str, folder: Path = Path()) -> Any:
    if name in _PATHS:
        return (folder / _expanded(str(value), source)).absolute()
    expected = "seconds, more than 0, at most a week"
    try:
        if name in _SECONDS:
            return _within(float(value), 604_800)
        if name in _AMOUNTS:
            expected = "a number, more than 0, at most 100000"
            return _within(float(value), 100_000)
        if name in _COUNTS:
            expected = f"a whole number from 1 to {_COUNTS[name]}"
            return _within(int(value), _COUNTS[name])
        if name in _CHOICES:
            expected = f"one of {', '.join(_CHOICES[name])}"
            return _CHOICES[name][_CHOICES[name].index(value)]
    except ValueError:
        raise PlannerError(
            "E_USAGE",
            f"'{source}' is '{str(value)[:60]}', which is not {expected}",
            hint=f"unset it or correct it, as with 'git config {config_key(name)} …'",
        ) from None
    return str(value)


def _within(number: float, most: float) -> float:
    if not 0 < number <= most:
        raise ValueError
    return number


def _expanded(path: str, source: str) -> Path:
    """Return a path with its '~' replaced."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise PlannerError(
            "E_USAGE",
            f"'{source}' is '{path[:60]}', and this user has no home folder",
            hint="write the complete path there, or set HOME",
        )
    return Path(expanded)


def _git_config(repo: Repository) -> dict[str, str]:
    """Return the planner.* keys of git's configuration, in lower case."""
    values = repo.git.configuration()
    return {key.lower(): value for key, value in values.items() if key.startswith("planner.")}


def _defaults(repo: Repository) -> dict[str, Any]:
    return {
        "plan": "default",
        "worktrees": _default_worktrees(repo),
        "remote": "origin",
        "codex": "codex",
        "planner": "codex",
        "implementer": "codex",
        "planner_timeout": 900.0,
        "implementer_timeout": 1800.0,
        "attempts": 3,
        "gemini": "gemini",
        "researcher": "codex",
        "researcher_timeout": 2700.0,
        "critic": "gemini",
        "heartbeat": 10.0,
        # Time for a person to enter the passphrase of a key.
        "sign_timeout": 60.0,
        # A session lasts as long as a person lets it.
        "session_timeout": 86400.0,
        "lease_ttl_seconds": 1800.0,
        "terminal": "auto",
        "tmux_socket": "git-planner",
        "session_client": "codex",
        "trust_prompt": "answer",
        # The attempts of a cloud service take an hour at most, and may wait for each other.
        "watch_timeout": 21_600.0,
    }


def _policy_settings(repo: Repository, policy: Policy | None) -> dict[str, Any]:
    if policy is None:
        return {}
    agents = policy.agents
    values = {
        name: getattr(agents, name)
        for name in (
            "planner",
            "implementer",
            "planner_model",
            "implementer_model",
            "planner_timeout",
            "implementer_timeout",
            "attempts",
            "researcher",
            "researcher_model",
            "researcher_timeout",
            "critic",
        )
    }
    if agents.patches is not None and repo.top is not None:
        values["patches"] = repo.top / agents.patches
    return values


def main_folder(repo: Repository) -> Path:
    """Return the main worktree of a repository, seen from any of its worktrees; a bare one's own folder."""
    if repo.top is not None and repo.git_dir == repo.common:
        return repo.top
    return repo.common.parent if repo.common.name == ".git" else repo.common


def _default_worktrees(repo: Repository) -> Path:
    """Return the default folder for the worktrees of iterations, beside the repository.

    Those of a submodule lie beside the outermost repository, where no 'git add' finds them.
    """
    above, git, module = str(repo.common).partition("/.git/modules/")
    if git:
        name = module.replace("/modules/", "-").replace("/", "-")
        return Path(f"{above}.{name}.iter")
    home = main_folder(repo)
    return home.parent / f"{home.name.removesuffix('.git')}.iter"
