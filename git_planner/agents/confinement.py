"""Confinement of agents' programs: the jail of `host/agent_jail.py` if possible, and what it leaves writable.

An agent may write to the folder it works in, to its client's own state, and to what the person names in
'planner.agentWrite'. It need not write to git: git-planner commits its work. Without a jail a supervisor
still ends whatever the program starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import agent_jail
from git_planner.host.jail import Jail, NoJail, tool_folders
from git_planner.host.process import Holder
from git_planner.host.start_program import check_program
from git_planner.owned_folder import temporary_folder
from git_planner.rules.policy.policy import Policy

WRITE_VARIABLE, WRITE_KEY = "GIT_PLANNER_AGENT_WRITE", "planner.agentWrite"
# State of a client, by its program: the variable that names the folder, and the path in the home without it.
_CLIENT_STATE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "claude": (("CLAUDE_CONFIG_DIR", ".claude"),),
    "codex": (("CODEX_HOME", ".codex"),),
    "copilot": (("COPILOT_HOME", ".copilot"),),
    "gemini": (("", ".gemini"),),
    "opencode": (
        ("XDG_CONFIG_HOME/opencode", ".config/opencode"),
        ("XDG_DATA_HOME/opencode", ".local/share/opencode"),
        ("XDG_STATE_HOME/opencode", ".local/state/opencode"),
        ("XDG_CACHE_HOME/opencode", ".cache/opencode"),
    ),
    "qwen": (("QWEN_HOME", ".qwen"),),
}
# A program of ours that an agent calls.
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A program as it is to be started: command line, environment, and what holds its processes."""

    argv: Sequence[str]
    env: Mapping[str, str]
    holder: Holder


@dataclass(frozen=True, slots=True)
class Confinement:
    """Confinement of the agents of one repository.

    `sandbox` is the jail, or why there is none. `repository` are the repository's folders, `common` git's
    common directory, read-only unless `git_writable`; `writable` are what the person's settings name.
    """

    sandbox: Jail | NoJail
    common: Path | None = None
    repository: tuple[Path, ...] = ()
    git_writable: bool = False
    writable: tuple[Path, ...] = ()

    @property
    def shown(self) -> str:
        """Name in records and reports."""
        return f"{self.sandbox.shown}{', git read-write' if self.git_writable and self.is_jail else ''}"

    @property
    def is_jail(self) -> bool:
        """Return whether a jail confines the program."""
        return isinstance(self.sandbox, Jail)

    @contextmanager
    def enclose(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        client: str,
        writable: Sequence[Path],
        *,
        in_terminal: bool = False,
    ) -> Iterator[Enclosed]:
        """Prepare the start of a program, with a temporary folder that is deleted afterwards.

        Args:
            argv: the program and its arguments.
            env: its environment.
            cwd: the folder it works in, which it may change.
            client: the name of the client whose state it may change.
            writable: files and folders that it may change, too.
            in_terminal: it keeps the terminal that this process has.

        Raises:
            PlannerError: E_MISSING_TOOL, E_MISSING_FOLDER.
        """
        if not cwd.is_dir():
            raise PlannerError("E_MISSING_FOLDER", f"the folder '{cwd}' to run '{argv[0]}' in does not exist")
        check_program(argv[0], cwd, env)
        with temporary_folder() as folder:
            if not isinstance(self.sandbox, Jail):
                yield Enclosed(argv, {**env, "TMPDIR": str(folder)}, "supervisor")
                return
            command = agent_jail.confined(
                self.sandbox,
                argv,
                cwd,
                folder,
                rights=self._rights(cwd, (*client_state(client, env), *writable)),
                needed=self._needed(argv, env),
                in_terminal=in_terminal,
            )
            kept = {name: value for name, value in env.items() if name not in agent_jail.SESSION_VARIABLES}
            yield Enclosed(command, {**kept, "TMPDIR": "/tmp"}, "bubblewrap")

    def _rights(self, cwd: Path, writable: Sequence[Path]) -> dict[Path, bool]:
        rights = dict.fromkeys((cwd, *writable, *self.writable), True)
        # Virtual environments, and the file that says where a worktree's repository is.
        settings = [*cwd.glob("*/pyvenv.cfg"), *cwd.glob("*/*/pyvenv.cfg")]
        protected = [path.parent for path in settings] + [cwd / ".git"]
        rights |= dict.fromkeys((path for path in protected if path.exists()), False)
        if self.common is not None:
            rights[self.common] = self.git_writable
        return {path: right for path, right in rights.items() if path.exists()}

    def _needed(self, argv: Sequence[str], env: Mapping[str, str]) -> list[Path]:
        path = tuple(env.get("PATH", os.defpath).split(os.pathsep))
        named = [Path(word) for word in argv if os.path.isabs(word)]
        tools = map(Path, tool_folders(argv[0], path, ()))
        home = env.get("HOME", "")
        return [*self.repository, *named, *tools, _PACKAGE, *([Path(home)] if os.path.isabs(home) else [])]


NO_PROGRAM = Confinement(NoJail("no program is started"))
# A planner's client confines its commands itself, and its tools write to the repository.
NOT_CONFINED = Confinement(NoJail("its client's own sandbox"))


def confine(repo: Repository, policy: Policy) -> Confinement:
    """Return the confinement that a policy wants for agents here.

    Raises:
        PlannerError: E_SANDBOX if it requires a sandbox and none works.
    """
    sandbox = agent_jail.find(policy.agents.sandbox, os.environ.get("PATH", os.defpath))
    if isinstance(sandbox, NoJail):
        if policy.agents.sandbox == "required":
            raise PlannerError(
                "E_SANDBOX",
                f"the policy requires a sandbox for agents, and there is none: {sandbox.why}",
                hint="git planner doctor",
            )
        return Confinement(sandbox)
    own = [folder for folder in (repo.top, repo.common) if folder is not None]
    if repo.common.name == ".git":
        own.append(repo.common.parent)
    named = os.environ.get(WRITE_VARIABLE) or repo.config(WRITE_KEY) or ""
    writable = (Path(path) for path in named.split(os.pathsep) if os.path.isabs(path))
    return Confinement(
        sandbox, repo.common, tuple(own), policy.agents.git == "read-write", writable=tuple(writable)
    )


def client_state(client: str, env: Mapping[str, str]) -> list[Path]:
    """Return the folders of a client's own state; a missing one is created, as the client would do it.

    Args:
        client: the name of the client; an unknown one has no such folder.
        env: its environment.
    """
    folders = []
    for variable, default in _CLIENT_STATE.get(client, ()):
        name, _, rest = variable.partition("/")
        home = env.get("HOME", "")
        value = env.get(name)
        if (folder := Path(value, rest) if value else Path(home, default)).is_absolute():
            with suppress(OSError):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders.append(folder)
    return folders
