"""Where things stand: the current iteration, all plans at a glance, one directive, one document. Reads only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import config, documents
from git_planner.errors import PlannerError
from git_planner.flows.base import current_plan, is_plan_name
from git_planner.flows.campaign import read_plan
from git_planner.flows.iterations import Iteration, survey
from git_planner.flows.ledger import ledger
from git_planner.flows.manual import packet_branches
from git_planner.gitio.git import read_objects
from git_planner.gitio.objects import parse_tree
from git_planner.gitio.repository import Repository
from git_planner.rules import canonical, names, pages
from git_planner.rules import packet as packets
from git_planner.rules import plan as plans
from git_planner.rules import planning_plan as graphs
from git_planner.rules import record as records
from git_planner.rules.record import Record

_SCHEMA = re.compile(r"git-planner/([a-z-]+)@1")
_OURS = (names.STATE_FILE, "planner_packets/directive.json", names.POLICY_FILE)
_NUMBER = re.compile(r"(?:iter/)?0*([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Status:
    """One plan in short. `current` is the checked-out iteration, else the newest; `record` is its result.

    `open` are the iterations without a result; `packets` the branches that wait for a pasted answer (short
    names, newest first); `plateau` counts valid attempts since the last improvement.
    """

    plan: str
    goal: str
    current: Iteration | None
    record: Record | None
    best: Record | None
    plateau: int | None
    rule: packets.FamilyRule | None
    open: tuple[Iteration, ...]
    packets: tuple[str, ...]
    tasks: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """The status as one JSON object."""
        return {
            "plan": self.plan,
            "goal": self.goal,
            "current": self.current.document() if self.current else None,
            "directive": self.directive,
            "record": packets.attempt(self.record) if self.record else None,
            "best": packets.attempt(self.best) if self.best else None,
            "plateau_valid_iters_since_best": self.plateau,
            "strategy_family_constraints": self.rule.document() if self.rule else None,
            "open": [each.document() for each in self.open],
            "packets": list(self.packets),
            "tasks": dict(self.tasks),
        }

    @property
    def directive(self) -> dict[str, Any] | None:
        """The current iteration's directive."""
        state = self.current.state if self.current else None
        return state.directive.document() if state else None


