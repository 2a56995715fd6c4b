"""`git plan research|options|critique|choose`: what comes before the tasks of a plan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import SECONDS, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE, PlannerError
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.discovery.options import Offered

timeout_option = click.option(
    "--timeout",
    "seconds",
    type=SECONDS,
    metavar="SECONDS",
    help="One deadline for all of it.",
)


@click.command()
@plan_option
@click.option("--goal", metavar="TEXT", help="What the plan is for, in words; kept with the plan.")
@click.option("--researcher", metavar="NAME", help="codex, command or offline; else the policy's.")
@click.option("--model", metavar="NAME", help="The researcher's model.")
@click.option("--hint", metavar="TEXT", help="What else the researcher should know.")
@timeout_option
@json_option
def research(
    *,
    plan: str | None,
    goal: str | None,
    researcher: str | None,
    model: str | None,
    hint: str | None,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Have a researcher read the base and write down what a planner must know.

    The result is research/RESEARCH.md on the plan's branch. A checkpoint is committed first; a researcher
    that fails, or whose answer has no substance, leaves its failure there.
    """
    from git_planner.flows.discovery.research import ResearchOptions
    from git_planner.flows.discovery.research import research as run

    done = run(open_repository(), ResearchOptions(plan, goal, researcher, model, hint, seconds), tell)
    if as_json:
        emit(done.document())
        return DONE
    branch = done.ref.removeprefix("refs/heads/")
    by = f"{done.run.researcher} ({done.written.model})" if done.written.model else done.run.researcher
    say(f"{branch}: findings of {by}, {len(done.written.text):,} characters")
    say(f"read: git show {branch}:{done.path}")
    say(f"next: git plan options --plan {done.plan}")
    return DONE


@click.command()
@plan_option
@click.option("--goal", metavar="TEXT", help="What the plan is for, in words; kept with the plan.")
@click.option("--draft", is_flag=True, help="Have the planner write them.")
@click.option(
    "--planner", metavar="NAME", help="codex, api, command or offline; the same as --draft with it."
)
@click.option("--model", metavar="NAME", help="The planner's model.")
@click.option("--hint", metavar="TEXT", help="What else the planner should know.")
@timeout_option
@click.option("--file", metavar="FILE", help="Take the options from a file, '-' for stdin.")
@click.option("--again", is_flag=True, help="Write the template though there are options already.")
@json_option
def options(
    *,
    plan: str | None,
    goal: str | None,
    draft: bool,
    planner: str | None,
    model: str | None,
    hint: str | None,
    seconds: float | None,
    file: str | None,
    again: bool,
    as_json: bool,
) -> int:
    """Write the three options of a plan: a template to fill in, a draft by the planner, or a file of yours.

    The result is preplan/PLAN_OPTIONS.md on the plan's branch. Its Markdown is what counts: edit it there, or
    elsewhere and hand it in with --file.
    """
    from git_planner.flows.discovery import options as flow
    from git_planner.flows.planning.campaign import PlanOptions

    wanted = [
        name for name, given in (("--file", file), ("--draft", draft or planner), ("--again", again)) if given
    ]
    if len(wanted) > 1:
        raise PlannerError("E_USAGE", f"{' and '.join(wanted)} do not go together", hint="choose one of them")
    repo = open_repository()
    asked = PlanOptions(planner=planner, plan=plan, goal_text=goal, model=model, hint=hint, seconds=seconds)
    if file is not None:
        made = flow.take(repo, asked, _text(file))
    elif draft or planner:
        made = flow.draft(repo, asked, tell)
    else:
        made = flow.write_template(repo, asked, again=again)
    _show_options(made, as_json)
    return DONE


def _text(file: str) -> str:
    from git_planner.flows.discovery.plan_folder import MOST_BYTES, decoded

    if file == "-":
        return decoded(sys.stdin.buffer.read(MOST_BYTES + 1), "stdin")
    try:
        with Path(file).open("rb") as opened:
            return decoded(opened.read(MOST_BYTES + 1), file)
    except OSError as error:
        raise PlannerError(
            "E_MISSING_INPUT",
            f"'{file}' cannot be read: {error.strerror}",
            hint="name the file that has them",
        ) from None


def _show_options(made: Offered, as_json: bool) -> None:
    if as_json:
        emit(made.document())
        return
    branch = made.ref.removeprefix("refs/heads/")
    what = "options" if made.new else "options that were there already"
    say(f"{branch}: {what} in '{made.path}'")
    if made.answer is not None:
        for each in made.answer.document["options"]:
            say(f"option {each['name']}: {each['title']} ({len(each['steps'])} steps)")
    for line in made.open[:10]:
        say(f"  {line}")
    if len(made.open) > 10:
        say(f"  and {len(made.open) - 10} more")
    if made.open:
        say(f"edit: git show {branch}:{made.path}")
        say(f"next: git plan options --plan {made.plan} --file FILE")
    else:
        say(f"next: git plan critique --plan {made.plan}")


@click.command()
@plan_option
@click.option("--critic", metavar="NAME", help="gemini, codex or command; else the policy's.")
@click.option("--model", metavar="NAME", help="The critic's model; it has to be one that the policy admits.")
@click.option(
    "--extra",
    metavar="FILE",
    multiple=True,
    help="A further file for the critic: from the base commit, else or as ./FILE from the disk. Repeatable.",
)
@timeout_option
@json_option
def critique(
    *,
    plan: str | None,
    critic: str | None,
    model: str | None,
    extra: tuple[str, ...],
    seconds: float | None,
    as_json: bool,
) -> int:
    """Have a critic review the options of a plan.

    The result is preplan/GEMINI_PLAN_REVIEW.md on the plan's branch, or that of another critic's name. The
    critic is given the options, the research and the context where they are there, and each --extra file.
    """
    from git_planner.flows.discovery.critique import CritiqueOptions
    from git_planner.flows.discovery.critique import critique as run

    done = run(open_repository(), CritiqueOptions(plan, critic, model, extra, seconds), tell)
    if as_json:
        emit(done.document())
        return DONE
    branch = done.ref.removeprefix("refs/heads/")
    by = f"{done.critic} ({done.written.model})" if done.written.model else done.critic
    say(f"{branch}: review by {by}")
    for each in done.inputs:
        say(f"  given: {each.label} ({each.source}, {each.size:,} bytes)")
    say(f"read: git show {branch}:{done.path}")
    say(f"next: git plan choose A, B or C, with --plan {done.plan}")
    return DONE


@click.command()
@click.argument("option", type=click.Choice(["A", "B", "C"], case_sensitive=False))
@plan_option
@json_option
def choose(option: str, plan: str | None, as_json: bool) -> int:
    """Choose one of the options of a plan, and make its steps the plan's tasks.

    Tasks of an earlier choice that nobody has begun are cancelled. The same choice again changes nothing.
    """
    from git_planner.flows.discovery.choose import choose as run

    done = run(open_repository(), plan, option.upper())
    if as_json:
        emit(done.document())
        return DONE
    word = "is chosen" if done.changed else "was chosen already"
    choice = done.choice
    say(f"{done.ref.removeprefix('refs/heads/')}: option {choice['option']} {word}: {choice['title']}")
    for review in choice["reviews"]:
        if not review["current"]:
            tell(f"'{review['path']}' is about earlier options")
    for task in done.tasks:
        after = f" (after {', '.join(task['dependencies'])})" if task["dependencies"] else ""
        say(f"{task['id']}  {task['status']:<12}  {task['title']}{after}")
    return DONE
