"""Build sandboxed command lines: the hidden paths of a repository, and the extra readable ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.gitio.repository import Repository
from git_planner.host import jail
from git_planner.host.jail import Jail, NoJail

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("PIP_CERT", "CARGO_HTTP_CAINFO", "GIT_SSL_CAINFO"),
)
READ_VARIABLE = "GIT_PLANNER_JAIL_READ"


def sandboxed_command(
    repo: Repository,
    sandbox: Jail | NoJail,
    argv: Sequence[str],
    env: Mapping[str, str],
    place: Path,
    *,
    bound: Sequence[tuple[Path, Path]] = (),
    network: bool = False,
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and environment of a program: in the jail, when there is one.

    Args:
        repo: the repository, which is hidden.
        sandbox: the jail of this machine.
        argv: the program and its arguments.
        env: its environment.
        place: a temporary folder with 'tree', 'home' and 'tmp'.
        bound: files and folders to show read-only, each with its path below `place`.
        network: whether it may use the network.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    if isinstance(sandbox, NoJail):
        return argv, env
    own = [folder for folder in (repo.top, repo.common) if folder is not None]
    if repo.common.name == ".git":
        own.append(repo.common.parent)
    # Toolchains are shown to all: a shell, make or npm may start the compiler.
    toolchains = [Path(env["RUSTUP_HOME"])] if "RUSTUP_HOME" in env else []
    shown = [*extra_readonly_paths(repo), *toolchains]
    if network:
        shown += certificate_files(env)
    return jail.confined(sandbox, argv, env, place, hidden=own, shown=shown, bound=bound, network=network)


def network_environment() -> dict[str, str]:
    """Return the variables by which programs find a proxy and the certificates of authorities."""
    names = (*_PROXIES, *map(str.lower, _PROXIES), *_CERTIFICATES)
    return {name: os.environ[name] for name in names if name in os.environ}


def certificate_files(env: Mapping[str, str]) -> list[Path]:
    """Return the files and folders of certificates that variables name."""
    return [Path(env[name]) for name in _CERTIFICATES if os.path.isabs(env.get(name, ""))]


def extra_readonly_paths(repo: Repository) -> list[Path]:
    """Return the extra folders that are readable in the jail, such as the files of a tool."""
    paths = os.environ.get(READ_VARIABLE) or repo.config("planner.jailRead") or ""
    return [Path(path) for path in paths.split(os.pathsep) if os.path.isabs(path)]
