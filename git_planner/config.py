"""The policy of a repository and a person's own settings. The only door to PyYAML.

YAML is read as JSON would be: no tags, anchors or aliases, no dates, no 'yes' for true, no key twice.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

MAX_POLICY_BYTES = 256 * 1024
MAX_DEPTH = 20
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SCHEMA_HINT = "see the schema with 'git planner schema policy'"


def parse_policy(data: bytes, where: str, *, judged: bool = False) -> Policy:
    """Read a policy file.

    Args:
        data: its content.
        where: what to call it in an error, such as 'HEAD:.git-planner.yml'.
        judged: the schema is known to accept these very bytes.

    Raises:
        PlannerError: E_POLICY with line and column for YAML, one detail a fault for the rest.
    """
    from git_planner.rules.policy.parse import policy_from, policy_problems

    document = read_yaml(data, where, judged=judged)
    if not isinstance(document, dict):
        raise _unusable(where, "holds no keys and values", hint="make one with 'git planner init'")
    faults = [] if judged else documents.validate("policy", document)
    faults = faults or policy_problems(document)
    if faults:
        raise PlannerError(
            "E_POLICY", f"'{where}' is not a valid policy: {faults[0]}", hint=SCHEMA_HINT, details=faults
        )
    return policy_from(document)


def policy_at(repo: Repository, commit: str) -> Policy:
    """The policy that a commit holds.

    Args:
        repo: the repository.
        commit: an object id, or any name of a commit.

    Raises:
        PlannerError: E_NO_POLICY when there is none; E_POLICY when it cannot be used.
    """
    oid = commit if _OID.fullmatch(commit) else repo.resolve(commit)
    with repo.git.batch() as batch:
        found = batch.info(f"{oid}:{refnames.POLICY_FILE}")
        data = batch.read(found[0]) if found and found[1] == "blob" and found[2] <= MAX_POLICY_BYTES else None
    where = f"{oid[:12]}:{refnames.POLICY_FILE}"
    if found is None:
        raise PlannerError(
            "E_NO_POLICY",
            f"commit '{oid[:12]}' has no '{refnames.POLICY_FILE}'",
            hint="make one with 'git planner init' and commit it",
        )
    if found[1] != "blob":
        raise _unusable(where, f"is a {found[1]}, not a file")
    if data is None:
        raise _too_large(where, found[2])
    mark = _mark(repo, data)
    policy = parse_policy(data, where, judged=mark.exists())
    # Only a convenience: without it the schema is asked again.
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return policy


def _mark(repo: Repository, data: bytes) -> Path:
    """The file that says that this version's schema accepts a policy; loading jsonschema takes 70 ms."""
    judge = canonical_json.compact(documents.schema("policy"))
    return repo.private("cache", "policies", hashlib.sha256(judge + b"\0" + data).hexdigest())


