"""Plan by hand: write a packet branch, and turn an answer pasted from a chat window into an iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_planner import documents, redact
from git_planner.agents.contract import Answer
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.planning.ask_planner import (
    PACKET_NUMBERS,
    PACKETS,
    ExtraWrite,
    PlannedIteration,
    check_answer,
    family_choice,
    new_state,
    publish_iteration,
)
from git_planner.flows.planning.campaign import Campaign, PlanOptions, open_campaign
from git_planner.flows.planning.iteration_start import reserve_number
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.planning.repository_map import describe_repository
from git_planner.flows.plans.base_commit import Base, find_base, resolve_base, taken_numbers
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.list_plans import packet_branches
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject, directive_subject
from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.extract_json import extract_json
from git_planner.rules.planning.directive import IterationState, directive_from
from git_planner.rules.planning.manual_prompt import estimate_tokens, render_correction, render_manual_prompt
from git_planner.rules.plans import plan as plans

PACKET = f"{PACKETS}/packet.json"
PROMPT = f"{PACKETS}/prompt.md"
SCHEMA = f"{PACKETS}/directive_schema.json"
DIRECTIVE = f"{PACKETS}/directive.json"
MAX_PASTED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PacketBranch:
    """A packet that waits for its answer: its branch (full ref), prompt, and estimated number of tokens."""

    ref: str
    commit: str
    packet: Mapping[str, Any]
    prompt: str
    tokens: int

    @property
    def branch(self) -> str:
        """The short branch name, such as 'plan/0003-next'."""
        return refnames.short_name(self.ref)

    def document(self) -> dict[str, Any]:
        """The packet branch as one JSON object."""
        return {
            "schema": "git-planner/packed@1",
            "plan": self.packet["plan"],
            "branch": self.branch,
            "commit": self.commit,
            "base": self.packet["base"],
            "base_ref": self.packet["base_ref"],
            "prompt": self.prompt,
            "tokens": self.tokens,
            "files": [PACKET, PROMPT, SCHEMA, DIRECTIVE],
        }


@dataclass(frozen=True, slots=True)
class PendingPacket:
    """A packet branch: its full ref, tip and packet, and the answer on it, if any."""

    ref: str
    tip: str
    packet: Mapping[str, Any]
    answer: bytes | None

    @property
    def branch(self) -> str:
        """The short branch name, such as 'plan/0003-next'."""
        return self.ref[self.ref.index(refnames.PLAN) :]


class AnswerRefused(PlannerError):
    """An invalid pasted answer; `reply` is the text to paste back."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        super().__init__(
            "E_ANSWER",
            f"the answer in '{where}' cannot be used: {faults[0]}",
            hint="paste the reply back into the chat, then run 'git plan manual apply' again",
            details=faults,
        )
        self.reply = render_correction(faults)


def make_packet_branch(
    repo: Repository, options: PlanOptions, progress: Progress, *, named: Sequence[str] = ()
) -> PacketBranch:
    """Write packet, prompt, schema and an empty answer to a branch 'plan/NNNN-slug', without a checkout.

    The prompt has a map of the repository and the files most worth reading, since a chat cannot open it.

    Args:
        repo: the repository.
        options: the options of the request.
        progress: called with each progress message.
        named: files and folders to show in any case, from the current folder.

    Raises:
        PlannerError: what `open_campaign` raises; E_MERGE when the best conflicts with a changed guard;
            E_CONFLICT.
    """
    if options.from_ref is None:
        remeasure_best.remeasure_best(repo, needed_plan(repo, options.plan), None, progress)
    campaign = open_campaign(repo, options)
    store = Store(repo)
    number = store.reserve(PACKET_NUMBERS, refnames.next_number, taken_numbers(repo, refnames.PLAN))
    branch = f"{refnames.PLAN}{number:04d}-{refnames.slug(options.slug or '')}"
    request = campaign.packet_request(number, branch, options.model)
    packet = build_packet(repo, request, read_ledger(repo, campaign.plan), progress=progress)
    code = describe_repository(
        repo, campaign.base.oid, campaign.base.policy, packet["code_context"].keys(), named=named
    )
    packet = redact.mask_document(
        {
            **packet,
            "repository_map": code.map,
            "code_context": {**packet["code_context"], **code.files},
        }
    )
    documents.check("packet", packet, f"the packet of '{branch}'")
    schema = documents.schema("directive", **family_choice(packet["strategy_family_constraints"]))
    prompt = render_manual_prompt(packet, schema)
    files = {
        PACKET: canonical_json.dumps(packet),
        SCHEMA: canonical_json.dumps(schema),
        PROMPT: prompt.encode(),
        DIRECTIVE: canonical_json.dumps({}),
    }
    message = Message(
        f"packet {branch}: plan {campaign.plan} from {campaign.base.ref}",
        (("Planner-Op", "manual-pack"), ("Planner-Args", f"{campaign.plan} {campaign.base.oid}")),
    )

    def change(snapshot: Snapshot) -> Mapping[str, bytes | None]:
        if snapshot.tip is not None:
            raise PlannerError("E_CONFLICT", f"'{branch}' exists already", hint="run the command again")
        return files

    commit = store.edit(refnames.HEADS + branch, change, message, base=campaign.base.oid)
    assert commit is not None
    return PacketBranch(refnames.HEADS + branch, commit, packet, prompt, estimate_tokens(prompt))


