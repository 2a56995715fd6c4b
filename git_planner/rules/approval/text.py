"""The section 'Approval' of a review. Pure."""

from __future__ import annotations

from git_planner.rules.approval.decide import Approval, sentence
from git_planner.rules.documents.escape_markdown import escape_line


def approval_section(approval: Approval, subject: str) -> str:
    """Render an approval as a section of Markdown.

    Args:
        approval: the approval.
        subject: 'directive', 'plan' or 'spec'.
    """
    if approval.state == "off":
        return f"## Approval\n\nThe policy does not require an approval of a {subject}."
    if approval.ok:
        who = f" by {escape_line(approval.by, 200)}" if approval.by else ""
        when = f" at {approval.at}" if approval.at else ""
        commit = f", in `{approval.commit[:12]}`" if approval.commit else ""
        return f"## Approval\n\n**Approved**{who}{when}{commit}."
    asked = ", ".join(escape_line(address, 200) for address in approval.asked)
    lines = [f"**Not approved**: this {subject} {escape_line(sentence(approval), 500)}."]
    lines += [f"Asked: {asked}."] if asked else []
    return "\n\n".join(("## Approval", *lines))
