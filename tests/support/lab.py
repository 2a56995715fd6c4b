"""A laboratory: one git repository in a sealed environment, with a clock that ticks one minute per commit."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git_planner.gitio.repository import Repository, open_repository
from git_planner.gitio.store import Store
from tests.support import prepared

EPOCH = 1_700_000_000
GIT = shutil.which("git") or "git"
RUN = "import sys; from git_planner import cli; sys.exit(cli.main(sys.argv[1], sys.argv[2:]))"
# Half the time of a small commit goes into 'git maintenance', and no repository here outlives its test.
QUICK = "[maintenance]\n\tauto = false\n[core]\n\tfsync = none\n"


def command_line(*argv: str) -> list[str]:
    """Return program and arguments of a git-planner command line: command_line('git-plan', 'list')."""
    return [sys.executable, "-c", RUN, *argv]


def sealed(home: Path) -> dict[str, str]:
    """Return an environment without the machine's own settings of git, shell and agents."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_AUTHOR_NAME": "A U Thor",
        "GIT_AUTHOR_EMAIL": "author@example.com",
        "GIT_COMMITTER_NAME": "C O Mitter",
        "GIT_COMMITTER_EMAIL": "committer@example.com",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "false",
        "GIT_SEQUENCE_EDITOR": "false",
        "GIT_ASKPASS": "false",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(home.parent),
    }


@dataclass(frozen=True)
class Ran:
    """Result of one command line."""

    status: int
    out: str
    err: str


