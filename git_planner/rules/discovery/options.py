"""The three options of a plan: as a document, as Markdown that people edit, and as steps. Pure.

The Markdown is what counts. What is rendered from a document reads back as the same document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import markdown
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.planning import planning_plan as graphs
from git_planner.rules.policy.command_line import split_command

SCHEMA = "git-planner/plan-options@1"
LETTERS = ("A", "B", "C")
PARTS = ("scope", "steps", "verification", "risks", "effort")
# The words before the items of a step, and the field each is for; items without one say what to do.
_KEYS = {
    "intent": "intent",
    "why": "intent",
    "do": "actions",
    "files": "files",
    "after": "dependencies",
    "check": "validation",
    "risk": "risks",
    "see": "references",
}
_ITEM = re.compile(rf"({'|'.join(_KEYS)}):\s*(.*)", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(
    r"option\s+([abc])\b(?:\s*:\s*|\s*[\u2014\u2013-]+\s*|\s+)?(.*)", re.IGNORECASE | re.DOTALL
)
# What begins otherwise may mean something in Markdown; it is written behind a word and a colon.
_PLAIN = re.compile(r"(?!(?:title|goal|summary|item|effort):)[a-z]", re.IGNORECASE)
_CODE = re.compile(r"(`+)\s*(.+?)\s*\1")
_QUOTED = re.compile(r"`([^`]+)`")
MAX_BYTES = 100_000
_MOST_LINE = 4000
_PLACE = re.compile(r"/options/(\d+)(?:/steps/(\d+))?(?:/(\w+))?")


def render_template(text: str, *, plan: str, goal: str, inputs: Sequence[str]) -> str:
    """The Markdown to fill in.

    Args:
        text: the fixed text with $plan, $goal and $inputs.
        plan: the plan's name.
        goal: what it is for.
        inputs: what there is to read, one line each.
    """
    listed = "\n".join(f"- {line}" for line in inputs)
    return Template(text).safe_substitute(plan=plan, goal=" ".join(goal.split()), inputs=listed)


def find_placeholders(text: str) -> list[str]:
    """The places of a text that still have to be filled in, one sentence each."""
    lines = re.split(r"\r\n|\r|\n", text)
    found = ((place, find_placeholder(line[:_MOST_LINE])) for place, line in enumerate(lines, 1))
    return [f"line {place}: {words}" for place, words in found if words is not None]


def render_options(document: Mapping[str, Any], *, plan: str, inputs: Sequence[str]) -> str:
    """A document of options as Markdown.

    Args:
        document: a document that its schema and `faults` accept.
        plan: the plan's name.
        inputs: what it was written from, one line each.
    """
    lines = [
        f"# Plan options: {plan}",
        "",
        "## Goal",
        "",
        _named("Goal", document["goal"]),
        "",
        "## Inputs",
        "",
    ]
    lines += [f"- {line}" for line in inputs]
    for option in sorted(document["options"], key=lambda item: str(item["name"])):
        title = _line(option["title"])
        # A '#' at the end of a heading would be taken for its closing marks.
        closing = " ##" if title.endswith("#") else ""
        lines += ["", f"## Option {option['name']}: {title}{closing}", ""]
        lines += [_named("Summary", option["summary"]), ""]
        for part in PARTS:
            lines += [f"### {part.capitalize()}", "", *_part(option, part), ""]
        lines.pop()
    return "\n".join([*lines, ""])


def _part(option: Mapping[str, Any], part: str) -> list[str]:
    if part == "effort":
        return [_named("Effort", option["effort"])]
    if part != "steps":
        return [f"- {_named('Item', item)}" for item in option.get(part, ())]
    places = {step["id"]: str(place) for place, step in enumerate(option["steps"], 1)}
    lines = []
    for place, step in enumerate(option["steps"], 1):
        lines.append(f"{place}. {_named('Title', step['title'])}")
        lines.append(f"   - Intent: {_line(step['intent'])}")
        lines += [f"   - Do: {_line(action)}" for action in step["actions"]]
        lines += [f"   - Files: {file}" for file in step.get("files", ())]
        after = [places[step_id] for step_id in step.get("dependencies", ())]
        lines += [f"   - After: {', '.join(after)}"] if after else []
        lines += [f"   - Check: {_line(check)}" for check in step["validation"]]
        lines += [f"   - Risk: {_line(risk)}" for risk in step.get("risks", ())]
        lines += [f"   - See: {_line(reference)}" for reference in step.get("references", ())]
    return lines


def parse_options(text: str) -> dict[str, Any]:
    """The document that Markdown stands for; it has passed no schema yet.

    Headings of the second level are 'Goal', 'Inputs' and 'Option A' to 'Option C'; below an option those of
    the third are its parts. All else is passed over.

    Raises:
        PlannerError: E_TOO_LARGE for a text of more than MOST_BYTES.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise PlannerError("E_TOO_LARGE", f"the options have {size:,} bytes; at most {MAX_BYTES:,} are read")
    outline = markdown.parse_outline(text)
    goal: list[str] = []
    options: list[dict[str, Any]] = []
    inside: str | None = None
    for section in markdown.split_sections(outline.blocks):
        title = section.title.strip()
        found = _OPTION.fullmatch(title)
        if section.level == 2:
            inside = "option" if found else "goal" if title.lower() == "goal" else None
            if found:
                options.append({"name": found[1].upper(), "title": _line(found[2])})
        if inside == "goal" and section.level == 2:
            goal = _texts(section.blocks)
        elif inside == "option" and section.level == 2:
            options[-1]["summary"] = _unnamed("summary", " ".join(_texts(section.blocks)))
        elif inside == "option" and section.level == 3 and title.lower() in PARTS:
            options[-1][title.lower()] = _read_part(options[-1]["name"], title.lower(), section.blocks)
    return {
        "schema": SCHEMA,
        "goal": _unnamed("goal", " ".join(goal)),
        "options": [_completed(option) for option in options],
    }