def read_yaml(data: bytes, where: str, *, judged: bool = False) -> Any:
    """Read YAML as the JSON document it stands for.

    Args:
        data: its bytes.
        where: what to call it in an error.
        judged: these very bytes are known to be read.

    Raises:
        PlannerError: E_POLICY with the reason, line and column.
    """
    import yaml

    if len(data) > MAX_POLICY_BYTES:
        raise _too_large(where, len(data))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unusable(where, f"is not UTF-8 (byte {error.start})") from None
    try:
        if not judged:
            _check_events(text, where)
        document = yaml.load(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unusable(where, f"cannot be read: {error.problem or error.context}", mark) from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or "it cannot be read"
        raise _unusable(where, f"cannot be read: {reason}") from None
    if judged:
        return document
    try:
        # What JSON cannot carry has no digest: halves of surrogate pairs, for one.
        canonical_json.compact(document)
    except (PlannerError, ValueError) as error:
        raise _unusable(where, f"cannot be written as JSON: {error}") from None
    return document


def _check_events(text: str, where: str) -> None:
    """Refuse what could blow up or surprise, before anything is built. Streams; never recurses."""
    import yaml

    depth = documents_seen = 0
    for event in yaml.parse(text, Loader=_base_loader()):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _unusable(where, "uses anchors and aliases, which are not read", event.start_mark)
        if tag := getattr(event, "tag", None):
            raise _unusable(where, f"uses the tag '{tag[:60]}', which is not read", event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            documents_seen += 1
            if documents_seen > 1:
                raise _unusable(where, "holds more than one document", event.start_mark)
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _unusable(where, f"is nested deeper than {MAX_DEPTH} levels", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _base_loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# The scalars of JSON, by the characters they may start with; all else is text.
_DIGITS = "-+.0123456789"
_WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
_POWER = r"[eE][-+]?[0-9]+"
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "int": (_WHOLE, [*_DIGITS]),
    "float": (rf"{_WHOLE}(?:\.[0-9]*(?:{_POWER})?|{_POWER})|[-+]?\.[0-9]+(?:{_POWER})?", [*_DIGITS]),
}


@cache
def _loader() -> Any:
    """A loader that makes what JSON knows, and nothing else."""

    class JsonLoader(_base_loader()):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    for kind, (pattern, first) in _SCALARS.items():
        JsonLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z"), first)
    JsonLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
    JsonLoader.add_constructor("tag:yaml.org,2002:int", _number)
    JsonLoader.add_constructor("tag:yaml.org,2002:float", _number)
    return JsonLoader


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _refused("a key is not text; write it in quotes", key_node)
        if key in made:
            raise _refused(f"the key '{key[:60]}' appears twice", key_node)
        made[key] = loader.construct_object(value_node, deep=True)
    return made


def _number(_loader: Any, node: Any) -> int | float:
    whole = node.tag.endswith(":int")
    # No more than 20 characters of a whole number are looked at: Python itself refuses thousands of digits.
    value = int(node.value[:20]) if whole else float(node.value)
    if not math.isfinite(value) or (whole and (len(node.value) > 20 or not -(2**63) <= value < 2**63)):
        raise _refused("a number is too large", node)
    return value


def _refused(what: str, node: Any) -> Exception:
    import yaml

    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


def _unusable(where: str, what: str, mark: Any = None, *, hint: str = SCHEMA_HINT) -> PlannerError:
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return PlannerError("E_POLICY", f"'{where}' {what}{place}", hint=hint)


def _too_large(where: str, size: int) -> PlannerError:
    return _unusable(where, f"has {size:,} bytes; at most {MAX_POLICY_BYTES:,} are read")


@dataclass(frozen=True, slots=True)
class Settings:
    """A person's settings for one repository, each from the first place that has it.

    `worktrees` is the folder for the worktrees of iterations. `codex` is the program, by name or path;
    `codex_home` its CODEX_HOME for planning and implementing, `codex_home_api` the one for planning by API
    key; `gemini` is the gemini program. Timeouts are in seconds, and so is `heartbeat`, the time between two
    signs of life of a run. `patches` is the folder of diffs behind the 'patches' implementer. None: not set.
    """

    plan: str
    worktrees: Path
    remote: str
    codex: str
    codex_home: Path | None
    codex_home_api: Path | None
    codex_profile: str | None
    planner: str
    implementer: str
    planner_model: str | None
    implementer_model: str | None
    implementer_effort: str | None
    planner_timeout: float
    implementer_timeout: float
    attempts: int
    patches: Path | None
    gemini: str
    researcher: str
    researcher_model: str | None
    researcher_timeout: float
    critic: str
    heartbeat: float


_PATHS = ("worktrees", "codex_home", "codex_home_api", "patches")
_SECONDS = ("planner_timeout", "implementer_timeout", "researcher_timeout", "heartbeat")


def config_key(setting: str) -> str:
    """The git config key of a setting: 'planner.codexHome'."""
    first, *rest = setting.split("_")
    return f"planner.{first}{''.join(each.capitalize() for each in rest)}"


def variable(setting: str) -> str:
    """The environment variable of a setting: 'GIT_PLANNER_CODEX_HOME'."""
    return f"GIT_PLANNER_{setting.upper()}"


def settings(
    repo: Repository,
    *,
    policy: Policy | None = None,
    environ: Mapping[str, str] = os.environ,
    **flags: Any,
) -> Settings:
    """A person's settings: flag, environment, git config (worktree, local, global), policy, default.

    Args:
        repo: the repository.
        policy: the trusted policy, when the caller has one.
        environ: the environment to look into.
        flags: what the command line says; None is the same as not said.

    Raises:
        PlannerError: E_USAGE naming the place of a value that does not fit; E_NAME for a plan's name.
    """
    unknown = sorted(set(flags) - {each.name for each in fields(Settings)})
    if unknown:
        raise TypeError(f"not settings: {', '.join(unknown)}")
    configured = _git_config(repo)
    low = {**_defaults(repo), **_from_policy(repo, policy)}
    found: dict[str, Any] = {}
    for each in fields(Settings):
        name, key = each.name, config_key(each.name)
        if flags.get(name) is not None:
            found[name] = _typed(name, flags[name], f"--{name.replace('_', '-')}")
        elif environ.get(variable(name)):
            found[name] = _typed(name, environ[variable(name)], variable(name))
        elif configured.get(key.lower()):
            found[name] = _typed(name, configured[key.lower()], key)
        else:
            found[name] = low.get(name)
    refnames.check_plan_name(found["plan"])
    return Settings(**found)


def _typed(name: str, value: Any, source: str) -> Any:
    if name in _PATHS:
        return Path(value).expanduser().absolute()
    try:
        if name in _SECONDS:
            seconds = float(value)
            if not 0 < seconds <= 604_800:
                raise ValueError
            return seconds
        if name == "attempts":
            count = int(value)
            if not 1 <= count <= 20:
                raise ValueError
            return count
    except ValueError:
        wanted = (
            "a whole number from 1 to 20" if name == "attempts" else "seconds, more than 0, at most a week"
        )
        raise PlannerError(
            "E_USAGE",
            f"'{source}' is '{str(value)[:60]}', which is not {wanted}",
            hint=f"unset it or correct it, as with 'git config {config_key(name)} …'",
        ) from None
    return str(value)


def _git_config(repo: Repository) -> dict[str, str]:
    """All planner.* keys, lower case; git lists them from global to worktree, so the last one counts."""
    result = repo.git.run("config", "--null", "--get-regexp", r"^planner\.")
    found: dict[str, str] = {}
    if result.status == 0:
        for entry in os.fsdecode(result.stdout).split("\0"):
            key, _, value = entry.partition("\n")
            found[key.lower()] = value
    return found


def _defaults(repo: Repository) -> dict[str, Any]:
    return {
        "plan": "default",
        "worktrees": _beside(repo),
        "remote": "origin",
        "codex": "codex",
        "planner": "codex",
        "implementer": "codex",
        "planner_timeout": 900.0,
        "implementer_timeout": 1800.0,
        "attempts": 3,
        "gemini": "gemini",
        "researcher": "codex",
        "researcher_timeout": 2700.0,
        "critic": "gemini",
        "heartbeat": 10.0,
    }


def _from_policy(repo: Repository, policy: Policy | None) -> dict[str, Any]:
    if policy is None:
        return {}
    agents = policy.agents
    said = {
        name: getattr(agents, name)
        for name in (
            "planner",
            "implementer",
            "planner_model",
            "implementer_model",
            "planner_timeout",
            "implementer_timeout",
            "attempts",
            "researcher",
            "researcher_model",
            "researcher_timeout",
            "critic",
        )
    }
    if agents.patches is not None and repo.top is not None:
        said["patches"] = repo.top / agents.patches
    return said


def _beside(repo: Repository) -> Path:
    """The folder beside the repository where its iterations' worktrees go by default."""
    if repo.top is not None and repo.git_dir == repo.common:
        home = repo.top
    else:
        home = repo.common.parent if repo.common.name == ".git" else repo.common
    return home.with_name(home.name.removesuffix(".git") + ".iter")
