"""Manual pages in man's format: one per program; the documents, the policy and the workflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import git_planner
from git_planner import documents
from git_planner.cli import ABOUT, DEFAULTS
from git_planner.cli.reference import policy_page, settings_page
from git_planner.cli.reference.entries import entries, value
from git_planner.errors import EXIT_MEANING
from git_planner.rules.documents.markdown import Block, parse_outline

_BOLD, _ITALIC, _PLAIN = "\\fB", "\\fI", "\\fR"
_INLINE = re.compile(r"`([^`]+)`|\*\*?([^*\s][^*]*)\*?\*|\[([^]]+)\]\([^)]*\)")


def pages(root: Path) -> dict[str, str]:
    """Return the text of every manual page by its name, such as 'man1/git-plan.1'.

    Args:
        root: the checkout, for its walkthrough and its README.
    """
    texts = {f"man1/{program}.1": _program(program) for program in ABOUT}
    texts["man5/gitplanner-policy.5"] = _policy(policy_page.example(root))
    texts["man5/gitplanner-config.5"] = _settings()
    texts["man5/gitplanner-schema.5"] = _schemas()
    walk = (root / "docs" / "walkthrough.md").read_text(encoding="utf-8")
    texts["man7/gitplanner-workflow.7"] = _workflow(walk)
    return texts


def _program(program: str) -> str:
    shown, about = program.replace("-", " ", 1), ABOUT[program].rstrip(".")
    commands = list(entries(program))
    lines = _head(program, 1, about[:1].lower() + about[1:])
    lines += [".SH SYNOPSIS", ".nf"]
    if program in DEFAULTS:
        lines += [_BOLD + _escaped(shown) + _PLAIN + _escaped(commands[0].usage.removeprefix(shown))]
    lines += [f"{_BOLD}{_escaped(shown)}{_PLAIN} {_ITALIC}COMMAND{_PLAIN} ...", ".fi"]
    lines += [".SH DESCRIPTION", *_paragraph(ABOUT[program]), ".PP"]
    lines += (
        _paragraph(f"'git planner {program.removeprefix('git-')}' is the same.")
        if program != "git-planner"
        else []
    )
    lines.append(".SH COMMANDS")
    for entry in commands:
        lines += [f".SS {_quoted(entry.usage)}", *_paragraph(entry.text)]
        for option, text in entry.options:
            lines += [
                ".TP",
                _option(option.opts, option.secondary_opts, value(option)),
                *_paragraph(text),
            ]
    lines.append(".SH EXIT STATUS")
    for status, meaning in EXIT_MEANING.items():
        lines += [".TP", f"{_BOLD}{status}{_PLAIN}", *_paragraph(meaning)]
    return _page(lines, [name for name in ABOUT if name != program])


def _schemas() -> str:
    lines = _head("gitplanner-schema", 5, "the documents of git-planner")
    lines += [
        ".SH DESCRIPTION",
        *_paragraph("'git planner schema NAME' prints each as a JSON Schema (2020-12)."),
    ]
    for name in (*documents.KINDS, *documents.PARTS):
        schema = documents.schema(name)
        lines += [f".SH {_quoted(name)}", *_paragraph(schema["description"])]
        required = schema.get("required", ())
        for key, written in schema.get("properties", {}).items():
            field = policy_page.resolved(written, schema)
            kind = _type(field) + (" or null" if "anyOf" in written else "")
            note = " ".join([kind, "" if key in required else "(may be missing)"]).strip()
            lines += [
                ".TP",
                f"{_BOLD}{_escaped(key)}{_PLAIN} {_escaped(note)}",
                *_paragraph(field.get("description", "-")),
            ]
    return _page(lines, ABOUT)


def _policy(example: str) -> str:
    lines = _head("gitplanner-policy", 5, policy_page.ABOUT_POLICY)
    lines += [".SH SYNOPSIS", *_paragraph("`.git-planner.yml` at the top of the repository")]
    lines += [".SH DESCRIPTION", *_paragraph(_POLICY_TEXT), ".SH EXAMPLE", *_literal(example)]
    lines += [".SH POLICY KEYS", *_keys(policy_page.policy_keys())]
    return _page(lines, ABOUT)


def _settings() -> str:
    lines = _head("gitplanner-config", 5, settings_page.ABOUT_SETTINGS)
    lines += [".SH DESCRIPTION", *_paragraph(settings_page.WHERE)]
    lines += [".SH SETTINGS", *_keys(settings_page.personal_settings())]
    lines += [".SH OTHER ENVIRONMENT VARIABLES", *_keys(settings_page.variables(settings_page.VARIABLES))]
    lines += [".SH ENVIRONMENT OF PROGRAMS", *_paragraph(settings_page.GIVEN)]
    lines += _keys(settings_page.variables(settings_page.GIVEN_VARIABLES))
    return _page(lines, ABOUT)


def _keys(keys: Iterable[policy_page.PolicyKey]) -> Iterator[str]:
    for key in keys:
        yield from (".TP", f"{_BOLD}{_escaped(key.name)}{_PLAIN} {_escaped(key.note)}", *_paragraph(key.text))


_POLICY_TEXT = """The rules of a repository for planned changes: what is guarded, how a change is checked and
measured, and which agents work. It is read from the trusted base commit, never from a working tree, so an
iteration cannot change its own rules.

