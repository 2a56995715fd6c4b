"""Steps of 'prepare' and 'build' in the policy: what may be written, and what is refused."""

from __future__ import annotations

import pytest

from git_planner.config.policy_file import parse_policy
from git_planner.errors import PlannerError
from git_planner.rules.policy.steps import PreparingStep

HEAD = "schema: git-planner/policy@1\nguard: ['tests/**']\ncorrectness: {run: [make]}\n"


def refusal(text: str) -> str:
    """Return why a policy is refused."""
    with pytest.raises(PlannerError) as error:
        parse_policy((HEAD + text).encode(), "p.yml")
    return error.value.message


def test_steps_have_defaults() -> None:
    policy = parse_policy(
        (
            HEAD + "prepare: [{name: a, run: [npm, ci], inputs: [package.json], outputs: [node_modules/]}]\n"
            "build: [{name: b, run: [make], outputs: [build, '~/.cache/b'], network: true}]\n"
        ).encode(),
        "p.yml",
    )
    assert policy.steps == (
        PreparingStep("a", ("npm", "ci"), ("package.json",), ("node_modules",), 600.0),
        PreparingStep("b", ("make",), ("**",), ("build", "~/.cache/b"), 600.0, network=False, is_build=True),
    )
    assert policy.build[0].tree_outputs == ("build",)


@pytest.mark.parametrize(
    "output",
    ["../out", "a/../b", "/etc", "~", "~/", "~other/x", "~/../x", ".git/hooks", "a/*", ":x", "a//b", "."],
)
def test_an_output_stays_below_the_tree_or_the_home(output: str) -> None:
    assert "/prepare/0/outputs/0" in refusal(f"prepare: [{{name: a, run: [x], outputs: ['{output}']}}]\n")


@pytest.mark.parametrize("output", ["tests", "tests/generated", ".git-planner.yml", "src/a.egg-info"])
def test_an_output_may_not_be_guarded(output: str) -> None:
    assert "is guarded by" in refusal(f"prepare: [{{name: a, run: [x], outputs: ['{output}']}}]\n")


def test_names_and_outputs_are_of_one_step() -> None:
    step = "{{name: {}, run: [x], outputs: [{}]}}"
    twice = f"prepare: [{step.format('a', 'x')}]\nbuild: [{step.format('a', 'y')}]\n"
    assert refusal(twice).endswith("/build/0/name: 'a' is the name of an earlier step")
    within = f"prepare: [{step.format('a', 'x')}, {step.format('b', 'x/y')}]\n"
    assert refusal(within).endswith("/prepare/1/outputs/0: 'x/y' overlaps with 'x' of 'a'")
