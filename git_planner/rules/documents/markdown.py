"""Parse Markdown into the blocks of a spec. Pure; the only module that imports markdown-it-py.

The text is CommonMark without link reference definitions: '[x]: done' is an item with a box. Quotes, HTML and
comments are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# Nesting levels of lists and quotes; deeper blocks are ignored, and `Outline.deep` tells their line.
MAX_LEVEL = 100
_BOX = re.compile(r"\[([ \txX])\](?:\s+|$)")
_HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a text, with its first line, from 1.

    A 'heading' has a `level`. An 'item' has its first paragraph as `text`, its other blocks as `parts`, the
    state of its `box` (None without one) and, in a numbered list, its `number`. `text` is the Markdown
    source; 'code' is the content of a fence or an indented block.
    """

    kind: Literal["heading", "text", "item", "code"]
    text: str
    line: int
    level: int = 0
    box: bool | None = None
    number: str = ""
    parts: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """The blocks of a text in order. `deep` is the first line that was nested too deeply to be parsed."""

    blocks: tuple[Block, ...]
    deep: int | None = None


@dataclass(frozen=True, slots=True)
class MarkdownSection:
    """A heading and the blocks up to the next one; blocks before the first heading have level 0."""

    title: str
    level: int
    line: int
    blocks: tuple[Block, ...]


def parse_outline(text: str) -> Outline:
    """Parse a Markdown text; any text is valid."""
    tokens = _parser().parse(text)
    root: list[Block] = []
    open_parts = [root]
    heads: list[tuple[int, str]] = []
    heading = 0
    deep: int | None = None
    for token in tokens:
        line = token.map[0] + 1 if token.map else 1
        if token.level >= MAX_LEVEL - 2 and deep is None:
            deep = line
        match token.type:
            case "list_item_open":
                heads.append((line, token.info))
                open_parts.append([])
            case "list_item_close":
                parts = open_parts.pop()
                open_parts[-1].append(_list_item(parts, *heads.pop()))
            case "blockquote_open":
                open_parts.append([])
            case "blockquote_close":
                open_parts.pop()
            case "heading_open":
                heading = _HEADING_LEVELS[token.tag]
            case "heading_close":
                heading = 0
            case "inline":
                kind: Literal["heading", "text"] = "heading" if heading else "text"
                open_parts[-1].append(Block(kind, token.content.strip(), line, heading))
            case "fence" | "code_block":
                open_parts[-1].append(Block("code", token.content, line))
    return Outline(tuple(root), deep)


def split_sections(blocks: Sequence[Block]) -> list[MarkdownSection]:
    """Group the blocks of a text by their headings."""
    groups: list[tuple[Block | None, list[Block]]] = [(None, [])]
    for block in blocks:
        if block.kind == "heading":
            groups.append((block, []))
        else:
            groups[-1][1].append(block)
    return [
        MarkdownSection(
            head.text if head else "", head.level if head else 0, head.line if head else 1, tuple(below)
        )
        for head, below in groups
        if head or below
    ]


def iter_blocks(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield all blocks, also those within items, in the order of the text."""
    for block in blocks:
        yield block
        yield from iter_blocks(block.parts)


def _list_item(parts: list[Block], line: int, number: str) -> Block:
    first = parts[0] if parts and parts[0].kind in ("text", "heading") else None
    text = first.text if first else ""
    match = _BOX.match(text)
    return Block(
        "item",
        text[match.end() :].strip() if match else text,
        line,
        box=match[1] in "xX" if match else None,
        number=number,
        parts=tuple(parts[1:] if first else parts),
    )


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    options: dict[str, Any] = {"maxNesting": MAX_LEVEL}
    # Inline markup is not needed, and parsing it takes most of the time.
    return MarkdownIt("commonmark", options).disable(["inline", "text_join", "reference"])