`git planner init` writes a policy with comments, `git planner doctor` checks the committed one, and
`git planner schema policy` prints the schema. Unknown keys are errors."""


def _workflow(text: str) -> str:
    lines = _head("gitplanner-workflow", 7, "a walk through git-planner")
    lines.append(".SH DESCRIPTION")
    for block in parse_outline(text).blocks:
        lines += _block(block)
    return _page(lines, ABOUT)


def _block(block: Block) -> Iterator[str]:
    if block.kind == "heading":
        if block.level > 1:
            yield f".SH {_quoted(block.text.upper())}"
    elif block.kind == "code":
        yield from _literal(block.text)
    elif not block.text.startswith("<!--"):
        yield from ([".IP \\(bu 2"] if block.kind == "item" else [".PP"])
        yield from _paragraph(block.text)


def _literal(text: str) -> tuple[str, ...]:
    """Return the lines of a text that man does not fill."""
    return (".PP", ".RS 4", ".nf", *map(_escaped, text.rstrip().splitlines()), ".fi", ".RE")


def _head(name: str, section: int, about: str) -> list[str]:
    title = f'"{_escaped(name.upper())}" "{section}" "" "git\\-planner {git_planner.__version__}"'
    return [
        f'.TH {title} "Git Planner Manual"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(about)}",
    ]


def _page(lines: Sequence[str], others: Iterable[str]) -> str:
    also = [f"{_BOLD}{_escaped(name)}{_PLAIN}(1)" for name in others]
    manual = (("config", 5), ("policy", 5), ("schema", 5), ("workflow", 7))
    also += [f"{_BOLD}gitplanner\\-{name}{_PLAIN}({section})" for name, section in manual]
    return "\n".join([*lines, ".SH SEE ALSO", ", ".join(also)]) + "\n"


def _paragraph(text: str) -> list[str]:
    """Return the lines of a text with Markdown converted to man's fonts; an empty line starts a paragraph."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        lines += [".PP"] if lines else []
        if paragraph.startswith("    "):
            lines += [".nf", *(_escaped(line.strip()) for line in paragraph.splitlines()), ".fi"]
        else:
            lines += [_inline(line.strip()) for line in paragraph.splitlines()]
    return lines


def _inline(text: str) -> str:
    done, parts = 0, []
    for match in _INLINE.finditer(text):
        face = _BOLD if match[1] else _ITALIC
        parts += [
            _escaped(text[done : match.start()], start=not done),
            face,
            _escaped(match[1] or match[2] or match[3]),
            _PLAIN,
        ]
        done = match.end()
    return "".join([*parts, _escaped(text[done:], start=not done)])


def _option(names: Sequence[str], others: Sequence[str], taken: str) -> str:
    shown = f" {_ITALIC}{_escaped(taken)}{_PLAIN}" if taken else ""
    return ", ".join(f"{_BOLD}{_escaped(name)}{_PLAIN}{shown}" for name in (*names, *others))


def _type(field: Mapping[str, Any]) -> str:
    kind = field.get("type", "")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'


def _escaped(text: str, *, start: bool = True) -> str:
    """Return a text with man's special characters escaped."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if start and text[:1] in (".", "'") else text
