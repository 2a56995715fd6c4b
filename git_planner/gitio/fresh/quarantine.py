"""A quarantine: a folder in which git stores what it writes, until that is kept in the repository.

A `git gc` of the repository does not see the folder, so it can delete nothing there. What is to stay moves to
the repository as packs that no gc deletes, each marked to be kept until a ref reaches its objects.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.fresh.held_packs import hold
from git_planner.gitio.fresh.pack import pack_of
from git_planner.gitio.git import Git
from git_planner.gitio.git_failure import failure, missing_object
from git_planner.owned_folder import owned_folder

_PREFIX = "objects-"
# An object that lay unused in the repository, and so was not written again, may be deleted after all. It is
# written the next time.
_TRIES = 5
# Fast, and without a search for similar objects: a gc packs it well later.
_PACK = ("-c", "core.compression=1", "pack-objects", "-q", "--window=0")
_CHANGES = ("diff-tree", "--stdin", "-r", "-t", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff")
_GITLINK = "160000"


class Quarantine:
    """A folder of objects beside those of a repository, which a git reads, too.

    Args:
        git: the repository's git.
        objects: the repository's folder of objects.
        folder: an empty folder.
    """

    def __init__(self, git: Git, objects: Path, folder: Path) -> None:
        self._git, self._objects, self._folder = git, objects, folder
        self._packs = folder / "pack"
        self._packs.mkdir()

    def join(self) -> None:
        """Let a git that writes here read the repository's objects, too."""
        info = self._folder / "info"
        info.mkdir()
        name = os.fsencode(self._objects)
        quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        (info / "alternates").write_bytes(b'"' + quoted + b'"\n')

    def write_pack(self, contents: Mapping[str, tuple[str, bytes]]) -> None:
        """Write objects into a pack here: id -> kind and content."""
        self._git.bytes("index-pack", "--stdin", stdin=pack_of(contents), env=self.env)

    @property
    def env(self) -> Mapping[str, str]:
        """The variables with which a git writes here."""
        return {"GIT_OBJECT_DIRECTORY": str(self._folder), "GIT_ALTERNATE_OBJECT_DIRECTORIES": ""}

    def read(self, oid: str) -> bytes:
        """Return the content of an object that was just written here, not packed.

        Git writes nothing here that the repository has already, such as an equal signed commit.
        """
        try:
            raw = zlib.decompress((self._folder / oid[:2] / oid[2:]).read_bytes())
        except FileNotFoundError:
            content = self._git.batch().read(oid)
            if content is None:
                raise missing_object(oid) from None
            return content
        return raw[raw.index(b"\0") + 1 :]

    def keep_trees(self, base: str, trees: Sequence[str]) -> bool:
        """Keep trees in the repository, with all that they have and another one has not.

        Args:
            base: a commit or tree that a ref reaches.
            trees: the trees.

        Returns:
            False if an object is missing.
        """
        info = self._git.batch().info(f"{base}^{{tree}}")
        if info is None:
            raise missing_object(f"{base}^{{tree}}")
        requests = "".join(f"{info[0]} {tree}\n" for tree in trees).encode()
        result = self._git.run(*_CHANGES, stdin=requests, env=self.env)
        if result.status != 0:
            if b"unable to read tree" in result.stderr or self._is_any_missing(trees):
                return False
            raise failure(_CHANGES, result, self._git.cwd)
        # The two trees stand before the first of their changes.
        fields = result.stdout.decode(errors="replace").split("\0")[:-1:2]
        changes = [field.rpartition("\n")[2].split(" ") for field in fields]
        oids = [oid for _, mode, _, oid, _ in changes if oid.strip("0") and mode != _GITLINK]
        return self.keep([*trees, *oids])

    def keep(self, oids: Iterable[str]) -> bool:
        """Keep objects in the repository until a ref reaches one of them, or this process ends.

        Returns:
            False if one is missing.
        """
        wanted = list(dict.fromkeys(oids))
        requests = "".join(f"{oid}\n" for oid in wanted).encode()
        result = self._git.run(*_PACK, str(self._packs / "pack"), stdin=requests, env=self.env)
        if result.status != 0:
            if self._is_any_missing(wanted):
                return False
            raise failure(_PACK, result, self._git.cwd)
        self.keep_packs(wanted)
        return True

    def keep_packs(self, oids: Sequence[str]) -> set[Path]:
        """Keep the packs that were written here in the repository, for some of their objects.

        Returns:
            The marks with which no gc deletes them.
        """
        marks = set()
        target = self._objects / "pack"
        target.mkdir(exist_ok=True)
        for index in sorted(self._packs.glob("pack-*.idx")):
            # Another process may make a pack of the same objects, and must not remove the mark of this one.
            name = f"pack-{os.urandom(20).hex()}"
            marks.add(target / f"{name}.keep")
            hold(target / f"{name}.keep", oids)
            # Git knows a pack by its index, so that comes last.
            for path in sorted(self._packs.glob(f"{index.stem}.*"), key=lambda path: path == index):
                os.rename(path, target / f"{name}{path.suffix}")
        return marks

    def _is_any_missing(self, oids: Sequence[str]) -> bool:
        requests = "".join(f"{oid}\n" for oid in oids).encode()
        answers = self._git.bytes("cat-file", "--batch-check", stdin=requests, env=self.env)
        return b" missing\n" in answers


@contextmanager
def quarantine(git: Git, common: Path | None = None, *, joined: bool = True) -> Iterator[Quarantine]:
    """Yield a quarantine; what is not kept is deleted at the end.

    Args:
        git: the git that writes.
        common: the common directory of its repository, if it is known.
        joined: whether the git reads the repository's objects, too.
    """
    if common is None:
        args = ("rev-parse", "--path-format=absolute", "--git-common-dir")
        common = git.common or Path(git.line(*args))
    with owned_folder(common / "planner/fresh", _PREFIX) as folder:
        objects = folder / "objects"
        objects.mkdir()
        place = Quarantine(git, common / "objects", objects)
        if joined:
            place.join()
        yield place


def kept_tree(git: Git, common: Path, base: str, write: Callable[[Mapping[str, str]], str]) -> str:
    """Return a tree that git writes, and keep it until a ref reaches it.

    Args:
        git: the git that writes.
        common: the common directory of its repository.
        base: a commit or tree that a ref reaches.
        write: writes the tree with the variables given, and returns its id. It may be called again.

    Raises:
        PlannerError: as `write`; E_CONFLICT if other processes keep deleting objects.
    """
    with quarantine(git, common) as place:
        for attempt in range(_TRIES):
            try:
                tree = write(place.env)
            except PlannerError as error:
                if error.code != "E_GIT" or "object" not in error.message or attempt == _TRIES - 1:
                    raise
                continue
            if place.keep_trees(base, [tree]):
                return tree
    raise lost()


def lost() -> PlannerError:
    """Return the error for objects that other processes delete again and again."""
    return PlannerError(
        "E_CONFLICT",
        "another process keeps deleting objects that were just written",
        hint="wait until 'git gc' has ended, then run the same command again",
    )
