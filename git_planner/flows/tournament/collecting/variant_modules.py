"""Find the modules of variants: the folders with a `module.json`."""

from __future__ import annotations

from collections.abc import Sequence

from git_planner.errors import PlannerError
from git_planner.gitio.content.patched_trees import PatchedTree
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json

MODULE = "module.json"
_MOST_MODULES = 1000
_MOST_NAME = 200


def variant_modules(repo: Repository, base: str, trees: Sequence[PatchedTree]) -> dict[str, tuple[str, ...]]:
    """Return the names of the modules of each tree, sorted: tree -> names.

    A module's name is the 'id' or 'name' in its file, else its folder.
    """
    in_base = _modules_of(repo, base)
    blobs: dict[str, dict[str, str]] = {}
    for tree in trees:
        modules = dict(in_base)
        for change in tree.changes:
            if change.path.rpartition("/")[2] == MODULE:
                modules.pop(change.path, None)
                if change.mode.startswith("100"):
                    modules[change.path] = change.oid
        blobs[tree.tree] = modules
    oids = list(dict.fromkeys(oid for modules in blobs.values() for oid in modules.values()))
    contents = dict(zip(oids, read_objects(repo.git, oids), strict=True))
    return {
        tree: tuple(sorted({_name(path, contents[oid]) for path, oid in modules.items()}))[:_MOST_MODULES]
        for tree, modules in blobs.items()
    }


def _modules_of(repo: Repository, commit: str) -> dict[str, str]:
    """Return the module files of a commit: path -> blob."""
    modules = {}
    for line in repo.git.names("ls-tree", "-r", "-z", "--full-tree", commit):
        meta, _, path = line.partition("\t")
        if path.rpartition("/")[2] == MODULE and meta.startswith("100"):
            modules[path] = meta.split(" ")[2]
    return modules


def _name(path: str, content: bytes | None) -> str:
    try:
        document = canonical_json.loads(content or b"", path)
    except PlannerError:
        document = None
    fields = document if isinstance(document, dict) else {}
    for name in (fields.get("id"), fields.get("name")):
        if isinstance(name, str) and name.strip():
            return name.strip()[:_MOST_NAME]
    return (path.rpartition("/")[0] or ".")[:_MOST_NAME]
