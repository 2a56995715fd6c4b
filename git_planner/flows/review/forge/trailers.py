"""Remarks in commits: the trailers 'Reviewed-by' and 'Changes-requested', which work on every site."""

from __future__ import annotations

import re
from collections.abc import Iterator

from git_planner import redact
from git_planner.gitio.repository import Repository
from git_planner.rules.plans.remarks import Remark, clean_remark
from git_planner.rules.policy.review_rule import ReviewRule
from git_planner.rules.timestamps import format_time

_MAX_COMMITS, _MAX_PEOPLE, _MAX_BYTES = 200, 10, 64 * 1024
_PLAIN = ("--no-show-signature", "--no-color")
_KEYS = {"reviewed-by": "approved", "changes-requested": "changes_requested"}
_PERSON = re.compile(r"\s*([^<>\n]{0,100}?)\s*<([^<>\s]{3,200})>\s*")


def trailer_remarks(
    repo: Repository, revisions: tuple[str, ...], about: str, rule: ReviewRule
) -> list[Remark]:
    """Return the remarks in commits; if the policy lists reviewers, those of others are not heard.

    Args:
        repo: the repository.
        revisions: the commits, as 'git log' takes them.
        about: kind and name of what is reviewed.
        rule: the policy's rule.
    """
    commits = _find_commits(repo, revisions)
    if not commits:
        return []
    keys = "".join(f"%(trailers:key={key},unfold)" for key in _KEYS)
    form = f"--format=%H%x00%ct%x00%B%x00{keys}%x00"
    raw = repo.git.bytes("log", "--no-walk=unsorted", *_PLAIN, "--encoding=UTF-8", form, *commits, "--")
    fields = raw.decode(errors="replace").split("\0")
    addresses = {address.lower() for address in rule.addresses}
    remarks = []
    for oid, seconds, message, trailers in zip(*(fields[place::4] for place in range(4)), strict=False):
        for place, (decision, name, address) in enumerate(_people(trailers)):
            if not addresses or address.lower() in addresses:
                text = "" if decision == "approved" else _words(message, trailers)
                id_, at = f"commit-{oid.strip()[:16]}-{place}", format_time(int(seconds))
                text = redact.mask_text(text)
                remarks.append(clean_remark(Remark(id_, about, name or address, at, decision, text)))
    return remarks


def _find_commits(repo: Repository, revisions: tuple[str, ...]) -> list[str]:
    """Return the commits that may have such a trailer; huge ones are left out."""
    pattern = ("--regexp-ignore-case", "--extended-regexp", "--grep=^(reviewed-by|changes-requested):")
    args = ("log", *_PLAIN, f"--max-count={_MAX_COMMITS}", "--format=%H", *pattern)
    oids = repo.git.line(*args, *revisions, "--").split()
    with repo.git.batch() as batch:
        sizes = [(oid, batch.info(oid)) for oid in oids]
    return [oid for oid, info in sizes if info is not None and info[2] <= _MAX_BYTES]


def _people(trailers: str) -> Iterator[tuple[str, str, str]]:
    for line in trailers.splitlines()[:_MAX_PEOPLE]:
        key, _, value = line.partition(":")
        decision, person = _KEYS.get(key.strip().lower()), _PERSON.fullmatch(value)
        if decision and person:
            yield decision, person[1], person[2]


def _words(message: str, trailers: str) -> str:
    """Return a commit's message without its trailers."""
    keys = {line.strip() for line in trailers.splitlines()}
    return "\n".join(line for line in message.splitlines() if line.strip() not in keys)
