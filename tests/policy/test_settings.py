"""The policy file, valid or not, and the sources of settings."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.config.policy_file import parse_policy, policy_at
from git_planner.config.settings import config_key, environment_variable, read_settings
from git_planner.config.yaml_subset import read_yaml
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from git_planner.resources import resource_folder
from git_planner.rules.stats.pairs import Pairs
from tests.support.lab import Lab

HEAD = "schema: git-planner/policy@1\n"
SYSTEM = "tag:yaml.org,2002:python/object/apply:os.system"
JUDGED = HEAD + "correctness: {run: [make, test]}\n"


def refused(text: str | bytes) -> PlannerError:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(PlannerError) as raised:
        parse_policy(data, "p.yml")
    assert raised.value.code == "E_POLICY"
    return raised.value


def read(text: str) -> Any:
    return read_yaml(text.encode(), "p.yml")


PATTERN_WORDS = "missing ), unterminated subpattern at position 0"
POINTER_WORDS = "JSON pointer into the command's output, parsed as JSON"
BRANCH_WORDS = "the branch that iterations start from and are published to (default: 'main')"
METRIC = "metrics: [{{name: m, run: [a], better: lower, {more}}}]"


def test_a_noisy_metric_is_compared_by_pairs_on_one_cpu() -> None:
    text = HEAD + METRIC.format(more="pointer: /a, kind: noisy, min_gain: 2, pairs: {max: 60, alpha: 0.05}")
    metric = parse_policy(text.encode(), "p").metric
    assert metric is not None
    assert (metric.source, metric.pin, metric.min_gain) == ("output", True, 2.0)
    assert metric.pairs == Pairs(max=60, alpha=0.05)
    counted = parse_policy((HEAD + METRIC.format(more="source: instructions")).encode(), "p").metric
    assert counted is not None
    assert (counted.source, counted.pin, counted.pairs) == ("instructions", False, Pairs())


def test_the_template_is_a_policy_and_so_is_it_with_its_examples_on() -> None:
    text = (resource_folder("templates") / "policy.yml").read_text()
    policy = parse_policy(text.encode(), "policy.yml")
    assert policy.correctness is not None
    assert policy.metrics == ()
    start = text.index("# metrics:")
    end = text.index("\n\n", start)
    metrics = text[start:end].replace("\n# ", "\n").removeprefix("# ")
    measured = parse_policy((text[:start] + metrics + text[end:]).encode(), "policy.yml")
    assert measured.metric is not None
    assert measured.metric.pattern == r"CYCLES:\s*(\d+)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a mapping"),
        ("- a", "is not a mapping"),
        ("a: [", "cannot be read: did not find expected node content (line 2, column 1)"),
        (
            "a: 1\n\tb: 2",
            "cannot be read: found a tab character that violates indentation (line 2, column 1)",
        ),
        ("a: 1\na: 2", "cannot be read: the key 'a' appears twice (line 2, column 1)"),
        ("b: {c: {d: 1, d: 1}}", "cannot be read: the key 'd' appears twice (line 1, column 15)"),
        ("1: 2", "cannot be read: a key is not text; write it in quotes (line 1, column 1)"),
        ("true: 2", "cannot be read: a key is not text; write it in quotes (line 1, column 1)"),
        ("? [a]\n: 1", "cannot be read: a key is not text; write it in quotes (line 1, column 3)"),
        ("a: &x 1\nb: *x", "uses anchors and aliases, which are not allowed (line 1, column 4)"),
        ("a: *x", "uses anchors and aliases, which are not allowed (line 1, column 4)"),
        ("a: !!set {b}", "uses the tag 'tag:yaml.org,2002:set', which is not allowed (line 1, column 4)"),
        ("a: !x b", "uses the tag '!x', which is not allowed (line 1, column 4)"),
        (
            "a: !!python/object/apply:os.system [x]",
            f"uses the tag '{SYSTEM}', which is not allowed (line 1, column 4)",
        ),
        ("a: 1\n---\nb: 1", "holds more than one document (line 2, column 1)"),
        ("[" * 500, "is nested deeper than 20 levels (line 1, column 21)"),
        ("a: " + "{a: " * 30 + "1" + "}" * 30, "is nested deeper than 20 levels (line 1, column 80)"),
        ("a: 1e999", "cannot be read: a number is too large (line 1, column 4)"),
        ("a: " + "9" * 5000, "cannot be read: a number is too large (line 1, column 4)"),
        ("a: \x00", "cannot be read: control characters are not allowed"),
        ('a: "\\uD800"', "cannot be read: found invalid Unicode character escape code (line 1, column 7)"),
        (HEAD.encode("utf-16"), "is not UTF-8 (byte 0)"),
        (b"a: \xff", "is not UTF-8 (byte 3)"),
        ("#" * 262_145, "has 262,145 bytes; at most 262,144 are read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_where(text: str | bytes, message: str) -> None:
    assert refused(text).message == f"'p.yml' {message}"


def test_a_hundred_thousand_brackets_are_refused_by_whoever_counts_first() -> None:
    assert refused("[" * 100_000).code == "E_POLICY"


def test_the_billion_laughs_end_at_the_first() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    started = time.process_time()
    assert "anchors and aliases" in refused(bomb).message
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "details"),
    [
        (HEAD, ["/metrics: is missing; with neither 'metrics' nor 'correctness' nothing would be checked"]),
        (
            HEAD + "metrics: []",
            ["/metrics: is missing; with neither 'metrics' nor 'correctness' nothing would be checked"],
        ),
        ("correctness: {run: [a]}", ["/schema: is missing"]),
        (
            JUDGED + "guards: []\nagents: {planer: x}",
            [
                "/agents/planer: is not a known key; did you mean 'planner'?",
                "/guards: is not a known key; did you mean 'guard'?",
            ],
        ),
        (JUDGED + "base: on\nprompt_budget: yes", ["/prompt_budget: must be a whole number, not 'yes'"]),
        (JUDGED + "prompt_budget: 60_000", ["/prompt_budget: must be a whole number, not '60_000'"]),
        (JUDGED + "prompt_budget: 0o17", ["/prompt_budget: must be a whole number, not '0o17'"]),
        (JUDGED + "goal:", ["/goal: must be a string, not null"]),
        (
            JUDGED + "environment: [A-B]",
            ["/environment/0: 'A-B' is not accepted here: name of an environment variable"],
        ),
        (JUDGED + "guard: [a, a]", ["/guard: has the same item twice"]),
        (
            JUDGED + "stop: {count: 0, wall: 0}",
            ["/stop/count: must be at least 1, not 0", "/stop/wall: must be more than 0, not 0"],
        ),
        (JUDGED + "base: 'a..b'", [f"/base: 'a..b' is not accepted here: {BRANCH_WORDS}"]),
        (HEAD + "correctness: {run: []}", ["/correctness/run: has 0 items; at least 1 are needed"]),
        (HEAD + "correctness: {run: make test}", ["/correctness/run: must be a list, not 'make test'"]),
        (
            HEAD + METRIC.format(more="unit: x"),
            ["/metrics/0: has no 'pattern', 'pointer' or 'reader'; exactly one says where the number is"],
        ),
        (
            HEAD + METRIC.format(more="pattern: '(a)', pointer: /a"),
            ["/metrics/0: has 'pattern' and 'pointer'; exactly one says where the number is"],
        ),
        (
            HEAD + METRIC.format(more="pattern: a"),
            ["/metrics/0/pattern: has 0 groups; exactly one must hold the number"],
        ),
        (
            HEAD + METRIC.format(more="pattern: (a)(b)"),
            ["/metrics/0/pattern: has 2 groups; exactly one must hold the number"],
        ),
        (
            HEAD + METRIC.format(more="pattern: (a"),
            [f"/metrics/0/pattern: is not a regular expression: {PATTERN_WORDS}"],
        ),
        (
            HEAD + METRIC.format(more="pointer: a"),
            [f"/metrics/0/pointer: 'a' is not accepted here: {POINTER_WORDS}"],
        ),
        (
            HEAD + METRIC.format(more="pointer: /a}, {name: m, run: [b], better: lower, pointer: /b"),
            ["/metrics/1/name: 'm' is the name of an earlier metric"],
        ),
        (HEAD + "metrics: [{name: m, run: [a], pointer: /a}]", ["/metrics/0/better: is missing"]),
        (
            HEAD + METRIC.format(more="source: instructions, pattern: (a)"),
            ["/metrics/0/pattern: says where the number is, but the source is 'instructions'"],
        ),
        (
            HEAD + METRIC.format(more="pointer: /a, min_gain: 1, pairs: {}"),
            [
                "/metrics/0/min_gain: is for metrics whose kind is 'noisy'",
                "/metrics/0/pairs: is for metrics whose kind is 'noisy'",
            ],
        ),
        (
            HEAD + METRIC.format(more="pointer: /a, kind: noisy, pairs: {min: 20, max: 10}"),
            ["/metrics/0/pairs/min: must be at most the 'max' of 10"],
        ),
        (
            HEAD + METRIC.format(more="pointer: /a, kind: noisy, pairs: {min: 4, max: 10}"),
            ["/metrics/0/pairs/max: 10 pairs prove nothing at an 'alpha' of 0.05"],
        ),
        (
            JUDGED + "families: {streak: 4, bonus_streak: 2}",
            ["/families/bonus_streak: must be at least the streak of 4"],
        ),
        (
            JUDGED + "agents: {planner: command, implementer: command, command: {planner: {run: [x]}}}",
            ["/agents/command/implementer: is missing; the implementer 'command' needs its program"],
        ),
    ],
)
def test_a_policy_that_is_not_valid_names_each_fault(text: str, details: list[str]) -> None:
    error = refused(text)
    assert list(error.details) == details
    assert error.message == f"'p.yml' is not a valid policy: {details[0]}"
    assert error.hint == "see the schema with 'git planner schema policy'"


MORE = [".nan", "1", "=", ".", "--", "e5"]


def test_yaml_is_read_as_json_would_be() -> None:
    text = (
        "a: [true, False, null, ~, 1, -2, +3, 0, 1.5, 1., .5, 1e3, -2.5E-1]\n"
        "b: [yes, no, on, off, y, 007, 0x1f, 1_000, 12:30:00, 2026-01-01, .inf, .nan, '1', =, '.', -, e5]\n"
    ).replace("-, e5", "--, e5")
    assert read(text) == {
        "a": [True, False, None, None, 1, -2, 3, 0, 1.5, 1.0, 0.5, 1000.0, -0.25],
        "b": ["yes", "no", "on", "off", "y", "007", "0x1f", "1_000", "12:30:00", "2026-01-01", ".inf", *MORE],
    }
    assert read("<<: {a: 1}\nb: |\n  x\n  y\n") == {"<<": {"a": 1}, "b": "x\ny\n"}
    assert read("\ufeffa: 1") == {"a": 1}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc ", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_is_yaml(document: Any) -> None:
    assert read(json.dumps({"a": document}, ensure_ascii=False)) == {"a": document}


@given(st.text(alphabet="a:-[]{}&*!|>'\"#\n\t ?,%@`1.e", max_size=40))
def test_any_text_is_a_document_or_an_error(text: str) -> None:
    try:
        read(text)
    except PlannerError as error:
        assert error.code == "E_POLICY"  # noqa: PT017 - either outcome is right


# The policy of a commit.


def test_the_policy_is_the_commit_s_and_not_the_working_tree_s(lab: Lab) -> None:
    without = lab.git("rev-parse", "HEAD").strip()
    with_one = lab.commit("policy", {".git-planner.yml": JUDGED + "base: trunk\n"})
    (lab.path / ".git-planner.yml").write_text("nonsense: [")
    repo = lab.repo
    assert policy_at(repo, with_one).base == "trunk"
    assert policy_at(repo, "HEAD").base == "trunk"
    with pytest.raises(PlannerError) as raised:
        policy_at(repo, without)
    assert (raised.value.code, raised.value.message, raised.value.hint) == (
        "E_NO_POLICY",
        f"commit '{without[:12]}' has no '.git-planner.yml'",
        "create one with 'git planner init' and commit it",
    )
    with pytest.raises(PlannerError) as raised:
        policy_at(repo, "nowhere")
    assert raised.value.code == "E_UNKNOWN_REF"


def test_a_policy_that_is_a_folder_or_too_large_is_refused(lab: Lab) -> None:
    folder = lab.commit("folder", {".git-planner.yml/x": "y"})
    with pytest.raises(PlannerError) as raised:
        policy_at(lab.repo, folder)
    assert (raised.value.code, raised.value.message) == (
        "E_POLICY",
        f"'{folder[:12]}:.git-planner.yml' is a tree, not a file",
    )
    lab.git("rm", "-rq", ".git-planner.yml")
    large = lab.commit("large", {".git-planner.yml": "#" * 300_000})
    with pytest.raises(PlannerError) as raised:
        policy_at(lab.repo, large)
    assert (
        raised.value.message == f"'{large[:12]}:.git-planner.yml' has 300,000 bytes; at most 262,144 are read"
    )


# Settings.


def test_settings_have_defaults(lab: Lab) -> None:
    assert dataclasses.asdict(read_settings(lab.repo, environ={})) == {
        "plan": "default",
        "worktrees": lab.path.with_name(lab.path.name + ".iter"),
        "remote": "origin",
        "codex": "codex",
        "codex_home": None,
        "codex_home_api": None,
        "codex_profile": None,
        "planner": "codex",
        "implementer": "codex",
        "planner_model": None,
        "implementer_model": None,
        "implementer_effort": None,
        "planner_timeout": 900.0,
        "implementer_timeout": 1800.0,
        "attempts": 3,
        "patches": None,
        "gemini": "gemini",
        "researcher": "codex",
        "researcher_model": None,
        "researcher_timeout": 2700.0,
        "critic": "gemini",
        "heartbeat": 10.0,
        "sign_timeout": 60.0,
        "session_timeout": 86400.0,
        "max_heavy_leases": None,
        "max_loadavg_1": None,
        "min_mem_available_gb": None,
        "worker_spawn_max_loadavg_1": None,
        "worker_spawn_min_mem_available_gb": None,
        "lease_ttl_seconds": 1800.0,
        "terminal": "auto",
        "tmux_socket": "git-planner",
        "session_client": "codex",
        "session_sandbox": None,
        "worker_model": None,
        "trust_prompt": "answer",
        "cloud_command": None,
        "watch_timeout": 21_600.0,
        "variants": None,
        "engine": None,
        "scheduler": None,
        "measure_timeout": None,
        "fetch_from": None,
        "forge": None,
    }


def test_each_place_wins_over_the_ones_below(lab: Lab) -> None:
    policy = parse_policy((JUDGED + "agents: {planner: manual, models: {planner: of-policy}}").encode(), "p")

    def model(environ: dict[str, str] | None = None, **flags: Any) -> str | None:
        return read_settings(lab.repo, policy=policy, environ=environ or {}, **flags).planner_model

    models = [model()]
    lab.git("config", "--global", "planner.plannerModel", "of-global")
    models.append(model())
    lab.git("config", "planner.plannerModel", "of-local")
    models.append(model())
    lab.git("config", "extensions.worktreeConfig", "true")
    lab.git("config", "--worktree", "planner.plannermodel", "of-worktree")
    models.append(model())
    environ = {"GIT_PLANNER_PLANNER_MODEL": "of-environment"}
    models.append(model(environ))
    models.append(model(environ, planner_model="of-flag"))
    assert models == ["of-policy", "of-global", "of-local", "of-worktree", "of-environment", "of-flag"]
    assert model({"GIT_PLANNER_PLANNER_MODEL": ""}, planner_model=None) == "of-worktree"
    assert read_settings(lab.repo, policy=policy, environ={}).planner == "manual"


def test_settings_take_one_git(lab: Lab) -> None:
    repo = lab.repo
    from git_planner.gitio import git

    before = git.spawned
    read_settings(repo, environ={})
    assert git.spawned - before == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("attempts", "many", "a whole number from 1 to 20"),
        ("attempts", "0", "a whole number from 1 to 20"),
        ("attempts", "9" * 5000, "a whole number from 1 to 20"),
        ("planner_timeout", "-1", "seconds, more than 0, at most a week"),
        ("planner_timeout", "nan", "seconds, more than 0, at most a week"),
        ("implementer_timeout", "1e999", "seconds, more than 0, at most a week"),
    ],
)
def test_a_setting_that_does_not_fit_names_its_place(lab: Lab, name: str, value: str, expected: str) -> None:
    for place, environ, flags in (
        (environment_variable(name), {environment_variable(name): value}, {}),
        (f"--{name.replace('_', '-')}", {}, {name: value}),
    ):
        with pytest.raises(PlannerError) as raised:
            read_settings(lab.repo, environ=environ, **flags)
        assert (raised.value.code, raised.value.message) == (
            "E_USAGE",
            f"'{place}' is '{value[:60]}', which is not {expected}",
        )


def test_names_of_settings() -> None:
    assert config_key("codex_home_api") == "planner.codexHomeApi"
    assert environment_variable("codex_home_api") == "GIT_PLANNER_CODEX_HOME_API"


def test_a_plan_s_name_is_checked_wherever_it_comes_from(lab: Lab) -> None:
    lab.git("config", "planner.plan", "../x")
    with pytest.raises(PlannerError) as raised:
        read_settings(lab.repo, environ={})
    assert raised.value.code == "E_NAME"
    assert read_settings(lab.repo, environ={}, plan="speed").plan == "speed"


def test_worktrees_go_beside_the_repository_from_wherever_it_is_seen(
    lab: Lab, make_lab: Callable[..., Lab]
) -> None:
    beside = lab.path.with_name(lab.path.name + ".iter")
    lab.git("branch", "side")
    linked = lab.worktree("linked", "side")
    for place in (lab.path, linked):
        assert read_settings(open_repository(place), environ={}).worktrees == beside
    bare = make_lab("--bare", first=False)
    assert not read_settings(bare.repo, environ={}).worktrees.is_relative_to(bare.path)
    lab.git("config", "planner.worktrees", "~/elsewhere")
    assert read_settings(lab.repo, environ={}).worktrees == Path.home() / "elsewhere"


def test_a_path_in_the_configuration_counts_from_the_repository(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.git("branch", "side")
    linked = lab.worktree("linked", "side")
    lab.git("config", "planner.patches", "variants")
    (lab.path / "src").mkdir()
    for place in (lab.path / "src", linked):
        monkeypatch.chdir(place)
        assert read_settings(open_repository(place), environ={}).patches == lab.path / "variants"
    given = read_settings(lab.repo, environ={environment_variable("patches"): "variants"})
    assert given.patches == linked / "variants"


def test_the_policy_s_patches_lie_in_the_repository(lab: Lab) -> None:
    policy = parse_policy((JUDGED + "agents: {patches: demo/patches}").encode(), "p")
    assert read_settings(lab.repo, policy=policy, environ={}).patches == lab.path / "demo/patches"
    chosen = read_settings(lab.repo, policy=policy, environ={}, patches=Path("/elsewhere"))
    assert chosen.patches == Path("/elsewhere")


@pytest.mark.parametrize(
    ("setting", "good", "choices"),
    [
        ("terminal", "headless", "auto, desktop, headless, tmux"),
        ("session_sandbox", "danger-full-access", "read-only, workspace-write, danger-full-access"),
        ("trust_prompt", "ask", "answer, ask"),
    ],
)
def test_settings_with_choices_name_them(lab: Lab, setting: str, good: str, choices: str) -> None:
    variable = environment_variable(setting)
    assert getattr(read_settings(lab.repo, environ={variable: good}), setting) == good
    with pytest.raises(PlannerError) as refused:
        read_settings(lab.repo, environ={variable: "yolo"})
    assert refused.value.message == f"'{variable}' is 'yolo', which is not one of {choices}"
    assert refused.value.hint == f"unset it or correct it, as with 'git config {config_key(setting)} …'"