def apply_answer(
    repo: Repository,
    ref: str | None,
    progress: Progress,
    *,
    pasted: tuple[str, bytes] | None = None,
    slug: str | None = None,
    allow_stale_base: bool = False,
) -> PlannedIteration:
    """Turn the answer to a packet into an iteration.

    Args:
        repo: the repository.
        ref: the packet branch (default: the checked-out branch, else the newest packet).
        pasted: the source and the bytes of the answer (default: directive.json of the branch).
        slug: the iteration's slug (default: the slug of the packet branch).
        allow_stale_base: continue from the current base, although it moved since the packet was made.

    Returns:
        The iteration, as from any other planner.

    Raises:
        AnswerRefused: E_ANSWER with every fault.
        PlannerError: E_STALE_BASE, E_UNKNOWN_REF, E_SCHEMA (the packet), E_CONFLICT; E_REVIEW.
    """
    pending = find_packet(repo, ref)
    source, raw = pasted or (f"{pending.branch}:{DIRECTIVE}", pending.answer or b"")
    directive = read_answer(raw, source, pending.packet)
    campaign = _packet_campaign(repo, pending.packet, allow_stale_base=allow_stale_base, progress=progress)
    subject = packet_subject(pending, directive, campaign.base.oid)
    require(repo, campaign.base.policy, subject, progress)
    chosen_slug = refnames.slug(slug or "", plans.packet_slug(pending.branch) or "manual")
    iteration = refnames.IterationName(reserve_number(repo), chosen_slug)
    packet = {
        **pending.packet,
        "iteration": iteration.number,
        "branch": iteration.branch,
        "timestamp": repo.now(),
        "base": campaign.base.oid,
        "base_ref": campaign.base.ref,
        "repo": {**pending.packet["repo"], "base": campaign.base.oid},
    }
    answer = Answer(directive, "", pending.packet["planner_model"], 1, 0.0)
    state = new_state(repo, campaign, packet, answer, "manual")
    commit = publish_iteration(repo, campaign, state, packet, _acceptance_write(pending, state))
    folder = repo.private("runs", f"{iteration.number:04d}", "plan")
    return PlannedIteration(state, packet, iteration.ref, commit, folder, answer)


def packet_subject(pending: PendingPacket, directive: Mapping[str, Any], base: str) -> ReviewSubject:
    """Return what is to be approved of a packet's branch: its complete, valid answer on a base."""
    document = directive_from(directive).document()
    plan = pending.packet["plan"]
    return directive_subject(plan, pending.branch, document, base, commit=pending.tip)


def _acceptance_write(pending: PendingPacket, state: IterationState) -> ExtraWrite | None:
    """Return the write of the accepted directive to a local packet branch; None for a remote one."""
    if not pending.ref.startswith(refnames.HEADS):
        return None
    trailers = (
        ("Planner-Op", "manual-apply"),
        ("Planner-Args", f"{state.branch} {state.directive_digest}"),
    )
    accepted = canonical_json.dumps(state.directive.document())
    return ExtraWrite(
        pending.ref, {DIRECTIVE: accepted}, Message(f"answer accepted: {state.branch}", trailers)
    )


