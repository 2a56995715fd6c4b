"""`git iterate` and its commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from git_planner.cli.options import Number, candidates, json_option, plan_option
from git_planner.cli.output import check_place, emit, hush, put_text, say, tell
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository
from git_planner.rules.refnames import number_text as shown

PLANNERS = ("codex", "api", "manual", "offline", "command")
IMPLEMENTERS = ("codex", "command", "patches")

impl_options: tuple[Callable[..., Any], ...] = (
    click.option("--impl", "implementer", type=click.Choice(IMPLEMENTERS), help="Who changes the code."),
    click.option("--impl-model", metavar="M", help="The implementer's model."),
    click.option("--impl-reasoning-effort", metavar="E", help="How hard its model shall think."),
)


def _with(options: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def apply(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


@click.command("iterate")
@click.option("--planner", type=click.Choice(PLANNERS), help="Who writes the directive.")
@_with(impl_options)
@click.option("--goal", type=click.Choice(("best", "threshold")), help="Any improvement, or a fixed value.")
@click.option("--threshold", type=Number(), metavar="N", help="The value to reach.")
@click.option("--slug", metavar="S", help="A word for the branch 'iter/NNNN-S'.")
@click.option("--from", "from_ref", metavar="REF", help="Where to start; with 'manual', the packet's branch.")
@click.option("--in-place", is_flag=True, help="Work in this worktree, which must be clean.")
@plan_option
@click.option("--model", metavar="M", help="The planner's model.")
@click.option("--loop", "is_loop", is_flag=True, help="Go on until a stop rule says so.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Loop: end after N attempts.")
@click.option("--max-wall", type=Number(0), metavar="SECONDS", help="Loop: begin no attempt after this time.")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N", help="Loop: begin no attempt after N tokens."
)
@click.option(
    "--max-invalid", type=click.IntRange(1), metavar="N", help="Loop: end after N invalid in a row."
)
@click.option(
    "--plateau", type=click.IntRange(1), metavar="N", help="Loop: end after N in a row without gain."
)
@json_option
def once(is_loop: bool, as_json: bool, **given: Any) -> int:
    """Plan, implement, commit and record one change, in a worktree of its own; or a loop of them."""
    from git_planner.flows.iterations import iterate

    repo = open_repository()
    stops = {
        "count": given["count"],
        "wall": given["max_wall"],
        "tokens": given["max_tokens"],
        "invalid": given["max_invalid"],
        "plateau": given["plateau"],
    }
    if not is_loop and any(value is not None for value in stops.values()):
        raise click.UsageError("'--count', '--max-…' and '--plateau' belong to '--loop'")
    options = _options(given)
    if is_loop:
        ended = iterate.loop(repo, iterate.LoopOptions(options, **stops), tell)
        _give(ended.document(), _loop_lines(ended), as_json=as_json)
        return ended.exit
    result = iterate.iterate(repo, options, tell)
    _give(result.document(), _result_lines(result), as_json=as_json)
    return result.exit


@click.command()
@click.argument("number", type=click.IntRange(1), required=False, shell_complete=candidates("iterations"))
@_with(impl_options)
@json_option
def resume(number: int | None, as_json: bool, **given: Any) -> int:
    """Go on with an interrupted iteration: NUMBER, or the only one that is unfinished."""
    from git_planner.flows.iterations import resume as flow

    done = flow.resume_iteration(open_repository(), number, _options(given), tell)
    lines = [f"iteration {done.number}: {done.did}" if done.number else done.did]
    if done.record is not None:
        lines.append(f"{done.record.verdict}: {done.record.summary}")
    _give(done.document(), lines, as_json=as_json)
    return done.exit


@click.command("list")
@plan_option
@json_option
def list_(plan: str | None, as_json: bool) -> int:
    """List all iterations: number, plan, phase, verdict, value and worktree."""
    from git_planner.flows.iterations.list_iterations import list_iterations

    found = list_iterations(open_repository(), plan)
    rows = [("no.", "slug", "plan", "phase", "verdict", "value", "worktree")]
    for each in found:
        record, state = each.record, each.state
        rows.append(
            (
                str(each.number),
                state.slug if state else "-",
                state.plan if state else "-",
                each.phase,
                record.verdict if record else "-",
                shown(record.value) if record and record.value is not None else "-",
                str(each.worktree or "-"),
            )
        )
    document = {"schema": "git-planner/iterations@1", "iterations": [each.document() for each in found]}
    _give(
        document,
        _columns(rows) if found else ["there are no iterations yet; 'git iterate' makes one"],
        as_json=as_json,
    )
    return DONE


@click.command()
@click.argument("number", type=click.IntRange(1), shell_complete=candidates("iterations"))
@json_option
def show(number: int, as_json: bool) -> int:
    """Show one iteration: its directive, its record and the logs that were kept."""
    from git_planner.flows.iterations.list_iterations import PHASE_TEXTS
    from git_planner.flows.iterations.provenance import show_iteration as flow

    found = flow(open_repository(), number)
    lines = [f"iteration {number}: {PHASE_TEXTS[found.iteration.phase]}"]
    lines += _state_lines(found.iteration.state) + _record_lines(found.record)
    if found.iteration.worktree:
        lines.append(f"worktree   {found.iteration.worktree}")
    if found.files:
        lines += [f"logs       {found.folder}", *(f"  {each}" for each in found.files)]
    _give(found.document(), lines, as_json=as_json)
    return DONE


@click.command()
@click.argument("name", metavar="COMMIT|REF|N|PATH", shell_complete=candidates("commits"))
@json_option
def why(name: str, as_json: bool) -> int:
    """Say which iteration, directive and record led to a commit."""
    from git_planner.flows.iterations.provenance import MATCH_TEXTS
    from git_planner.flows.iterations.provenance import find_provenance as flow

    found = flow(open_repository(), name)
    if found.iteration is None or found.how is None:
        lines = [f"commit {found.commit[:12]}: no iteration known here led to it"]
    else:
        lines = [f"commit {found.commit[:12]}: iteration {found.iteration.number} ({MATCH_TEXTS[found.how]})"]
        lines += _state_lines(found.iteration.state) + _record_lines(found.record)
    _give(found.document(), lines, as_json=as_json)
    return DONE


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def prune(dry_run: bool, as_json: bool) -> int:
    """Remove the worktrees of finished iterations that are clean, and say what all take on the disk."""
    from git_planner.flows.iterations.prune import prune_worktrees as flow

    done = flow(open_repository(), hush, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    lines = [
        f"{_size(each.size):>9}  {each.path}: {verb if each.why is None else f'kept, {each.why}'}"
        for each in done.places
    ]
    lines.append(f"{_size(done.freed)} {'would be' if dry_run else 'is'} free again")
    _give(
        done.document(), lines if done.places else ["no worktree of an iteration is there"], as_json=as_json
    )
    return DONE


@click.command()
@click.argument("which", metavar="[N|best]", default="best", shell_complete=candidates("iterations"))
@plan_option
@click.option("--branch", metavar="NAME", help="The branch; else 'pr/NNNN-slug'.")
@click.option("--push", is_flag=True, help="Push it to the remote, too.")
@click.option("--force", is_flag=True, help="Replace it even if it was changed since it was published.")
@click.option("--body", metavar="FILE", type=click.Path(dir_okay=False), help="Write the text there.")
@json_option
def publish(which: str, body: str | None, as_json: bool, **given: Any) -> int:
    """Make a branch for a pull request: one commit of the code only, on the policy's base."""
    from git_planner.flows.iterations.publish import publish_iteration as flow

    if body is not None:
        check_place(body)
    done = flow(open_repository(), which, tell, **given)
    if body is not None:
        put_text(body, done.body)
    lines = [f"{done.branch} {done.commit[:12]}: {done.title}", "", done.body.rstrip()]
    _give(done.document(), lines[:1] if body else lines, as_json=as_json)
    return DONE


