"""The three options of a plan: as a document, as Markdown that people edit, and as steps. Pure.

The Markdown is authoritative. Rendering a document and parsing the result yields the same document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import markdown
from git_planner.rules.documents.code_spans import find_code_spans
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.planning import planning_plan as graphs
from git_planner.rules.policy.command_line import split_command

SCHEMA = "git-planner/plan-options@1"
LETTERS = ("A", "B", "C")
PARTS = ("scope", "steps", "verification", "risks", "effort")
# Labels of the items of a step -> field; items without a label are actions.
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
# Other texts may have a meaning in Markdown and are written after a label.
_PLAIN = re.compile(r"(?!(?:title|goal|summary|item|effort):)[a-z]", re.IGNORECASE)
_QUOTED = re.compile(r"`([^`]+)`")
MAX_BYTES = 100_000
_MAX_LINE = 4000
_PLACE = re.compile(r"/options/(\d+)(?:/steps/(\d+))?(?:/(\w+))?")


def render_template(text: str, *, plan: str, goal: str, inputs: Sequence[str]) -> str:
    """Render the Markdown form to fill in.

    Args:
        text: the fixed text with $plan, $goal and $inputs.
        plan: the plan's name.
        goal: the plan's goal.
        inputs: available inputs, one line per input.
    """
    listed = "\n".join(f"- {line}" for line in inputs)
    return Template(text).safe_substitute(plan=plan, goal=" ".join(goal.split()), inputs=listed)


def find_placeholders(text: str) -> list[str]:
    """Return the places of a text that still have to be filled in, one sentence per place."""
    lines = re.split(r"\r\n|\r|\n", text)
    holes = ((place, find_placeholder(line[:_MAX_LINE])) for place, line in enumerate(lines, 1))
    return [f"line {place}: {hole}" for place, hole in holes if hole is not None]


def render_options(document: Mapping[str, Any], *, plan: str, inputs: Sequence[str]) -> str:
    """Render a document of options as Markdown.

    Args:
        document: a document that its schema and `find_option_faults` accept.
        plan: the plan's name.
        inputs: its inputs, one line per input.
    """
    lines = [
        f"# Plan options: {plan}",
        "",
        "## Goal",
        "",
        _with_label("Goal", document["goal"]),
        "",
        "## Inputs",
        "",
    ]
    lines += [f"- {line}" for line in inputs]
    for option in sorted(document["options"], key=lambda item: str(item["name"])):
        title = _line(option["title"])
        # Markdown would drop a '#' at the end of a heading.
        closing = " ##" if title.endswith("#") else ""
        lines += ["", f"## Option {option['name']}: {title}{closing}", ""]
        lines += [_with_label("Summary", option["summary"]), ""]
        for part in PARTS:
            lines += [f"### {part.capitalize()}", "", *_part_lines(option, part), ""]
        lines.pop()
    return "\n".join([*lines, ""])


def _part_lines(option: Mapping[str, Any], part: str) -> list[str]:
    if part == "effort":
        return [_with_label("Effort", option["effort"])]
    if part != "steps":
        return [f"- {_with_label('Item', item)}" for item in option.get(part, ())]
    places = {step["id"]: str(place) for place, step in enumerate(option["steps"], 1)}
    lines = []
    for place, step in enumerate(option["steps"], 1):
        lines.append(f"{place}. {_with_label('Title', step['title'])}")
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
    """Parse Markdown to a document of options, not yet validated.

    Headings of the second level are 'Goal', 'Inputs' and 'Option A' to 'Option C'; below an option those of
    the third are its parts. Other sections are ignored.

    Raises:
        PlannerError: E_TOO_LARGE for a text of more than MAX_BYTES.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise PlannerError(
            "E_TOO_LARGE", f"the options have {size:,} bytes; at most {MAX_BYTES:,} are allowed"
        )
    outline = markdown.parse_outline(text)
    goal: list[str] = []
    options: list[dict[str, Any]] = []
    inside: str | None = None
    for section in markdown.split_sections(outline.blocks):
        title = section.title.strip()
        match = _OPTION.fullmatch(title)
        if section.level == 2:
            inside = "option" if match else "goal" if title.lower() == "goal" else None
            if match:
                options.append({"name": match[1].upper(), "title": _line(match[2])})
        if inside == "goal" and section.level == 2:
            goal = _texts(section.blocks)
        elif inside == "option" and section.level == 2:
            options[-1]["summary"] = _without_label("summary", " ".join(_texts(section.blocks)))
        elif inside == "option" and section.level == 3 and title.lower() in PARTS:
            options[-1][title.lower()] = _parse_part(options[-1]["name"], title.lower(), section.blocks)
    return {
        "schema": SCHEMA,
        "goal": _without_label("goal", " ".join(goal)),
        "options": [_with_defaults(option) for option in options],
    }


def _parse_part(letter: str, part: str, blocks: Sequence[markdown.Block]) -> Any:
    if part == "effort":
        return _without_label("effort", " ".join(_texts(blocks)))
    if part != "steps":
        return [_without_label("item", text) for text in _texts(blocks)]
    items = [block for block in blocks if block.kind == "item"]
    places = {item.number or str(at): at for at, item in enumerate(items, 1)}
    return [_parse_step(letter, at, item, places) for at, item in enumerate(items, 1)]


