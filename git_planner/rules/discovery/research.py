"""RESEARCH.md: one section a run, newest last; what a run must bring; and what fits. Pure.

A section begins with a line that only we write. It is a checkpoint until its run ends, and then holds the
findings or the failure.
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
_NOTHING = ((), ("none",), ("na",), ("n", "a"), ("tbd",), ("todo",), ("to", "do"))


@dataclass(frozen=True, slots=True)
class ResearchRun:
    """One run of a researcher: its id, what was asked, of which commit, of whom and when."""

    id: str
    goal: str
    base: str
    base_ref: str
    researcher: str
    at: str


def write_checkpoint(text: str | None, plan: str, run: ResearchRun) -> str:
    """The file as it is before the researcher is asked."""
    return _with(text, plan, run, WAITING)


def write_findings(text: str | None, plan: str, run: ResearchRun, findings: str, *, by: str, at: str) -> str:
    """The file with a run's findings.

    Args:
        text: the file as it is now; None when there is none.
        plan: the plan's name.
        run: the run.
        findings: an answer that `faults` accepts.
        by: who answered.
        at: when.
    """
    told = _MARK.sub(lambda found: f"<!-- {found[1]} -->\n", findings.strip() + "\n").strip()
    return _with(text, plan, run, f"Done by {by} at {at}.\n\n{told}")


def write_failure(text: str | None, plan: str, run: ResearchRun, lines: Sequence[str], *, at: str) -> str:
    """The file with a run's failure: the error's code and first lines."""
    told = "\n".join(f"    {' '.join(line.split())[:500]}" for line in lines[:12])
    return _with(text, plan, run, f"Failure checkpoint at {at}: there are no findings.\n\n{told}")


def find_answer_faults(answer: str, paths: Collection[str]) -> list[str]:
    """Judge a researcher's answer.

    Args:
        answer: its Markdown.
        paths: the files of the base; the findings must name at least one of them, when there are any.

    Returns:
        One sentence a fault; none when there is content that goes beyond a checkpoint.
    """
    if len(answer) > MAX_ANSWER:
        return [f"the answer has {len(answer):,} characters; at most {MAX_ANSWER:,} are kept"]
    found = text_by_heading(answer)
    wrong = [
        f"the heading '## {title}' is missing, or nothing stands below it"
        for title in HEADINGS
        if not has_substance(found.get(title.lower(), ""))
    ]
    findings = found.get(HEADINGS[0].lower(), "")
    if not wrong and len(findings) < MIN_CHARACTERS:
        wrong.append(f"the findings have {len(findings)} characters, which is no more than a checkpoint")
    known = set(paths)
    if not wrong and known and not any(_path(path) in known for path in _CITED.findall(findings)):
        wrong.append("the findings name no file of the repository, by its path from the top")
    return wrong


def text_by_heading(text: str) -> dict[str, str]:
    """What stands below each heading of a text, by the heading in lower case, deeper headings included."""
    lines = re.split(r"\r\n|\r|\n", text)
    heads = [block for block in markdown.parse_outline(text).blocks if block.kind == "heading"]
    found: dict[str, str] = {}
    for place, head in enumerate(heads):
        end = next((later.line for later in heads[place + 1 :] if later.level <= head.level), len(lines) + 1)
        name = re.sub(r"^[\d.\s]*|[*_:`]", "", head.text).strip().lower()
        found.setdefault(name, "\n".join(lines[head.line : end - 1]).strip())
    return found


def has_substance(text: str) -> bool:
    """Whether a text says something: more than headings, blanks and 'TBD'."""
    said = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    words = (found[0].lower() for line in said for found in re.finditer(r"\w+", line))
    return tuple(islice(words, 3)) not in _NOTHING


def has_findings(text: str | None) -> bool:
    """Whether a file of research holds the findings of at least one run, or of a person."""
    if text is None:
        return False
    head, runs = _parts(text)
    own = head.partition("\n")[2]
    return has_substance(own) or any(re.search(r"^Done by ", body, re.MULTILINE) for _, body in runs)


def _path(cited: str) -> str:
    return cited.rstrip(".").removeprefix("./")


def _parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    pieces = _MARK.split(text)
    return pieces[0], list(zip(pieces[1::2], pieces[2::2], strict=True))


def _with(text: str | None, plan: str, run: ResearchRun, body: str) -> str:
    """The file with one run's section made or replaced; the oldest ones go when it gets too large."""
    head, runs = _parts(text) if text else (f"# Research: {plan}\n\n", [])
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
