"""Read the files of a session planner's board from a working tree: regular ones of a sensible size.

A board may come from anybody: nothing outside its folder is read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from git_planner.config.settings import main_folder
from git_planner.config.yaml_subset import read_yaml
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules.imports.old_tasks import BOARD_FOLDER
from git_planner.rules.printable import counted, printable

MOST_YAML = 4 * 1024 * 1024
MOST_TEXT = 256 * 1024
MOST_HANDOFFS = 16 * 1024 * 1024
MOST_FILES = 5000
TEXTS = ("decisions.md", "risks.md", "backlog.md")
# Its content has no place in a plan.
_OTHERS = {
    "prompts": "prompts are rendered from templates here",
    "logs": "the history of the plan's branch takes its place",
    "state": "it is rendered again",
}


@dataclass(slots=True)
class BoardFiles:
    """The content of a board: parsed YAML, texts by file name, handoffs by name, and what was not read."""

    folder: Path
    tasks: Any = None
    sessions: Any = None
    texts: dict[str, str] = field(default_factory=dict)
    handoffs: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    digest: str = ""


def read_board_files(repo: Repository, path: Path | None) -> BoardFiles:
    """Read a board.

    Args:
        repo: the repository.
        path: the folder '.codex', the one above it, or its 'board'; that of the repository when None.

    Raises:
        PlannerError: E_MISSING_INPUT when there is no board, or it cannot be read; E_USAGE for one outside
            the repository.
    """
    top, folder = _find_board(repo, path)
    files = BoardFiles(folder)
    reader = _BoardReader(top, folder)
    data = reader.read("board/tasks.yaml", MOST_YAML)
    files.tasks = _yaml(data, f"{folder}/board/tasks.yaml")
    try:
        files.sessions = _yaml(reader.read("board/sessions.yaml", MOST_YAML), f"{folder}/board/sessions.yaml")
    except FileNotFoundError:
        pass
    except (OSError, PlannerError) as error:
        files.left_out.append(f"board/sessions.yaml: {_reason(error)}")
    for name in TEXTS:
        _keep_text(reader, files, f"board/{name}", files.texts, name)
    total = 0
    for name in reader.names("handoffs"):
        if name.endswith(".md") and total <= MOST_HANDOFFS:
            _keep_text(reader, files, f"handoffs/{name}", files.handoffs, name)
            total += len(files.handoffs.get(name, ""))
        else:
            files.left_out.append(f"handoffs/{printable(name)}: it is not read")
    for name, reason in _OTHERS.items():
        if names := reader.names(name):
            files.left_out.append(f"{name}/: {counted(len(names), 'file')}; {reason}")
    files.digest = reader.digest.hexdigest()
    return files


def _find_board(repo: Repository, path: Path | None) -> tuple[Path, Path]:
    """Return the folder of the working tree that a board belongs to, and the board's folder in it."""
    tops = [top for top in (repo.top, main_folder(repo)) if top is not None]
    if path is None:
        for top in tops:
            if (top / BOARD_FOLDER / "board").exists():
                return top, top / BOARD_FOLDER
        raise _no_board(tops[0] / BOARD_FOLDER)
    place = Path(os.path.realpath(path.parent if path.name else path), path.name)
    for folder in (place / BOARD_FOLDER, place, place.parent):
        if (folder / "board" / "tasks.yaml").exists() and folder.name == BOARD_FOLDER:
            for top in tops:
                if folder.is_relative_to(os.path.realpath(top)):
                    return Path(os.path.realpath(top)), folder
            raise PlannerError(
                "E_USAGE",
                f"'{folder}' lies outside the repository",
                hint="copy it into the repository first",
            )
    raise _no_board(place)


def _no_board(place: Path) -> PlannerError:
    return PlannerError(
        "E_MISSING_INPUT",
        f"there is no board in '{place}'",
        hint=f"name the folder '{BOARD_FOLDER}' that has 'board/tasks.yaml'",
    )


class _BoardReader:
    """Reader of the files below a folder of a working tree; it follows no link below the working tree."""

    def __init__(self, top: Path, folder: Path) -> None:
        self.top = top
        self.parts = folder.relative_to(top).parts
        self.digest = sha256()

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a file of the board.

        Raises:
            OSError: it does not exist, is no regular file, lies behind a link, or is too large.
            PlannerError: E_MISSING_INPUT for tasks.yaml.
        """
        try:
            with self._open(*self.parts, *name.split("/")) as file:
                data = file.read(limit + 1)
            if len(data) > limit:
                raise OSError(0, f"it has more than {limit:,} bytes")
        except OSError as error:
            if not name.endswith("tasks.yaml"):
                raise
            raise PlannerError(
                "E_MISSING_INPUT",
                f"'{self.top.joinpath(*self.parts, name)}' cannot be read: {_reason(error)}",
            ) from None
        self.digest.update(f"{name}\0{len(data)}\0".encode() + data)
        return data

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder of the board; none if it is missing or a link."""
        try:
            handle = self._folder(*self.parts, folder)
        except OSError:
            return []
        try:
            return sorted(os.listdir(handle))[:MOST_FILES]
        finally:
            os.close(handle)

    def _folder(self, *parts: str) -> int:
        handle = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(part, flags, dir_fd=handle)
            finally:
                os.close(handle)
            handle = inner
        return handle

    def _open(self, *parts: str) -> BinaryIO:
        folder = self._folder(*parts[:-1])
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(parts[-1], flags, dir_fd=folder)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(0, "it is not a regular file")
        return open(handle, "rb")


def _keep_text(reader: _BoardReader, files: BoardFiles, path: str, texts: dict[str, str], name: str) -> None:
    """Keep a text with its control characters escaped, or note why it is not read."""
    try:
        text = printable(reader.read(path, MOST_TEXT).decode("utf-8-sig", "replace").replace("\r\n", "\n"))
    except FileNotFoundError:
        return
    except OSError as error:
        files.left_out.append(f"{printable(path)}: {_reason(error)}")
        return
    if text.strip():
        texts[name] = text


def _yaml(data: bytes, where: str) -> Any:
    try:
        return read_yaml(data, where, limit=MOST_YAML, aliases=True)
    except PlannerError as error:
        raise PlannerError(
            "E_MISSING_INPUT", error.message, hint="correct the file, or take it away"
        ) from None


def _reason(error: OSError | PlannerError) -> str:
    if isinstance(error, PlannerError):
        return error.message
    import errno

    is_link = error.errno in (errno.ELOOP, errno.ENOTDIR)
    return "it is, or lies behind, a link" if is_link else error.strerror or str(error)