def _parse_step(letter: str, place: int, item: markdown.Block, places: Mapping[str, int]) -> dict[str, Any]:
    fields: dict[str, list[str]] = {}
    for block in item.parts:
        keyed = _ITEM.fullmatch(block.text)
        key = _KEYS[keyed[1].lower()] if keyed else "intent" if block.kind == "text" else "actions"
        below = _texts(block.parts)
        fields.setdefault(key, []).extend(
            text for text in (_line(keyed[2] if keyed else block.text), *below) if text
        )
    step: dict[str, Any] = {
        "id": f"{letter.lower()}{place}",
        "title": _without_label("title", _line(item.text)),
        "intent": " ".join(fields.pop("intent", [])),
    }
    if "files" in fields:
        fields["files"] = [name for text in fields["files"] for name in _files(text)]
    if "dependencies" in fields:
        fields["dependencies"] = [
            f"{letter.lower()}{places.get(name, name)}"
            for text in fields["dependencies"]
            for name in re.findall(r"\w+", text)
            if name.lower() not in ("step", "steps", "and", "none")
        ]
    return {**step, **fields}


def _with_defaults(option: dict[str, Any]) -> dict[str, Any]:
    """Fill in the fields of steps that may be left out."""
    checks = option.get("verification", [])
    for step in option.get("steps", ()):
        step["intent"] = step["intent"] or step["title"]
        step.setdefault("actions", [step["title"]])
        step.setdefault("validation", list(checks))
    return option


def _texts(blocks: Sequence[markdown.Block]) -> list[str]:
    """Return the texts of blocks and their nested items, one line per block."""
    return [line for block in markdown.iter_blocks(blocks) if (line := _line(block.text))]


def _with_label(key: str, text: str) -> str:
    line = _line(text)
    return line if _PLAIN.match(line) else f"{key}: {line}"


def _without_label(key: str, text: str) -> str:
    return re.sub(rf"^{key}:\s*", "", text, count=1, flags=re.IGNORECASE)


def _files(text: str) -> list[str]:
    """Return the paths in the text of an item, which are in backquotes or separated by commas."""
    quoted = [path.strip() for path in _QUOTED.findall(text)]
    if quoted:
        return quoted
    return [path.strip() for path in text.split(",") if path.strip()]


def _line(text: str) -> str:
    return " ".join(text.split())


def find_option_faults(document: Mapping[str, Any]) -> list[str]:
    """Check options beyond their schema: one option per letter, consistent steps, valid commands.

    Args:
        document: a document that is valid by its schema.

    Returns:
        One sentence per fault, '<json pointer>: <problem>'.
    """
    faults = []
    names = [option["name"] for option in document["options"]]
    if sorted(names) != sorted(LETTERS):
        faults.append(f"/options: are {', '.join(names)}; there must be one each of {', '.join(LETTERS)}")
    for place, option in enumerate(document["options"]):
        faults += [f"/options/{place}{fault}" for fault in _step_faults(option)]
    return faults


def _step_faults(option: Mapping[str, Any]) -> Iterator[str]:
    yield from graphs.find_step_faults(option)
    for place, step in enumerate(option["steps"]):
        for at, check in enumerate(step["validation"]):
            try:
                parse_verify_command(check)
            except PlannerError as error:
                yield f"/steps/{place}/validation/{at}: {error.message}"


def parse_verify_command(check: str) -> tuple[str, ...] | None:
    """Parse a check that consists of a command in backquotes; None for a check in prose.

    Raises:
        PlannerError: E_USAGE if it needs a shell or is not a command.
    """
    check = check.strip()
    spans = find_code_spans(check)
    is_command = [(span.start, span.end) for span in spans] == [(0, len(check))] and spans[0].text
    return split_command(spans[0].text, "command") if is_command else None


def describe_fault(fault: str, letter: str | None = None) -> str:
    """Describe a fault of a document of options by option and step: 'option B, step 2, actions: …'.

    Args:
        fault: a fault from `find_option_faults` or the schema.
        letter: the letter of the option (default: from the JSON pointer).
    """
    pointer, _, problem = fault.partition(": ")
    match = _PLACE.match(pointer)
    if match is None:
        return fault
    parts = [f"option {letter or 'ABC'[int(match[1]) : int(match[1]) + 1] or int(match[1]) + 1}"]
    parts += [f"step {int(match[2]) + 1}"] if match[2] else []
    parts += [match[3]] if match[3] and match[3] != "steps" else []
    return f"{', '.join(parts)}: {problem}"


def join_texts(document: Mapping[str, Any]) -> str:
    """Join all strings of a document, one per line."""
    lines: list[str] = []
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, Sequence):
            pending.extend(value)
    return "\n".join(reversed(lines))


def find_option(document: Mapping[str, Any], letter: str) -> Mapping[str, Any] | None:
    """Return the option of a letter; None if there is none."""
    return next((option for option in document["options"] if option["name"] == letter), None)


def add_verify_commands(
    tasks: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], known: frozenset[str]
) -> list[dict[str, Any]]:
    """Set the verify commands of new tasks from the checks of their steps.

    Args:
        tasks: task documents.
        steps: the steps of the new tasks.
        known: ids of existing tasks, which do not change.
    """
    by_id = {step["id"]: step for step in steps}
    documents = []
    for task in tasks:
        step = None if task["id"] in known else by_id.get(task["step"])
        checks = [parse_verify_command(check) for check in step["validation"]] if step else []
        verify = [list(check) for check in checks if check]
        documents.append({**task, "verify": verify} if verify else dict(task))
    return documents
