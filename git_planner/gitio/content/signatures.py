"""Signatures of commits, verified against given keys; what the configuration trusts is ignored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.git import TIMED_OUT
from git_planner.gitio.git_failure import failure
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
_SIGNATURE = ("%G?", "%GS", "%GF", "%GP")


class Signature(NamedTuple):
    """A good signature: the principal of an ssh key, or the fingerprints of an OpenPGP key (else '')."""

    principal: str
    fingerprints: tuple[str, ...]


def signed_log(
    repo: Repository, signers: Sequence[str], fields: Sequence[str], *args: str
) -> tuple[list[str], Signature | None] | None:
    """Return fields of one commit and its signature, by one git; None if there is no such commit.

    The signature is None if it is not good, or was made by an ssh key that is not listed.

    Args:
        repo: the repository.
        signers: lines as in ssh's file of allowed signers; the principals of ssh keys are these.
        fields: placeholders of 'git log --format'.
        args: options, revisions and paths of 'git log'.

    Raises:
        PlannerError: E_DEADLINE if the verifying program does not end; E_GIT.
    """
    form = "--format=" + "%x00".join((*fields, *_SIGNATURE))
    with tempfile.TemporaryDirectory(prefix="git-planner-signers-") as folder:
        file = Path(folder, "signers")
        file.write_text("".join(f"{line}\n" for line in signers), encoding="utf-8")
        settings = [*_PROGRAMS, f"gpg.ssh.allowedSignersFile={file}"]
        words = [word for setting in settings for word in ("-c", setting)]
        options = ("log", "-1", "--no-show-signature", "--no-color", "--encoding=UTF-8", form)
        result = repo.git.run(*words, *options, *args, seconds=_SECONDS)
    if result.status == TIMED_OUT:
        raise PlannerError("E_DEADLINE", f"a signature was not verified within {_SECONDS:g} seconds")
    if result.status != 0:
        raise failure(("log", *args), result, repo.git.cwd)
    values = os.fsdecode(result.stdout).rstrip("\n").split("\0")
    if len(values) != len(fields) + len(_SIGNATURE):
        return None
    return values[: len(fields)], _signature(*values[len(fields) :])


def _signature(state: str, principal: str, own: str, primary: str) -> Signature | None:
    if own.startswith("SHA256:"):
        return Signature(principal, ()) if state == "G" else None
    # The key is named by its fingerprint, so git need not trust it otherwise.
    prints = tuple(fingerprint.upper() for fingerprint in (own, primary) if fingerprint)
    return Signature("", prints) if state in ("G", "U") else None
