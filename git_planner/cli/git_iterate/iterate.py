"""`git iterate` and its subcommands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli import options
from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import (
    body_option,
    branch_option,
    candidates,
    dry_run_option,
    force_option,
    json_option,
    plan_option,
    push_option,
)
from git_planner.cli.output import check_place, emit, hush, put_text, say, size_text, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.refnames import number_text as format_number

if TYPE_CHECKING:
    from git_planner.flows.iterations.unfinished.reviewed_loop import ReviewedAttempts


def implementer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the agent that changes the code."""
    for option in (options.effort_option, options.model_option, options.implementer_option):
        command = option(command)
    return command


@click.command("iterate")
@options.planner_option
@options.planner_model_option
@implementer_options
@options.goal_option
@options.threshold_option
@options.slug_option("from the objective")
@options.from_option("the best, then the base branch; with '--planner manual' a packet's branch")
@click.option("--in-place", is_flag=True, help="Work in this worktree, which must be clean.")
@options.from_red_option
@plan_option
@click.option("--loop", "is_loop", is_flag=True, help="Repeat until a stop rule applies.")
@options.max_attempts_option
@options.timeout_option("starting new attempts of a loop")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N", help="Start no attempt of a loop after N tokens."
)
@click.option(
    "--max-invalid",
    type=click.IntRange(1),
    metavar="N",
    help="Stop a loop after N invalid attempts in a row.",
)
@click.option(
    "--plateau", type=click.IntRange(1), metavar="N", help="Stop a loop after N attempts without improvement."
)
@click.option(
    "--wait-review",
    is_flag=True,
    help="Let a loop plan ahead, open reviews, and run what was approved.",
)
@click.option(
    "--max-wait",
    type=options.SECONDS,
    metavar="SECONDS",
    help="Longest wait of a loop for an approval (default: a week).",
)
@options.bench_options
@json_option
def once(is_loop: bool, as_json: bool, wait_review: bool, max_wait: float | None, **given: Any) -> int:
    """Plan, implement, commit and record one change, in a worktree of its own; or a loop of them."""
    from git_planner.flows.iterations import iterate

    repo = start_in_repository()
    limits = {
        "count": given["max_attempts"],
        "wall": given["seconds"],
        "tokens": given["max_tokens"],
        "invalid": given["max_invalid"],
        "plateau": given["plateau"],
    }
    if not is_loop and any(value is not None for value in limits.values()):
        raise click.UsageError(
            "'--max-attempts', '--max-tokens', '--max-invalid', '--plateau' and '--timeout' need '--loop'"
        )
    if (wait_review and not is_loop) or (max_wait is not None and not wait_review):
        raise click.UsageError("'--wait-review' needs '--loop', and '--max-wait' needs both")
    with _with_bench(repo, _iterate_options(given)) as request:
        if is_loop:
            attempts = _reviewed_attempts(repo, max_wait) if wait_review else None
            ended = iterate.loop(repo, iterate.LoopOptions(request, **limits), tell, attempts)
            _print_result(ended.document(), _loop_lines(ended), as_json=as_json)
            return ended.exit
        result = iterate.iterate(repo, request, tell)
    _print_result(result.document(), _result_lines(result), as_json=as_json)
    return result.exit


def _reviewed_attempts(repo: Repository, seconds: float | None) -> ReviewedAttempts:
    from git_planner.flows.iterations.unfinished.reviewed_loop import ReviewedAttempts, ReviewWait
    from git_planner.flows.review.forge.open_request import open_review
    from git_planner.flows.review.forge.sync import sync_review

    def open_(branch: str) -> None:
        opened = open_review(repo, branch, tell)
        place = opened.request.url if opened.request else opened.link
        tell(f"{branch}: asked for a review: {place or opened.target.head}")

    def sync(branch: str) -> None:
        sync_review(repo, branch, tell)

    wait = ReviewWait(open_, sync)
    return ReviewedAttempts(wait if seconds is None else replace(wait, seconds=seconds))


