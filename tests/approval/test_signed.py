"""Approval by a signed commit: only signatures of the policy's keys count."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.servers.hosting_site import answered_packet, hosted
from tests.support.workshop import directive

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
COMMITTER = "committer@example.com"


def make_key(lab: Lab, name: str) -> str:
    """Make an ssh key without a passphrase, and return its public line."""
    path = lab.root / name
    ran = lab.run_program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    assert ran.status == 0, ran.err
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def signing(lab: Lab, rule: str = "") -> str:
    """Commit a workshop whose policy accepts the key 'owner', sign with it, and return a packet's branch."""
    key = make_key(lab, "owner")
    hosted(
        lab,
        f"{{directives: required, by: approval, reviewers: ['{COMMITTER} {key}']{rule}}}",
    )
    sign_with(lab, "owner")
    return answered_packet(lab, directive())


def sign_with(lab: Lab, name: str) -> None:
    """Let git sign with a key."""
    lab.git("config", "gpg.format", "ssh")
    lab.git("config", "user.signingKey", str(lab.root / f"{name}.pub"))


def reason(lab: Lab) -> str:
    """Return why the packet's answer may not run."""
    before = lab.refs()
    ran = lab.run("git-plan", "manual", "apply", "--json")
    assert ran.status == 3, ran.out + ran.err
    assert {ref for ref in lab.refs() if "/iter/" in ref} == {ref for ref in before if "/iter/" in ref}
    return str(json.loads(ran.out)["message"])


def test_a_signed_approval_lets_a_directive_run_and_travels_with_the_plan(lab: Lab) -> None:
    packet = signing(lab)
    assert reason(lab) == f"the directive '{packet}' has no approval"
    review = lab.run("git-plan", "review", packet, "--exit-code")
    assert review.status == 1
    assert "\n\n**Not approved**: this directive has no approval.\n\nAsked: " in review.out
    approved = lab.run("git-plan", "review", packet, "--approve", "-m", "looks good")
    assert approved.status == 0, approved.err
    commit = lab.git("rev-parse", "plan/default")
    assert approved.out == f"{packet}: signed in {commit[:12]}; share it with 'git plan push'\n"
    review = lab.run("git-plan", "review", packet, "--exit-code", "--json")
    assert review.status == 0
    approval = json.loads(review.out)["approval"]
    assert (approval["state"], approval["by"], approval["how"]) == ("approved", COMMITTER, "approval")
    assert approval["commit"] == commit
    # Approving again changes nothing.
    assert lab.run("git-plan", "review", packet, "--approve").status == 0
    assert lab.git("rev-parse", "plan/default") == commit
    assert lab.run("git-plan", "push").status == 0
    assert lab.run("git-plan", "manual", "apply").status == 0


@pytest.mark.parametrize("how", ["unsigned", "other key", "forged program", "moved", "changed", "rebased"])
def test_what_no_key_of_the_policy_has_signed_does_not_count(lab: Lab, how: str) -> None:
    packet = signing(lab)
    if how in ("other key", "forged program"):
        make_key(lab, "other")
        sign_with(lab, "other")
    signed = lab.run("git-plan", "review", packet, "--approve")
    if how in ("other key", "forged program"):
        assert signed.status == 1
        assert "it does not count: the directive has an approval without a valid signature" in signed.err
    else:
        assert signed.status == 0
    if how == "forged program":
        # An agent may have written the repository's configuration.
        line = f"{COMMITTER} {(lab.root / 'other.pub').read_text()}"
        (lab.root / "allowed").write_text(line)
        lab.git("config", "gpg.ssh.allowedSignersFile", str(lab.root / "allowed"))
        lab.git("config", "gpg.ssh.program", "true")
    path = lab.git("diff-tree", "--name-only", "-r", "--no-commit-id", "plan/default")
    tip, parent = lab.git("rev-parse", "plan/default", "plan/default^").split()
    if how in ("unsigned", "rebased"):
        message = lab.git("log", "-1", "--format=%B", tip)
        new = lab.git("commit-tree", f"{tip}^{{tree}}", "-p", parent, "-m", message)
        lab.git("update-ref", "refs/heads/plan/default", new)
    elif how == "moved":
        # The reviewer's file in a commit of another person.
        content = lab.show(f"{tip}:{path}")
        lab.git("update-ref", "refs/heads/plan/default", parent)
        lab.rival("refs/heads/plan/default", path, content)
    elif how == "changed":
        lab.rival(
            "refs/heads/plan/default", path, lab.show(f"{tip}:{path}").replace('"note": ""', '"note": "x"')
        )
    assert reason(lab) == (
        f"the directive '{packet}' has an approval without a valid signature of a reviewer"
    )


def test_a_signature_of_other_work_is_no_approval(lab: Lab) -> None:
    packet = signing(lab)
    assert lab.run("git-plan", "review", packet, "--approve").status == 0
    path = lab.git("diff-tree", "--name-only", "-r", "--no-commit-id", "plan/default")
    content = lab.show(f"plan/default:{path}")
    lab.git("update-ref", "refs/heads/plan/default", "plan/default^")
    # An agent left the file in a checkout of the plan, and the reviewer commits all there is.
    lab.git("checkout", "-q", "plan/default")
    lab.git("config", "commit.gpgSign", "true")
    lab.commit("notes", {path: content, ".plans/default/notes.md": "x\n"})
    lab.git("checkout", "-q", "main")
    assert reason(lab).endswith("has an approval without a valid signature of a reviewer")


def test_the_author_alone_may_not_sign(lab: Lab) -> None:
    lab.env["GIT_AUTHOR_EMAIL"] = COMMITTER
    packet = signing(lab, ", others: true")
    signed = lab.run("git-plan", "review", packet, "--approve")
    assert signed.status == 1
    assert reason(lab).endswith("is approved by its author alone, and the policy wants another person")


def test_a_signed_approval_does_not_count_where_the_policy_wants_a_merge(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, directive())
    before = lab.refs()
    ran = lab.run("git-plan", "review", packet, "--approve")
    assert (ran.status, lab.refs()) == (2, before)
    assert f"hint: git plan review {packet} --open" in ran.err


def test_a_key_that_cannot_sign_leaves_nothing_behind(lab: Lab) -> None:
    packet = signing(lab)
    (lab.root / "owner").unlink()
    before = lab.refs()
    ran = lab.run("git-plan", "review", packet, "--approve")
    assert (ran.status, lab.refs()) == (4, before)
    assert "(E_SIGN)" in ran.err


@pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg")
def test_a_key_of_openpgp_counts_by_its_fingerprint(lab: Lab) -> None:
    # The path of its agent's socket must be short.
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp") as home:
        lab.env["GNUPGHOME"] = home
        options = (
            "--batch",
            "--passphrase",
            "",
            "--quick-gen-key",
            f"C <{COMMITTER}>",
            "ed25519",
            "sign",
            "0",
        )
        assert lab.run_program("gpg", *options).status == 0
        try:
            listed = lab.run_program("gpg", "--list-keys", "--with-colons").out
            fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
            rule = "directives: required, by: approval"
            hosted(lab, f"{{{rule}, reviewers: ['{COMMITTER} gpg:{fingerprint}']}}")
            lab.git("config", "user.signingKey", fingerprint)
            packet = answered_packet(lab, directive())
            signed = lab.run("git-plan", "review", packet, "--approve", "--json")
            assert signed.status == 0, signed.err
            assert json.loads(signed.out)["approval"]["by"] == COMMITTER
            assert lab.run("git-plan", "manual", "apply").status == 0
        finally:
            lab.run_program("gpgconf", "--kill", "gpg-agent")
