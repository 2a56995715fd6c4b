"""RESEARCH.md: one section per run, newest last, and the checks of a researcher's answer. Pure.

A section begins with a marker line. It is a checkpoint until its run ends, and then has the findings or the
failure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

from git_planner.rules.documents import markdown

HEADINGS = ("Findings", "Risks", "Open questions")
MAX_ANSWER = 60_000
MAX_BYTES = 300_000
MAX_RUNS = 10
MIN_CHARACTERS = 200
WAITING = "Checkpoint: the researcher is at work, and there are no findings yet."
_MARK = re.compile(r"^<!-- research run ([0-9A-Za-z-]+) -->\n", re.MULTILINE)
_CITED = re.compile(r"[\w.+@-]+(?:/[\w.+@-]+)*")
_EMPTY = ((), ("none",), ("na",), ("n", "a"), ("tbd",), ("todo",), ("to", "do"))


@dataclass(frozen=True, slots=True)
class ResearchRun:
    """One run of a researcher: its id, goal, base commit, researcher and start time."""

    id: str
    goal: str
    base: str
    base_ref: str
    researcher: str
    at: str


def write_checkpoint(text: str | None, plan: str, run: ResearchRun) -> str:
    """Render the file with a checkpoint, before the researcher runs."""
    return _replace_run(text, plan, run, WAITING)


def write_findings(text: str | None, plan: str, run: ResearchRun, findings: str, *, by: str, at: str) -> str:
    """Render the file with a run's findings.

    Args:
        text: the present file; None if there is none.
        plan: the plan's name.
        run: the run.
        findings: an answer that `find_answer_faults` accepts.
        by: the agent that answered.
        at: UTC time.
    """
    content = _MARK.sub(lambda match: f"<!-- {match[1]} -->\n", findings.strip() + "\n").strip()
    return _replace_run(text, plan, run, f"Done by {by} at {at}.\n\n{content}")


def write_failure(text: str | None, plan: str, run: ResearchRun, lines: Sequence[str], *, at: str) -> str:
    """Render the file with a run's failure: the error code and the first lines of the error."""
    details = "\n".join(f"    {' '.join(line.split())[:500]}" for line in lines[:12])
    return _replace_run(text, plan, run, f"Failure checkpoint at {at}: there are no findings.\n\n{details}")


def find_answer_faults(answer: str, paths: Collection[str]) -> list[str]:
    """Check a researcher's answer.

    Args:
        answer: the Markdown.
        paths: the files of the base commit; the findings must name at least one of them, if there are any.

    Returns:
        One sentence per fault; empty for a valid answer.
    """
    if len(answer) > MAX_ANSWER:
        return [f"the answer has {len(answer):,} characters; at most {MAX_ANSWER:,} are kept"]
    texts = text_by_heading(answer)
    faults = [
        f"the heading '## {title}' is missing or has no text"
        for title in HEADINGS
        if not has_substance(texts.get(title.lower(), ""))
    ]
    findings = texts.get(HEADINGS[0].lower(), "")
    if not faults and len(findings) < MIN_CHARACTERS:
        faults.append(f"the findings have {len(findings)} characters, which is too short")
    known = set(paths)
    if not faults and known and not any(_normalize_path(path) in known for path in _CITED.findall(findings)):
        faults.append("the findings name no file of the repository, by its path from the top")
    return faults


def text_by_heading(text: str) -> dict[str, str]:
    """Return the text below each heading, including deeper headings, by the heading in lower case."""
    lines = re.split(r"\r\n|\r|\n", text)
    heads = [block for block in markdown.parse_outline(text).blocks if block.kind == "heading"]
    texts: dict[str, str] = {}
    for place, head in enumerate(heads):
        end = next((later.line for later in heads[place + 1 :] if later.level <= head.level), len(lines) + 1)
        name = re.sub(r"^[\d.\s]*|[*_:`]", "", head.text).strip().lower()
        texts.setdefault(name, "\n".join(lines[head.line : end - 1]).strip())
    return texts


def has_substance(text: str) -> bool:
    """Return whether a text has content besides headings, blanks and 'TBD'."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    words = (match[0].lower() for line in lines for match in re.finditer(r"\w+", line))
    return tuple(islice(words, 3)) not in _EMPTY


def has_findings(text: str | None) -> bool:
    """Return whether a research file has the findings of at least one run, or text by a person."""
    if text is None:
        return False
    head, runs = _split_runs(text)
    own = head.partition("\n")[2]
    return has_substance(own) or any(re.search(r"^Done by ", body, re.MULTILINE) for _, body in runs)


def _normalize_path(cited: str) -> str:
    return cited.rstrip(".").removeprefix("./")


def _split_runs(text: str) -> tuple[str, list[tuple[str, str]]]:
    pieces = _MARK.split(text)
    return pieces[0], list(zip(pieces[1::2], pieces[2::2], strict=True))


def _replace_run(text: str | None, plan: str, run: ResearchRun, body: str) -> str:
    """Add or replace the section of a run; remove the oldest ones if the file gets too large."""
    head, runs = _split_runs(text) if text else (f"# Research: {plan}\n\n", [])
    facts = [
        f"# Run {run.id}",
        "",
        f"- Goal: {' '.join(run.goal.split())}",
        f"- Base: `{run.base_ref}` at `{run.base}`",
        f"- Researcher: {run.researcher}",
        f"- Begun: {run.at}",
    ]
    section = "\n".join([*facts, "", body.rstrip(), "", ""])
    others = [entry for entry in runs if entry[0] != run.id]
    place = next((at for at, entry in enumerate(runs) if entry[0] == run.id), len(others))
    kept = [*others[:place], (run.id, section), *others[place:]]
    while len(kept) > 1 and (len(kept) > MAX_RUNS or _size(head, kept) > MAX_BYTES):
        kept.pop(0 if kept[0][0] != run.id else 1)
    return head + "".join(f"<!-- research run {name} -->\n{content}" for name, content in kept)


def _size(head: str, runs: Sequence[tuple[str, str]]) -> int:
    return len(head.encode()) + sum(len(content.encode()) + 60 for _, content in runs)