@click.group("best")
def best() -> None:
    """The rolling best of a plan: make it, tag it, publish it."""


@best.command("ensure")
@plan_option
@json_option
def best_ensure(plan: str | None, as_json: bool) -> int:
    """Create the rolling best, or bring it forward to the remote's and to its base."""
    from git_planner.flows.iterations import best as flow

    done = flow.ensure_best(open_repository(), plan, tell)
    _give(done.document(), [f"{done.branch} {done.commit[:12]}: {done.did}"], as_json=as_json)
    return DONE


@best.command("tag")
@plan_option
@json_option
def best_tag(plan: str | None, as_json: bool) -> int:
    """Tag the commit of the best record, if its tag is missing."""
    from git_planner.flows.iterations import best as flow

    done = flow.tag_best(open_repository(), plan)
    word = "made" if done.made else "is there already"
    _give(done.document(), [f"{done.tag} {done.commit[:12]}: {word}"], as_json=as_json)
    return DONE


@best.command("push")
@plan_option
@click.option("--tags-only", is_flag=True, help="Push nothing but the tags.")
@click.option("--branches", is_flag=True, help="Push the iterations' branches, too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be pushed.")
@json_option
def best_push(plan: str | None, tags_only: bool, branches: bool, dry_run: bool, as_json: bool) -> int:
    """Publish best, tags and ledger in one atomic push, and settle a lost race."""
    from git_planner.flows.iterations import best as flow

    done = flow.push_best(
        open_repository(),
        plan,
        tell,
        tags_only=tags_only,
        branches=branches,
        dry_run=dry_run,
    )
    verb = "would push" if dry_run else "pushed"
    lines = [*done.notes, *(f"{verb} {ref} {oid[:12]}" for ref, oid in done.moved.items())]
    _give(done.document(), lines or [f"'{done.remote}' has all of it already"], as_json=as_json)
    return DONE


def _options(given: dict[str, Any]) -> Any:
    from git_planner.flows.iterations.iterate import IterateOptions

    same = ("planner", "implementer", "plan", "goal", "threshold", "slug", "from_ref", "model", "in_place")
    return IterateOptions(
        **{name: given[name] for name in same if name in given},
        implementer_model=given["impl_model"],
        implementer_effort=given["impl_reasoning_effort"],
    )


def _give(document: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        emit(document)
        return
    for line in lines:
        say(line)


def _result_lines(result: Any) -> list[str]:
    record = result.record
    lines = [f"{result.state.branch}: {record.verdict}. {record.summary}"]
    if result.advanced and result.tag:
        lines.append(f"new best, tagged {result.tag.removeprefix('refs/tags/')}")
    if result.kept:
        lines.append(f"what was tried is kept as {result.kept}")
    if result.worktree:
        lines.append(f"worktree: {result.worktree}")
    return lines


def _loop_lines(ended: Any) -> list[str]:
    rows = [("no.", "verdict", "value", "what was tried")]
    for each in ended.attempts:
        value = each.record.value
        rows.append(
            (
                str(each.state.iteration),
                each.record.verdict,
                "-" if value is None else shown(value),
                each.state.directive.objective[:60],
            )
        )
    before, after = (
        "none" if each is None else shown(each) for each in (ended.best_before, ended.best_after)
    )
    lines = _columns(rows) if ended.attempts else []
    lines += [f"failed: {each}" for each in ended.failures]
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
    lines += [f"  {each}" for each in (*record.violations, *record.notes)]
    return lines


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
