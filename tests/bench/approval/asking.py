"""CPU time of asking whether a directive is approved, as `git iterate` does, with 1,000 approvals."""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.config.policy_file import policy_at
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.signed import approve
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Message, Store
from git_planner.rules.approval.subject import approval_document, approved_path, directive_subject
from git_planner.rules.documents import canonical_json
from tests.bench.timing import Figure, run_command
from tests.support.workshop import POLICY, directive

ASKED_MS, APPROVALS = 20, 1000
RULES = {
    "by merge": "{directives: required}",
    "by a reviewer's merge": "{directives: required, reviewers: [committer@example.com]}",
    "by signature": "{directives: required, by: approval, reviewers: ['committer@example.com KEY']}",
}


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Measure a first question of a process that has opened the repository, and each further one."""
    os.environ.update(env)
    for name, rule in RULES.items():
        path = root / name.replace(" ", "-")
        run_command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{path}.key"], root, env)
        key = " ".join(Path(f"{path}.key.pub").read_text().split()[:2])
        subject_base = _repository(path, env, rule.replace("KEY", key))
        taken = []
        for _ in range(20 // fewer):
            # The reader of objects is a child that ends with the repository, and is there without a question.
            without = _ask(path, subject_base, is_asked=False)
            taken.append(_ask(path, subject_base, is_asked=True) - without)
        yield Figure(
            f"asking for an approval {name}: {APPROVALS:,} approvals",
            ASKED_MS,
            statistics.median(taken),
            "ms CPU",
            f"{max(taken):.0f} at most",
        )


def _ask(path: Path, base: str, *, is_asked: bool) -> float:
    """Return the CPU time of opening a repository, reading its policy, and asking for an approval."""
    before = _cpu_ms()
    repo = open_repository(path)
    policy = policy_at(repo, base)
    subject = directive_subject("default", "iter/0001-x", directive(objective="do 7"), base)
    if is_asked:
        approval = approval_of(repo, policy, subject)
        assert approval.ok, approval
    del repo
    return _cpu_ms() - before


def _repository(path: Path, env: Mapping[str, str], rule: str) -> str:
    run_command(["git", "init", "-q", "-b", "main", str(path)], path.parent, env)
    (path / ".git-planner.yml").write_text(f"{POLICY}review: {rule}\n")
    run_command(["git", "add", "."], path, env)
    run_command(["git", "commit", "-q", "-m", "policy"], path, env)
    run_command(["git", "config", "gpg.format", "ssh"], path, env)
    run_command(["git", "config", "user.signingKey", f"{path}.key.pub"], path, env)
    repo = open_repository(path)
    base = repo.resolve("HEAD")
    store = Store(repo)
    for first in range(0, APPROVALS, 100):
        edits = {}
        for number in range(first, first + 100):
            document = directive(objective=f"do {number}")
            subject = directive_subject("default", f"iter/{number:04d}-x", document, base)
            approval = approval_document(subject, "A U Thor <author@example.com>", "2026-11-30T00:00:00Z")
            edits[approved_path(subject)] = canonical_json.dumps(approval)
        store.edit(
            "refs/remotes/origin/plan/default",
            lambda _, edits=edits: edits,
            Message("approve"),
            base=base,
            masked=True,
        )
    policy = policy_at(repo, base)
    if policy.review.by == "approval":
        subject = directive_subject("default", "iter/0001-x", directive(objective="do 7"), base)
        approve(repo, policy, subject, "", base=base, sign_seconds=60)
    return base


def _cpu_ms() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) * 1000
