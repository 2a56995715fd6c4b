"""Names of plans, iterations, branches, tags and other refs; the only place that spells the prefixes.

Pure; imports only errors.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from git_planner.errors import PlannerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEADS = "refs/heads/"
PLAN = "plan/"
ITER = "iter/"
TOURNAMENT = "bo4/"
PROPOSALS = PLAN + "guard-"
# Branches from which pull requests of reviews are opened.
REVIEW = "review/"
TAGS = "refs/tags/"
BEST_TAG = TAGS + "best/"
OURS = "refs/planner/"
NUMBERS = OURS + "numbers/iter/"
COMPARISONS = OURS + "numbers/comparisons/"
ITERATIONS = OURS + "iterations/"
CLAIMS = OURS + "claims/"
REFUSED = OURS + "refused/"
INTERRUPTED = OURS + "interrupted/"
PUBLISHED = OURS + "published/"
UNDONE = OURS + "undone/"
BESTS = OURS + "bests/"
_BEST = ITER + "best"
STATE_FILE = ".advisor/state.json"
POLICY_FILE = ".git-planner.yml"
RECORDS = "experiments/records"
NOISE = "experiments/noise"
DISPUTES = "experiments/disputes"

MAX_SLUG = 40
# The last number of an iteration, a packet or a task.
MAX_NUMBER = 999_999_999
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ITERATION = re.compile(r"iter/(\d{4,9})-([a-z0-9]+(?:-[a-z0-9]+)*)")
_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_RUN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_RUN, MAX_TURN, MAX_VARIANT = 80, 99, 999


def next_number(taken: Iterable[int]) -> int:
    """Return the number after the largest one, where names have room for it.

    A branch or task from somewhere else may have the last number, and does not end all numbering: then it is
    the largest free number that follows a taken one.
    """
    known = {0, *taken}
    if (after := max(known) + 1) <= MAX_NUMBER:
        return after
    return max(number + 1 for number in known if number < MAX_NUMBER and number + 1 not in known)


def slug(text: str, fallback: str = "auto") -> str:
    """Make a slug of any text: lower case ASCII letters, digits and single dashes, at most 40 characters."""
    cut = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_SLUG].strip("-")
    return cut or fallback


def check_plan_name(name: str) -> str:
    """Return a plan's name unchanged, or refuse it with a suggestion.

    Raises:
        PlannerError: E_NAME.
    """
    if name.startswith("guard-"):
        raise PlannerError(
            "E_NAME",
            f"'{name}' is reserved: branches 'plan/guard-…' propose changes of the guard",
            hint=f"try '{name.removeprefix('guard-')}'",
        )
    if len(name) > 80 or not _NAME.fullmatch(name) or name.endswith(".lock"):
        raise PlannerError(
            "E_NAME",
            f"{name[:80]!r} is not a plan name: lower-case letters and digits joined by '-', '_' or '.'",
            hint=f"try '{slug(name)}'",
        )
    return name


def is_plan_name(name: str) -> bool:
    """Return whether a name can be that of a plan or packet."""
    try:
        return bool(check_plan_name(name))
    except PlannerError:
        return False


def plan_ref(name: str) -> str:
    """Return the full ref of a plan's branch."""
    return HEADS + PLAN + check_plan_name(name)


def plan_dir(name: str) -> str:
    """Return the folder of a plan's documents on its branch."""
    return f".plans/{check_plan_name(name)}"


def check_run_name(name: str) -> str:
    """Return the name of a tournament's run unchanged, or refuse it with a suggestion.

    Raises:
        PlannerError: E_NAME.
    """
    if not _RUN.fullmatch(name) or len(name) > MAX_RUN:
        raise PlannerError(
            "E_NAME",
            f"{name[:80]!r} is not the name of a run: lower-case letters and digits joined by '-'",
            hint=f"try '{slug(name)}'",
        )
    return name


def run_of_branch(name: str) -> str:
    """Return the run that the short name of a branch belongs to, or 'bo4/RUN' itself.

    Raises:
        PlannerError: E_NAME.
    """
    return check_run_name(name.removeprefix(TOURNAMENT).partition("/")[0])


