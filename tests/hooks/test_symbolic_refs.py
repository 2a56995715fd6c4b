"""A branch of git-planner is never a symbolic ref: the hook refuses it as a newer git reports it."""

from __future__ import annotations

import pytest

from tests.hooks.hooked_repository import ITERATION, begun, guarded_lab
from tests.support.lab import Lab

ZERO = "0" * 40


@pytest.mark.parametrize(
    "ref", [f"refs/heads/{ITERATION}", "refs/heads/plan/default", "refs/heads/iter/best"]
)
def test_a_symbolic_ref_for_a_branch_is_refused(lab: Lab, ref: str) -> None:
    begun(guarded_lab(lab))
    lab.git("branch", "evil", "main")
    # What git 2.46 and newer pass to the hook for 'git symbolic-ref'.
    update = f"{ZERO} ref:refs/heads/evil {ref}\n"
    hook = lab.path / ".git/hooks/reference-transaction"
    refused = lab.run_program(str(hook), "prepared", stdin=update)
    assert (refused.status != 0, refused.err.splitlines()[:1]) == (
        True,
        [f"error: '{ref}' would become a symbolic ref to 'refs/heads/evil' (E_GUARD)"],
    )
    harmless = lab.run_program(str(hook), "prepared", stdin=update.replace(ref, "refs/heads/mine"))
    assert (harmless.status, harmless.err) == (0, "")
