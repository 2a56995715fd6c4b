"""Parse an XML report of unknown origin: no document type, no entities. Pure."""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

from git_planner.rules.measuring.proofs.proof import no_proof
from git_planner.rules.measuring.verdict import Refusal


class _DoctypeError(Exception):
    pass


def parse_xml(
    content: bytes,
    *,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
) -> Refusal | None:
    """Parse a document and call `start` and `end` for its elements, named without their namespace.

    Args:
        content: the document; its encoding is the one that it declares.
        start: called with an element's name and attributes; a ValueError ends the parsing.
        end: called with an element's name.

    Returns:
        None if the document is complete, else the refusal.
    """
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, attributes: start(_local_name(name), attributes)
    parser.EndElementHandler = lambda name: end(_local_name(name))
    try:
        parser.Parse(content, True)
    except _DoctypeError:
        return no_proof("the report has a document type, which is not allowed")
    except (expat.ExpatError, LookupError, ValueError) as error:
        return no_proof(f"the report is not complete XML ({error})")
    return None


def _refuse_doctype(*_: object) -> None:
    raise _DoctypeError


def _local_name(name: str) -> str:
    return name.rsplit(":", 1)[-1]
