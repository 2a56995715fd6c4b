"""`git bo4 apply`: make the branch on which the winner of a tournament is reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.iterations.review_branch import (
    PREFIX,
    ReviewCommit,
    ReviewSource,
    base_tip,
    check_branch_name,
    find_anchor,
    merge_source,
    move_branch,
    push_branch,
)
from git_planner.flows.tournament.run_store import RunStore, RunView, begun, check_stage, ended
from git_planner.flows.tournament.winner.ship import ship_texts, winner_commit
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json

CREATOR = "git bo4 apply"


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """Options of the branch for review.

    `check`: only look whether it can be made. `branch`: its short name (default: 'pr/<run>'). `push`: to the
    settings' remote. `force`: replace the branch even if it was changed since.
    """

    check: bool = False
    branch: str | None = None
    push: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The branch for review; `commit` is None if it was only checked, `pushed` names the remote."""

    run: str
    branch: str
    base: str
    commit: str | None
    pushed: str | None
    title: str
    body: str
    files: int

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"schema": "git-planner/applied@1", **fields}


def apply_winner(repo: Repository, name: str, options: ApplyOptions, progress: Progress) -> ApplyResult:
    """Make the branch for review: one commit on the base's tip, with the code of the winner only.

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_STAGE if the winner has not been shipped in this turn, or was chosen
            anew since; E_MERGE if it does not merge with the base; E_NAME; E_CONFLICT if the branch was
            changed; E_REMOTE.
    """
    store = RunStore(repo, name)
    view = store.read()
    commit = winner_commit(repo, view)
    shipped = check_stage(view, "ship")
    if shipped.facts.get("commit") != commit:
        raise PlannerError(
            "E_STAGE",
            f"the winner of '{name}' was chosen anew after it was shipped",
            hint=f"git bo4 ship {name}",
        )
    base_name = policy_at(repo, view.run.base).base
    base = base_tip(repo, base_name)
    _tell_age(repo, view, base, base_name, progress)
    policy, what = policy_at(repo, view.run.base), f"the winner of '{name}'"
    status = f"git bo4 status {name}"
    source = ReviewSource(commit, policy, base_name, what, "git bo4 new", status, "E_MERGE")
    tree = merge_source(repo, source, base, find_anchor(repo, source, base))
    title, body = ship_texts(repo, view)
    branch = options.branch or PREFIX + name
    ref = check_branch_name(repo, branch)
    files = len(history.changes(repo.git, base, tree))
    if options.check:
        return ApplyResult(name, branch, base_name, None, None, title, body, files)
    wanted = ReviewCommit(tree, base, _run_name(name), _message(view, title), CREATOR)
    made = move_branch(repo, ref, wanted, force=options.force)
    progress(f"'{branch}' is one commit on '{base_name}'")
    pushed = push_branch(repo, branch, made, wanted, progress, force=options.force) if options.push else None
    _record(store, view, {"branch": branch, "commit": made, "winner": commit, "pushed": pushed})
    return ApplyResult(name, branch, base_name, made, pushed, title, body, files)


def _run_name(name: str) -> str:
    return refnames.short_name(refnames.run_ref(name))


def _tell_age(repo: Repository, view: RunView, base: str, base_name: str, progress: Progress) -> None:
    """Tell if the base has moved since the tournament measured against it."""
    if history.is_ancestor(repo.git, view.run.base, base) and base != view.run.base:
        count = len(history.commits(repo.git, view.run.base, base))
        progress(f"'{base_name}' has {count} new commits since the tournament began; the figures are older")


def _message(view: RunView, title: str) -> str:
    """Return the message of the commit: title, reason, and trailers that lead back."""
    run, selection = view.run, view.run.selection or {}
    taken = {selection.get("variant"), *selection.get("modules", {}).values()}
    agents = {
        f"{variant.agent['agent']}:{variant.agent.get('model') or 'default'}": None
        for variant in view.current
        if variant.number in taken and variant.agent.get("agent")
    }
    trailers = (
        ("Planner-Run", _run_name(run.run)),
        ("Planner-Compose", run.compose_sha256 or ""),
        *(("Assisted-by", agent) for agent in agents),
    )
    subject, _, rest = Message(title, trailers).text().partition("\n")
    reason = " ".join(str(selection.get("rationale", "")).split())
    return redact.mask_text(f"{subject}\n\nChosen by the tournament '{run.run}': {reason}\n{rest}")


def _record(store: RunStore, view: RunView, facts: dict[str, Any]) -> None:
    """Record the stage, unless it is recorded with the same result."""
    inputs = canonical_json.digest(facts)
    if not view.run.is_done("apply", inputs):
        done = ended(begun(view.run, inputs), "done", f"'{facts['branch']}'", **facts)
        store.end_stage("apply", done)