def read_answer(raw: bytes, where: str, packet: Mapping[str, Any]) -> dict[str, Any]:
    """Find the directive in pasted text and validate it with the families of its packet.

    Args:
        raw: the pasted text.
        where: its name for messages.
        packet: the packet that it answers.

    Returns:
        The directive's document.

    Raises:
        AnswerRefused: E_ANSWER.
    """
    if len(raw) > MAX_PASTED_BYTES:
        raise AnswerRefused(where, [f"/: it has {len(raw):,} bytes; at most {MAX_PASTED_BYTES:,} are read"])
    if raw.strip() in (b"", b"{}"):
        raise PlannerError(
            "E_ANSWER",
            f"'{where}' has no answer yet",
            hint=f"paste it into '{DIRECTIVE}' on that branch and commit it, or name a file with '--file'",
        )
    try:
        document = redact.mask_document(extract_json(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise AnswerRefused(where, [f"/: it is not UTF-8 (byte {error.start})"]) from None
    except PlannerError as error:
        raise AnswerRefused(where, list(error.details) or [f"/: {error.message}"]) from None
    faults = check_answer("directive", document, **family_choice(packet["strategy_family_constraints"]))
    if faults:
        raise AnswerRefused(where, faults)
    completed = documents.complete_answer("directive", document)
    assert isinstance(completed, dict)
    return completed


def find_packet(repo: Repository, ref: str | None) -> PendingPacket:
    """Read a packet branch.

    Args:
        ref: its name (default: the checked-out branch, else the newest packet).

    Raises:
        PlannerError: E_UNKNOWN_REF without such a branch; E_SCHEMA for an invalid packet.
    """
    full = _full_name(repo, ref or _default_branch(repo))
    tip = repo.resolve(full)
    with repo.git.batch() as batch:
        raw = batch.read(f"{tip}:{PACKET}")
        answer = batch.read(f"{tip}:{DIRECTIVE}")
    name = refnames.short_name(full)
    if raw is None:
        raise PlannerError(
            "E_UNKNOWN_REF", f"'{name}' has no '{PACKET}'", hint="make a packet with 'git plan manual pack'"
        )
    document = canonical_json.loads(raw, f"{name}:{PACKET}")
    if isinstance(document, dict) and "schema" not in document and "iteration_id" in document:
        raise PlannerError(
            "E_SCHEMA",
            f"the packet on '{name}' was made by the older loop runner",
            hint="make a new one with 'git plan manual pack', and paste the same answer with '--file'",
        )
    documents.check("packet", document, f"{name}:{PACKET}")
    return PendingPacket(full, tip, document, answer)


def _default_branch(repo: Repository) -> str:
    head = repo.head_branch()
    if head is not None and plans.packet_slug(head):
        return head
    branches = packet_branches(repo)
    if not branches:
        raise PlannerError(
            "E_UNKNOWN_REF", "no packet waits for an answer", hint="make one with 'git plan manual pack'"
        )
    return branches[0]


def _full_name(repo: Repository, name: str) -> str:
    result = repo.git.run(
        "rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options", name
    )
    full = result.stdout.decode(errors="replace").strip()
    if result.status == 0 and full.startswith("refs/"):
        return full
    remote = f"refs/remotes/origin/{name}"
    if repo.maybe(remote) is not None:
        return remote
    repo.resolve(name)
    raise PlannerError(
        "E_UNKNOWN_REF", f"'{name}' is a commit and not a branch", hint="name the packet's branch"
    )


def _packet_campaign(
    repo: Repository, packet: Mapping[str, Any], *, allow_stale_base: bool, progress: Progress
) -> Campaign:
    """Open the campaign of a packet, at its base or at the current one."""
    options = PlanOptions(
        plan=packet["plan"], goal=packet["goal"], threshold=packet["threshold"], from_ref=packet["base"]
    )
    campaign = open_campaign(repo, options)
    current = _current_base(repo, packet)
    if current.oid == packet["base"]:
        return replace(campaign, base=current)
    difference = f"'{current.ref}' is at {current.oid[:12]} and the packet was made for {packet['base'][:12]}"
    if not allow_stale_base:
        raise PlannerError(
            "E_STALE_BASE",
            f"the base has moved: {difference}",
            hint="make a new packet with 'git plan manual pack', or add '--allow-stale-base'",
        )
    progress(f"the base has moved: {difference}; starting from the current base")
    return replace(campaign, base=current)


def _current_base(repo: Repository, packet: Mapping[str, Any]) -> Base:
    """Return the base that a packet would have if it were made now."""
    oid = resolve_base(repo, packet["base_ref"])
    default_base = find_base(repo, packet["plan"], None)
    best = refnames.short_name(refnames.best_ref(packet["plan"]))
    # A packet from the policy's base is stale as soon as there is a best.
    if packet["base_ref"] == default_base.policy.base and default_base.ref == best:
        return default_base
    if oid is None or packet["base_ref"] == packet["base"]:
        oid = packet["base"]
    return Base(oid, packet["base_ref"], policy_at(repo, oid))
