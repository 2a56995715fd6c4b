"""Text of the pull request for the winner of a tournament, and its report. Pure.

All texts of others (prompts, errors, names) are escaped and bounded. The caller masks secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents.escape_markdown import bound_body, escape_line
from git_planner.rules.refnames import number_text

_MAX_PROMPT, _MAX_PROMPT_LINES = 4_000, 60
_MAX_ROWS, _MAX_TEXT, _MAX_PATHS = 100, 300, 20
_REPORT_SCHEMA = "git-planner/winner@1"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value of the deciding metric, and its gain over the base.

    `gain` is positive if it is better than the base; `low` and `high` are the ends of its interval, None if
    there is none.
    """

    value: float
    gain: float | None = None
    low: float | None = None
    high: float | None = None

    def text(self, unit: str) -> str:
        """Return the figure for people: '12.5 s, gain 1.5 [1.2, 1.8]'."""
        name = f" {escape_line(unit, 40)}" if unit else ""
        text = f"{_number(self.value)}{name}"
        if self.gain is not None:
            text += f", gain {_number(self.gain)}"
        if self.low is not None and self.high is not None:
            text += f" [{_number(self.low)}, {_number(self.high)}]"
        return text


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant in the table. `why` is the reason why it was not chosen; empty for the winner."""

    name: str
    state: str
    gates: str
    size: str
    figure: Figure | None
    agent: str
    why: str


@dataclass(frozen=True, slots=True)
class ShipReport:
    """All that the text of a pull request tells.

    `winner` names the chosen variant or the composition, `rationale` says why. `modules` are the rows of the
    bill of materials: module, version, variant. `left_out` are the paths that variants changed outside of all
    modules. `metric` and `unit` name the deciding metric, `base` and `base_commit` the base.
    """

    run: str
    prompt: str
    turn: int
    winner: str
    rationale: str
    commit: str
    base: str
    base_commit: str
    metric: str
    unit: str
    figure: Figure | None
    base_value: float | None
    gates: Sequence[tuple[str, str]]
    modules: Sequence[tuple[str, str, str]]
    left_out: Mapping[str, Sequence[str]]
    variants: Sequence[VariantRow]
    compose_sha256: str


def ship_title(report: ShipReport) -> str:
    """Return the title of the pull request: the first line of the prompt, at most 72 characters."""
    first = next((line for line in report.prompt.splitlines() if line.strip()), f"Winner of {report.run}")
    title = " ".join(first.lstrip("#").split())
    return title if len(title) <= 72 else title[:71].rstrip() + "…"


def render_ship_text(report: ShipReport) -> str:
    """Render the description of the pull request as Markdown."""
    parts = (
        _prompt_section(report),
        _result_section(report),
        _module_section(report),
        _gate_section(report),
        _variant_section(report),
        _rejection_section(report),
        _reproduce_section(report),
    )
    body = "\n\n".join(part for part in parts if part) + "\n"
    return bound_body(body, "cut: the whole table is in the run's branch")


def _prompt_section(report: ShipReport) -> str:
    lines = report.prompt[:_MAX_PROMPT].strip().splitlines()
    shown = [f"> {escape_line(line)}".rstrip() for line in lines[:_MAX_PROMPT_LINES]]
    is_cut = len(report.prompt.strip()) > _MAX_PROMPT or len(lines) > _MAX_PROMPT_LINES
    turn = f" (turn {report.turn})" if report.turn > 1 else ""
    return "\n".join([f"## Prompt{turn}", "", *(shown or ["> (empty)"]), *(["> …"] if is_cut else [])])


def _result_section(report: ShipReport) -> str:
    lines = ["## Result", "", f"**{escape_line(report.winner, _MAX_TEXT)}**: {_line(report.rationale)}", ""]
    if report.figure is not None:
        base = "" if report.base_value is None else f" (base: {_number(report.base_value)})"
        lines.append(f"- {escape_line(report.metric, 100)}: {report.figure.text(report.unit)}{base}")
    lines.append(f"- Commit `{report.commit}` on `{_code(report.base)}` `{report.base_commit[:12]}`")
    return "\n".join(lines)


def _module_section(report: ShipReport) -> str:
    if not report.modules:
        return ""
    rows = ["| module | version | from |", "| --- | --- | --- |"]
    rows += [
        f"| {' | '.join(escape_line(cell, 120) for cell in row)} |" for row in report.modules[:_MAX_ROWS]
    ]
    text = "## Modules\n\n" + "\n".join(rows) + _more(report.modules)
    for name, paths in report.left_out.items():
        shown = ", ".join(f"`{_code(path)}`" for path in paths[:_MAX_PATHS])
        more = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
        text += f"\n\nNot taken from {escape_line(name, 40)}, being outside of all modules: {shown}{more}."
    return text


def _gate_section(report: ShipReport) -> str:
    if not report.gates:
        return ""
    lines = [f"- {escape_line(name, 100)}: {escape_line(result, 100)}" for name, result in report.gates]
    return "\n".join(["## Gates of the winner", "", *lines[:_MAX_ROWS]])


def _variant_section(report: ShipReport) -> str:
    rows = [
        "| variant | agent | state | gates | size | figure |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in report.variants[:_MAX_ROWS]:
        figure = row.figure.text(report.unit) if row.figure else "-"
        cells = (row.name, row.agent, row.state, row.gates, row.size)
        rows.append(f"| {' | '.join(escape_line(cell, 120) or '-' for cell in cells)} | {figure} |")
    return "## Variants\n\n" + "\n".join(rows) + _more(report.variants)


def _rejection_section(report: ShipReport) -> str:
    rejected = [row for row in report.variants if row.why]
    if not rejected:
        return ""
    lines = [f"- {escape_line(row.name, 40)}: {_line(row.why)}" for row in rejected[:_MAX_ROWS]]
    return "## Rejected\n\n" + "\n".join(lines) + _more(rejected)


def _reproduce_section(report: ShipReport) -> str:
    return "\n".join(
        (
            "## Where this comes from",
            "",
            f"- Run: `bo4/{report.run}/run`; every variant is kept on a branch `bo4/{report.run}/…`",
            f"- Composition: `{report.compose_sha256}`",
            f"- State of the run: `git bo4 status {report.run}`",
            f"- Its events: `git bo4 events validate {report.run}`",
            f"- Gates again: `git bo4 gate {report.run}`",
        )
    )


def _more(rows: Sequence[object]) -> str:
    return f"\n\nand {len(rows) - _MAX_ROWS} more" if len(rows) > _MAX_ROWS else ""


def _line(text: str) -> str:
    return escape_line(text, _MAX_TEXT) or "no reason is recorded"


def _code(text: str) -> str:
    """Return a text for a code span, in which nothing can be escaped."""
    return " ".join(text.replace("`", "'").split())[:200]


def _number(value: float) -> str:
    return number_text(float(f"{value:.6g}"))


def winner_report(
    composition: Mapping[str, Any], *, composer: str, generated_at: str, notes: Sequence[str]
) -> dict[str, Any]:
    """Return the report of a composed winner, with its bill of materials.

    Args:
        composition: the document of the composition.
        composer: the program and version that composed it.
        generated_at: when.
        notes: what a reader should know, such as paths that were left out.
    """
    return {
        "schema": _REPORT_SCHEMA,
        "context": {
            "run_id": composition["run_id"],
            "composer": composer,
            "generated_at": generated_at,
        },
        "bill_of_materials": [
            {"id": module["id"], "version": module["version"], "variant": module.get("variant")}
            for module in composition["modules"]
        ],
        "wiring": list(composition.get("wiring", ())),
        "glue": list(composition.get("glue", ())),
        "constraints": list(composition.get("constraints", ())),
        "notes": list(notes),
    }


def winner_readme(report: ShipReport) -> str:
    """Return the page of the winner's folder: what it is made of, and where its code is."""
    parts = (
        f"# Winner of {escape_line(report.run, 100)}",
        f"The code is on the branch `bo4/{report.run}/winner`, commit `{report.commit}`.",
        _result_section(report),
        _module_section(report),
    )
    return "\n\n".join(part for part in parts if part) + "\n"
