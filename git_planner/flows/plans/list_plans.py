"""List all plans quickly: few git calls, no record read, few imports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.gitio.git import read_objects
from git_planner.gitio.history import list_ref_fields, list_refs
from git_planner.gitio.objects import parse_tree
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """One plan in a list. `active` is the time of its branch's last commit, in seconds since 1970."""

    name: str
    goal: str
    tasks: Mapping[str, int]
    records: int
    best: float | None
    best_tag: str | None
    active: int

    def document(self) -> dict[str, Any]:
        """Return the plan as one JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def list_plans(repo: Repository) -> tuple[list[PlanSummary], list[str]]:
    """Return all plans with a local branch, and the packet branches, with four git calls in total.

    Records are only counted, not read.

    Raises:
        PlannerError: E_GIT.
    """
    tips, bests, packet_names = _read_refs(repo)
    summaries = []
    folders = read_objects(repo.git, (f"{oid}:{refnames.plan_dir(name)}" for name, (oid, _) in tips.items()))
    id_bytes = 32 if repo.object_format == "sha256" else 20
    blobs: dict[str, list[str]] = {}
    for name, raw in zip(tips, folders, strict=True):
        tree = parse_tree(raw, id_bytes) if raw else {}
        blobs[name] = [tree[page].oid for page in pages.sort_pages(tree)] if pages.FIRST_PAGE in tree else []
    plans_here = [name for name in tips if blobs[name]]
    names = [name for name in plans_here for name in (*blobs[name], f"{tips[name][0]}:{refnames.RECORDS}")]
    contents = read_objects(repo.git, names)
    for name in plans_here:
        page_documents = [parse_leniently(next(contents)) for _ in blobs[name]]
        raw = next(contents)
        best = bests.get(refnames.best_ref(name))
        tasks = [task for page in page_documents for task in page.get("tasks", ())]
        summaries.append(
            PlanSummary(
                name=name,
                goal=str(page_documents[0].get("goal", "")),
                tasks=plans.count_tasks({"tasks": tasks}),
                records=sum(file.endswith(".json") for file in parse_tree(raw, id_bytes)) if raw else 0,
                best=best[0] if best else None,
                best_tag=best[1] if best else None,
                active=tips[name][1],
            )
        )
    return summaries, packet_names


def _read_refs(
    repo: Repository,
) -> tuple[dict[str, tuple[str, int]], dict[str, tuple[float | None, str | None]], list[str]]:
    """Read plan branches with tip and time, rolling bests with value and tag, and packet branches."""
    fields = ("objectname", "*objectname", "committerdate:unix")
    prefixes = (refnames.HEADS + refnames.PLAN, f"{refnames.HEADS}{refnames.ITER}best*", refnames.BEST_TAG)
    tips: dict[str, tuple[str, int]] = {}
    tags: dict[str, tuple[float | None, str]] = {}
    heads: dict[str, str] = {}
    packet_names = []
    for ref, (oid, peeled, time) in list_ref_fields(repo, fields, prefixes).items():
        name = ref.removeprefix(refnames.HEADS + refnames.PLAN)
        if ref.startswith(refnames.BEST_TAG):
            tags[peeled or oid] = (
                _tag_value(ref.removeprefix(refnames.BEST_TAG)),
                refnames.short_name(ref),
            )
        elif name == ref:
            heads[ref] = oid
        elif "/" not in name and plans.is_plan_name(name):
            tips[name] = (oid, int(time or 0))
        elif plans.packet_slug(refnames.PLAN + name):
            packet_names.append(refnames.PLAN + name)
    return tips, {ref: tags.get(oid, (None, None)) for ref, oid in heads.items()}, packet_names


def _tag_value(tag: str) -> float | None:
    match = re.match(r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)-", tag)
    return float(match[1]) if match else None


def parse_leniently(raw: bytes | None) -> dict[str, Any]:
    """Parse a document for display only; return an empty one if it is unreadable."""
    try:
        document = canonical_json.loads_trusted(raw or b"{}", many=True)
    except PlannerError:
        return {}
    return document if isinstance(document, dict) else {}


def packet_branches(repo: Repository) -> list[str]:
    """Return the short names of local packet branches, highest number first."""
    refs = list_refs(repo, refnames.HEADS + refnames.PLAN)
    branches = [name for ref in refs if plans.packet_slug(name := refnames.short_name(ref))]
    return sorted(branches, key=plans.packet_number, reverse=True)
