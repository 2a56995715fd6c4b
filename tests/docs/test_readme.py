"""Documentation pages: their commands run, and every named command and option exists.

A fenced block marked `sh` is run, line by line, in the demo repository, where offline agents replace codex.
The documents are run one after the other in the same repository. Each line must exit with status 0, or with
the status in its comment ("# exits with 1"). A block that is not run has a comment with the reason before
it: <!-- not run: reason -->
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from git_planner.cli import COMMANDS, DEFAULTS, group
from git_planner.cli.reference.__main__ import pages
from git_planner.config.policy_file import parse_policy
from git_planner.errors import EXIT_MEANING
from git_planner.flows.setup.demo import make_repository
from tests.support.lab import Lab, Ran

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "docs/walkthrough.md",
    "docs/migrate.md",
    "docs/leases.md",
    "docs/gates.md",
    "docs/sessions.md",
    "docs/top.md",
)
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL)
OURS = re.compile(r"\bgit[ -](?:plan|iterate|record|bo4|planner)(?![\w./@:-])[^`|\n;&]*")


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, and the reason why it is not run (None if it is run)."""

    kind: str
    text: str
    reason: str | None


def read(document: str) -> str:
    """Return the text of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    return [Block(match["kind"], match["text"], match["reason"]) for match in BLOCK.finditer(read(document))]


def lines(block: Block) -> Iterator[tuple[str, int]]:
    """Yield the command lines of a block with their expected exit status."""
    for line in block.text.splitlines():
        command, _, comment = line.partition(" #")
        expected = re.match(r" exits with (\d+)", comment)
        if command.strip():
            yield command.strip(), int(expected[1]) if expected else 0


def test_commands_run(lab: Lab) -> None:
    place = make_repository(lab.root / "kernel").place
    run = [
        (document, command, expected)
        for document in DOCUMENTS
        for block in blocks(document)
        if block.kind == "sh" and block.reason is None
        for command, expected in lines(block)
    ]
    assert len(run) > 25
    for document, command, expected in run:
        ran = run_line(lab, place, command)
        assert ran.status == expected, f"{document}: {command}\n{ran.out}{ran.err}"


def run_line(lab: Lab, place: Path, command: str) -> Ran:
    """Run a line of a document: one of our commands without starting a Python, anything else by a shell."""
    words = shlex.split(command)
    if words[0] == "git" and f"git-{words[1]}" in COMMANDS and not re.search(r"[|&;<>$`*?~#(]", command):
        return lab.run(f"git-{words[1]}", *words[2:], cwd=place)
    return lab.run_program("sh", "-c", command, cwd=place)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_that_are_not_run_say_why(document: str) -> None:
    unmarked = [block.text for block in blocks(document) if block.kind not in ("sh", "yaml")]
    assert unmarked == []
    assert all(len(block.reason.split()) > 2 for block in blocks(document) if block.reason)


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md", "docs/decisions.md"])
def test_named_commands_and_options_exist(document: str) -> None:
    wrong = []
    for mention in OURS.findall(without_foreign(read(document))):
        try:
            words = shlex.split(mention.partition(" #")[0].replace("git-", "git ", 1))
        except ValueError:
            continue
        wrong += [f"{mention.strip()}: {complaint}" for complaint in complaints(words[1:])]
    assert wrong == []


def without_foreign(text: str) -> str:
    """Return the code of a document without its prose, where 'git record' may be followed by any word."""
    fenced = [match["text"] for match in BLOCK.finditer(text)]
    spans = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    return "\n".join([*fenced, *spans])


def complaints(words: list[str]) -> Iterator[str]:
    """Yield the commands and options of ['plan', 'list', '--json'] or the like that do not exist."""
    if words[0] == "planner" and len(words) > 1 and words[1] in ("plan", "iterate", "record"):
        words = words[1:]
    program = f"git-{words[0]}"
    top = group(program)
    command: click.Command = top
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        child = command.get_command(click.Context(command), rest[0])
        if child is None:
            if command is not top or program not in DEFAULTS:
                yield f"no command '{rest[0]}'"
                return
            break
        command, rest = child, rest[1:]
    if command is top and program in DEFAULTS:
        command = top.get_command(click.Context(top), DEFAULTS[program]) or top
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in itertools.takewhile(lambda word: word != "--", rest):
        if word.startswith("-") and word.split("=")[0] not in known | {"-h", "--help", "--version"}:
            yield f"no option '{word}'"


def test_the_policy_in_the_readme_is_one() -> None:
    (text,) = [block.text for block in blocks("README.md") if block.kind == "yaml"]
    policy = parse_policy(text.encode(), "README.md")
    assert policy.metric is not None
    assert policy.metric.name == "cycles"


def test_exit_statuses_in_the_readme_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", read("README.md"), re.MULTILINE))
    assert rows == {str(status): meaning for status, meaning in EXIT_MEANING.items()}


def test_generated_pages_are_up_to_date() -> None:
    texts = pages(ROOT)
    assert len(texts) == 3 + 9 + 15
    for name, text in texts.items():
        assert read(name) == text, f"'{name}': run 'make docs'"
    shipped = {*ROOT.glob("templates/man/*/*"), *ROOT.glob("templates/completion/*/*")}
    assert {str(path.relative_to(ROOT)) for path in shipped} <= texts.keys()


def test_link_targets_exist() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    links = [
        (document, target)
        for document in documents
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
        if not target.startswith("https://")
    ]
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []
    assert len(links) > 5


def test_the_makefile_has_what_the_readme_names() -> None:
    makefile = read("Makefile")
    for target in set(re.findall(r"`?make ([a-z][a-z-]*)", read("README.md"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_command_takes_json() -> None:
    without = [
        path
        for path, command in leaves()
        if "--json" not in {name for option in command.params for name in option.opts}
    ]
    assert set(without) == {
        *("git-planner schema", "git-planner completion", "git-planner mcp serve", "git-plan lease run")
    }


def test_every_command_has_a_help_and_every_option_a_meaning() -> None:
    silent = [path for path, command in leaves() if not command.help]
    silent += [
        f"{path} {option.opts[-1]}"
        for path, command in leaves()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not option.hidden
    ]
    listed = {
        f"{program} {name}": row.help for program, rows in COMMANDS.items() for name, row in rows.items()
    }
    hidden = {f"{program} {name}" for program, name in DEFAULTS.items()} | {
        "git-planner gate",
        "git-plan session-program",
        "git-bo4 variant-program",
    }
    silent += [path for path, about in listed.items() if not about and path not in hidden]
    assert silent == []


def leaves() -> list[tuple[str, click.Command]]:
    """Return every visible command with its path, such as 'git-plan manual pack'."""
    commands = []
    for program, names in COMMANDS.items():
        top = group(program)
        pending = [(f"{program} {name}", top.get_command(click.Context(top), name)) for name in names]
        while pending:
            path, command = pending.pop(0)
            if isinstance(command, click.Group):
                pending += [(f"{path} {name}", child) for name, child in command.commands.items()]
            elif command is not None and not command.hidden:
                commands.append((path, command))
    return commands
