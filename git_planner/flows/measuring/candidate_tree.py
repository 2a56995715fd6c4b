"""Check a candidate's changes and build the tree to measure, before running anything."""

from __future__ import annotations

from dataclasses import dataclass

from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.instrument_digest import instrument_digest
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import pathspecs


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checked commit. `tree` is the composed tree, or the commit's own tree if there is a `refusal`."""

    subject: Subject
    files: tuple[str, ...]
    refusal: Refusal | None
    violations: tuple[str, ...]
    tree: str
    instrument: str


def build_candidate(repo: Repository, subject: Subject, refusal: Refusal | None = None) -> Candidate:
    """Check the changes of a commit and compose the tree to measure.

    Args:
        repo: the repository.
        subject: the commit with its trusted base.
        refusal: a refusal that applies regardless of the changes.
    """
    guard = pathspecs(subject.policy.protected)
    changes = trusted_base.check_changes(repo, subject)
    refused, violations = (refusal, ()) if refusal else (changes.refusal, changes.violations)
    if refused is None:
        composed = export.compose(
            repo, subject.commit, subject.base, guard, (trusted_base.STATE_FOLDER_SPEC,)
        )
        if not composed.submodules:
            digest = instrument_digest(subject.policy, composed.guarded)
            return Candidate(subject, changes.files, None, (), composed.tree, digest)
        listed = ", ".join(f"'{trusted_base.utf8_path(path)}'" for path in composed.submodules[:5])
        refused, violations = Refusal("submodule", listed), ()
    guarded = export.entries(repo, subject.base, guard)
    return Candidate(
        subject,
        changes.files,
        refused,
        violations,
        repo.resolve(subject.commit, "tree"),
        instrument_digest(subject.policy, guarded),
    )
