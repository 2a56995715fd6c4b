"""Finding about the program that signs commits: one that asks would keep every commit waiting."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import process
from git_planner.rules.diagnostic import Diagnostic

_SECONDS = 10.0
_DATA = b"a trial of git planner doctor\n"
# In place of the program that asks for a passphrase, one that refuses; it is used instead of a terminal.
_REFUSE = {"SSH_ASKPASS": "false", "SSH_ASKPASS_REQUIRE": "force"}


def signer_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Sign something as git signs commits, if it does, in a way that cannot ask anybody.

    Only gpg and ssh-keygen are tried: others are not known to be quiet.
    """
    if repo.git.answer("config", "--type=bool", "--get", "commit.gpgSign") != b"true\n":
        return
    kind = repo.config("gpg.format") or "openpgp"
    program = repo.config(f"gpg.{kind}.program") or (
        repo.config("gpg.program") if kind == "openpgp" else None
    )
    key = repo.config("user.signingKey") or ""
    with tempfile.TemporaryDirectory(prefix="git-planner-signer-") as folder:
        if kind == "ssh" and Path(program or "ssh-keygen").name == "ssh-keygen" and key:
            file = _key_file(key, Path(folder))
            problem = _try([program or "ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(file)])
        elif kind == "openpgp" and Path(program or "gpg").name in ("gpg", "gpg2"):
            who = key or repo.git.line("var", "GIT_COMMITTER_IDENT").partition(">")[0] + ">"
            quiet = ("--batch", "--no-tty", "--pinentry-mode", "error")
            problem = _try([program or "gpg", *quiet, "-bsau", who])
        else:
            return
    if problem is not None:
        yield Diagnostic(
            "warning",
            "signer-asks",
            f"commits are signed, and signing without a person fails: {problem}",
            "commit.gpgSign",
            "unlock the key in its agent before longer work, or 'git config commit.gpgSign false' here",
        )


def _key_file(key: str, folder: Path) -> Path:
    """Return the file of an ssh key, which the configuration may hold itself."""
    literal = key.removeprefix("key::")
    if literal != key or literal.startswith("ssh-"):
        file = folder / "key.pub"
        file.write_text(f"{literal}\n", encoding="utf-8")
        return file
    return Path(key).expanduser()


def _try(argv: Sequence[str]) -> str | None:
    """Return why a program does not sign; None if it does."""
    try:
        done = process.run(argv, cwd=Path("/"), seconds=_SECONDS, env={**os.environ, **_REFUSE}, stdin=_DATA)
    except PlannerError as error:
        return error.message
    if done.timed_out:
        return f"'{argv[0]}' did not end within {_SECONDS:g} seconds"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (lines[-1][:200] if lines else f"status {done.status}") if done.status != 0 else None
