"""Archive of payloads, outside of the checkout: `.codex-cloud/variants/<task>/turnT/varN/` beside it.

A folder is complete or not there: it is made under another name. Its manifest holds the digests of its files,
so a payload that was archived is not fetched again, and damage is noticed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.config.settings import Settings, main_folder
from git_planner.errors import PlannerError
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import owned_folder
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.source import Payload

PATCH, REPORT, VARIANT, MANIFEST = "patch.diff", "report.json", "variant.json", "manifest.json"
SCHEMA = "git-planner/payload@1"
_PLAIN_TASK = re.compile(r"[a-z0-9]+(?:[_-]+[a-z0-9]+)*")
_MOST_TASK = 80
_DRAFT = ".payload-"
_MOST_TRIES = 10


@dataclass(frozen=True, slots=True)
class ArchivedPayload:
    """A payload in the archive: its folder, its patch or commit, and the digests of patch and manifest."""

    folder: Path
    commit: str | None
    patch_sha256: str | None
    manifest_sha256: str

    def patch(self) -> bytes:
        """Return the patch.

        Raises:
            PlannerError: E_CONFLICT if another run has replaced it meanwhile.
            OSError: it cannot be read.
        """
        content = atomic_file.read(self.folder / PATCH, MOST_PATCH_BYTES)
        if sha256(content).hexdigest() != self.patch_sha256:
            raise PlannerError(
                "E_CONFLICT",
                f"another tournament has replaced the payload in '{self.folder}'",
                hint="run the same command again",
            )
        return content


class VariantArchive:
    """The archive of one turn of a task.

    Another run may have a task of the same id, at another service; its payloads are not taken for this run's.

    Args:
        root: the folder of all archives.
        run: the uid of the run.
        task: the id of the task, which may be anything.
        turn: the turn.
    """

    def __init__(self, root: Path, run: str, task: str, turn: int) -> None:
        self._run, self._task, self._turn = run, task, turn
        self._folder = root / task_folder(task) / f"turn{turn}"

    def folder(self, number: int) -> Path:
        """Return the folder of a variant.

        Raises:
            PlannerError: E_NAME if there is no variant of that number.
        """
        refnames.variant_ref("run", self._turn, number)
        return self._folder / f"var{number}"

    def find(self, number: int) -> ArchivedPayload | None:
        """Return the payload of a variant of this run; None unless it is complete and undamaged."""
        payload, run = self._read(number)
        return payload if run == self._run else None

    def _read(self, number: int) -> tuple[ArchivedPayload | None, str | None]:
        """Return the payload of that name, if it is complete and undamaged, and the uid of its run."""
        folder = self.folder(number)
        try:
            manifest = canonical_json.loads(atomic_file.read(folder / MANIFEST), MANIFEST)
            if not _is_manifest(manifest) or manifest["task"] != self._task:
                return None, None
            files = manifest["files"]
            for name, digest in files.items():
                content = atomic_file.read(folder / Path(name).name, MOST_PATCH_BYTES)
                if sha256(content).hexdigest() != digest:
                    return None, None
        except (OSError, PlannerError):
            return None, None
        if (manifest["turn"], manifest["variant"]) != (self._turn, number):
            return None, None
        run = manifest.pop("run")
        digest_of_all = canonical_json.digest(manifest)
        return ArchivedPayload(folder, manifest["commit"], files.get(PATCH), digest_of_all), run

    def put(self, number: int, payload: Payload) -> ArchivedPayload:
        """Archive a payload; an earlier one of other content is kept beside it, under the name of its digest.

        Raises:
            PlannerError: E_TOO_LARGE.
            OSError: it cannot be written; then nothing is left of it.
        """
        files = _files(payload)
        size = max(map(len, files.values()))
        if size > MOST_PATCH_BYTES:
            raise PlannerError(
                "E_TOO_LARGE",
                f"the payload has a file of {size:,} bytes; at most {MOST_PATCH_BYTES:,} are kept",
                hint="leave generated files out of it",
            )
        manifest = {
            "schema": SCHEMA,
            "task": self._task,
            "turn": self._turn,
            "variant": number,
            "commit": payload.commit,
            "files": {name: sha256(content).hexdigest() for name, content in files.items()},
        }
        # The same content has the same digest in every run.
        document, digest = (
            canonical_json.dumps({**manifest, "run": self._run}),
            canonical_json.digest(manifest),
        )
        for _ in range(_MOST_TRIES):
            earlier, run = self._read(number)
            if earlier is None or earlier.manifest_sha256 != digest:
                self._write(number, {**files, MANIFEST: document}, earlier)
            elif run == self._run:
                return earlier
            else:
                atomic_file.write(self.folder(number) / MANIFEST, document)
                return earlier
        raise PlannerError(
            "E_UNWRITABLE",
            f"'{self.folder(number)}' cannot be written",
            hint="see what is there with 'ls -la'",
        )

    def _write(self, number: int, files: Mapping[str, bytes], earlier: ArchivedPayload | None) -> None:
        """Put files into the folder of a variant, unless another process was faster."""
        target = self.folder(number)
        with owned_folder(self._folder, _DRAFT) as folder:
            draft = folder / "payload"
            draft.mkdir()
            for name, content in files.items():
                (draft / name).write_bytes(content)
            self._give_way(target, earlier)
            try:
                os.rename(draft, target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise

    def _give_way(self, target: Path, earlier: ArchivedPayload | None) -> None:
        """Move what has the name of a payload out of the way."""
        if target.is_symlink() or target.exists():
            name = earlier.manifest_sha256[:12] if earlier else f"damaged-{refnames.random_token()}"
            with suppress(OSError):
                os.rename(target, target.with_name(f"{target.name}.{name}"))
        if target.is_symlink() or target.exists():
            # The same earlier payload was moved before, or another process is as far.
            with suppress(FileNotFoundError):
                os.rename(target, target.with_name(f"{target.name}.{refnames.random_token()}"))


def archive_root(repo: Repository, settings: Settings) -> Path:
    """Return the folder of all archives: the setting, or one beside the main worktree."""
    return settings.variants or main_folder(repo).parent / ".codex-cloud" / "variants"


def shown_folder(repo: Repository, folder: Path) -> str:
    """Return a folder of the archive as a run's documents name it: from where the main worktree lies."""
    return os.path.relpath(folder, main_folder(repo).parent)


def task_folder(task: str) -> str:
    """Return the name of a task's folder: its id if that is a plain name, else a slug and a digest."""
    if len(task) <= _MOST_TASK and _PLAIN_TASK.fullmatch(task):
        return task
    return f"{refnames.slug(task, 'task')}-{sha256(task.encode('utf-8', 'replace')).hexdigest()[:12]}"


def _is_manifest(document: Any) -> bool:
    """Return whether a document has the keys of a manifest."""
    keys = {"schema", "run", "task", "turn", "variant", "commit", "files"}
    return isinstance(document, dict) and document.keys() >= keys and isinstance(document["files"], dict)


def _files(payload: Payload) -> Mapping[str, bytes]:
    documents: Mapping[str, Any] = {REPORT: payload.report, VARIANT: payload.metadata}
    files = {
        name: canonical_json.dumps_host(redact.mask_document(dict(document)))
        for name, document in documents.items()
    }
    return files if payload.patch is None else {**files, PATCH: payload.patch}
