"""Render a tournament's prompt for the people who review it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.planning.prompt import fence
from git_planner.rules.printable import counted, printable
from git_planner.rules.review import sections
from git_planner.rules.review.sections import Overlap, ResultHistory, Scope, section

_MAX_LINES, _MAX_LINE, _MAX_EXTRA = 400, 1_000, 4


@dataclass(frozen=True, slots=True)
class PastTournament:
    """An earlier tournament of the plan: its variants, the tokens that they cost, and how it ended."""

    name: str
    variants: int
    tokens: int
    ended: str


@dataclass(frozen=True, slots=True)
class TournamentReview:
    """All that a reviewer of a tournament's prompt is shown; texts of others are bounded and masked.

    `turn` is the document that is approved. `gates` are those of every variant, `shipping` those of the
    winner; `metric` is the one that decides, empty without one.
    """

    name: str
    plan: str
    phase: str
    base: str
    author: str
    digest: str
    turn: Mapping[str, Any]
    scope: Scope | None
    gates: tuple[str, ...]
    shipping: tuple[str, ...]
    metric: str
    history: ResultHistory
    earlier: tuple[PastTournament, ...]
    overlaps: tuple[Overlap, ...]

    @property
    def run(self) -> str:
        """The name of the run."""
        return str(self.turn["run"])


def tournament_title(review: TournamentReview) -> str:
    """Return the title: the first line of the prompt, at most 72 characters."""
    first = next((line for line in review.turn["prompt"] if line.strip()), "")
    line = " ".join(f"Tournament {review.run}: {first}".split())
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_tournament(review: TournamentReview) -> str:
    """Render the prompt of a tournament's turn, and what it would start."""
    turn = review.turn
    return sections.join_sections(
        f"Tournament {escape_line(review.name, 100)}, turn {turn['turn']}",
        _origin(review),
        section("Objective", "This is the prompt of every variant:", _quoted(turn["prompt"])),
        _variants_section(turn),
        sections.scope_section(review.scope),
        _judging_section(review),
        section("Results so far", "\n".join(sections.history_lines(review.history))),
        section("Earlier tournaments", _earlier_table(review.earlier) or "There are none."),
        sections.overlap_section(review.overlaps),
        _cost_section(review),
        _approval_section(review),
        section("How to try it", "\n".join(("```sh", f"git bo4 run {review.run}", "```"))),
    )


def _origin(review: TournamentReview) -> str:
    return "\n".join(
        (
            f"- Plan: {code_span(review.plan)}",
            f"- State: {review.phase}",
            f"- Base: {code_span(review.turn['base_ref'])} at `{review.base[:12]}`",
            f"- Asked for by: {escape_line(review.author, 200)}",
            f"- Digest of the prompt with its options: `{review.digest}`",
        )
    )


def _quoted(lines: Sequence[str]) -> str:
    texts = [printable(line)[:_MAX_LINE] for line in lines[:_MAX_LINES]]
    more = f"\n\nand {len(lines) - _MAX_LINES} lines more" if len(lines) > _MAX_LINES else ""
    return fence("\n".join(texts), "text") + more


def _variants_section(turn: Mapping[str, Any]) -> str:
    source, extra = turn["source"], turn["source"].get("prompts") or ()
    kind = source["kind"]
    lines = [f"- {counted(turn['attempts'], 'variant')} from {code_span(kind)}"]
    if kind == "local":
        agents = [_agent_text(row) for row in source.get("agents") or ()]
        lines.append(sections.spans("Agents", agents or ["the implementer of the policy"]))
    names = ("environment", "task", "folder")
    lines += [f"- {name.capitalize()}: {code_span(str(source[name]))}" for name in names if source.get(name)]
    lines += [sections.spans("Commits", source["refs"])] if source.get("refs") else []
    if turn["follows"] is not None:
        commit = (turn["follows_commit"] or "unknown")[:12]
        lines.append(f"- They go on with variant {turn['follows']} of the turn before, `{commit}`")
    added = [
        f"Added for {'some variants' if len(extra) > 1 else 'them'}:\n\n{_quoted(text.splitlines())}"
        for text in extra[:_MAX_EXTRA]
    ]
    more = f"and {len(extra) - _MAX_EXTRA} texts more" if len(extra) > _MAX_EXTRA else ""
    return section("Variants", "\n".join(lines), *added, more)


def _agent_text(row: Mapping[str, Any]) -> str:
    names = [str(row[key]) for key in ("agent", "model", "effort") if row.get(key)]
    return ":".join(names) or "default"


def _judging_section(review: TournamentReview) -> str:
    turn, unit = review.turn, f" {review.history.unit}" if review.history.unit else ""
    decides = f"{review.metric}{unit}, {review.history.better} is better" if review.metric else ""
    lines = [
        sections.spans("Every variant must pass", review.gates),
        f"- Measured by: {escape_line(decides, 200) or 'nothing; the policy has no metric'}",
        sections.spans("The winner must pass", review.shipping),
    ]
    lines += ["- A variant without a `module.json` is broken"] if turn["needs_modules"] else []
    if turn["coverage"] and turn["coverage"].get("path"):
        lines.append(f"- Modules are scored by {code_span(str(turn['coverage']['path']))}")
    return section("How they are judged", "\n".join(lines))


def _earlier_table(tournaments: Sequence[PastTournament]) -> str:
    if not tournaments:
        return ""
    rows = ["| tournament | variants | tokens | ended |", "| --- | ---: | ---: | --- |"]
    for past in tournaments:
        ended = escape_line(past.ended, 200)
        rows.append(f"| {escape_line(past.name, 80)} | {past.variants} | {past.tokens:,} | {ended} |")
    return "\n".join(rows)


def _cost_section(review: TournamentReview) -> str:
    tokens = sum(past.tokens for past in review.earlier)
    shown = f"The tournaments above have cost {tokens:,} tokens besides." if review.earlier else ""
    return "\n\n".join(part for part in (sections.cost_section(review.history), shown) if part)


def _approval_section(review: TournamentReview) -> str:
    count = counted(review.turn["attempts"], "variant")
    text = (
        f"{count.capitalize()} may then be made from `{review.base[:12]}`, each on a branch of its own, and "
        "paid for. They are gated and measured as the base prescribes; nothing is merged into the base by "
        "this. Another prompt, number, source or turn needs an approval of its own."
    )
    return section("What approving means", text, sections.KEEPS)
