"""Read task claims (refs/planner/claims/…).

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
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.host.process_identity import ProcessIdentity

CLAIM_FILE = "claim.json"


class Claim(NamedTuple):
    """One claim, with the fields of its document. `process` is None for a person."""

    plan: str
    task: str
    uid: str
    attempt: int
    owner: str
    host: str
    process: ProcessIdentity | None
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
        if self.process is not None:
            # Where the process can be seen, it decides: a suspended machine or a slow agent keeps the claim,
            # a reboot loses it.
            from git_planner.host.process_identity import sight

            process_sight = sight(self.process, self.host)
            if process_sight != "far":
                return process_sight == "alive"
        return utc_now() < self.expires_at


def read_claims(repo: Repository, plan: str) -> dict[str, Claim]:
    """Read all claims on the tasks of a plan, in force or lapsed, by task id."""
    prefix = f"{refnames.CLAIMS}{plan}/"
    claims_by_task = {}
    refs = [prefix + name for name in Store(repo).numbers(prefix)]
    if not refs:
        return {}
    for ref, files in Store(repo).read_all(refs, "").items():
        claim = _parse_claim(files.get(CLAIM_FILE), ref)
        if claim is not None:
            claims_by_task[ref.removeprefix(prefix)] = claim
    return claims_by_task


def claimed_tasks(repo: Repository, plan: str) -> frozenset[str]:
    """Return the ids of a plan's tasks whose claims are in force."""
    return frozenset(name for name, claim in read_claims(repo, plan).items() if claim.in_force())


def read_claim(snapshot: Snapshot) -> Claim | None:
    """Read a claim from a snapshot of its ref; None without a valid claim."""
    return _parse_claim(snapshot.read(CLAIM_FILE), snapshot.ref)


def claimed_task_error(claim: Claim, remote: str | None = None) -> PlannerError:
    """Return the error for a task that another holds; `remote` has the claim, if it is not here."""
    since = f"since {claim.claimed_at}" + (f", as '{remote}' says" if remote else "")
    process = f", process {claim.process.pid}" if claim.process else ""
    return PlannerError(
        "E_BUSY",
        f"'{claim.task}' is claimed by '{claim.owner}' on '{claim.host}'{process} {since}",
        hint=f"wait, or choose another task: 'git plan task ready --plan {claim.plan}'",
    )


def _parse_claim(data: bytes | None, ref: str) -> Claim | None:
    """Parse a claim; an invalid one, or that of another task than its ref's, counts as None."""
    if data is None:
        return None
    try:
        document = documents.read("claim", data, CLAIM_FILE)
    except PlannerError:
        return None
    if ref != f"{refnames.CLAIMS}{document['plan']}/{document['task']}":
        return None
    del document["schema"]
    from git_planner.host import process_identity

    process = document["process"]
    return Claim(**{**document, "process": process and process_identity.identity_from(process)})