@click.command()
@click.argument("number", type=click.IntRange(1), required=False, shell_complete=candidates("iterations"))
@options.implementer_option_of((*options.IMPLEMENTERS, "manual"))
@options.model_option
@options.effort_option
@options.bench_options
@json_option
def resume(number: int | None, as_json: bool, **given: Any) -> int:
    """Resume an interrupted iteration: NUMBER, or the only unfinished one.

    With '--impl manual' it records what you have committed on the iteration's branch, instead of starting an
    agent.
    """
    from git_planner.flows.iterations.unfinished import resume as flow

    repo = start_in_repository()
    with _with_bench(repo, _iterate_options(given)) as options_:
        done = flow.resume_iteration(repo, number, options_, tell)
    lines = [f"iteration {done.number}: {done.did}" if done.number else done.did]
    if done.record is not None:
        lines.append(f"{done.record.verdict}: {done.record.summary}")
    _print_result(done.document(), lines, as_json=as_json)
    return done.exit


@click.command()
@click.argument("number", type=click.IntRange(1), shell_complete=candidates("iterations"))
@click.option("--why", metavar="TEXT", default="", help="Reason to commit with it.")
@json_option
def abandon(number: int, why: str, as_json: bool) -> int:
    """Give up the unfinished iteration NUMBER: record it as abandoned, and remove its worktree.

    Its branch stays; uncommitted changes are kept under 'refs/planner/interrupted/'.
    """
    from git_planner.flows.iterations.unfinished.abandon import abandon_iteration

    done = abandon_iteration(start_in_repository(), number, why, tell)
    if done.record is None:
        line = f"iteration {number}: planning ended before there was a directive; nothing to give up"
    else:
        line = f"iteration {number}: {done.record.summary}"
    lines = [line, *([f"uncommitted changes are kept as {done.kept}"] if done.kept else [])]
    _print_result(done.document(), lines, as_json=as_json)
    return DONE


@click.command("list")
@plan_option
@json_option
def list_(plan: str | None, as_json: bool) -> int:
    """List all iterations: number, plan, phase, verdict, value and worktree."""
    from git_planner.flows.planning.list_iterations import list_iterations

    iterations = list_iterations(start_in_repository(), plan)
    rows = [("no.", "slug", "plan", "phase", "verdict", "value", "worktree")]
    for iteration in iterations:
        record, state = iteration.record, iteration.state
        rows.append(
            (
                str(iteration.number),
                state.slug if state else "-",
                state.plan if state else "-",
                iteration.phase,
                record.verdict if record else "-",
                format_number(record.value) if record and record.value is not None else "-",
                str(iteration.worktree or "-"),
            )
        )
    listed = [iteration.document() for iteration in iterations]
    _print_result(
        {"schema": "git-planner/iterations@1", "iterations": listed},
        _columns(rows) if iterations else ["no iterations yet; 'git iterate' starts one"],
        as_json=as_json,
    )
    return DONE


@click.command()
@click.argument("number", type=click.IntRange(1), shell_complete=candidates("iterations"))
@json_option
def show(number: int, as_json: bool) -> int:
    """Show one iteration: its directive, its record and its logs."""
    from git_planner.flows.iterations.provenance import show_iteration as flow
    from git_planner.flows.planning.list_iterations import PHASE_TEXTS

    shown = flow(start_in_repository(), number)
    lines = [f"iteration {number}: {PHASE_TEXTS[shown.iteration.phase]}"]
    lines += _state_lines(shown.iteration.state) + _record_lines(shown.record)
    if shown.iteration.worktree:
        lines.append(f"worktree   {shown.iteration.worktree}")
    if shown.files:
        lines += [f"logs       {shown.folder}", *(f"  {file}" for file in shown.files)]
    _print_result(shown.document(), lines, as_json=as_json)
    return DONE


