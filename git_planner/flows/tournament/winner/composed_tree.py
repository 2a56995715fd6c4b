"""Make the tree of a composition: the base's, with each module taken from the variant chosen for it.

A module is the set of paths that match its patterns in the policy; without an entry there, everything in the
folder of its `module.json`. Only git's objects are read and written: no checkout, no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio import export, history
from git_planner.gitio.git import read_objects
from git_planner.gitio.objects import TreeEntry, splice_entries
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.tournament.winner.compose import Manifest, manifest_from

MANIFEST = "module.json"
MAX_MANIFESTS = 1000
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A module of a composition, and the commit of the variant that it is taken from."""

    module: str
    variant: int
    commit: str


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A `module.json` of a commit: its folder, and the manifest or the problem with it."""

    folder: str
    module: str
    manifest: Manifest | None
    problem: PlannerError | None = None


@dataclass(frozen=True, slots=True)
class ComposedTree:
    """A composed tree.

    `changed` is the number of paths that each module changes. `left_out` are the paths that a variant changed
    outside of all modules, by the number of the variant. `manifests` are those of the modules that have one.
    """

    tree: str
    changed: Mapping[str, int]
    left_out: Mapping[int, tuple[str, ...]]
    manifests: Mapping[str, Manifest]


def read_manifests(repo: Repository, commit: str) -> tuple[ManifestFile, ...]:
    """Read every `module.json` of a commit, in the order of their folders.

    The module of one that is not valid is named by its folder.

    Raises:
        PlannerError: E_TOO_LARGE if there are more than a thousand.
    """
    files = export.entries(repo, commit, [f":(top,glob)**/{MANIFEST}"])
    regular = {path: oid for path, (mode, oid) in sorted(files.items()) if mode.startswith("100")}
    if len(regular) > MAX_MANIFESTS:
        raise PlannerError(
            "E_TOO_LARGE",
            f"'{commit[:12]}' has {len(regular):,} files '{MANIFEST}'; at most {MAX_MANIFESTS:,}",
        )
    contents = read_objects(repo.git, regular.values())
    return tuple(_manifest(path, content or b"") for path, content in zip(regular, contents, strict=True))


def _manifest(path: str, content: bytes) -> ManifestFile:
    folder = path.removesuffix(MANIFEST).rstrip("/")
    try:
        manifest = manifest_from(documents.read("module", content, path))
    except PlannerError as error:
        return ManifestFile(folder, folder.rpartition("/")[2], None, error)
    return ManifestFile(folder, manifest.module, manifest)


def compose_tree(
    repo: Repository, base: str, sources: Sequence[ModuleSource], patterns: Mapping[str, Sequence[str]]
) -> ComposedTree:
    """Make the tree of a composition.

    Args:
        base: the base commit of the tournament.
        sources: the chosen modules, each with the commit of its variant, made from that base.
        patterns: the patterns of modules' paths that the policy lists.

    Raises:
        PlannerError: E_COMPOSE if a variant has no such module or deletes it, two modules share a path, or
            a path would be both a file and a folder; E_SCHEMA or E_JSON for a manifest that is not valid.
    """
    return _TreeComposer(repo, base, tuple(sources), patterns).run()


@dataclass
class _TreeComposer:
    repo: Repository
    base: str
    sources: tuple[ModuleSource, ...]
    patterns: Mapping[str, Sequence[str]]
    _manifests: dict[str, tuple[ManifestFile, ...]] = field(default_factory=dict)

    def run(self) -> ComposedTree:
        """Compose the tree."""
        owners: dict[str, str] = {}
        edits: dict[str, TreeEntry | None] = {}
        changed: dict[str, int] = {}
        for source in self.sources:
            self._check_presence(source)
            changes = self._changes(source.module, source.commit)
            for change in changes:
                owner = owners.setdefault(change.path, source.module)
                if owner != source.module:
                    raise _shared_path_error(change.path, owner, source.module)
                is_gone = change.status == "D"
                edits[change.path] = None if is_gone else TreeEntry(change.new_mode, change.new)
            changed[source.module] = len(changes)
        self._check_other_owners(owners)
        tree = self._splice(edits)
        self._check_result(tree, edits, owners)
        return ComposedTree(tree, changed, dict(self._left_out()), dict(self._chosen_manifests()))

    def _splice(self, edits: Mapping[str, TreeEntry | None]) -> str:
        base_tree = self.repo.resolve(self.base, "tree")
        if not edits:
            return base_tree
        with self.repo.git.batch() as batch:
            return splice_entries(self.repo.git, batch, base_tree, edits)

    def manifests(self, commit: str) -> tuple[ManifestFile, ...]:
        """Return the manifests of a commit, read once."""
        if commit not in self._manifests:
            self._manifests[commit] = read_manifests(self.repo, commit)
        return self._manifests[commit]

    def _specs(self, module: str, commit: str) -> list[str]:
        """Return the pathspecs of a module in a variant and in the base; none if it is in neither."""
        if module in self.patterns:
            return pathspecs(self.patterns[module])
        folders = dict.fromkeys(
            file.folder
            for tree in (self.base, commit)
            for file in self.manifests(tree)
            if file.module == module
        )
        return [f":(top,literal){folder}" if folder else ":(top,glob)**" for folder in folders]

    def _changes(self, module: str, commit: str) -> list[history.TreeChange]:
        specs = self._specs(module, commit)
        return history.changes(self.repo.git, self.base, commit, specs) if specs else []

    def _check_presence(self, source: ModuleSource) -> None:
        specs = self._specs(source.module, source.commit)
        if specs and export.entries(self.repo, source.commit, specs):
            return
        if specs and export.entries(self.repo, self.base, specs):
            raise _compose_error(f"variant {source.variant} deletes the module '{source.module}'")
        raise _compose_error(f"variant {source.variant} has no files of the module '{source.module}'")

    def _check_other_owners(self, owners: Mapping[str, str]) -> None:
        """Refuse a taken path that is a path of another module as well, which does not change it."""
        for commit in self._commits.values():
            for source in self.sources:
                for change in self._changes(source.module, commit):
                    if owners.get(change.path, source.module) != source.module:
                        raise _shared_path_error(change.path, owners[change.path], source.module)

    def _check_result(
        self, tree: str, edits: Mapping[str, TreeEntry | None], owners: Mapping[str, str]
    ) -> None:
        """Refuse a tree in which a file took the place of a folder, or the reverse, of another module."""
        result = {change.path: change.status for change in history.changes(self.repo.git, self.base, tree)}
        wrong = sorted(result.keys() ^ edits.keys())
        if wrong:
            owner = owners.get(wrong[0])
            raise _compose_error(
                f"'{wrong[0][:200]}'"
                + (f" of the module '{owner}'" if owner else "")
                + " would be both a file and a folder, or would be lost with one",
                wrong[:_SHOWN],
            )

    @cached_property
    def _commits(self) -> dict[int, str]:
        """The commits of the variants that modules are taken from, by number."""
        return {source.variant: source.commit for source in sorted(self.sources, key=lambda s: s.variant)}

    def _left_out(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        for variant, commit in self._commits.items():
            modules = {file.module for tree in (self.base, commit) for file in self.manifests(tree)}
            owned = {
                change.path
                for module in {*self.patterns, *modules}
                for change in self._changes(module, commit)
            }
            changes = history.changes(self.repo.git, self.base, commit)
            paths = tuple(change.path for change in changes if change.path not in owned)
            if paths:
                yield variant, paths

    def _chosen_manifests(self) -> Iterator[tuple[str, Manifest]]:
        for source in self.sources:
            for file in self.manifests(source.commit):
                if file.module == source.module:
                    if file.problem is not None:
                        raise file.problem
                    assert file.manifest is not None
                    yield source.module, file.manifest


def _shared_path_error(path: str, one: str, other: str) -> PlannerError:
    return _compose_error(f"'{path[:200]}' belongs to the modules '{one}' and '{other}'")


def _compose_error(message: str, details: Sequence[str] = ()) -> PlannerError:
    return PlannerError(
        "E_COMPOSE",
        message,
        hint="correct 'modules' in '.git-planner.yml', or choose another variant with '--overrides'",
        details=details,
    )
