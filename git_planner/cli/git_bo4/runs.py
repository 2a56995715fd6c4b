"""`git bo4 new`, `status`, `show` and `list`: create tournaments and look at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli.git_bo4.run_text import run_lines, variant_lines
from git_planner.cli.git_bo4.sources import read_prompt, source_of, source_options
from git_planner.cli.options import F, candidates, from_option, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules.tournament.run import STAGES

if TYPE_CHECKING:
    from git_planner.flows.tournament.new import NewTournament
    from git_planner.flows.tournament.run_store import RunView

run_argument = click.argument("name", metavar="[RUN]", required=False, shell_complete=candidates("runs"))
prompt_option = click.option("--prompt", metavar="TEXT", help="Prompt of the variants.")
prompt_file_option = click.option(
    "--file", "path", metavar="FILE", help="Read the prompt from FILE, or from stdin when FILE is '-'."
)
best_of_option = click.option(
    "--best-of",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    metavar="N",
    help="Number of variants to ask for.",
)
run_option = click.option(
    "--run", metavar="RUN", help="Name of the new run (default: date and first line of the prompt)."
)
modules_option = click.option(
    "--modules",
    "needs_modules",
    is_flag=True,
    help="Require a 'module.json' of each variant; one without it is broken.",
)
coverage_option = click.option(
    "--coverage", metavar="FILE", help="Coverage file by which modules of variants are scored."
)


_NEW_OPTIONS = (
    prompt_option,
    prompt_file_option,
    from_option("the plan's best, then the base branch"),
    best_of_option,
    source_options,
    run_option,
    modules_option,
    coverage_option,
    plan_option,
)
# The parameters of these options, but for those of the source.
NEW_PARAMETERS = ("prompt", "path", "from_ref", "best_of", "run", "needs_modules", "coverage", "plan")


def new_options(command: F) -> F:
    """Add the options that describe a new tournament."""
    for option in reversed(_NEW_OPTIONS):
        command = option(command)
    return command


@click.command()
@new_options
@json_option
def new(*, as_json: bool, **given: Any) -> int:
    """Create a tournament: a branch 'bo4/<run>/run' with prompt, base and source.

    The same command again returns the run that it has created, unless that has ended. Nothing is started;
    'git bo4 watch' does that, and 'git bo4 run' does all. Exit with 3 if the policy wants an approval of the
    prompt: 'git plan review bo4/RUN' shows it.
    """
    wanted = {key: given.pop(key) for key in NEW_PARAMETERS}
    view = create_run(**wanted, source=given)
    show_view(view, as_json)
    return DONE


def create_run(**given: Any) -> RunView:
    """Create the run that options describe; see `new_request`."""
    from git_planner.flows.tournament.new import new_run

    return new_run(start_in_repository(), new_request(**given))


def new_request(
    *,
    prompt: str | None,
    path: str | None,
    from_ref: str | None,
    best_of: int,
    run: str | None,
    needs_modules: bool,
    coverage: str | None,
    plan: str | None,
    source: Mapping[str, Any],
) -> NewTournament:
    """Return the request that the options of `git bo4 new` describe."""
    from git_planner.flows.tournament.new import NewTournament

    task = source["task"]
    return NewTournament(
        prompt=read_prompt(prompt, path, is_needed=task is None),
        source=source_of(**source),
        attempts=len(source["branches"]) or best_of,
        base=from_ref,
        plan=plan,
        run=run,
        task=task,
        environment=source["environment"],
        needs_modules=needs_modules,
        coverage={"path": coverage} if coverage else None,
    )


@click.command()
@run_argument
@json_option
def status(*, name: str | None, as_json: bool) -> int:
    """Show where RUN stands, stage by stage (default: the run that was created last)."""
    show_view(read_run(name), as_json)
    return DONE


@click.command()
@click.argument("variant", metavar="N", type=click.IntRange(1))
@run_argument
@click.option("--turn", type=click.IntRange(1), metavar="T", help="Turn of the variant (default: the last).")
@json_option
def show(*, variant: int, name: str | None, turn: int | None, as_json: bool) -> int:
    """Show variant N of RUN: where it came from, its gates and its figures."""
    row = read_run(name).variant(variant, turn)
    if as_json:
        emit(row.document())
        return DONE
    for line in variant_lines(row):
        say(line)
    return DONE


@click.command("list")
@click.option("--jsonl", is_flag=True, help="Print rows in the older log's format, one per line.")
@json_option
def list_(*, jsonl: bool, as_json: bool) -> int:
    """List all tournaments, the newest first."""
    from git_planner.flows.tournament.run_store import list_lines, read_runs

    repo = start_in_repository()
    views = sorted(read_runs(repo), key=lambda view: view.run.created_at, reverse=True)
    if jsonl:
        for line in list_lines(repo, views):
            say(line)
        return DONE
    if as_json:
        emit({"runs": [_summary(view) for view in views]})
        return DONE
    if not views:
        tell("there is no tournament here; 'git bo4 new -h' tells how to create one")
    from git_planner.cli.git_record.render import in_columns

    rows = [("run", "turn", "variants", "stage", "result")]
    rows += [tuple(map(str, _summary(view).values())) for view in views]  # type: ignore[misc]
    for line in in_columns(rows) if views else ():
        say(line)
    return DONE


def read_run(name: str | None) -> RunView:
    """Return a run by its name, or the one that was created last."""
    from git_planner.flows.tournament.run_store import RunStore, latest_run

    repo = start_in_repository()
    return RunStore(repo, name or latest_run(repo)).read()


def _summary(view: RunView) -> dict[str, Any]:
    run = view.run
    done = [name for name in STAGES if run.is_done(name)]
    return {
        "run": run.run,
        "turn": run.turn.turn,
        "variants": len(view.current) or run.attempts,
        "stage": done[-1] if done else "new",
        "result": _result_text(view),
    }


def _result_text(view: RunView) -> str:
    selection = view.run.selection
    if selection is None:
        return "-"
    return str(selection.get("rationale", ""))[:100]


def show_view(view: RunView, as_json: bool) -> None:
    """Print a run for people, or as JSON."""
    if as_json:
        variants = [variant.document() for variant in view.current]
        emit({"run": view.run.document(), "variants": variants, "stale": list(view.run.stale_stages())})
        return
    for line in run_lines(view):
        say(line)
