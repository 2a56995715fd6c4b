"""The packet: the complete input of a planner for one iteration, collected and validated.

Facts come from git objects at the base commit and from the plan's ledger; nothing is read from a worktree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.measuring import sandbox_paths
from git_planner.flows.plans.base_commit import Base
from git_planner.flows.plans.remarks import read_remarks
from git_planner.gitio import export
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.host import jail, process
from git_planner.host.jail import NoJail
from git_planner.progress import Progress
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning import packet as rules
from git_planner.rules.plans.remarks import packet_remarks
from git_planner.rules.policy.policy import Policy, Program, pathspecs
from git_planner.rules.records import ranking
from git_planner.rules.records.record import Record

SCHEMA = "git-planner/packet@1"
FILE_CHARACTERS = 48_000
CONTEXT_CHARACTERS = 160_000
CONTEXT_FILES = 400
PROFILE_BYTES = 64 * 1024
_KEY_CHARACTERS = 4_000
REGULAR = ("100644", "100755")
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")


@dataclass(frozen=True, slots=True)
class PacketRequest:
    """Request for a packet.

    `number` and `branch` are those of the iteration (or of the packet branch). `goal_text`, `constraints` and
    `acceptance` come from the plan, else from the policy. `hint` is the user's note to the planner;
    `log_tail` is the number of ledger rows it is shown.
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


def build_packet(
    repo: Repository, request: PacketRequest, ledger: Sequence[Record], *, progress: Progress
) -> dict[str, Any]:
    """Build the packet of one iteration.

    Args:
        repo: the repository.
        request: the plan, base and iteration.
        ledger: the plan's records, oldest first.
        progress: called with each progress message.

    Returns:
        The packet, valid by its schema.

    Raises:
        PlannerError: E_GIT; E_SCHEMA when the packet exceeds a limit of the schema.
    """
    policy, base = request.base.policy, request.base.oid
    comparable = rules.comparable_records(ledger)
    best = ranking.pick_best(comparable)
    value = best.value if best else None
    document = {
        "schema": SCHEMA,
        "iteration": request.number,
        "timestamp": repo.now(),
        "plan": request.plan,
        "branch": request.branch,
        "base": base,
        "base_ref": request.base.ref,
        "repo": repository_facts(repo, base),
        "goal": request.goal,
        "goal_text": request.goal_text,
        "threshold": request.threshold if request.goal == "threshold" else None,
        "metric": _metric_document(policy),
        "best": value,
        "aspiration": rules.compute_aspiration(value, policy.metric, request.goal),
        "plateau_valid_iters_since_best": ranking.attempts_since_best(comparable),
        "constraints": _constraints_document(policy, request.constraints),
        "acceptance_criteria": list(request.acceptance),
        "strategy_family_constraints": rules.family_rule(ledger, policy.families).document(),
        "iteration_hint": _iteration_hint(request.hint, ledger, policy),
        "cold_start": rules.is_cold_start(ledger),
        **_review_remarks(repo, request.plan),
        **_commit_contexts(repo, base, ledger),
        "experiment_log_tail": rules.log_tail(ledger, request.log_tail),
        "experiment_summary": rules.experiment_summary(ledger),
        "code_context": code_context(repo, base, policy.context),
        "performance_profile": run_profile(repo, base, policy, progress),
        "planner_model": request.model,
    }
    document = redact.mask_document(document)
    documents.check("packet", document, f"the packet of iteration {request.number}")
    return document


def repository_facts(repo: Repository, base: str) -> dict[str, Any]:
    """Return the origin of the repository, without credentials, and its web address."""
    result = repo.git.run("remote", "get-url", "origin")
    raw = result.stdout.decode(errors="replace").strip() if result.status == 0 else ""
    origin = rules.strip_credentials(raw)[:4000] if raw else None
    # A planner that can read files is started in a checkout of the base.
    return {
        "origin_url": origin,
        "github_web_url": rules.web_url(origin),
        "base": base,
        "worktree_path": None,
    }


def code_context(repo: Repository, base: str, patterns: Sequence[str]) -> dict[str, str]:
    """Return the policy's context files at the base commit, limited per file and in total.

    Args:
        repo: the repository.
        base: the base commit.
        patterns: the policy's patterns; without any, the result is empty.

    Returns:
        path -> text; for a file over the limit, its size instead of its text.
    """
    entries = export.entries(repo, base, pathspecs(patterns)) if patterns else {}
    files = {path: oid for path, (mode, oid) in entries.items() if mode in REGULAR}
    selected = list(files.items())[:CONTEXT_FILES]
    context = file_texts(repo, selected)
    if len(files) > len(selected):
        context["…"] = f"({len(files) - len(selected)} more files match and are left out)"
    return context


