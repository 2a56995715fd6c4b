"""`git plan research`, `options`, `critique` and `choose`: the steps before a plan has tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli import options as shared
from git_planner.cli.input_file import read_input
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError
from git_planner.rules import refnames
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.discovery.options import OptionsResult


@click.command()
@shared.plan_option
@shared.goal_text_option
@click.option(
    "--researcher",
    metavar="NAME",
    help="Researcher to ask: codex, command or offline (default: planner.researcher, then the policy).",
)
@shared.model_option
@shared.hint_option
@shared.timeout_option("the researcher, all attempts together")
@shared.json_option
def research(
    *,
    plan: str | None,
    goal_text: str | None,
    researcher: str | None,
    model: str | None,
    hint: str | None,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Ask a researcher to read the base and report what a planner must know.

    The report is research/RESEARCH.md on the plan's branch. A checkpoint is committed first; when the
    researcher fails, or gives an empty answer, the failure is recorded there.
    """
    from git_planner.flows.discovery.research import ResearchOptions
    from git_planner.flows.discovery.research import research as run

    done = run(
        start_in_repository(), ResearchOptions(plan, goal_text, researcher, model, hint, seconds), tell
    )
    if as_json:
        emit(done.document())
        return DONE
    branch = refnames.short_name(done.ref)
    by = f"{done.run.researcher} ({done.written.model})" if done.written.model else done.run.researcher
    say(f"{branch}: findings of {by}, {len(done.written.text):,} characters")
    say(f"read: git show {branch}:{done.path}")
    say(f"next: git plan options --plan {done.plan}")
    return DONE


@click.command()
@shared.plan_option
@shared.goal_text_option
@click.option("--draft", is_flag=True, help="Ask the planner to write them; implied by '--planner'.")
@shared.planner_option
@shared.model_option
@shared.hint_option
@shared.timeout_option("the planner")
@shared.input_file_option
@click.option("--again", is_flag=True, help="Write the template even though there are options already.")
@shared.json_option
def options(
    *,
    plan: str | None,
    goal_text: str | None,
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

    The result is preplan/PLAN_OPTIONS.md on the plan's branch. Edit the Markdown there, or elsewhere and
    submit it with --file.
    """
    from git_planner.flows.discovery import options as flow
    from git_planner.flows.planning.campaign import PlanOptions

    modes = [
        name for name, given in (("--file", file), ("--draft", draft or planner), ("--again", again)) if given
    ]
    if len(modes) > 1:
        raise PlannerError("E_USAGE", f"{' and '.join(modes)} exclude each other", hint="give one of them")
    repo = start_in_repository()
    request = PlanOptions(
        planner=planner, plan=plan, goal_text=goal_text, model=model, hint=hint, seconds=seconds
    )
    if file is not None:
        made = flow.take_options(repo, request, _options_text(file))
    elif draft or planner:
        made = flow.draft_options(repo, request, tell)
    else:
        made = flow.write_template(repo, request, overwrite=again)
    _show_options(made, as_json)
    return DONE


def _options_text(file: str) -> str:
    from git_planner.flows.discovery.plan_folder import MAX_BYTES, decode_text

    where, data = read_input(file, MAX_BYTES, "the options", "E_MISSING_INPUT")
    return decode_text(data, where)


def _show_options(made: OptionsResult, as_json: bool) -> None:
    if as_json:
        emit(made.document())
        return
    branch = refnames.short_name(made.ref)
    what = "options" if made.new else "existing options"
    say(f"{branch}: {what} in '{made.path}'")
    if made.answer is not None:
        for option in made.answer.document["options"]:
            say(f"option {option['name']}: {option['title']} ({counted(len(option['steps']), 'step')})")
    for line in made.open[:10]:
        say(f"  {line}")
    if len(made.open) > 10:
        say(f"  and {len(made.open) - 10} more")
    if made.open:
        say(f"edit a copy: git show {branch}:{made.path} >FILE")
        say(f"next: git plan options --plan {made.plan} --file FILE")
    else:
        say(f"next: git plan critique --plan {made.plan}")


@click.command()
@shared.plan_option
@click.option(
    "--critic",
    metavar="NAME",
    help="Critic to ask: gemini, codex or command (default: planner.critic, then the policy).",
)
@shared.model_option
@click.option(
    "--extra",
    metavar="FILE",
    multiple=True,
    help="Also send FILE of the base commit, or ./FILE from disk; may be repeated.",
)
@shared.timeout_option("the critic, all attempts together")
@shared.json_option
def critique(
    *,
    plan: str | None,
    critic: str | None,
    model: str | None,
    extra: tuple[str, ...],
    seconds: float | None,
    as_json: bool,
) -> int:
    """Ask a critic to review the options of a plan.

    The result is preplan/GEMINI_PLAN_REVIEW.md on the plan's branch; other critics have a file named after
    them. The critic gets the options, the research and the context if present, and each --extra file.
    """
    from git_planner.flows.discovery.critique import CritiqueOptions
    from git_planner.flows.discovery.critique import critique as run

    done = run(start_in_repository(), CritiqueOptions(plan, critic, model, extra, seconds), tell)
    if as_json:
        emit(done.document())
        return DONE
    branch = refnames.short_name(done.ref)
    by = f"{done.critic} ({done.written.model})" if done.written.model else done.critic
    say(f"{branch}: review by {by}")
    for source in done.inputs:
        say(f"  given: {source.label} ({source.source}, {source.size:,} bytes)")
    say(f"read: git show {branch}:{done.path}")
    say(f"next: git plan choose A, B or C, with --plan {done.plan}")
    return DONE


@click.command()
@click.argument("option", type=click.Choice(["A", "B", "C"], case_sensitive=False))
@shared.plan_option
@shared.json_option
def choose(option: str, plan: str | None, as_json: bool) -> int:
    """Choose one of the options of a plan, and turn its steps into tasks.

    Tasks of an earlier choice that have not been started are cancelled. Repeating a choice changes nothing.
    """
    from git_planner.flows.discovery.choose import choose as run

    done = run(start_in_repository(), plan, option.upper())
    if as_json:
        emit(done.document())
        return DONE
    word = "is chosen" if done.changed else "was chosen already"
    choice = done.choice
    say(f"{refnames.short_name(done.ref)}: option {choice['option']} {word}: {choice['title']}")
    for review in choice["reviews"]:
        if not review["current"]:
            tell(f"'{review['path']}' is about earlier options")
    for task in done.tasks:
        after = f" (after {', '.join(task['dependencies'])})" if task["dependencies"] else ""
        say(f"{task['id']}  {task['status']:<12}  {task['title']}{after}")
    return DONE
