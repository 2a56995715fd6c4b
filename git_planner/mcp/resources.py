"""Resources: plans, handoffs and records, as `git-planner://<kind>/…?repo_path=…`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from git_planner.errors import PlannerError
from git_planner.mcp.command_lines import MOST_OF_PAGE, Command

SCHEME = "git-planner"
MOST_CHARACTERS = 128 * 1024
_MOST_OF_URI = 8192


class ResourceKind(NamedTuple):
    """One kind of resource.

    `parts` are the parts of its path; `commands` makes the command lines that read it from them. Its text is
    `field` of the last document; without a field all documents, by the words that `commands` names them with.
    """

    name: str
    about: str
    parts: Sequence[str]
    media_type: str
    commands: Callable[..., Mapping[str, Command]]
    field: str | None = None

    @property
    def template(self) -> str:
        """The template of its addresses, by RFC 6570."""
        path = "/".join(f"{{{part}}}" for part in self.parts)
        return f"{SCHEME}://{self.name}/{path}{{?repo_path}}"


class Address(NamedTuple):
    """The address of a resource: its kind, the folder of its repository, and the parts of its path."""

    kind: ResourceKind
    repo_path: str
    parts: Sequence[str]


def _plan(plan: str) -> dict[str, Command]:
    rows = ["task", "list", "--brief", f"--limit={MOST_OF_PAGE}", f"--plan={plan}"]
    return {
        "status": Command("git-plan", ["status", f"--plan={plan}"]),
        "tasks": Command("git-plan", rows),
    }


def _handoff(plan: str, task: str) -> dict[str, Command]:
    return {"handoff": Command("git-plan", ["task", "show", "--handoff", f"--plan={plan}"], [task])}


def _record(plan: str, record: str) -> dict[str, Command]:
    return {"record": Command("git-record", ["show", f"--plan={plan}"], [record])}


def _review(what: str) -> dict[str, Command]:
    # 'git plan review sync' is another command.
    return {"review": Command("git-plan", ["review"], ["plan/sync" if what == "sync" else what])}


KINDS: dict[str, ResourceKind] = {
    kind.name: kind
    for kind in (
        ResourceKind("plan", "Where a plan stands, and its tasks.", ("plan",), "application/json", _plan),
        ResourceKind(
            "handoff",
            "The file through which planner and worker of a task talk.",
            ("plan", "task"),
            "text/markdown",
            _handoff,
            "text",
        ),
        ResourceKind(
            "review",
            "What people review: a directive, plan, spec or guard proposal, by its branch or name.",
            ("what",),
            "text/markdown",
            _review,
            "body",
        ),
        ResourceKind(
            "record",
            "A record, by its id or commit.",
            ("plan", "record"),
            "application/json",
            _record,
        ),
    )
}


def address_of(kind: str, repo_path: str, *parts: str) -> str:
    """Return the address of a resource."""
    path = "/".join(quote(part, safe="") for part in parts)
    return f"{SCHEME}://{kind}/{path}?repo_path={quote(repo_path, safe='/')}"


def parse_address(uri: str) -> Address:
    """Parse the address of a resource.

    Raises:
        PlannerError: E_USAGE.
    """
    templates = ", ".join(kind.template for kind in KINDS.values())
    wrong = PlannerError(
        "E_USAGE", f"{uri[:200]!r} is no address of a resource", hint=f"templates: {templates}"
    )
    if len(uri) > _MOST_OF_URI or not uri.isprintable():
        raise wrong
    try:
        address = urlsplit(uri)
        query = parse_qs(address.query, strict_parsing=True)
    except ValueError:
        raise wrong from None
    kind = KINDS.get(address.netloc)
    parts = [unquote(part) for part in address.path.split("/")[1:]]
    is_whole = (
        kind is not None and len(parts) == len(kind.parts) and all(parts) and set(query) == {"repo_path"}
    )
    if address.scheme != SCHEME or kind is None or not is_whole or address.fragment:
        raise wrong
    if len(query["repo_path"]) != 1 or not all(map(str.isprintable, [*parts, *query["repo_path"]])):
        raise wrong
    return Address(kind, query["repo_path"][0], parts)


def render_resource(kind: ResourceKind, documents: Mapping[str, dict[str, Any]]) -> str:
    """Return the text of a resource, masked and of a bounded length."""
    import json

    from git_planner import redact

    if kind.field is not None:
        text = str(next(iter(documents.values())).get(kind.field) or "")
    else:
        only = next(iter(documents.values())) if len(documents) == 1 else dict(documents)
        text = json.dumps(only, indent=2, ensure_ascii=False)
    text = redact.mask_text(text)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}\n[cut: {len(text) - MOST_CHARACTERS:,} more characters]\n"