def run_ref(run: str) -> str:
    """Return the full ref of the branch that holds a tournament's state."""
    return f"{HEADS}{TOURNAMENT}{check_run_name(run)}/run"


def winner_ref(run: str) -> str:
    """Return the full ref of the branch that holds a tournament's winner."""
    return f"{HEADS}{TOURNAMENT}{check_run_name(run)}/winner"


def variant_ref(run: str, turn: int, number: int) -> str:
    """Return the full ref of a variant's branch; turn and number count from 1.

    Raises:
        PlannerError: E_NAME.
    """
    if not (1 <= turn <= MAX_TURN and 1 <= number <= MAX_VARIANT):
        raise PlannerError("E_NAME", f"there is no variant {number} of turn {turn}")
    folder = "" if turn == 1 else f"turn{turn}/"
    return f"{HEADS}{TOURNAMENT}{check_run_name(run)}/{folder}v{number}"


def run_dir(run: str) -> str:
    """Return the folder of a tournament's documents on its branch."""
    return f"runs/{check_run_name(run)}"


def variant_path(run: str, turn: int, number: int) -> str:
    """Return the path of a variant's document on its run's branch."""
    variant_ref(run, turn, number)
    folder = "" if turn == 1 else f"turn{turn}/"
    return f"{run_dir(run)}/variants/{folder}var{number}.json"


def blocking_names() -> tuple[str, ...]:
    """Return the refs that must not exist: git has no branch 'plan/x' beside a branch 'plan'."""
    folders = (HEADS + PLAN, HEADS + ITER, HEADS + TOURNAMENT, BEST_TAG)
    return tuple(folder.removesuffix("/") for folder in folders)


def is_best(branch: str) -> bool:
    """Return whether a branch, by its short name, is the rolling best of some plan."""
    return branch == _BEST or branch.startswith(f"{_BEST}-")


def best_ref(plan: str) -> str:
    """Return the full ref of a plan's rolling best."""
    return HEADS + _BEST + ("" if plan == "default" else f"-{check_plan_name(plan)}")


def best_copy(plan: str) -> str:
    """Return the full ref that names where git-planner last left a plan's rolling best."""
    return BESTS + check_plan_name(plan)


def short_name(ref: str) -> str:
    """Return the name of a branch or tag without 'refs/heads/' or 'refs/tags/'."""
    return ref.removeprefix(HEADS).removeprefix(TAGS)


class IterationName(NamedTuple):
    """The name of one iteration: its number (1 and up) and its slug."""

    number: int
    slug: str

    @property
    def branch(self) -> str:
        """The short branch name, such as 'iter/0007-next'."""
        return f"{ITER}{self.number:04d}-{self.slug}"

    @property
    def ref(self) -> str:
        """The full ref of the branch."""
        return HEADS + self.branch


def parse_iteration(branch: str) -> IterationName | None:
    """Parse 'iter/0007-next', its full ref or a remote's; None for every other branch."""
    match = _ITERATION.fullmatch(branch[branch.find(ITER) :]) if ITER in branch else None
    return IterationName(int(match[1]), match[2]) if match else None


def claim_ref(plan: str, task: str) -> str:
    """Return the full ref of the claim on a task."""
    return f"{CLAIMS}{check_plan_name(plan)}/{task}"


def record_path(record_id: str) -> str:
    """Return the path of a record on its plan's branch."""
    return f"{RECORDS}/{record_id}.json"


def new_id(stamp: str) -> str:
    """Return an id that sorts by time and is unique across clones, such as '20261121T114055Z-k3v9x2ab'.

    Args:
        stamp: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
    """
    return stamp.replace("-", "").replace(":", "") + "-" + random_token()


def random_token(length: int = 8) -> str:
    """Return random characters of a 32-letter alphabet without look-alikes."""
    import secrets

    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def best_tag(value: float, iteration: IterationName) -> str:
    """Return the full ref of the tag of a best: 'refs/tags/best/<value>-<slug>-i<n>'."""
    return f"{BEST_TAG}{number_text(value)}-{iteration.slug}-i{iteration.number}"


def number_text(value: float) -> str:
    """Return a number with all its digits, without a trailing '.0': '1363', not '1363.0'."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
