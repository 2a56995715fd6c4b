"""`git planner ci`: workflows, templates and hooks for hosting sites and servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import Repository

if TYPE_CHECKING:
    from git_planner.flows.ci.job import JobReport


@click.command(short_help="Print, write or remove the files for CI, reviews and issues, or a server's hook.")
@click.argument("where", type=click.Choice(["github", "gitlab", "server"]), required=False)
@click.option("--write", is_flag=True, help="Write the files, or update them; files with other changes stay.")
@click.option("--remove", is_flag=True, help="Remove what '--write' wrote; files with other changes stay.")
@click.option(
    "--run",
    type=click.Choice(["check", "verify", "comment"]),
    help="Do the work of a CI job: check and show the review, measure again, or post the comment.",
)
@click.option("--package", metavar="REQUIREMENT", help="What pip installs in CI (default: git-planner).")
@click.option(
    "--code-owner",
    "owners",
    multiple=True,
    metavar="NAME",
    help="Who is asked for reviews in CODEOWNERS (default: the policy's reviewers); may be repeated.",
)
@json_option
def ci(
    *,
    where: str | None,
    write: bool,
    remove: bool,
    run: str | None,
    package: str | None,
    owners: tuple[str, ...],
    as_json: bool,
) -> int:
    """Print the CI workflow of a hosting site, or a server's pre-receive hook; or write all files of it.

    With --write also templates for pull requests and issues, and lines in CODEOWNERS. Without WHERE, --write
    and --remove act on the hosting site of 'origin', or whose files are there.
    """
    from git_planner.flows.ci import ci_files

    if sum((write, remove, run is not None)) > 1:
        raise PlannerError("E_USAGE", "'--write', '--remove' and '--run' exclude each other")
    if run is not None:
        return _run_job(where, run, as_json)
    if not (write or remove):
        if where is None:
            raise PlannerError(
                "E_USAGE",
                "missing argument '{github|gitlab|server}'",
                hint="see the options with 'git planner ci --help'",
            )
        printed = ci_files.print_ci(where, package)
        if as_json:
            emit(printed.document())
        else:
            say(printed.files[0].text.removesuffix("\n"))
        return DONE
    repo = start_in_repository()
    where = where or ci_files.guess_site(repo)
    if where is None:
        raise PlannerError(
            "E_USAGE", "the hosting site is unknown", hint="name it: git planner ci github --write"
        )
    done = (
        ci_files.remove_ci(repo, where)
        if remove
        else ci_files.write_ci(repo, where, package=package, owners=owners)
    )
    if as_json:
        emit(done.document())
        return DONE if done.ok else NO
    for file in done.files:
        say(f"{file.state} '{file.path}'{': ' + file.why if file.why else ''}")
    return DONE if done.ok else NO


def _run_job(where: str | None, run: str, as_json: bool) -> int:
    from git_planner.flows.ci import job

    if where not in ("github", "gitlab"):
        raise PlannerError("E_USAGE", "'--run' needs a hosting site", hint="name 'github' or 'gitlab'")
    host: Literal["github", "gitlab"] = "github" if where == "github" else "gitlab"
    repo, request = job.open_request(start_in_repository(), host, os.environ)
    if run == "verify":
        result, why = job.verify(repo, host, request, tell)
        if as_json:
            emit({"schema": "git-planner/ci-verified@1", "result": result, "why": why})
        else:
            say(f"{result}: {why}")
        return NO if result == "differs" else DONE
    report = job.report_on(repo, request, os.environ.get("GIT_PLANNER_VERIFIED", ""))
    if run == "comment":
        return _comment(repo, host, report, as_json)
    report = job.write_report(host, report, os.environ)
    if as_json:
        emit(report.document())
    else:
        say(report.body.rstrip("\n"))
    return DONE if report.facts.ok else NO


def _comment(repo: Repository, host: Literal["github", "gitlab"], report: JobReport, as_json: bool) -> int:
    from git_planner.flows.ci.comment import post_comment

    state, why = post_comment(repo, host, report, os.environ)
    if as_json:
        emit({"schema": "git-planner/ci-comment@1", "state": state, "why": why})
    else:
        say(f"comment: {state}{': ' + why if why else ''}")
    return DONE
