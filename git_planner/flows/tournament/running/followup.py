"""`git bo4 followup`: begin the next turn of a tournament with a prompt of its own."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from git_planner.errors import PlannerError
from git_planner.flows.approval.tournament_prompt import require_prompt
from git_planner.flows.tournament.new import checked_prompt
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.rules.refnames import MAX_TURN
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.followup import depends_on_others
from git_planner.rules.tournament.run import TournamentTurn


def begin_turn(
    repo: Repository, name: str, text: str, *, follows: int | None, attempts: int | None
) -> RunView:
    """Begin the next turn: what depended on the turn before is stale from now on.

    The same prompt again, while the turn that it began has not gone on, changes nothing.

    Args:
        repo: the repository.
        name: the name of the run.
        text: the prompt, which must stand alone: its agents see nothing of earlier turns.
        follows: the variant of the current turn that it goes on with; None to start from the base.
        attempts: the number of variants (default: one if it follows a variant, else as before).

    Raises:
        PlannerError: E_UNKNOWN_RUN; E_UNKNOWN_VARIANT; E_USAGE for a prompt that speaks of other variants or
            is empty; E_STAGE before the turn has variants; E_REVIEW if the prompt needs an approval, with the
            turn begun.
    """
    prompt = checked_prompt(text)
    problem = depends_on_others(prompt.decode())
    if problem is not None:
        raise PlannerError(
            "E_USAGE",
            f"the prompt does not stand alone: it says '{problem}'",
            hint="say what is to be done: its agents see no other variant and no earlier turn",
        )
    digest = sha256(prompt).hexdigest()

    def decide(view: RunView) -> RunChange | None:
        now = view.run.turn
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


def _hush(_: str) -> None:
    """Show no progress: the remote is asked in a moment."""
