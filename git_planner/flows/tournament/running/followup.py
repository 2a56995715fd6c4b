"""`git bo4 followup`: begin the next turn of a tournament with a prompt of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from git_planner.errors import PlannerError
from git_planner.flows.approval.tournament_prompt import require_prompt
from git_planner.flows.plans.remarks import read_remarks
from git_planner.flows.tournament.new import checked_prompt
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.plans.remarks import Remark, packet_remarks
from git_planner.rules.refnames import MAX_TURN
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.followup import depends_on_others, with_remarks
from git_planner.rules.tournament.run import TournamentTurn


def begin_turn(
    repo: Repository, name: str, text: str, *, follows: int | None, attempts: int | None
) -> RunView:
    """Begin the next turn: what depended on the turn before is stale from now on.

    What reviewers said about the run stands below the prompt. If they requested changes before the current
    turn was started, the prompt replaces that turn's. The same prompt again, while the turn that it began has
    not gone on, changes nothing.

    Args:
        repo: the repository.
        name: the name of the run.
        text: the prompt, which must stand alone: its agents see nothing of earlier turns.
        follows: the variant of the current turn that it goes on with; None to start from the base.
        attempts: the number of variants (default: one if it follows a variant, else as before).

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_UNKNOWN_VARIANT; E_USAGE for a prompt that speaks of other variants or
            is empty; E_STAGE before the turn has variants; E_REVIEW, with the turn begun, if its prompt needs
            an approval and has none.
    """
    remarks = _remarks(repo, name)
    prompt = _checked_turn_prompt(text, remarks)
    digest = sha256(prompt).hexdigest()
    is_refused = any(remark.decision == "changes_requested" for remark in remarks)

    def decide(view: RunView) -> RunChange | None:
        now = view.run.turn
        if is_refused and view.run.stage("watch") is None:
            return _revise(view, prompt, follows, attempts)
        if now.turn > 1 and (now.prompt_sha256, now.follows) == (digest, follows) and not view.current:
            return None
        if not view.current:
            raise PlannerError(
                "E_STAGE", f"turn {now.turn} of '{name}' has no variants yet", hint=f"git bo4 watch {name}"
            )
        if follows is not None and view.variant(follows).commit is None:
            raise PlannerError(
                "E_UNKNOWN_VARIANT", f"variant {follows} of '{name}' has no commit to go on with"
            )
        if now.turn >= MAX_TURN:
            raise PlannerError("E_USAGE", f"'{name}' has {MAX_TURN} turns already", hint="git bo4 new -h")
        number, at = now.turn + 1, utc_now()
        path = f"meta/followup-turn{number}.txt"
        turn = TournamentTurn(number, digest, path, at, follows=follows)
        run = replace(
            view.run,
            turns=(*view.run.turns, turn),
            attempts=attempts or (1 if follows is not None else view.run.attempts),
            selection=None,
            updated_at=at,
        )
        event = EventDraft("GATES_START", "FOLLOWUP", {"message": f"turn {number}", "turn": number}, at)
        return RunChange(run, files={path: prompt}, events=[event])

    view = RunStore(repo, name).change(decide, "followup")
    require_prompt(repo, view.run, view.prompt, _hush)
    return view


def _checked_turn_prompt(text: str, remarks: Sequence[Remark]) -> bytes:
    """Return the prompt of a turn, with the words of reviewers below it.

    Raises:
        PlannerError: E_USAGE.
    """
    problem = depends_on_others(checked_prompt(text).decode())
    if problem is not None:
        raise PlannerError(
            "E_USAGE",
            f"the prompt does not stand alone: it says '{problem}'",
            hint="say what is to be done: its agents see no other variant and no earlier turn",
        )
    return checked_prompt(with_remarks(text, packet_remarks(remarks)))


def _remarks(repo: Repository, name: str) -> list[Remark]:
    """Return the remarks on a run that are not about a task."""
    about = f"directive {refnames.TOURNAMENT}{name}"
    plan = RunStore(repo, name).read().run.plan
    return [remark for remark in read_remarks(repo, plan) if remark.about == about and remark.task is None]


def _revise(view: RunView, prompt: bytes, follows: int | None, attempts: int | None) -> RunChange | None:
    """Return the change that gives a turn another prompt which has not been started; None if it has it.

    Raises:
        PlannerError: E_USAGE if it is to follow another variant.
    """
    now, at = view.run.turn, utc_now()
    if follows not in (None, now.follows):
        raise PlannerError(
            "E_USAGE",
            f"turn {now.turn} of '{view.run.run}' does not go on with variant {follows}",
            hint="leave out '--follows': its prompt is replaced",
        )
    turn = replace(now, prompt_sha256=sha256(prompt).hexdigest())
    run = replace(
        view.run, turns=(*view.run.turns[:-1], turn), attempts=attempts or view.run.attempts, updated_at=at
    )
    if replace(run, updated_at=view.run.updated_at) == view.run:
        return None
    event = EventDraft(
        "GATES_START", "FOLLOWUP", {"message": f"turn {now.turn} revised", "turn": now.turn}, at
    )
    return RunChange(run, files={now.prompt_path: prompt}, events=[event])


def _hush(_: str) -> None:
    """Show no progress: the remote is asked in a moment."""