@click.command()
@click.argument("name", metavar="COMMIT|REF|N|PATH", shell_complete=candidates("commits"))
@json_option
def why(name: str, as_json: bool) -> int:
    """Show which iteration, directive and record produced a commit."""
    from git_planner.flows.iterations.provenance import MATCH_TEXTS
    from git_planner.flows.iterations.provenance import find_provenance as flow

    origin = flow(start_in_repository(), name)
    if origin.iteration is None or origin.how is None:
        lines = [f"commit {origin.commit[:12]}: not produced by any known iteration"]
    else:
        lines = [
            f"commit {origin.commit[:12]}: iteration {origin.iteration.number} ({MATCH_TEXTS[origin.how]})"
        ]
        lines += _state_lines(origin.iteration.state) + _record_lines(origin.record)
    _print_result(origin.document(), lines, as_json=as_json)
    return DONE


@click.command()
@dry_run_option
@json_option
def prune(dry_run: bool, as_json: bool) -> int:
    """Remove clean worktrees of finished iterations, and print the disk space of each."""
    from git_planner.flows.iterations.prune import prune_worktrees as flow

    done = flow(start_in_repository(), hush, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    lines = [
        f"{size_text(place.size):>9}  {place.path}: {verb if place.why is None else f'kept, {place.why}'}"
        for place in done.places
    ]
    free = f"{size_text(done.freed)} {'would be' if dry_run else 'is'} free again"
    lines.append(free if done.freed else f"nothing {'would be' if dry_run else 'was'} removed")
    _print_result(done.document(), lines if done.places else ["no iteration worktrees"], as_json=as_json)
    return DONE


@click.command()
@click.argument("which", metavar="[N|best]", default="best", shell_complete=candidates("iterations"))
@plan_option
@branch_option
@push_option
@force_option("Replace the branch even if it has changed since its publication.")
@body_option
@json_option
def publish(which: str, body: str | None, as_json: bool, **given: Any) -> int:
    """Create a branch for a pull request: one commit with the code only, on the policy's base."""
    from git_planner.flows.iterations.publish import publish_iteration as flow

    if body is not None:
        check_place(body)
    done = flow(start_in_repository(), which, tell, **given)
    if body is not None:
        put_text(body, done.body)
    lines = [f"{done.branch} {done.commit[:12]}: {done.title}", "", done.body.rstrip()]
    _print_result(done.document(), lines[:1] if body else lines, as_json=as_json)
    return DONE


@click.group("best", cls=CommandGroup)
def best() -> None:
    """Create, restore, tag and push the rolling best of a plan."""


@best.command("ensure")
@plan_option
@json_option
def best_ensure(plan: str | None, as_json: bool) -> int:
    """Create the rolling best, or fast-forward it to the remote's and to its base."""
    from git_planner.flows.iterations import best as flow

    done = flow.ensure_best(start_in_repository(), plan, tell)
    _print_result(done.document(), [f"{done.branch} {done.commit[:12]}: {done.did}"], as_json=as_json)
    return DONE


@best.command("restore")
@plan_option
@json_option
def best_restore(plan: str | None, as_json: bool) -> int:
    """Bring the rolling best back to where git-planner left it, if something else moved it.

    What it was moved to is kept under 'refs/planner/undone/'. To keep the best where it is, measure it with
    'git record' instead.
    """
    from git_planner.flows.plans.best_place import restore_best
    from git_planner.flows.plans.current_plan import current_plan

    repo = start_in_repository()
    done = restore_best(repo, current_plan(repo, plan))
    lines = [f"{done.branch} {done.commit[:12]}: {'restored' if done.moved else 'is where it was left'}"]
    if done.kept:
        lines.append(f"what it was at is kept as {done.kept}")
    _print_result(done.document(), lines, as_json=as_json)
    return DONE


@best.command("tag")
@plan_option
@json_option
def best_tag(plan: str | None, as_json: bool) -> int:
    """Tag the commit of the best record, if its tag is missing."""
    from git_planner.flows.iterations import best as flow

    done = flow.tag_best(start_in_repository(), plan)
    word = "created" if done.made else "exists already"
    _print_result(done.document(), [f"{done.tag} {done.commit[:12]}: {word}"], as_json=as_json)
    return DONE


@best.command("push")
@plan_option
@click.option("--tags-only", is_flag=True, help="Push only the tags.")
@click.option("--branches", is_flag=True, help="Also push the branches of iterations.")
@dry_run_option
@json_option
def best_push(plan: str | None, tags_only: bool, branches: bool, dry_run: bool, as_json: bool) -> int:
    """Push best, tags and ledger in one atomic push, retrying after a lost race."""
    from git_planner.flows.iterations import best as flow

    done = flow.push_best(
        start_in_repository(),
        plan,
        tell,
        tags_only=tags_only,
        branches=branches,
        dry_run=dry_run,
    )
    verb = "would push" if dry_run else "pushed"
    lines = [*done.notes, *(f"{verb} {ref} {oid[:12]}" for ref, oid in done.moved.items())]
    _print_result(done.document(), lines or [f"'{done.remote}' is up to date"], as_json=as_json)
    return DONE


def _iterate_options(given: dict[str, Any]) -> Any:
    from git_planner.flows.iterations.iterate import IterateOptions

    same = ("planner", "implementer", "plan", "goal", "threshold", "slug", "from_ref", "in_place", "from_red")
    return IterateOptions(
        **{name: given[name] for name in same if name in given},
        model=given.get("planner_model"),
        implementer_model=given["model"],
        implementer_effort=given["effort"],
    )


@contextmanager
def _with_bench(repo: Repository, request: Any) -> Iterator[Any]:
    """Yield the options of an iteration with the bench of the settings, and close that at the end."""
    from git_planner.config.settings import read_settings
    from git_planner.flows.measuring.benches.open_bench import open_bench

    with open_bench(repo, read_settings(repo), tell) as bench:
        yield replace(request, bench=bench)


def _print_result(document: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        emit(document)
        return
    for line in lines:
        say(line)


def _result_lines(result: Any) -> list[str]:
    record = result.record
    lines = [f"{result.state.branch}: {record.verdict}. {record.summary}"]
    if result.advanced and result.tag:
        lines.append(f"new best, tagged {refnames.short_name(result.tag)}")
    if result.kept:
        lines.append(f"uncommitted changes are kept as {result.kept}")
    if result.worktree:
        lines.append(f"worktree: {result.worktree}")
    return lines


def _loop_lines(ended: Any) -> list[str]:
    rows = [("no.", "verdict", "value", "objective")]
    for attempt in ended.attempts:
        value = attempt.record.value
        rows.append(
            (
                str(attempt.state.iteration),
                attempt.record.verdict,
                "-" if value is None else format_number(value),
                attempt.state.directive.objective[:60],
            )
        )
    before, after = (
        "none" if best is None else format_number(best) for best in (ended.best_before, ended.best_after)
    )
    lines = _columns(rows) if ended.attempts else []
    lines += [f"failed: {failure}" for failure in ended.failures]
    return [*lines, f"best: {before} before, {after} now", f"stopped: {ended.stopped}"]


def _state_lines(state: Any) -> list[str]:
    if state is None:
        return []
    directive = state.directive
    return [
        f"branch     {state.branch} (plan {state.plan}, from {state.base_ref} {state.base[:12]})",
        f"objective  {directive.objective}",
        f"hypothesis {directive.primary_hypothesis}",
        f"directive  {state.directive_digest}",
    ]


def _record_lines(record: Any) -> list[str]:
    if record is None:
        return []
    lines = [f"record     {record.id}: {record.verdict}. {record.summary}"]
    if sandbox := record.agents.get("implementer", {}).get("sandbox"):
        lines.append(f"sandbox    {sandbox}")
    lines += [f"  {line}" for line in (*record.violations, *record.notes)]
    return lines


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