def file_texts(repo: Repository, files: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the texts of files (path, object id) by label, limited per file and in total."""
    texts: dict[str, str] = {}
    remaining = CONTEXT_CHARACTERS
    for (path, _), content in zip(files, read_objects(repo.git, (oid for _, oid in files)), strict=True):
        text = _file_text(content or b"", min(FILE_CHARACTERS, remaining))
        remaining -= len(text)
        texts[os.fsencode(path).decode(errors="replace")[:1100]] = text
    return texts


def run_profile(repo: Repository, base: str, policy: Policy, progress: Progress) -> Any:
    """Run the policy's profile program in a temporary checkout of the base.

    Returns:
        The JSON document that it prints; {'error': reason} on failure; None without such a program.
    """
    if policy.profile is None:
        return None
    progress(f"profiling the base with '{policy.profile.run[0]}'")
    try:
        with export.exported(repo, base) as place:
            home, tmp = str(place / "home"), str(place / "tmp")
            env = {
                name: os.environ[name] for name in (*_INHERITED, *policy.environment) if name in os.environ
            }
            env = {"LC_ALL": "C.UTF-8", "TZ": "UTC", **env, "HOME": home, "TMPDIR": tmp}
            # Confined: the base may be the best so far, which an agent wrote.
            sandbox = jail.find(policy.jail, env.get("PATH", os.defpath))
            if isinstance(sandbox, NoJail) and policy.jail == "required":
                return {"error": f"the policy asks for a jail, and there is none: {sandbox.why}"}
            command, sandbox_env = sandbox_paths.sandboxed_command(
                repo, sandbox, policy.profile.run, env, place
            )
            result = process.run(
                command,
                cwd=place / "tree",
                seconds=policy.profile.timeout,
                env=sandbox_env,
                holder=jail.holder(sandbox),
            )
            return _profile_result(policy.profile, replace(result, status=jail.status(result)))
    except PlannerError as error:
        return {"error": error.message}


def _profile_result(program: Program, result: process.Finished) -> Any:
    if result.timed_out:
        return {"error": f"no answer within {program.timeout:g} s"}
    if result.status != 0:
        stderr_tail = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            "no output on stderr"
        ]
        return {"error": f"status {result.status}: {stderr_tail[0][:300]}"}
    return canonical_json.loads(result.stdout, program.run[0], limit=PROFILE_BYTES)


def _file_text(content: bytes, limit: int) -> str:
    if limit <= 0 or b"\0" in content:
        reason = "left out" if limit <= 0 else "binary"
        return f"({reason}: {len(content):,} bytes)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"(not UTF-8: {len(content):,} bytes)"
    if len(text) <= limit:
        return text
    # Masked before it is cut: half a secret would not be recognised.
    head = redact.mask_text(text[: limit + _KEY_CHARACTERS])[:limit]
    return f"{head}\n(cut: {limit:,} of {len(text):,} characters)"


def _metric_document(policy: Policy) -> dict[str, Any] | None:
    metric = policy.metric
    return {"name": metric.name, "unit": metric.unit, "better": metric.better} if metric else None


def _constraints_document(policy: Policy, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "allow": list(policy.allow),
        "forbid": list(policy.forbid),
        "guard": list(policy.guarded),
        "notes": list(notes),
    }


def _iteration_hint(user_hint: str | None, ledger: Sequence[Record], policy: Policy) -> str | None:
    ledger_hint = rules.iteration_hint(ledger, policy.metric.unit if policy.metric else "")
    parts = [part.strip() for part in (user_hint, ledger_hint) if part and part.strip()]
    return "\n".join(parts)[:20_000] or None


def _review_remarks(repo: Repository, plan: str) -> dict[str, Any]:
    rows = packet_remarks(read_remarks(repo, plan))
    return {"review_remarks": rows} if rows else {}


def _commit_contexts(repo: Repository, base: str, ledger: Sequence[Record]) -> Mapping[str, Any]:
    by_commit = {record.commit: record for record in ledger if record.valid}
    inspirations = [
        rules.commit_context(record.commit, record.summary or record.hypothesis, record)
        for record in rules.pick_inspirations(ledger)
        if record.commit != base
    ]
    subject = repo.git.bytes("log", "-1", "--no-show-signature", "--format=%s", base).decode(errors="replace")
    return {
        "base_context": rules.commit_context(base, subject.strip()[:2000], by_commit.get(base)),
        "inspirations": inspirations,
    }
