"""Build a typed policy from its document: defaults, and checks beyond the schema. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy import model_rule
from git_planner.rules.policy.command_line import parse_command
from git_planner.rules.policy.gates import gate_problems, gates_from
from git_planner.rules.policy.policy import (
    ALWAYS_GUARDED,
    START_UP,
    AgentSettings,
    Correctness,
    Critics,
    CriticSettings,
    Families,
    Metric,
    Policy,
    Program,
    Stop,
)
from git_planner.rules.policy.review_rule import review_from, review_problems
from git_planner.rules.policy.steps import step_problems, steps_from
from git_planner.rules.stats.pairs import Pairs

if TYPE_CHECKING:
    from git_planner.rules.policy.interactive_client import InteractiveClient

COMMAND_TIMEOUT = 600.0
PROMPT_BUDGET = 60_000
# Readers of benchmark results, and the unit of the figure that each takes by default.
UNITS = {
    "pytest-benchmark": "s",
    "hyperfine": "s",
    "asv": "",
    "criterion": "ns",
    "google-benchmark": "ns",
    "go": "ns/op",
    "jmh": "",
    "gnu-time": "kB",
    "file-size": "bytes",
}


def policy_problems(document: Mapping[str, Any]) -> list[str]:
    """Check the rules of a policy that its schema cannot express.

    Args:
        document: a policy document that is valid by its schema.

    Returns:
        One sentence per problem, '<json pointer>: what is wrong'.
    """
    return [
        *_correctness_problems(document.get("correctness", {})),
        *_metric_problems(document),
        *_family_problems(document),
        *_agent_problems(document),
        *_verify_problems(document),
        *_critic_problems(document),
        *_client_problems(document),
        *gate_problems(document.get("gates", {})),
        *review_problems(document.get("review", {})),
        *_step_problems(document),
    ]


def _metric_problems(document: Mapping[str, Any]) -> Iterator[str]:
    metrics = document.get("metrics", [])
    if not metrics and "correctness" not in document:
        yield "/metrics: is missing; with neither 'metrics' nor 'correctness' nothing would be checked"
    names: set[str] = set()
    for place, metric in enumerate(metrics):
        at = f"/metrics/{place}"
        if metric["name"] in names:
            yield f"{at}/name: '{metric['name']}' is the name of an earlier metric"
        names.add(metric["name"])
        yield from _command_problems(at, metric, document)
        yield from _source_problems(at, metric)
        yield from _bound_problems(at, metric, decides=place == 0)
        if "pattern" in metric:
            yield from _pattern_problems(f"{at}/pattern", metric["pattern"])
        yield from _noise_problems(at, metric)


def _correctness_problems(correctness: Mapping[str, Any]) -> Iterator[str]:
    if correctness.get("proof") != "exit-status":
        return
    for key in ("report", "require", "may_fail"):
        if key in correctness:
            yield f"/correctness/{key}: needs a report of the tests, and the proof is 'exit-status'"
    if any("{proof}" in word for word in correctness["run"]):
        yield "/correctness/run: has '{proof}', but the proof 'exit-status' has no report"


def _source_problems(at: str, metric: Mapping[str, Any]) -> Iterator[str]:
    keys = [key for key in ("pattern", "pointer", "reader") if key in metric]
    if metric.get("source") == "instructions":
        for key in keys:
            yield f"{at}/{key}: says where the number is, but the source is 'instructions'"
    elif len(keys) != 1:
        many = " and ".join(f"'{key}'" for key in keys) or "no 'pattern', 'pointer' or 'reader'"
        yield f"{at}: has {many}; exactly one says where the number is"
    for key in ("benchmark", "value"):
        if key in metric and "reader" not in metric:
            yield f"{at}/{key}: is for metrics that have a 'reader'"
    if metric.get("reader") in ("file-size", "asv") and "file" not in metric:
        yield f"{at}/file: is missing; it names the files that the reader '{metric['reader']}' takes"


def _command_problems(at: str, metric: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    if ("run" in metric) == ("from" in metric):
        many = "both" if "run" in metric else "neither"
        yield f"{at}: has {many} of 'run' and 'from'; exactly one says what is run"
    if "from" not in metric:
        return
    if "correctness" not in document:
        yield f"{at}/from: is 'correctness', which the policy does not have"
    for key in ("timeout", "exit_statuses"):
        if key in metric:
            yield f"{at}/{key}: is that of 'correctness', from which the metric is read"
    if metric.get("source") == "instructions":
        yield f"{at}/from: cannot count the instructions of a run that has ended"


def _bound_problems(at: str, metric: Mapping[str, Any], *, decides: bool) -> Iterator[str]:
    low, high = metric.get("possible", (None, None))
    if low is not None and high is not None and low > high:
        yield f"{at}/possible: its lower bound is above the upper one"
    if decides and "no_worse_than" in metric:
        yield f"{at}/no_worse_than: is for metrics after the first, which decides"


def _noise_problems(at: str, metric: Mapping[str, Any]) -> Iterator[str]:
    for key in ("min_gain", "pairs"):
        if key in metric and metric.get("kind") != "noisy":
            yield f"{at}/{key}: is for metrics whose kind is 'noisy'"
    if "pairs" not in metric:
        return
    from git_planner.rules.stats import paired_design

    numbers = _pairs(metric["pairs"])
    if numbers.min > numbers.max:
        yield f"{at}/pairs/min: must be at most the 'max' of {numbers.max}"
    elif not paired_design.plan_comparison(numbers, 1).decidable:
        yield f"{at}/pairs/max: {numbers.max} pairs prove nothing at an 'alpha' of {numbers.alpha:g}"


def _pattern_problems(at: str, pattern: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{at}: is not a regular expression: {error}"
        return
    if groups != 1:
        yield f"{at}: has {groups} groups; exactly one must hold the number"


def _family_problems(document: Mapping[str, Any]) -> Iterator[str]:
    families = families_from(document.get("families", {}))
    if families.bonus_streak < families.streak:
        yield f"/families/bonus_streak: must be at least the streak of {families.streak}"


def _agent_problems(document: Mapping[str, Any]) -> Iterator[str]:
    agents = document.get("agents", {})
    for role in ("planner", "implementer", "researcher", "critic"):
        if agents.get(role) == "command" and role not in agents.get("command", {}):
            yield f"/agents/command/{role}: is missing; the {role} 'command' needs its program"


def _verify_problems(document: Mapping[str, Any]) -> Iterator[str]:
    for place, written in enumerate(document.get("verify", ())):
        try:
            parse_command(written, f"/verify/{place}")
        except PlannerError as error:
            yield error.message


def _critic_problems(document: Mapping[str, Any]) -> Iterator[str]:
    critics = critics_from(document.get("critics", {}))
    for name in ("gemini", "codex"):
        own = critics.of(name)
        why = own.models and own.model and model_rule.refusal_reason(own.models, own.model)
        if why:
            yield f"/critics/{name}/model: {why}, and 'models' there admits none such"


def _client_problems(document: Mapping[str, Any]) -> Iterator[str]:
    if "clients" in document:
        from git_planner.rules.policy.client_parse import client_problems

        yield from client_problems(document["clients"])


def _step_problems(document: Mapping[str, Any]) -> Iterator[str]:
    unguarded = document.get("unguard", ())
    start_up = (pattern for pattern in START_UP if pattern not in unguarded)
    yield from step_problems(document, (*document.get("guard", ()), *ALWAYS_GUARDED, *start_up))


def policy_from(document: Mapping[str, Any]) -> Policy:
    """Build a policy from a document without schema errors and `policy_problems`."""
    scope = document.get("scope", {})
    tests = document.get("correctness")
    metrics = tuple(_metric(metric, tests) for metric in document.get("metrics", ()))
    return Policy(
        base=document.get("base", "main"),
        guard=tuple(document.get("guard", ())),
        allow=tuple(scope.get("allow", ())),
        forbid=tuple(scope.get("forbid", ())),
        correctness=_correctness(document.get("correctness")),
        metrics=metrics,
        families=families_from(document.get("families", {})),
        profile=_program(document.get("profile")),
        context=tuple(document.get("context", ())),
        goal=document.get("goal", "").strip() or _default_goal(metrics),
        constraints=tuple(document.get("constraints", ())),
        acceptance=tuple(document.get("acceptance", ())),
        prompt_budget=document.get("prompt_budget", PROMPT_BUDGET),
        environment=tuple(document.get("environment", ())),
        agents=_agent_settings(document.get("agents", {})),
        stop=_stop(document.get("stop", {})),
        document=document,
        digest=canonical_json.digest(document),
        unguard=tuple(document.get("unguard", ())),
        jail=document.get("jail", "auto"),
        verify=tuple(parse_command(command, "verify") for command in document.get("verify", ())),
        critics=critics_from(document.get("critics", {})),
        max_file_mb=scope.get("max_file_mb", 100),
        max_new_files=scope.get("max_new_files", 20_000),
        clients=_clients(document),
        modules={name: tuple(patterns) for name, patterns in document.get("modules", {}).items()},
        gates=gates_from(document.get("gates", {}), has_tests="correctness" in document),
        review=review_from(document.get("review", {})),
        prepare=steps_from(document.get("prepare", ()), is_build=False),
        build=steps_from(document.get("build", ()), is_build=True),
    )


def _clients(document: Mapping[str, Any]) -> tuple[InteractiveClient, ...]:
    # Hooks read policies, and start no session.
    if "clients" not in document:
        return ()
    from git_planner.rules.policy.client_parse import clients_from

    return clients_from(document["clients"])


def families_from(document: Mapping[str, Any]) -> Families:
    """Build the families of a policy document, with their defaults.

    If only `streak` is set, `bonus_streak` grows with it, so that a gain never shortens the streak.
    """
    streak = document.get("streak", 2)
    return Families(
        names=tuple(document.get("names", ())),
        streak=streak,
        bonus_streak=document.get("bonus_streak", max(3, streak)),
        bonus_gain=float(document.get("bonus_gain", 10)),
    )


def _default_goal(metrics: tuple[Metric, ...]) -> str:
    if not metrics:
        return "Improve the code and keep every test passing."
    return f"Make '{metrics[0].name}' {metrics[0].better} and keep every test passing."


def _metric(document: Mapping[str, Any], tests: Mapping[str, Any] | None) -> Metric:
    reader = document.get("reader")
    from_tests = "from" in document
    command = tests if from_tests and tests is not None else document
    low, high = document.get("possible", (None, None))
    return Metric(
        name=document["name"],
        run=tuple(command["run"]),
        pattern=document.get("pattern"),
        pointer=document.get("pointer"),
        unit=document.get("unit", UNITS.get(reader, "") if reader and "value" not in document else ""),
        better=document["better"],
        kind=document.get("kind", "deterministic"),
        repeats=document.get("repeats", 1),
        timeout=float(command.get("timeout", COMMAND_TIMEOUT)),
        source=document.get("source", "output"),
        pin=document.get("pin", document.get("kind") == "noisy"),
        min_gain=_number(document, "min_gain"),
        pairs=_pairs(document.get("pairs", {})),
        exit_statuses=tuple(command.get("exit_statuses", (0,))),
        reader=reader,
        benchmark=document.get("benchmark"),
        value=document.get("value"),
        file=document.get("file"),
        from_tests=from_tests,
        at_most=_number(document, "at_most"),
        at_least=_number(document, "at_least"),
        no_worse_than=float(document["no_worse_than"][:-1]) / 100 if "no_worse_than" in document else None,
        possible=(None if low is None else float(low), None if high is None else float(high)),
    )


def _number(document: Mapping[str, Any], key: str) -> float | None:
    return float(document[key]) if key in document else None


def _pairs(document: Mapping[str, Any]) -> Pairs:
    return Pairs(**{key: type(getattr(Pairs(), key))(value) for key, value in document.items()})


def _correctness(document: Mapping[str, Any] | None) -> Correctness | None:
    if document is None:
        return None
    return Correctness(
        run=tuple(document["run"]),
        proof=document.get("proof", "junit"),
        require=tuple(document.get("require", ())),
        timeout=float(document.get("timeout", COMMAND_TIMEOUT)),
        report=document.get("report"),
        may_fail=tuple(document.get("may_fail", ())),
        exit_statuses=tuple(document.get("exit_statuses", (0,))),
    )


def _program(document: Mapping[str, Any] | None) -> Program | None:
    if document is None:
        return None
    return Program(tuple(document["run"]), float(document.get("timeout", COMMAND_TIMEOUT)))


def _agent_settings(document: Mapping[str, Any]) -> AgentSettings:
    default = AgentSettings()
    models_of, timeouts = document.get("models", {}), document.get("timeouts", {})
    command = document.get("command", {})
    return AgentSettings(
        planner=document.get("planner", default.planner),
        implementer=document.get("implementer", default.implementer),
        planner_model=models_of.get("planner"),
        implementer_model=models_of.get("implementer"),
        planner_timeout=float(timeouts.get("planner", default.planner_timeout)),
        implementer_timeout=float(timeouts.get("implementer", default.implementer_timeout)),
        attempts=document.get("attempts", default.attempts),
        command_planner=_program(command.get("planner")),
        command_implementer=_program(command.get("implementer")),
        patches=document.get("patches"),
        researcher=document.get("researcher", default.researcher),
        researcher_model=models_of.get("researcher"),
        researcher_timeout=float(timeouts.get("researcher", default.researcher_timeout)),
        command_researcher=_program(command.get("researcher")),
        critic=document.get("critic", default.critic),
        command_critic=_program(command.get("critic")),
        sandbox=document.get("sandbox", default.sandbox),
        git=document.get("git", default.git),
    )


def critics_from(document: Mapping[str, Any]) -> Critics:
    """Build the critics of a policy document, with their defaults."""
    default = Critics()
    return Critics(
        budget=document.get("budget", default.budget),
        gemini=_critic(document.get("gemini", {}), default.gemini),
        codex=_critic(document.get("codex", {}), default.codex),
    )


def _critic(document: Mapping[str, Any], default: CriticSettings) -> CriticSettings:
    rule = document.get("models")
    return CriticSettings(
        model=document.get("model", default.model),
        timeout=float(document.get("timeout", default.timeout)),
        models=default.models if rule is None else _model_rule(rule),
    )


def _model_rule(document: Mapping[str, Any]) -> model_rule.ModelRule:
    return model_rule.ModelRule(
        family=document["family"],
        min_version=str(document["min_version"]),
        require=tuple(document.get("require", ())),
        refuse=tuple(document.get("refuse", ())),
        as_of=document["as_of"],
    )


def _stop(document: Mapping[str, Any]) -> Stop:
    wall = document.get("wall")
    return Stop(
        count=document.get("count"),
        wall=None if wall is None else float(wall),
        tokens=document.get("tokens"),
        invalid=document.get("invalid", Stop().invalid),
        plateau=document.get("plateau"),
    )