def _read_part(letter: str, part: str, blocks: Sequence[markdown.Block]) -> Any:
    if part == "effort":
        return _unnamed("effort", " ".join(_texts(blocks)))
    if part != "steps":
        return [_unnamed("item", text) for text in _texts(blocks)]
    items = [block for block in blocks if block.kind == "item"]
    places = {item.number or str(at): at for at, item in enumerate(items, 1)}
    return [_step(letter, at, item, places) for at, item in enumerate(items, 1)]


def _step(letter: str, place: int, item: markdown.Block, places: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for block in item.parts:
        keyed = _ITEM.fullmatch(block.text)
        key = _KEYS[keyed[1].lower()] if keyed else "intent" if block.kind == "text" else "actions"
        below = _texts(block.parts)
        found.setdefault(key, []).extend(
            text for text in (_line(keyed[2] if keyed else block.text), *below) if text
        )
    step: dict[str, Any] = {
        "id": f"{letter.lower()}{place}",
        "title": _unnamed("title", _line(item.text)),
        "intent": " ".join(found.pop("intent", [])),
    }
    if "files" in found:
        found["files"] = [name for text in found["files"] for name in _files(text)]
    if "dependencies" in found:
        found["dependencies"] = [
            f"{letter.lower()}{places.get(name, name)}"
            for text in found["dependencies"]
            for name in re.findall(r"\w+", text)
            if name.lower() not in ("step", "steps", "and", "none")
        ]
    return {**step, **found}


def _completed(option: dict[str, Any]) -> dict[str, Any]:
    """An option with what a person need not write twice."""
    checks = option.get("verification", [])
    for step in option.get("steps", ()):
        step["intent"] = step["intent"] or step["title"]
        step.setdefault("actions", [step["title"]])
        step.setdefault("validation", list(checks))
    return option


def _texts(blocks: Sequence[markdown.Block]) -> list[str]:
    """The texts of blocks, those within items too, each in one line."""
    return [line for block in markdown.iter_blocks(blocks) if (line := _line(block.text))]


def _named(key: str, text: str) -> str:
    line = _line(text)
    return line if _PLAIN.match(line) else f"{key}: {line}"


def _unnamed(key: str, text: str) -> str:
    return re.sub(rf"^{key}:\s*", "", text, count=1, flags=re.IGNORECASE)


def _files(text: str) -> list[str]:
    """The paths in the text of an item; a list of several stands in backquotes or has commas."""
    quoted = [path.strip() for path in _QUOTED.findall(text)]
    if quoted:
        return quoted
    return [path.strip() for path in text.split(",") if path.strip()]


def _line(text: str) -> str:
    return " ".join(text.split())


def find_option_faults(document: Mapping[str, Any]) -> list[str]:
    """Judge what the schema of options cannot say: one option a letter, steps that fit together, commands.

    Args:
        document: a document that has passed its schema.

    Returns:
        One sentence a fault, '<json pointer>: what is wrong'.
    """
    found = []
    names = [option["name"] for option in document["options"]]
    if sorted(names) != sorted(LETTERS):
        found.append(f"/options: are {', '.join(names)}; there must be one each of {', '.join(LETTERS)}")
    for place, option in enumerate(document["options"]):
        found += [f"/options/{place}{fault}" for fault in _step_faults(option)]
    return found


def _step_faults(option: Mapping[str, Any]) -> Iterator[str]:
    yield from graphs.find_step_faults(option)
    for place, step in enumerate(option["steps"]):
        for at, check in enumerate(step["validation"]):
            try:
                parse_verify_command(check)
            except PlannerError as error:
                yield f"/steps/{place}/validation/{at}: {error.message}"


def parse_verify_command(check: str) -> tuple[str, ...] | None:
    """The command of a check that stands in backquotes alone; None for a check in words.

    Raises:
        PlannerError: E_USAGE when it needs a shell, or is no command.
    """
    found = _CODE.fullmatch(check.strip())
    return split_command(found[2], "command") if found else None


def describe_fault(fault: str, letter: str | None = None) -> str:
    """A fault of a document of options in a reader's words: 'option B, step 2, actions: …'.

    Args:
        fault: as `faults` and the schema give it.
        letter: the option it is about; else it is told from its place.
    """
    pointer, _, words = fault.partition(": ")
    found = _PLACE.match(pointer)
    if found is None:
        return fault
    parts = [f"option {letter or 'ABC'[int(found[1]) : int(found[1]) + 1] or int(found[1]) + 1}"]
    parts += [f"step {int(found[2]) + 1}"] if found[2] else []
    parts += [found[3]] if found[3] and found[3] != "steps" else []
    return f"{', '.join(parts)}: {words}"


def join_texts(document: Mapping[str, Any]) -> str:
    """All texts of a document, one a line."""
    lines: list[str] = []
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, Sequence):
            waiting.extend(value)
    return "\n".join(reversed(lines))


def find_option(document: Mapping[str, Any], letter: str) -> Mapping[str, Any] | None:
    """The option of a letter."""
    return next((option for option in document["options"] if option["name"] == letter), None)


def add_verify_commands(
    tasks: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], known: frozenset[str]
) -> list[dict[str, Any]]:
    """Tasks with the commands of their steps' checks as verify commands.

    Args:
        tasks: documents of tasks.
        steps: the steps the new ones of them were made from.
        known: ids of tasks that were there before and stay as they are.
    """
    by_id = {step["id"]: step for step in steps}
    found = []
    for task in tasks:
        step = None if task["id"] in known else by_id.get(task["step"])
        checks = [parse_verify_command(check) for check in step["validation"]] if step else []
        verify = [list(check) for check in checks if check]
        found.append({**task, "verify": verify} if verify else dict(task))
    return found
