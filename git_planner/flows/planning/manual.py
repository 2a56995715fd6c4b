"""Planning by hand: a packet on a branch, an answer pasted from a chat window, an iteration made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_planner import documents, redact
from git_planner.agents.contract import Answer, Tell
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.planning.ask_planner import (
    PACKET_NUMBERS,
    PACKETS,
    Also,
    Planned,
    families,
    judge,
    new_state,
    publish,
    reserve_number,
)
from git_planner.flows.planning.campaign import Campaign, PlanOptions, open_campaign
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.plans.base_commit import Base, find_base, resolve_base, taken_numbers
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.extract_json import extract_json
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.planning.manual_prompt import estimate_tokens, render_correction, render_manual_prompt
from git_planner.rules.plans import plan as plans

PACKET = f"{PACKETS}/packet.json"
PROMPT = f"{PACKETS}/prompt.md"
SCHEMA = f"{PACKETS}/directive_schema.json"
DIRECTIVE = f"{PACKETS}/directive.json"
PASTED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Packed:
    """A packet that waits for its answer: its branch (full ref), the prompt, about how many tokens it is."""

    ref: str
    commit: str
    packet: Mapping[str, Any]
    prompt: str
    tokens: int

    @property
    def branch(self) -> str:
        """The short branch name, such as 'plan/0003-next'."""
        return self.ref.removeprefix(refnames.HEADS)

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
class Pending:
    """A packet branch: its full ref and tip, the packet, and the answer that lies there (None when none)."""

    ref: str
    tip: str
    packet: Mapping[str, Any]
    answer: bytes | None

    @property
    def branch(self) -> str:
        """The short branch name, such as 'plan/0003-next'."""
        return self.ref[self.ref.index(refnames.PLAN) :]


class AnswerRefused(PlannerError):
    """A pasted answer that cannot be used; `reply` is the text to paste back."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        super().__init__(
            "E_ANSWER",
            f"the answer in '{where}' cannot be used: {faults[0]}",
            hint="paste the reply back into the chat, then run 'git plan manual apply' again",
            details=faults,
        )
        self.reply = render_correction(faults)


def pack(repo: Repository, options: PlanOptions, tell: Tell) -> Packed:
    """Put packet, prompt, schema and an empty answer on a branch 'plan/NNNN-slug', without checking it out.

    Raises:
        PlannerError: what `open_campaign` raises; E_MERGE when the best cannot take a changed guard over;
            E_CONFLICT.
    """
    if options.from_ref is None:
        remeasure_best.remeasure_best(repo, current_plan(repo, options.plan), None, tell)
    campaign = open_campaign(repo, options)
    store = Store(repo)
    number = store.reserve(PACKET_NUMBERS, taken_numbers(repo, refnames.PLAN))
    branch = f"{refnames.PLAN}{number:04d}-{refnames.slug(options.slug or '')}"
    wish = campaign.wish(number, branch, options.model)
    packet = build_packet(repo, wish, read_ledger(repo, campaign.plan), tell=tell)
    schema = documents.schema("directive", **families(packet["strategy_family_constraints"]))
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

    def change(seen: Snapshot) -> Mapping[str, bytes | None]:
        if seen.tip is not None:
            raise PlannerError("E_CONFLICT", f"'{branch}' exists already", hint="run the command again")
        return files

    commit = store.edit(refnames.HEADS + branch, change, message, base=campaign.base.oid)
    assert commit is not None
    return Packed(refnames.HEADS + branch, commit, packet, prompt, estimate_tokens(prompt))


def apply(
    repo: Repository,
    ref: str | None,
    tell: Tell,
    *,
    pasted: tuple[str, bytes] | None = None,
    slug: str | None = None,
    allow_stale_base: bool = False,
) -> Planned:
    """Turn the answer to a packet into an iteration.

    Args:
        repo: the repository.
        ref: the packet's branch; the branch that is checked out, or else the newest packet, when None.
        pasted: where the answer comes from and its bytes; the branch's own directive.json when None.
        slug: the iteration's slug; that of the packet's branch when None.
        allow_stale_base: go on, from where the base is now, though it has moved since the packet was made.

    Returns:
        The iteration, made exactly as other planners' are.

    Raises:
        AnswerRefused: E_ANSWER with every fault.
        PlannerError: E_STALE_BASE, E_UNKNOWN_REF, E_SCHEMA (the packet), E_CONFLICT.
    """
    pending = find_packet(repo, ref)
    where, raw = pasted or (f"{pending.branch}:{DIRECTIVE}", pending.answer or b"")
    directive = read_answer(raw, where, pending.packet)
    campaign = _campaign(repo, pending.packet, allow_stale_base=allow_stale_base, tell=tell)
    chosen = refnames.slug(slug or "", plans.packet_slug(pending.branch) or "manual")
    iteration = refnames.Iteration(reserve_number(repo), chosen)
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
    commit = publish(repo, campaign, state, packet, _acceptance(pending, state))
    folder = repo.private("runs", f"{iteration.number:04d}", "plan")
    return Planned(state, packet, iteration.ref, commit, folder, answer)


