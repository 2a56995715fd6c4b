"""Campaigns whose reviews are on a loopback GitHub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.lab import Lab
from tests.support.servers.github import GitHubScript, github_service
from tests.support.servers.hosting_site import hosted
from tests.support.workshop import one_document


@contextmanager
def reviewed_campaign(lab: Lab, script: GitHubScript, folder: Path, rule: str, **files: str) -> Iterator[Lab]:
    """Run the site of a campaign with a rule for reviews."""
    hosted(lab, rule, **files)
    with github_service(script, folder) as env:
        lab.env |= env
        yield lab


def opened(lab: Lab, *what: str) -> dict[str, Any]:
    """Return the document of what was opened."""
    return _document(lab, *what, "--open")


def synced(lab: Lab, *what: str) -> dict[str, Any]:
    """Return the document of what came back."""
    return _document(lab, "sync", *what)


def _document(lab: Lab, *words: str) -> dict[str, Any]:
    ran = lab.run("git-plan", "review", *words, "--json")
    assert ran.status == 0, ran.err
    document: dict[str, Any] = one_document(ran.out)
    return document
