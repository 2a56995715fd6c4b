"""The packet: everything a planner is told for one iteration, gathered and checked.

Facts come from git objects at the base commit and from the plan's ledger; nothing is read from a worktree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from git_planner import documents, redact
from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.measuring import sandbox_paths
from git_planner.flows.plans.base_commit import Base
from git_planner.gitio import export
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.host import jail, process
from git_planner.host.jail import NoJail
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning import packet as rules
from git_planner.rules.policy.policy import Policy, Program, pathspecs
from git_planner.rules.records import record as records
from git_planner.rules.records.record import Record

SCHEMA = "git-planner/packet@1"
FILE_CHARACTERS = 48_000
CONTEXT_CHARACTERS = 160_000
CONTEXT_FILES = 400
PROFILE_BYTES = 64 * 1024
_KEY_CHARACTERS = 4_000
_REGULAR = ("100644", "100755")
_FROM_CALLER = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the packet is for.

    `number` and `branch` are those of the iteration (or of the branch the packet waits on). `goal_text`,
    `constraints` and `acceptance` come from the plan, else from the policy. `hint` is a person's own words
    for the planner; `log_tail` is how many rows of the ledger it is shown.
    """

    plan: str
    base: Base
    goal: Literal["best", "threshold"]
    threshold: float | None
    number: int
    branch: str
    goal_text: str
    constraints: tuple[str, ...]
    acceptance: tuple[str, ...]
    model: str | None = None
    hint: str | None = None
    log_tail: int = rules.LOG_TAIL


def build_packet(repo: Repository, wish: Wish, ledger: Sequence[Record], *, tell: Tell) -> dict[str, Any]:
    """Gather the packet of one iteration.

    Args:
        repo: the repository.
        wish: what the packet is for.
        ledger: the plan's records, oldest first.
        tell: progress.

    Returns:
        A document that its schema accepts.

    Raises:
        PlannerError: E_GIT; E_SCHEMA when what was gathered breaks a limit of the schema.
    """
    policy, base = wish.base.policy, wish.base.oid
    comparable = rules.comparable_records(ledger)
    best = records.pick_best(comparable)
    value = best.value if best else None
    document = {
        "schema": SCHEMA,
        "iteration": wish.number,
        "timestamp": repo.now(),
        "plan": wish.plan,
        "branch": wish.branch,
        "base": base,
        "base_ref": wish.base.ref,
        "repo": repository_facts(repo, base),
        "goal": wish.goal,
        "goal_text": wish.goal_text,
        "threshold": wish.threshold if wish.goal == "threshold" else None,
        "metric": _metric(policy),
        "best": value,
        "aspiration": rules.compute_aspiration(value, policy.metric, wish.goal),
        "plateau_valid_iters_since_best": records.attempts_since_best(comparable),
        "constraints": _constraints(policy, wish.constraints),
        "acceptance_criteria": list(wish.acceptance),
        "strategy_family_constraints": rules.family_rule(ledger, policy.families).document(),
        "iteration_hint": _hint(wish.hint, ledger, policy),
        "cold_start": rules.is_cold_start(ledger),
        **_commits(repo, base, ledger),
        "experiment_log_tail": rules.log_tail(ledger, wish.log_tail),
        "experiment_summary": rules.experiment_summary(ledger),
        "code_context": code_context(repo, base, policy.context),
        "performance_profile": profile(repo, base, policy, tell),
        "planner_model": wish.model,
    }
    document = redact.mask_document(document)
    documents.check("packet", document, f"the packet of iteration {wish.number}")
    return document


def repository_facts(repo: Repository, base: str) -> dict[str, Any]:
    """Where the repository comes from, without credentials, and its address on the web."""
    result = repo.git.run("remote", "get-url", "origin")
    raw = result.stdout.decode(errors="replace").strip() if result.status == 0 else ""
    origin = rules.strip_credentials(raw)[:4000] if raw else None
    # A planner that can read files is started in a folder that holds the base's.
    return {
        "origin_url": origin,
        "github_web_url": rules.web_url(origin),
        "base": base,
        "worktree_path": None,
    }


