"""Signatures of commits, verified against given keys; what the configuration trusts is ignored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository

_SECONDS = 20.0
# An agent may have written the repository's configuration, which names the programs that verify.
_PROGRAMS = (
    "gpg.program=gpg",
    "gpg.openpgp.program=gpg",
    "gpg.ssh.program=ssh-keygen",
    "gpg.x509.program=gpgsm",
    "gpg.minTrustLevel=undefined",
)
_FORM = "--format=%G?%x00%GS%x00%GF%x00%GP"


class Signature(NamedTuple):
    """A good signature: the principal of an ssh key, or the fingerprints of an OpenPGP key (else '')."""

    principal: str
    fingerprints: tuple[str, ...]


def verify(repo: Repository, commit: str, signers: Sequence[str]) -> Signature | None:
    """Return the signature of a commit if it is good; None if it is not, or was made by another ssh key.

    Args:
        repo: the repository.
        commit: an object id.
        signers: lines as in ssh's file of allowed signers; the principals of ssh keys are these.

    Raises:
        PlannerError: E_DEADLINE if the verifying program does not end.
    """
    with tempfile.TemporaryDirectory(prefix="git-planner-signers-") as folder:
        file = Path(folder, "signers")
        file.write_text("".join(f"{line}\n" for line in signers), encoding="utf-8")
        settings = [*_PROGRAMS, f"gpg.ssh.allowedSignersFile={file}"]
        words = [word for setting in settings for word in ("-c", setting)]
        result = repo.git.run(*words, "log", "-1", "--no-color", _FORM, commit, seconds=_SECONDS)
    if result.status == 124:
        raise PlannerError(
            "E_DEADLINE", f"the signature of '{commit[:12]}' was not verified in {_SECONDS:g} s"
        )
    fields = os.fsdecode(result.stdout).rstrip("\n").split("\0")
    if result.status != 0 or len(fields) != 4:
        return None
    state, principal, *prints = fields
    if prints[0].startswith("SHA256:"):
        return Signature(principal, ()) if state == "G" else None
    # The key is named by its fingerprint, so git need not trust it otherwise.
    return (
        Signature("", tuple(print_.upper() for print_ in prints if print_)) if state in ("G", "U") else None
    )
