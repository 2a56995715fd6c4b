"""Parse the items of a change's tasks.md. Pure.

A box starts a task. Below it, a line that begins with a label ('files:', 'after:', 'verify:' …) sets a field,
any other line is an action, a paragraph is part of the intent, and a box is a nested task, on which the outer
one depends; it has the dependencies of the outer one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.code_spans import CodeSpan, find_code_spans, outside_code
from git_planner.rules.documents.markdown import Block, Outline
from git_planner.rules.documents.messages import control_problem, show_value
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.policy import command_line
from git_planner.rules.specs.items import (
    DependencyText,
    SpecFault,
    SpecItem,
    normalize_title,
    resolve_dependencies,
)

MAX_TITLE, MAX_INTENT, MAX_LINE = 200, 4000, 2000
MAX_LINES, MAX_PATHS = 50, 200
MAX_TASKS = 5000
_LABELS = {
    **dict.fromkeys(("files", "file", "scope", "writes", "write scope"), "write_scope"),
    **dict.fromkeys(("reads", "read scope"), "read_scope"),
    **dict.fromkeys(("after", "depends on", "dependencies"), "after"),
    **dict.fromkeys(("verify", "verification"), "verify"),
    **dict.fromkeys(("done when", "acceptance", "acceptance criteria"), "acceptance"),
    **dict.fromkeys(("risk", "risks"), "risks"),
    **dict.fromkeys(("see", "reference", "references"), "references"),
    **dict.fromkeys(("id", "key"), "key"),
    **dict.fromkeys(("why", "intent"), "intent"),
}
_LABEL = re.compile(r"[*_]{0,2}([A-Za-z][A-Za-z ]{0,20}?)[*_]{0,2}:[*_]{0,2}(?:\s+|$)(.*)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_KEY_AT_END = re.compile(r"\{#([^{}\s]*)\}\s*$")
_NUMBER_AT_START = re.compile(r"(\d{1,6}(?:\.\d{1,6})+\.?|\d{1,6}[.)])\s+(?=\S)")
_NEARLY_A_BOX = re.compile(r"\[[ \t]*[xX]?[ \t]*\]")
_UNSAFE_PATH = re.compile(
    r"[/:~]|(?:.*/)?\.{1,2}(?:/|$)|.*//|(?:.*/)?\.git(?:/|$)|.*[\x00-\x1f\x7f-\x9f]",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class _Draft:
    """An item under construction: texts by field, with their lines."""

    line: int
    title: str
    number: str
    ticked: bool
    parent: int | None
    key: str | None
    texts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Reader:
    """Collects the drafts and faults of a file."""

    path: str
    drafts: list[_Draft] = field(default_factory=list)
    faults: list[SpecFault] = field(default_factory=list)

    def bounded(self, text: str, most: int, line: int) -> str:
        """Cut a text to `most` characters; report a fault if it is longer."""
        if len(text) > most:
            self.fault(line, f"has {len(text):,} characters; at most {most:,} are kept")
        return text[:most]

    def add(self, place: int, name: str, text: str, line: int) -> None:
        """Add a text to a field of a draft."""
        short = self.bounded(text.strip(), MAX_INTENT if name == "intent" else MAX_LINE, line)
        if short:
            self.drafts[place].texts.setdefault(name, []).append((short, line))

    def fault(self, line: int, message: str) -> None:
        """Report a fault."""
        self.faults.append(SpecFault(self.path, line, message))


def parse_items(read: Outline, path: str) -> tuple[tuple[SpecItem, ...], tuple[SpecFault, ...]]:
    """Parse the tasks of a file in order.

    Args:
        read: the outline of the file.
        path: the path of the file.

    Returns:
        The items, which may be used only if there is no fault; and the faults by line.
    """
    reader = _Reader(path)
    _read_blocks(reader, read.blocks, None, "")
    if read.deep is not None:
        reader.fault(read.deep, "is nested too deep to be read")
    if len(reader.drafts) > MAX_TASKS:
        reader.fault(1, f"has {len(reader.drafts):,} tasks; at most {MAX_TASKS:,} are kept")
        return (), tuple(reader.faults)
    if not reader.drafts:
        reader.fault(1, "has no task: a task is an item that begins with '[ ]' or '[x]'")
    keys = _keys(reader)
    items = tuple(
        _build_item(reader, draft, key, keys) for draft, key in zip(reader.drafts, keys, strict=True)
    )
    if len(set(keys)) == len(keys):
        items, more = resolve_dependencies(items, path)
        reader.faults += more
    return items, tuple(sorted(reader.faults, key=lambda fault: fault.line))


def _read_blocks(reader: _Reader, blocks: Iterable[Block], parent: int | None, number: str) -> None:
    """Read blocks below the task with the index `parent`, or at the top level."""
    for block in blocks:
        if block.kind == "item" and block.box is not None:
            _read_task(reader, block, parent, number)
        elif block.kind == "item":
            if _NEARLY_A_BOX.match(block.text):
                reader.fault(block.line, "is nearly a box: write '[ ]' or '[x]', and a space after it")
            if parent is None:
                _read_blocks(reader, block.parts, None, block.number)
            else:
                _read_detail(reader, block, parent, number)
        elif parent is not None and block.kind in ("text", "code", "heading"):
            reader.add(parent, "intent", block.text, block.line)


def _read_task(reader: _Reader, block: Block, parent: int | None, number: str) -> None:
    text = reader.bounded(block.text, MAX_INTENT, block.line)
    first, _, rest = text.partition("\n")
    # A key at the end of the first line ends the title; otherwise all lines are the title.
    title, rest = (first, rest) if _KEY_AT_END.search(first) else (" ".join(text.split()), "")
    match = _KEY_AT_END.search(title)
    key = match[1] if match else None
    title = " ".join((title[: match.start()] if match else title).split())
    labelled = _NUMBER_AT_START.match(title)
    own = f"{number}.{block.number}".lstrip(".") if block.number else ""
    if labelled:
        own, title = labelled[1].rstrip(".)"), title[labelled.end() :]
    place = len(reader.drafts)
    reader.drafts.append(_Draft(block.line, title, own, block.box is True, parent, key))
    reader.add(place, "intent", " ".join(rest.split()), block.line + 1)
    _read_blocks(reader, block.parts, place, own)


def _read_detail(reader: _Reader, block: Block, parent: int, number: str) -> None:
    """Read a line without a box below a task: a field if it has a label, else an action."""
    match = _LABEL.fullmatch(block.text)
    name = _LABELS.get(match[1].strip().lower()) if match else None
    if match is None or name is None:
        reader.add(parent, "actions", " ".join(block.text.split()), block.line)
        _read_blocks(reader, block.parts, parent, number)
        return
    reader.add(parent, name, match[2], block.line)
    for part in block.parts:
        if part.kind == "code" and name == "verify":
            for offset, line in enumerate(part.text.splitlines(), 1):
                reader.add(parent, name, "" if line.lstrip().startswith("#") else line, part.line + offset)
        elif part.kind == "item" and part.box is None:
            reader.add(parent, name, part.text, part.line)
            _read_blocks(reader, part.parts, parent, number)
        elif part.kind == "text":
            reader.add(parent, name, part.text, part.line)
        else:
            _read_blocks(reader, [part], parent, number)


def _keys(reader: _Reader) -> list[str]:
    """Return the keys of all drafts; report duplicates."""
    keys: list[str] = []
    first: dict[str, int] = {}
    for draft in reader.drafts:
        written = [text.strip("`{#}") for text, _ in draft.texts.get("key", ())]
        explicit = draft.key if draft.key is not None else (written[0] if written else None)
        if explicit is not None and not _KEY.fullmatch(explicit):
            reader.fault(
                draft.line,
                f"{show_value(explicit)} is not a key: letters, digits, '.', '_' and '-', at most 80",
            )
        if len({*written, *([draft.key] if draft.key is not None else [])}) > 1:
            reader.fault(draft.line, "has two keys")
        draft.key = explicit
        own = explicit or derive_key(draft.title, keys[draft.parent] if draft.parent is not None else "")
        keys.append(own)
        before = first.setdefault(own, draft.line)
        if before != draft.line:
            what = f"has the key '{own}'" if explicit else "has the title"
            hint = "" if explicit else "; give one of them a key: '{#some-key}' after its title"
            reader.fault(draft.line, f"{what} of line {before}{hint}")
    return keys


def derive_key(title: str, parent: str = "") -> str:
    """Derive the key of a task without one from its normalized title.

    Args:
        title: the title as written.
        parent: the key of the outer task, so that two tasks may each have a nested task 'tests'.
    """
    plain = normalize_title(title)
    mark = canonical_json.digest([parent, plain])[:8]
    return f"{refnames.slug(plain, 'task')[:31].rstrip('-')}-{mark}"


def _build_item(reader: _Reader, draft: _Draft, key: str, keys: Sequence[str]) -> SpecItem:
    title, intent = _title(reader, draft)
    return SpecItem(
        key=key,
        title=title,
        line=draft.line,
        ticked=draft.ticked,
        intent=intent,
        number=draft.number,
        parent=keys[draft.parent] if draft.parent is not None else None,
        wanted=tuple(DependencyText(text, line) for text, line in draft.texts.get("after", ())),
        actions=tuple(_lines(reader, draft, "actions")),
        read_scope=tuple(_paths(reader, draft, "read_scope")),
        write_scope=tuple(_paths(reader, draft, "write_scope")),
        acceptance=tuple(_lines(reader, draft, "acceptance")),
        verify=tuple(_commands(reader, draft)),
        risks=tuple(_lines(reader, draft, "risks")),
        references=tuple(_lines(reader, draft, "references")),
    )


def _title(reader: _Reader, draft: _Draft) -> tuple[str, str]:
    """Return the title, shortened if necessary, and the intent, which has the complete title then."""
    title, paragraphs = draft.title, [text for text, _ in draft.texts.get("intent", ())]
    if not title:
        reader.fault(draft.line, "has no title")
    for text, line in ((title, draft.line), *draft.texts.get("intent", ())):
        _check_text(reader, text, line)
    if len(title) > MAX_TITLE:
        paragraphs.insert(0, title)
        title = title[: MAX_TITLE - 1].rstrip() + "…"
    intent = "\n\n".join(paragraphs)
    if len(intent) > MAX_INTENT:
        reader.fault(
            draft.line, f"has {len(intent):,} characters of text below; at most {MAX_INTENT:,} are kept"
        )
    return title, intent


def _check_text(reader: _Reader, text: str, line: int) -> None:
    hole = find_placeholder(text)
    if hole:
        reader.fault(line, f"is still a placeholder: {show_value(hole)}")
    sign = control_problem(text)
    if sign:
        reader.fault(line, sign)


def _lines(reader: _Reader, draft: _Draft, name: str) -> Iterator[str]:
    texts = draft.texts.get(name, ())
    if len(texts) > MAX_LINES:
        reader.fault(draft.line, f"has {len(texts):,} lines of one kind below; at most {MAX_LINES} are kept")
    for text, line in texts:
        _check_text(reader, text, line)
        yield " ".join(text.split())


def _paths(reader: _Reader, draft: _Draft, name: str) -> Iterator[str]:
    paths: dict[str, None] = {}
    for text, line in draft.texts.get(name, ()):
        for written in _written_paths(text):
            path = written.removeprefix("./")
            path = path + "**" if path.endswith("/") else path
            if find_placeholder(written):
                reader.fault(line, f"is still a placeholder: {show_value(written)}")
            elif is_unsafe_path(path):
                reader.fault(line, f"{show_value(written)} is not a path within the repository")
            elif path:
                paths[path] = None
    if len(paths) > MAX_PATHS:
        reader.fault(draft.line, f"has {len(paths):,} paths in a scope; at most {MAX_PATHS} are kept")
    yield from paths


def is_unsafe_path(path: str) -> bool:
    """Return whether a path or pattern leaves the repository or could be mistaken for an option or URL."""
    return _UNSAFE_PATH.match(path) is not None or len(path) > 1024


def _written_paths(text: str) -> Iterator[str]:
    """Yield the paths in a line: those in backquotes; without any, those between spaces and commas."""
    chunks: list[tuple[list[str], list[str]]] = [([], [])]
    done = 0
    for span in (*find_code_spans(text), CodeSpan(len(text), len(text), "")):
        # A comma or semicolon outside of code spans separates.
        head, *others = re.split("[,;]", text[done : span.start])
        chunks[-1][1].extend(head.split())
        chunks += [([], piece.split()) for piece in others]
        if span.text:
            chunks[-1][0].append(span.text)
        done = span.end
    for spans, words in chunks:
        yield from spans or words


def _commands(reader: _Reader, draft: _Draft) -> Iterator[tuple[str, ...]]:
    commands: dict[tuple[str, ...], None] = {}
    for text, line in draft.texts.get("verify", ()):
        spans = [span.text for span in find_code_spans(text)]
        # One or more commands in backquotes, separated by commas.
        only_spans = spans and not re.sub(r"[\s,;]|\band\b", "", outside_code(text))
        for written in spans if only_spans else [text]:
            try:
                commands[command_line.split_command(written, "verify")] = None
            except PlannerError as error:
                reader.fault(line, error.message)
    if len(commands) > MAX_LINES:
        reader.fault(draft.line, f"has {len(commands):,} verify commands; at most {MAX_LINES} are kept")
    yield from commands