def code_context(repo: Repository, base: str, patterns: Sequence[str]) -> dict[str, str]:
    """The text of the policy's context files as the base commit has them, bounded a file and in all.

    Args:
        repo: the repository.
        base: the base commit.
        patterns: the policy's patterns; none gives nothing.

    Returns:
        path -> text. What does not fit is named with its size instead of its text.
    """
    found = export.entries(repo, base, pathspecs(patterns)) if patterns else {}
    files = {path: oid for path, (mode, oid) in found.items() if mode in _REGULAR}
    chosen = list(files.items())[:CONTEXT_FILES]
    context: dict[str, str] = {}
    left = CONTEXT_CHARACTERS
    for (path, _), content in zip(chosen, read_objects(repo.git, (oid for _, oid in chosen)), strict=True):
        text = _text(content or b"", min(FILE_CHARACTERS, left))
        left -= len(text)
        context[os.fsencode(path).decode(errors="replace")[:1100]] = text
    if len(files) > len(chosen):
        context["…"] = f"({len(files) - len(chosen)} more files match and are left out)"
    return context


def profile(repo: Repository, base: str, policy: Policy, tell: Tell) -> Any:
    """What the policy's profile program prints about the base, run in a throw-away copy of it.

    Returns:
        The JSON document that it printed; {'error': why} when it failed; None without such a program.
    """
    if policy.profile is None:
        return None
    tell(f"profiling the base with '{policy.profile.run[0]}'")
    try:
        with export.exported(repo, base) as place:
            home, tmp = str(place / "home"), str(place / "tmp")
            env = {
                name: os.environ[name] for name in (*_FROM_CALLER, *policy.environment) if name in os.environ
            }
            env = {"LC_ALL": "C.UTF-8", "TZ": "UTC", **env, "HOME": home, "TMPDIR": tmp}
            # The base of a later iteration is the best so far: an agent wrote it.
            found = jail.find(policy.jail, env.get("PATH", os.defpath))
            if isinstance(found, NoJail) and policy.jail == "required":
                return {"error": f"the policy asks for a jail, and there is none: {found.why}"}
            words, within = sandbox_paths.sandboxed_command(repo, found, policy.profile.run, env, place)
            seconds = policy.profile.timeout
            ended = process.run(words, cwd=place / "tree", seconds=seconds, env=within)
            return _profile(policy.profile, replace(ended, status=jail.status(found, ended)))
    except PlannerError as error:
        return {"error": error.message}


def _profile(program: Program, ended: process.Finished) -> Any:
    if ended.timed_out:
        return {"error": f"no answer within {program.timeout:g} s"}
    if ended.status != 0:
        last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return {"error": f"status {ended.status}: {last[0][:300]}"}
    return canonical_json.loads(ended.stdout, program.run[0], limit=PROFILE_BYTES)


def _text(content: bytes, limit: int) -> str:
    if limit <= 0 or b"\0" in content:
        why = "left out" if limit <= 0 else "binary"
        return f"({why}: {len(content):,} bytes)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"(not UTF-8: {len(content):,} bytes)"
    if len(text) <= limit:
        return text
    # Masked before it is cut: half a key is still half a key.
    shown = redact.mask_text(text[: limit + _KEY_CHARACTERS])[:limit]
    return f"{shown}\n(cut: {limit:,} of {len(text):,} characters)"


def _metric(policy: Policy) -> dict[str, Any] | None:
    metric = policy.metric
    return {"name": metric.name, "unit": metric.unit, "better": metric.better} if metric else None


def _constraints(policy: Policy, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "allow": list(policy.allow),
        "forbid": list(policy.forbid),
        "guard": list(policy.guarded),
        "notes": list(notes),
    }


def _hint(own: str | None, ledger: Sequence[Record], policy: Policy) -> str | None:
    told = rules.iteration_hint(ledger, policy.metric.unit if policy.metric else "")
    parts = [each.strip() for each in (own, told) if each and each.strip()]
    return "\n".join(parts)[:20_000] or None


def _commits(repo: Repository, base: str, ledger: Sequence[Record]) -> Mapping[str, Any]:
    by_commit = {each.commit: each for each in ledger if each.valid}
    inspirations = [
        rules.commit_context(each.commit, each.summary or each.hypothesis, each)
        for each in rules.pick_inspirations(ledger)
        if each.commit != base
    ]
    subject = repo.git.bytes("log", "-1", "--no-show-signature", "--format=%s", base).decode(errors="replace")
    return {
        "base_context": rules.commit_context(base, subject.strip()[:2000], by_commit.get(base)),
        "inspirations": inspirations,
    }
