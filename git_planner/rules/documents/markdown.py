"""Markdown as the blocks that a spec is made of. Pure; the only door to markdown-it-py.

The text is read as CommonMark has it, but for links that are defined elsewhere: '[x]: done' is an item with a
box, not a definition. Quotes, HTML and comments are left out: what stands in them is said to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# Levels of lists and quotes in each other; what is deeper is not read, and `Outline.deep` says so.
MAX_LEVEL = 100
_BOX = re.compile(r"\[([ \txX])\](?:\s+|$)")
_HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a text, with the line it begins on, from 1.

    A 'heading' has a `level`. An 'item' has its first paragraph as `text`, what else is in it as `parts`, the
    state of its `box` (None when it has none) and, in a numbered list, its `number`. `text` is Markdown as it
    was written; 'code' is that of a fence or of an indented block.
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
    """The blocks of a text in their order. `deep` is the first line of what was too deep to be read."""

    blocks: tuple[Block, ...]
    deep: int | None = None


@dataclass(frozen=True, slots=True)
class MarkdownSection:
    """A heading and the blocks up to the next one; what stands before any heading has the level 0."""

    title: str
    level: int
    line: int
    blocks: tuple[Block, ...]


def parse_outline(text: str) -> Outline:
    """Read a text; any text is Markdown."""
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
    """The blocks of a text by the heading they stand below."""
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
    """All blocks, those within items too, in the order of the text."""
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
    # What is within a paragraph is not asked for, and reading it takes most of the time.
    return MarkdownIt("commonmark", options).disable(["inline", "text_join", "reference"])
