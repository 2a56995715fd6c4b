"""Who holds what: claims on tasks as they stand on their refs. Reads only.

A claim is a commit of its own on 'refs/planner/claims/<plan>/<task>', so the earlier claims on a task are its
history. It is in force while its process lives; where that cannot be seen, until it expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Store
from git_planner.host.clock import utc_now
from git_planner.host.machine import host_name
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.host.process_identity import Identity

FILE = "claim.json"


class Claim(NamedTuple):
    """One claim, field for field as in its document. `process` is None for a person."""

    plan: str
    task: str
    uid: str
    attempt: int
    owner: str
    host: str
    process: Identity | None
    run: str | None
    claimed_at: str
    expires_at: str
    nonce: str

    def document(self) -> dict[str, Any]:
        """The claim as JSON."""
        fields = {name: getattr(self, name) for name in self._fields}
        process = self.process.document() if self.process else None
        return {"schema": "git-planner/claim@1", **fields, "process": process}

    def in_force(self) -> bool:
        """Return whether the claim still keeps others out: by the wall clock, never by git's date."""
        if self.process is None or self.host != host_name():
            return utc_now() < self.expires_at
        # On this machine the process can be looked at: neither a pause of the machine nor a slow agent loses
        # the claim, and a restart of the machine does.
        from git_planner.host import process_identity

        return process_identity.alive(self.process)


def claims(repo: Repository, plan: str) -> dict[str, Claim]:
    """All claims on tasks of a plan, in force or not, by the task's id."""
    prefix = f"{refnames.CLAIMS}{plan}/"
    found = {}
    refs = [prefix + name for name in Store(repo).numbers(prefix)]
    if not refs:
        return {}
    for ref, files in Store(repo).read_all(refs, "").items():
        claim = _read(files.get(FILE))
        if claim is not None:
            found[ref.removeprefix(prefix)] = claim
    return found


def held(repo: Repository, plan: str) -> frozenset[str]:
    """Return the ids of a plan's tasks whose claims are in force."""
    return frozenset(name for name, claim in claims(repo, plan).items() if claim.in_force())


def claim_on(seen: Snapshot) -> Claim | None:
    """The claim on a snapshot of its ref; None when there is none, or nothing that could be one."""
    return _read(seen.read(FILE))


def busy(claim: Claim) -> PlannerError:
    """The error for a task that somebody else holds."""
    who = f", process {claim.process.pid}" if claim.process else ""
    return PlannerError(
        "E_BUSY",
        f"'{claim.task}' is claimed by '{claim.owner}' on '{claim.host}'{who} since {claim.claimed_at}",
        hint=f"wait for it, or take another: 'git plan task ready --plan {claim.plan}'",
    )


def _read(data: bytes | None) -> Claim | None:
    """Whatever is no claim holds nobody up."""
    if data is None:
        return None
    try:
        document = documents.read("claim", data, FILE)
    except PlannerError:
        return None
    del document["schema"]
    from git_planner.host import process_identity

    process = document["process"]
    return Claim(**{**document, "process": process and process_identity.identity_from(process)})
