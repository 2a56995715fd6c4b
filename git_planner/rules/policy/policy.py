"""The policy of a repository as typed values. Pure; `config/policy_file.py` reads the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from git_planner.rules.policy import model_rule
from git_planner.rules.policy.gates import Gates
from git_planner.rules.policy.review_rule import ReviewRule
from git_planner.rules.policy.steps import PreparingStep
from git_planner.rules.stats.pairs import Pairs

if TYPE_CHECKING:
    from git_planner.rules.policy.interactive_client import InteractiveClient

ALWAYS_GUARDED = (".git-planner.yml",)
# Files that Python or pytest reads at start-up. A policy may exempt single patterns with 'unguard'.
START_UP = (
    "**/conftest.py",
    "**/pytest.ini",
    "**/.pytest.ini",
    "**/pytest.toml",
    "**/.pytest.toml",
    "**/tox.toml",
    "**/.coveragerc",
    "**/.coveragerc.toml",
    "**/sitecustomize.py",
    "**/usercustomize.py",
    "**/*.pth",
    "**/*.pyc",
    # Metadata of distributions, whose entry points a runner loads from every folder on the path.
    "**/*.dist-info/**",
    "**/*.egg-info/**",
    "pytest.py",
    "pytest/**",
    "_pytest/**",
    "pluggy.py",
    "pluggy/**",
    "unittest.py",
    "unittest/**",
)
# Guarded only in their sections that configure the tests; see rules/guard/guard.py.
SECTIONED = ("**/pyproject.toml", "**/setup.cfg", "**/tox.ini")


def pathspecs(patterns: Iterable[str]) -> list[str]:
    """Return policy patterns as git pathspecs: from the top, '*' within one folder, '**' across folders.

    'tests/**' includes 'tests' itself: a folder may be replaced by a link or a submodule.
    """
    variants = (variant for pattern in patterns for variant in (pattern, pattern.removesuffix("/**")))
    return [f":(top,glob){pattern}" for pattern in dict.fromkeys(variants)]


class Metric(NamedTuple):
    """One measured number. The first metric of a policy decides; the others are reported.

    `pattern` is a regular expression with one group, searched in the output; `pointer` is a JSON pointer into
    the output parsed as JSON; `reader` is a format of benchmark results, of which it takes the figure `value`
    of one `benchmark`. Exactly one of them is set, unless `source` is 'instructions': then the number is the
    instruction count of the run. The output is stdout, or that of `file`, a glob of what the command leaves.
    `from_tests`: `run` is the correctness command, whose own run is read. `timeout` in seconds. `pin`: run on
    one CPU. `min_gain` is the smallest gain to keep, in the metric's unit; it and `pairs` are for noisy
    metrics. A result above `at_most`, below `at_least`, or worse than the best by more than the fraction
    `no_worse_than` is not kept; one beyond `possible` is invalid.
    """

    name: str
    run: tuple[str, ...]
    pattern: str | None
    pointer: str | None
    unit: str
    better: Literal["lower", "higher"]
    kind: Literal["deterministic", "noisy"]
    repeats: int
    timeout: float
    source: Literal["output", "instructions"] = "output"
    pin: bool = False
    min_gain: float | None = None
    pairs: Pairs = Pairs()
    exit_statuses: tuple[int, ...] = (0,)
    reader: str | None = None
    benchmark: str | None = None
    value: str | None = None
    file: str | None = None
    from_tests: bool = False
    at_most: float | None = None
    at_least: float | None = None
    no_worse_than: float | None = None
    possible: tuple[float | None, float | None] = (None, None)

    @property
    def is_bounded(self) -> bool:
        """True if a result is kept only with a value of this metric."""
        limits = (self.at_most, self.at_least, self.no_worse_than, *self.possible)
        return any(limit is not None for limit in limits)


class Correctness(NamedTuple):
    """The command that runs the tests, and the proof it must leave. `timeout` in seconds.

    `proof` is the format of its report (rules/measuring/proofs/registry.py), or 'exit-status'; `report` is
    the glob of the files that hold it, None for the default of the format. `require`: ids of tests that must
    have passed; `may_fail`: of those whose failure does not count. `exit_statuses` mean success.
    """

    run: tuple[str, ...]
    proof: str
    require: tuple[str, ...]
    timeout: float
    report: str | None = None
    may_fail: tuple[str, ...] = ()
    exit_statuses: tuple[int, ...] = (0,)


class Families(NamedTuple):
    """Strategy families (without the 'family:' prefix) and the rule against staying in one too long."""

    names: tuple[str, ...]
    streak: int
    bonus_streak: int
    bonus_gain: float


class Program(NamedTuple):
    """An external program as its argument vector. `timeout` in seconds."""

    run: tuple[str, ...]
    timeout: float


class AgentSettings(NamedTuple):
    """The agents, models and time limits of the roles.

    `command_planner` and the like are the programs behind the 'command' agents; `patches` is the folder
    (repository-relative or absolute) behind the 'patches' implementer. `sandbox` says whether agents'
    programs run in a jail, `git` what they may do with git's own files there.
    """

    planner: str = "codex"
    implementer: str = "codex"
    planner_model: str | None = None
    implementer_model: str | None = None
    planner_timeout: float = 900.0
    implementer_timeout: float = 1800.0
    attempts: int = 3
    command_planner: Program | None = None
    command_implementer: Program | None = None
    patches: str | None = None
    researcher: str = "codex"
    researcher_model: str | None = None
    researcher_timeout: float = 2700.0
    command_researcher: Program | None = None
    critic: str = "gemini"
    command_critic: Program | None = None
    sandbox: Literal["auto", "required", "off"] = "auto"
    git: Literal["read-only", "read-write"] = "read-only"


class CriticSettings(NamedTuple):
    """The model (None: the critic's default), the time limit and the rule for admitted models of a critic."""

    model: str | None = None
    timeout: float = 900.0
    models: model_rule.ModelRule | None = None


class Critics(NamedTuple):
    """The critics of plans. `budget` is the largest prompt, in bytes."""

    budget: int = 400_000
    gemini: CriticSettings = CriticSettings("gemini-3-pro-preview", models=model_rule.GEMINI)
    codex: CriticSettings = CriticSettings()

    def of(self, name: str) -> CriticSettings:
        """Return the settings of a critic by its name; a custom program has no model."""
        settings = {"gemini": self.gemini, "codex": self.codex}
        return settings.get(name, CriticSettings())


@dataclass(frozen=True, slots=True)
class Stop:
    """The limits of a loop; None means no limit. `wall` in seconds, `tokens` input plus output."""

    count: int | None = None
    wall: float | None = None
    tokens: int | None = None
    invalid: int | None = 3
    plateau: int | None = None


class Policy(NamedTuple):
    """The committed policy of a base commit. `document` is the validated file, `digest` its digest.

    `verify` are the default verify commands for tasks that define none; `max_file_mb` is the largest
    size of a file that an agent may leave, `max_new_files` their number; `clients` are those that sessions
    can run, besides the presets; `modules` are the patterns of the paths of each module, `gates` those of
    tournaments; `review` says what needs an approval; the steps of `prepare` and `build` make what
    the commands need.
    """

    base: str
    guard: tuple[str, ...]
    allow: tuple[str, ...]
    forbid: tuple[str, ...]
    correctness: Correctness | None
    metrics: tuple[Metric, ...]
    families: Families
    profile: Program | None
    context: tuple[str, ...]
    goal: str
    constraints: tuple[str, ...]
    acceptance: tuple[str, ...]
    prompt_budget: int
    environment: tuple[str, ...]
    agents: AgentSettings
    stop: Stop
    document: Mapping[str, Any]
    digest: str = ""
    unguard: tuple[str, ...] = ()
    jail: Literal["auto", "required", "off"] = "auto"
    verify: tuple[tuple[str, ...], ...] = ()
    critics: Critics = Critics()
    max_file_mb: int = 100
    max_new_files: int = 20_000
    clients: tuple[InteractiveClient, ...] = ()
    modules: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    gates: Gates = Gates()
    review: ReviewRule = ReviewRule()
    prepare: tuple[PreparingStep, ...] = ()
    build: tuple[PreparingStep, ...] = ()

    @property
    def metric(self) -> Metric | None:
        """The deciding metric, if there is one."""
        return self.metrics[0] if self.metrics else None

    @property
    def steps(self) -> tuple[PreparingStep, ...]:
        """All steps that make something for the measured commands, in order."""
        return (*self.prepare, *self.build)

    @property
    def guarded(self) -> tuple[str, ...]:
        """The guarded patterns of the file, always with the policy file itself."""
        return tuple(dict.fromkeys((*self.guard, *ALWAYS_GUARDED)))

    @property
    def protected(self) -> tuple[str, ...]:
        """All patterns whose paths must be as in the base: the guarded ones and start-up files."""
        start_up = (pattern for pattern in START_UP if pattern not in self.unguard)
        return tuple(dict.fromkeys((*self.guarded, *start_up)))

    @property
    def sectioned(self) -> tuple[str, ...]:
        """Patterns of the files whose test sections are guarded."""
        return tuple(pattern for pattern in SECTIONED if pattern not in self.unguard)
