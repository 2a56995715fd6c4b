"""Names of the top-level symbols of a source file, by tree-sitter's grammars. Pure.

The grammars are the optional extra 'map'; without them, and for other languages, a file has no symbols. A
grammar is native code and the text is hostile: call this in a child process (host/bounded_call.py).
"""

from __future__ import annotations

import importlib
import posixpath
from collections.abc import Iterator
from functools import cache
from typing import Any

MAX_SYMBOLS, MAX_NAME = 60, 80
# Suffix -> module of the grammar, and its function where that is not 'language'.
GRAMMARS = {
    **dict.fromkeys((".py", ".pyi"), ("tree_sitter_python", "language")),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), ("tree_sitter_javascript", "language")),
    **dict.fromkeys((".ts", ".mts", ".cts"), ("tree_sitter_typescript", "language_typescript")),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    **dict.fromkeys((".c", ".h"), ("tree_sitter_c", "language")),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp"), ("tree_sitter_cpp", "language")),
    ".java": ("tree_sitter_java", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
    ".php": ("tree_sitter_php", "language_php"),
    ".cs": ("tree_sitter_c_sharp", "language"),
}
# Nodes around a definition, such as 'export' or a decorator.
_AROUND = (
    *("export_statement", "decorated_definition", "template_declaration", "type_declaration"),
    *("namespace_definition", "namespace_declaration", "internal_module", "declaration_list"),
    *("lexical_declaration", "variable_declaration", "expression_statement", "statement_block"),
    *("preproc_ifdef", "preproc_if", "linkage_specification", "impl_item"),
)
_DEFINING = ("_definition", "_declaration", "_item", "_specifier", "_spec", "class", "module", "method")
_FUNCTIONS = ("arrow_function", "function_expression", "function", "class")
_DEEPEST = 4


def is_source(path: str) -> bool:
    """Return whether a file has a grammar, installed or not."""
    return posixpath.splitext(path)[1] in GRAMMARS


def top_symbols(path: str, content: bytes) -> tuple[str, ...]:
    """Return the names of the top-level functions, classes and types of a source file, in their order.

    Args:
        path: its path, whose suffix names the language.
        content: the file.
    """
    parser = _parser(*GRAMMARS.get(posixpath.splitext(path)[1], ("", "")))
    if parser is None:
        return ()
    names = dict.fromkeys(_names(parser.parse(content).root_node, 0))
    return tuple(names)[:MAX_SYMBOLS]


@cache
def _parser(module: str, function: str) -> Any:
    """Return the parser of a grammar; None if it is not installed."""
    try:
        from tree_sitter import Language, Parser

        grammar = importlib.import_module(module)
    except (ImportError, ValueError):
        return None
    return Parser(Language(getattr(grammar, function)()))


def _names(node: Any, depth: int) -> Iterator[str]:
    for child in node.named_children:
        if child.type in _AROUND and depth < _DEEPEST:
            yield from _names(child, depth + 1)
        elif child.type == "variable_declarator":
            value = child.child_by_field_name("value")
            if value is not None and value.type in _FUNCTIONS:
                yield from _name(child.child_by_field_name("name"))
        elif child.type.endswith(_DEFINING):
            yield from _name(child.child_by_field_name("name") or child.child_by_field_name("declarator"))


def _name(node: Any) -> Iterator[str]:
    """Yield the name in a node; a declarator of C holds it deeper."""
    for _ in range(_DEEPEST):
        inner = node.child_by_field_name("declarator") if node is not None else None
        if inner is None:
            break
        node = inner
    if node is not None and node.text:
        yield node.text.decode("utf-8", "replace").split("\n")[0][:MAX_NAME]