class Lab:
    """A repository for tests.

    Args:
        root: an empty folder; the repository is made in `root/repo`.
        init: more arguments for git init, such as '--bare' or '--object-format=sha256'.
        first: whether to make a first commit on main.
    """

    def __init__(self, root: Path, *init: str, first: bool = True) -> None:
        self.root = root
        self.home = root / "home"
        self.env = sealed(self.home)
        (self.home / ".gitconfig").write_text(QUICK)
        self.path = root / "repo"
        self.ticks = 0
        # How the laboratory was made and prepared, as long as no program has run in it since.
        self.state: tuple[object, ...] | None = None
        self._stamps: dict[str, tuple[int, int]] = {}
        self._tick()
        first = first and "--bare" not in init
        self._copy_or_make((init, first), lambda lab: lab._make_repository(init, first=first))

    def _make_repository(self, init: tuple[str, ...], *, first: bool) -> None:
        subprocess.run([GIT, "init", "-q", "-b", "main", *init, str(self.path)], env=self.env, check=True)
        if first:
            self.commit("first", {"README.md": "hello\n"})

    def prepare(self, name: str, make: Callable[[Lab], object]) -> Lab:
        """Bring the laboratory into a state that is made once in this process, and copied from then on.

        Args:
            name: the name of the state.
            make: brings a laboratory into it. It is called again where something was done in the laboratory
                since it was made or prepared.

        Returns:
            The laboratory.
        """
        if self.state is None or prepared.stamps(self.root) != self._stamps:
            make(self)
            return self
        return self._copy_or_make((*self.state, name), make)

    def _copy_or_make(self, state: tuple[object, ...], make: Callable[[Lab], object]) -> Lab:
        folder = prepared.prepared(state)
        if folder is None:
            before = dict(self.env)
            make(self)
            changed = {name: value for name, value in self.env.items() if before.get(name) != value}
            prepared.keep(state, self.root, (self.ticks, changed))
        else:
            prepared.write(folder, self.root)
            self.ticks, changed = folder.state
            old, new = str(folder.root), str(self.root)
            self.env |= {name: value.replace(old, new) for name, value in changed.items()}
            for entry in folder.entries:
                if entry.path.endswith(".git/index"):
                    # The index names the files that it was made with.
                    self.git("update-index", "-q", "--refresh", cwd=(self.root / entry.path).parents[1])
        self.state, self._stamps = state, prepared.stamps(self.root)
        return self

    # -- git ------------------------------------------------------------------------------------------------
    def git(self, *args: str, cwd: Path | None = None, stdin: str | None = None, check: bool = True) -> str:
        """Run git and return its stripped stdout."""
        done = self.run_git(*args, cwd=cwd, stdin=stdin)
        if check and done.status != 0:
            raise AssertionError(f"git {' '.join(args)}: {done.status}\n{done.out}{done.err}")
        return done.out.strip()

    def run_git(self, *args: str, cwd: Path | None = None, stdin: str | None = None) -> Ran:
        """Run git and return its result."""
        return self.run_program(GIT, *args, cwd=cwd, stdin=stdin)

    def commit(
        self, message: str, files: Mapping[str, str | bytes | None], *, cwd: Path | None = None
    ) -> str:
        """Write files (None removes one), commit them a minute later than the last commit, return the id."""
        place = cwd or self.path
        for name, content in files.items():
            target = place / name
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self._tick()
        self.git("add", "--all", "--", *files, cwd=place)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=place)
        return _loose_head(place) or self.git("rev-parse", "HEAD", cwd=place)

    def show(self, name: str) -> str:
        """Return the content of an object, such as 'main:README.md'."""
        return self.run_git("cat-file", "-p", name).out

    def refs(self) -> dict[str, str]:
        """Return every ref with its object id, read from git's files: tests ask for them very often."""
        common = self.path / ".git" if (self.path / ".git").is_dir() else self.path
        values = {}
        if (common / "packed-refs").exists():
            for line in (common / "packed-refs").read_text().splitlines():
                if line[0] not in "#^":
                    oid, ref = line.split(" ", 1)
                    values[ref] = oid
        for folder, _, names in os.walk(common / "refs"):
            for name in names:
                path = Path(folder, name)
                if path.suffix != ".lock":
                    values[str(path.relative_to(common))] = path.read_text().strip()
        symbolic = {ref: value[5:] for ref, value in values.items() if value.startswith("ref: ")}
        targets = {ref: symbolic.get(ref, ref) for ref in sorted(values)}
        return {ref: values[target] for ref, target in targets.items() if target in values}

    def worktree(self, name: str, branch: str) -> Path:
        """Check a branch out in a linked worktree beside the repository."""
        path = self.root / name
        self.git("worktree", "add", "-q", str(path), branch)
        return path

    def clone(self, name: str, *args: str) -> Lab:
        """Clone this repository into another laboratory."""
        other = self.beside(name)
        other.root.mkdir()
        subprocess.run([GIT, "clone", "-q", *args, str(self.path), str(other.path)], env=self.env, check=True)
        return other

    def beside(self, name: str) -> Lab:
        """Return the laboratory of that name in this one's folder; it shares the home."""
        other = Lab.__new__(Lab)
        other.root, other.home, other.env = self.root / name, self.home, dict(self.env)
        other.path, other.ticks, other.state = other.root / "repo", self.ticks, None
        return other

    def fsck(self) -> None:
        """Fail if `git fsck` finds a broken object or ref."""
        done = self.run_git("fsck", "--no-dangling", "--strict")
        assert (done.status, done.out) == (0, ""), done.out + done.err

    # -- ours -----------------------------------------------------------------------------------------------
    @property
    def repo(self) -> Repository:
        """Return the opened repository; call within `entered`, or pass the environment to a process."""
        self.state = None
        return open_repository(self.path)

    @property
    def store(self) -> Store:
        """Return a store on the repository."""
        return Store(self.repo)

    def rival(self, ref: str, path: str, content: str) -> str:
        """Move a branch as another writer would: with plain git, without the store."""
        data = content.encode()
        tip = self.run_git("rev-parse", "-q", "--verify", ref).out
        name, email, date = (self.env[f"GIT_COMMITTER_{part}"] for part in ("NAME", "EMAIL", "DATE"))
        stream = (
            f"commit {ref}\nmark :1\nauthor {self.env['GIT_AUTHOR_NAME']} <{self.env['GIT_AUTHOR_EMAIL']}> "
            f"{self.env['GIT_AUTHOR_DATE']}\ncommitter {name} <{email}> {date}\ndata 6\nrival\n"
            f"{'from ' + tip if tip else ''}M 100644 inline {path}\ndata {len(data)}\n{content}\n"
            "get-mark :1\n"
        )
        return self.git("fast-import", "--quiet", "--cat-blob-fd=1", stdin=stream)

    def run(self, *argv: str, cwd: Path | None = None, stdin: str = "") -> Ran:
        """Run a git-planner command line in this process: run('git-plan', 'list', '--json')."""
        from git_planner import cli

        self.state = None
        out, err = io.StringIO(), io.StringIO()
        with (
            self.entered(cwd),
            _stdin(stdin),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = cli.main(argv[0], list(argv[1:]))
        return Ran(status, out.getvalue(), err.getvalue())

    def spawn(self, *argv: str, cwd: Path | None = None, stdin: str | None = None, **env: str) -> Ran:
        """Run a git-planner command line as a separate process: spawn('git-plan', 'list')."""
        return self.run_program(*command_line(*argv), cwd=cwd, stdin=stdin, env=env)

    def start(self, *argv: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Start a git-planner command line in a session of its own: start('git-iterate', '--loop')."""
        self.state = None
        return subprocess.Popen(
            command_line(*argv),
            cwd=self.path,
            env=self.env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run_program(
        self,
        *argv: str,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run any program in the sealed environment."""
        self.state = None
        done = subprocess.run(
            argv,
            cwd=cwd or self.path,
            env={**self.env, **(env or {})},
            input=(stdin or "").encode(),
            capture_output=True,
            check=False,
        )
        return Ran(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    @contextlib.contextmanager
    def entered(self, cwd: Path | None = None) -> Iterator[Path]:
        """Enter the repository with the sealed environment, in this process."""
        before, place = dict(os.environ), Path.cwd()
        try:
            os.environ.clear()
            os.environ.update(self.env)
            os.chdir(cwd or self.path)
            yield Path.cwd()
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.chdir(place)

    @contextlib.contextmanager
    def undisturbed(self, *, allow: Sequence[str] = ()) -> Iterator[None]:
        """Fail if HEAD, index entries or files of a worktree are changed by the block.

        Args:
            allow: names of worktree folders that may come, go or change.
        """
        before = self._picture(allow)
        yield
        assert self._picture(allow) == before

    def crash_after(self, calls: int, *, after: bool = False) -> dict[str, str]:
        """Return an environment for `spawn` whose git kills its caller at its n-th call.

        Args:
            calls: the call, from 1, at which the caller is killed with SIGKILL before git does its work.
            after: kill once git has done its work, instead.
        """
        folder = self.root / "crash" / str(calls)
        folder.mkdir(parents=True, exist_ok=True)
        counter, lines = folder / "count", folder / "lines"
        counter.unlink(missing_ok=True)
        lines.unlink(missing_ok=True)
        script = folder / "git"
        kill = 'kill -9 "$PPID"; exit 137'
        work = f'"{GIT}" "$@"; ' if after else ""
        script.write_text(
            "#!/bin/sh\n"
            # Calls may run side by side: each counts up to its own line.
            f'printf . >>"{counter}"; echo $$ >>"{lines}"; n=0\n'
            f'while read -r pid; do n=$((n + 1)); [ "$pid" != $$ ] || break; done <"{lines}"\n'
            f'if [ "$n" -eq {calls} ]; then {work}{kill}; fi\n'
            f'exec "{GIT}" "$@"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return {"PATH": f"{folder}{os.pathsep}{self.env['PATH']}"}

    def _tick(self) -> None:
        self.ticks += 1
        stamp = f"{EPOCH + 60 * self.ticks} +0000"
        self.env["GIT_AUTHOR_DATE"] = self.env["GIT_COMMITTER_DATE"] = stamp

    def _picture(self, allow: Sequence[str]) -> dict[str, tuple[str, str, str]]:
        picture = {}
        for line in self.git("worktree", "list", "--porcelain").splitlines():
            if line.startswith("worktree ") and Path(line[9:]).name not in allow and Path(line[9:]).is_dir():
                place = Path(line[9:])
                if self.run_git("rev-parse", "--is-inside-work-tree", cwd=place).out.strip() == "true":
                    head = self.run_git("rev-parse", "--symbolic-full-name", "HEAD", cwd=place).out
                    picture[line[9:]] = (head, self.git("ls-files", "--stage", cwd=place), _digest(place))
        return picture


def _loose_head(place: Path) -> str | None:
    """Return the commit that HEAD names, when HEAD and its branch are plain files below `.git`."""
    try:
        head = (place / ".git" / "HEAD").read_text().removeprefix("ref: ").strip()
        content = (place / ".git" / head).read_text().strip() if head.startswith("refs/") else head
    except OSError:
        return None
    return content if set(content) <= set("0123456789abcdef") else None


@contextlib.contextmanager
def _stdin(text: str) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


def _digest(place: Path) -> str:
    state = hashlib.sha256()
    for folder, names, files in os.walk(place):
        names[:] = sorted(name for name in names if name != ".git")
        for name in sorted(file for file in files if file != ".git"):
            path = Path(folder) / name
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            state.update(f"{path.relative_to(place)}\0{path.lstat().st_mode}\0".encode() + content + b"\0")
    return state.hexdigest()