@dataclass(frozen=True, slots=True)
class Listed:
    """One plan in a list. `active` is when its branch last moved, in seconds since 1970."""

    name: str
    goal: str
    tasks: Mapping[str, int]
    records: int
    best: float | None
    best_tag: str | None
    active: int

    def document(self) -> dict[str, Any]:
        """The plan as one JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Judged:
    """A document that was judged: what kind it is, where it came from, and one sentence a fault."""

    kind: str | None
    where: str
    faults: tuple[str, ...]


def status(repo: Repository, plan: str | None) -> Status:
    """Where a plan stands.

    Args:
        plan: its name; the current one when None.

    Raises:
        PlannerError: E_NAME, E_JSON, E_SCHEMA.
    """
    name = current_plan(repo, plan)
    rows = ledger(repo, name)
    document = read_plan(repo, name)
    found = survey(repo, name)
    head = repo.head_branch()
    current = next((each for each in found if each.branch == head), found[-1] if found else None)
    comparable = packets.comparable(rows)
    return Status(
        plan=name,
        goal=document["goal"] if document else "",
        current=current,
        record=_record(current, rows),
        best=records.best(comparable),
        plateau=records.plateau(comparable),
        rule=_rule(repo, current, rows),
        open=tuple(each for each in found if each.phase != "recorded"),
        packets=tuple(packet_branches(repo)),
        tasks=plans.counts(document) if document else {},
    )


def _record(current: Iteration | None, rows: Sequence[Record]) -> Record | None:
    wanted = current.record.id if current and current.record else None
    return next((each for each in rows if each.id == wanted), None)


def _rule(repo: Repository, current: Iteration | None, rows: Sequence[Record]) -> packets.FamilyRule | None:
    if current is None or current.state is None or repo.maybe(current.state.base) is None:
        return None
    return packets.family_rule(rows, config.policy_at(repo, current.state.base).families)


def listing(repo: Repository) -> list[Listed]:
    """All plans with a branch here, by name; three calls of git whatever their number.

    Only counts are taken from the ledgers: no record is read.

    Raises:
        PlannerError: E_GIT.
    """
    tips, bests = _refs(repo)
    found = []
    folders = read_objects(repo.git, (f"{oid}:{names.plan_dir(name)}" for name, (oid, _) in tips.items()))
    id_bytes = 32 if repo.object_format == "sha256" else 20
    blobs: dict[str, list[str]] = {}
    for name, raw in zip(tips, folders, strict=True):
        tree = parse_tree(raw, id_bytes) if raw else {}
        blobs[name] = [tree[page].oid for page in pages.in_order(tree)] if pages.FIRST in tree else []
    plans_here = [name for name in tips if blobs[name]]
    wanted = [each for name in plans_here for each in (*blobs[name], f"{tips[name][0]}:{names.RECORDS}")]
    contents = read_objects(repo.git, wanted)
    for name in plans_here:
        page_documents = [_lenient(next(contents)) for _ in blobs[name]]
        raw = next(contents)
        best = bests.get(names.best_ref(name))
        tasks = [task for page in page_documents for task in page.get("tasks", ())]
        found.append(
            Listed(
                name=name,
                goal=str(page_documents[0].get("goal", "")),
                tasks=plans.counts({"tasks": tasks}),
                records=sum(each.endswith(".json") for each in parse_tree(raw, id_bytes)) if raw else 0,
                best=best[0] if best else None,
                best_tag=best[1] if best else None,
                active=tips[name][1],
            )
        )
    return found


def _refs(repo: Repository) -> tuple[dict[str, tuple[str, int]], dict[str, tuple[float | None, str | None]]]:
    """Plan branches with tip and time, and the rolling bests with the value that their tag says."""
    form = "%(refname)%00%(objectname)%00%(*objectname)%00%(committerdate:unix)%00"
    prefixes = (names.HEADS + names.PLAN, f"{names.HEADS}{names.ITER}best*", names.BEST_TAG)
    parts = os.fsdecode(repo.git.bytes("for-each-ref", f"--format={form}", *prefixes)).split("\0")
    rows = list(zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=False))
    tips: dict[str, tuple[str, int]] = {}
    tags: dict[str, tuple[float | None, str]] = {}
    heads: dict[str, str] = {}
    for padded, oid, peeled, time in rows:
        ref = padded.lstrip("\n")
        name = ref.removeprefix(names.HEADS + names.PLAN)
        if ref.startswith(names.BEST_TAG):
            tags[peeled or oid] = (_value(ref.removeprefix(names.BEST_TAG)), ref.removeprefix("refs/tags/"))
        elif name == ref:
            heads[ref] = oid
        elif "/" not in name and is_plan_name(name):
            tips[name] = (oid, int(time or 0))
    return tips, {ref: tags.get(oid, (None, None)) for ref, oid in heads.items()}


def _value(tag: str) -> float | None:
    found = re.match(r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)-", tag)
    return float(found[1]) if found else None


def _lenient(raw: bytes | None) -> dict[str, Any]:
    """A document for showing only: what cannot be read is empty."""
    try:
        document = canonical.loads_ours(raw or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def show(repo: Repository, name: str | None) -> Iteration:
    """The iteration of a number, branch or commit; the checked-out one, else the newest, when None.

    Raises:
        PlannerError: E_UNKNOWN_REF.
    """
    found = [each for each in survey(repo) if each.state is not None]
    if name is None:
        head = repo.head_branch()
        plan = current_plan(repo, None)
        own = [each for each in found if each.state and each.state.plan == plan]
        chosen = next((each for each in found if each.branch == head), own[-1] if own else None)
        if chosen is None:
            raise PlannerError(
                "E_UNKNOWN_REF",
                f"the plan '{plan}' has no iteration yet",
                hint="make one with 'git plan codex' or 'git plan offline'",
            )
        return chosen
    number = _NUMBER.fullmatch(name)
    for each in found:
        if each.branch == name.removeprefix(names.HEADS) or (number and each.number == int(number[1])):
            return each
    return _by_commit(repo, name, found)


def _by_commit(repo: Repository, name: str, found: Sequence[Iteration]) -> Iteration:
    if not _NUMBER.fullmatch(name):
        commit = repo.resolve(name)
        with repo.git.batch() as batch:
            raw = batch.read(f"{commit}:{names.STATE_FILE}")
        state = _lenient(raw)
        for each in found:
            if (each.number, each.branch) == (state.get("iteration"), state.get("branch")):
                return each
    raise PlannerError(
        "E_UNKNOWN_REF", f"'{name}' names no iteration here", hint="list them with 'git iterate list'"
    )


def load(repo: Repository | None, name: str) -> tuple[bytes, str]:
    """The bytes of a document named by a file, by 'REF:PATH' or by a ref that holds one of ours.

    Returns:
        The bytes, and what to call them in a message.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_JSON when it is too large.
    """
    path = Path(name)
    if path.is_file():
        if path.stat().st_size > canonical.MAX_BYTES:
            raise PlannerError("E_JSON", f"'{name}' has more than {canonical.MAX_BYTES:,} bytes")
        return path.read_bytes(), name
    if repo is not None:
        tried = [name] if ":" in name else [f"{name}:{inner}" for inner in (*_plan_file(name), *_OURS)]
        with repo.git.batch() as batch:
            for each in tried:
                found = batch.info(each)
                if found and found[1] == "blob":
                    if found[2] > canonical.MAX_BYTES:
                        raise PlannerError("E_JSON", f"'{each}' has more than {canonical.MAX_BYTES:,} bytes")
                    return batch.read(each) or b"", each
    raise PlannerError(
        "E_UNKNOWN_REF",
        f"'{name}' is neither a file nor a ref that holds a document",
        hint="name a file, 'REF:PATH', or a branch such as 'iter/0001-next'",
    )


def _plan_file(name: str) -> list[str]:
    short = name.removeprefix(names.HEADS).removeprefix(names.PLAN)
    return [f".plans/{short}/{pages.FIRST}"] if is_plan_name(short) else []


def judge_document(data: bytes, where: str) -> Judged:
    """Judge a document of any kind by the kind that its 'schema' says."""
    if where.endswith((".yml", ".yaml")):
        try:
            config.parse_policy(data, where)
        except PlannerError as error:
            return Judged("policy", where, error.details or (error.message,))
        return Judged("policy", where, ())
    try:
        document = canonical.loads(data, where)
    except PlannerError as error:
        return Judged(None, where, (f"/: {error.message}",))
    if not isinstance(document, dict):
        return Judged(None, where, ("/: is not an object",))
    kind = _kind(document)
    if kind is None:
        return Judged(None, where, (f"/schema: must be one of {_known()}",))
    whole = document if "schema" in document else documents.completed(kind, document)
    faults = documents.validate(kind, whole)
    return Judged(kind, where, tuple(faults or _beyond_schema(kind, whole)))


def _kind(document: Mapping[str, Any]) -> str | None:
    named = document.get("schema")
    if isinstance(named, str):
        found = _SCHEMA.fullmatch(named)
        return found[1] if found and found[1] in documents.KINDS else None
    if named is None and "step_plan" in document:
        return "directive"
    return "planning-plan" if named is None and "plan_summary" in document else None


def _known() -> str:
    return ", ".join(f"'git-planner/{kind}@1'" for kind in documents.KINDS)


def _beyond_schema(kind: str, document: Mapping[str, Any]) -> list[str]:
    """What a schema cannot say."""
    if kind == "planning-plan":
        return graphs.faults(document)
    if kind == "state" and canonical.digest(document["directive"]) != document["directive_digest"]:
        return ["/directive_digest: is not the digest of /directive"]
    if kind == "plan":
        graph = {task["id"]: task["dependencies"] for task in document["tasks"]}
        cycle = graphs.find_cycle(graph)
        if len(graph) < len(document["tasks"]):
            return ["/tasks: two tasks have one id"]
        return [f"/tasks: wait for each other: {' → '.join(cycle)}"] if cycle else []
    return []