def _acceptance(pending: Pending, state: IterationState) -> Also | None:
    """Keep the accepted directive on the packet's branch too, when that is ours to move."""
    if not pending.ref.startswith(refnames.HEADS):
        return None
    trailers = (
        ("Planner-Op", "manual-apply"),
        ("Planner-Args", f"{state.branch} {state.directive_digest}"),
    )
    accepted = canonical_json.dumps(state.directive.document())
    return Also(pending.ref, {DIRECTIVE: accepted}, Message(f"answer accepted: {state.branch}", trailers))


def read_answer(raw: bytes, where: str, packet: Mapping[str, Any]) -> dict[str, Any]:
    """Find the directive in pasted text and judge it by the families of its packet.

    Args:
        raw: the text as it was pasted.
        where: what to call it in an error.
        packet: the packet that it answers.

    Returns:
        The directive's document.

    Raises:
        AnswerRefused: E_ANSWER.
    """
    if len(raw) > PASTED_BYTES:
        raise AnswerRefused(where, [f"/: it has {len(raw):,} bytes; at most {PASTED_BYTES:,} are read"])
    if raw.strip() in (b"", b"{}"):
        raise PlannerError(
            "E_ANSWER",
            f"'{where}' holds no answer yet",
            hint=f"paste it into '{DIRECTIVE}' on that branch and commit it, or name a file with '--file'",
        )
    try:
        document = redact.mask_document(extract_json(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise AnswerRefused(where, [f"/: it is not UTF-8 (byte {error.start})"]) from None
    except PlannerError as error:
        raise AnswerRefused(where, list(error.details) or [f"/: {error.message}"]) from None
    faults = judge("directive", document, **families(packet["strategy_family_constraints"]))
    if faults:
        raise AnswerRefused(where, faults)
    found = documents.complete_answer("directive", document)
    assert isinstance(found, dict)
    return found


def find_packet(repo: Repository, ref: str | None) -> Pending:
    """Read a packet branch.

    Args:
        ref: its name; the branch that is checked out, or else the newest packet, when None.

    Raises:
        PlannerError: E_UNKNOWN_REF when there is none; E_SCHEMA when its packet is not one of ours.
    """
    full = _full_name(repo, ref or _default_branch(repo))
    tip = repo.resolve(full)
    with repo.git.batch() as batch:
        raw = batch.read(f"{tip}:{PACKET}")
        answer = batch.read(f"{tip}:{DIRECTIVE}")
    name = full.removeprefix(refnames.HEADS)
    if raw is None:
        raise PlannerError(
            "E_UNKNOWN_REF", f"'{name}' holds no '{PACKET}'", hint="make a packet with 'git plan manual pack'"
        )
    document = canonical_json.loads(raw, f"{name}:{PACKET}")
    if isinstance(document, dict) and "schema" not in document and "iteration_id" in document:
        raise PlannerError(
            "E_SCHEMA",
            f"the packet on '{name}' was made by the older loop runner",
            hint="make a new one with 'git plan manual pack', and paste the same answer with '--file'",
        )
    documents.check("packet", document, f"{name}:{PACKET}")
    return Pending(full, tip, document, answer)


def packet_branches(repo: Repository) -> list[str]:
    """The local packet branches, short names, highest number first."""
    lines = repo.git.line("for-each-ref", "--format=%(refname:lstrip=2)", refnames.HEADS + refnames.PLAN)
    found = [line for line in lines.splitlines() if plans.packet_slug(line)]
    return sorted(found, key=plans.packet_number, reverse=True)


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


def _campaign(repo: Repository, packet: Mapping[str, Any], *, allow_stale_base: bool, tell: Tell) -> Campaign:
    """The campaign that a packet belongs to, from its base, or from where that is now."""
    options = PlanOptions(
        plan=packet["plan"], goal=packet["goal"], threshold=packet["threshold"], from_ref=packet["base"]
    )
    campaign = open_campaign(repo, options)
    now = _base_now(repo, packet)
    if now.oid == packet["base"]:
        return replace(campaign, base=now)
    moved = f"'{now.ref}' is at {now.oid[:12]} and the packet was made for {packet['base'][:12]}"
    if not allow_stale_base:
        raise PlannerError(
            "E_STALE_BASE",
            f"the base has moved: {moved}",
            hint="make a new packet with 'git plan manual pack', or add '--allow-stale-base'",
        )
    tell(f"the base has moved: {moved}; starting from where it is now")
    return replace(campaign, base=now)


def _base_now(repo: Repository, packet: Mapping[str, Any]) -> Base:
    """What a packet's base would be if it were made now."""
    oid = resolve_base(repo, packet["base_ref"])
    usual = find_base(repo, packet["plan"], None)
    best = refnames.best_ref(packet["plan"]).removeprefix(refnames.HEADS)
    # A packet from the policy's base is outdated as soon as there is a best.
    if packet["base_ref"] == usual.policy.base and usual.ref == best:
        return usual
    if oid is None or packet["base_ref"] == packet["base"]:
        oid = packet["base"]
    return Base(oid, packet["base_ref"], policy_at(repo, oid))
