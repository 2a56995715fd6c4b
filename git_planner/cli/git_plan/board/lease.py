"""`git plan lease` and `git plan resources`: ration heavy work on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import SECONDS, Number, json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE

if TYPE_CHECKING:
    from git_planner.flows.runs.leases import LeaseReport
    from git_planner.rules.board.lease import Kind

purpose_option = click.option("--purpose", required=True, metavar="TEXT", help="What the lease is for.")
session_option = click.option("--session", default="", metavar="NAME", help="Session that asks.")
spawn_option = click.option(
    "--spawn", is_flag=True, help="Ask for the lease to start a session, not for heavy work."
)
ttl_option = click.option(
    "--ttl", type=SECONDS, metavar="SECONDS", help="Time to live (default: planner.leaseTtlSeconds)."
)

wait_option = click.option(
    "--wait", type=Number(min=0), metavar="SECONDS", help="Wait at most SECONDS for the lease."
)


@click.group(cls=CommandGroup)
def lease() -> None:
    """Ration heavy work: leases are granted in the order of asking, over all repositories of this host."""


@lease.command("run", context_settings={"allow_interspersed_args": False})
@purpose_option
@session_option
@spawn_option
@ttl_option
@wait_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGUMENT]...")
def run_command(
    *,
    purpose: str,
    session: str,
    spawn: bool,
    ttl: float | None,
    wait: float | None,
    command: tuple[str, ...],
) -> int:
    """Wait for a lease (any time, unless --wait limits it), run COMMAND under it, and release it.

    The lease is renewed while the command runs. The exit status is the command's. Its environment has
    GIT_PLANNER_LEASE and GIT_PLANNER_LEASE_TOKEN, a number that grows with every grant.
    """
    from git_planner.flows.runs.leases import run_under_lease

    return run_under_lease(
        start_in_repository(),
        command,
        kind=_kind(spawn),
        purpose=purpose,
        session=session,
        ttl=ttl,
        wait=wait,
        tell=tell,
    )


@lease.command()
@purpose_option
@session_option
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Process that the lease ends with.")
@spawn_option
@ttl_option
@wait_option
@json_option
def acquire(
    *,
    purpose: str,
    session: str,
    pid: int | None,
    spawn: bool,
    ttl: float | None,
    wait: float | None,
    as_json: bool,
) -> int:
    """Ask for a lease, and do not wait unless --wait says so. The same request again keeps lease and place.

    Exit with 1 while it waits in the queue. A waiting lease that is not asked for again within a minute
    leaves the queue; a granted one is lost unless it is renewed within its time to live.
    """
    from git_planner.flows.runs.leases import acquire_lease

    report = acquire_lease(
        start_in_repository(),
        kind=_kind(spawn),
        purpose=purpose,
        session=session,
        pid=pid,
        ttl=ttl,
        wait=wait or 0.0,
        tell=tell,
    )
    if as_json:
        emit(report.document())
    else:
        say(_answer_line(report))
    return report.exit


@lease.command()
@click.argument("name", metavar="LEASE")
@json_option
def renew(*, name: str, as_json: bool) -> int:
    """Renew LEASE for another time to live."""
    from git_planner.flows.runs.leases import lease_document
    from git_planner.host.leases.host_lease import HostLeases

    start_in_repository()
    leases = HostLeases()
    renewed = lease_document(leases.renew(name), leases.read()[1])
    if as_json:
        emit(renewed)
    else:
        say(f"{name} expires at {renewed['expires_at']}")
    return DONE


@lease.command()
@click.argument("name", metavar="LEASE")
@json_option
def release(*, name: str, as_json: bool) -> int:
    """Release LEASE, or leave the queue."""
    from git_planner.flows.runs.leases import lease_document
    from git_planner.host.leases.host_lease import HostLeases

    start_in_repository()
    leases = HostLeases()
    released = lease_document(leases.release(name), leases.read()[1])
    if as_json:
        emit(released)
    else:
        say(f"released {name}")
    return DONE


@lease.command("list")
@json_option
def list_leases(*, as_json: bool) -> int:
    """List the leases of this host: those held, then those waiting, in order."""
    from git_planner.flows.runs.leases import lease_document
    from git_planner.host.leases.host_lease import HostLeases

    start_in_repository()
    book, clock = HostLeases().read()
    leases = sorted(book.leases, key=lambda listed: not listed.is_granted)
    documents = [lease_document(listed, clock) for listed in leases]
    if as_json:
        emit({"schema": "git-planner/lease-list@1", "leases": documents})
        return DONE
    if not documents:
        say("no leases")
    for document in documents:
        state = "held" if document["granted"] else "waiting"
        owner = document["session"] or f"process {document['pid']}"
        ends = f"({owner}, until {document['expires_at']})"
        say(f"{document['lease']}  {state:7}  {document['purpose']}  {ends}")
    return DONE


@click.command()
@json_option
def resources(*, as_json: bool) -> int:
    """Show load, memory and leases of this host, and whether heavy work or a worker would be admitted now."""
    from git_planner.flows.runs.leases import read_resources

    document = read_resources(start_in_repository()).document()
    if as_json:
        emit(document)
        return DONE
    load, memory = document["loadavg_1"], document["mem_available_gb"]
    shown_load = "unknown" if load is None else f"{load:.2f}"
    shown_memory = "unknown" if memory is None else f"{memory:.1f} GiB"
    say(f"CPUs {document['cpus']}, load average {shown_load}, available memory {shown_memory}")
    for kind, name in (("heavy", "heavy work"), ("spawn", "worker launch")):
        judged = document[kind]
        thresholds = "".join(
            f", {text} {judged[key]:g}{unit}"
            for key, text, unit in (
                ("max_loadavg_1", "load below", ""),
                ("min_mem_available_gb", "memory at least", " GiB"),
            )
            if judged[key] is not None
        )
        answer = "allowed" if judged["admitted"] else f"not now: {judged['reason']}"
        say(f"{name}: {answer}")
        say(f"  {judged['held']} of {judged['limit']} leases held, {judged['waiting']} waiting{thresholds}")
    return DONE


def _kind(spawn: bool) -> Kind:
    return "spawn" if spawn else "heavy"


def _answer_line(report: LeaseReport) -> str:
    answer = report.answer
    document = report.document()
    if answer.lease.is_granted:
        return f"{answer.lease.name} granted until {document['expires_at']}"
    return (
        f"{answer.lease.name} waits, number {answer.position} in the queue: {answer.reason}; "
        f"ask again in {document['retry_after_seconds']} seconds"
    )
