"""Record one commit: check it, measure it, or reuse a known result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from git_planner.engines.contract import WorkerLostError
from git_planner.errors import DEADLINE, DONE, NO, UNREACHED, PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, HostBench
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.flows.measuring.environment import Site
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.records import write_record
from git_planner.flows.records.ledger import LedgerReader, find_record, read_baseline_proof
from git_planner.flows.records.write_record import RecordDraft
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records import row as rows_
from git_planner.rules.records.dispute import list_claims
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import Record

if TYPE_CHECKING:
    from git_planner.flows.measuring.paired_runs import Rival
    from git_planner.flows.measuring.run_benchmark import BenchmarkResult

# Runs of a base without a valid result, before it is called red or not measurable.
_BASE_RUNS = 2
# Claims of a ledger that are measured before one candidate; the rest does not count here.
_MOST_CLAIMS = 3


@dataclass(frozen=True, slots=True)
class RecordResult:
    """A record in the ledger.

    `cached`: it is an older record or reuses one's measurement. `advanced`: it moved the rolling best; `tag`
    is the full ref of its tag. `ledger` is the plan's branch; `logs` is the folder with the commands' output.
    `excerpt` are the last lines of the first failing test, or of the command that failed.
    """

    record: Record
    cached: bool
    advanced: bool
    tag: str | None
    ledger: str
    logs: Path | None = None
    excerpt: tuple[str, ...] = ()

    @property
    def exit(self) -> int:
        """Return the exit status for the verdict."""
        if self.record.valid:
            return DONE
        if self.record.verdict == "invalid":
            return NO
        return DEADLINE if self.record.reason == "timeout" else UNREACHED


class Recorder:
    """Recorder of one commit.

    Args:
        repo: the repository.
        subject: the commit with its base and policy.
        progress: called with each progress message.
        extra: further fields of the record: `agents`, `usage`, `seconds` and `notes`.
        force: measure again even if a result is known.
        advance: move the rolling best to an improved commit of an iteration.
        from_red: let the first valid attempt become the best of a base whose tests fail.
        confirm: first measure what the ledger claims to be the best, if that was not measured here.
        bench: where it is measured (default: this host).
    """

    def __init__(
        self,
        repo: Repository,
        subject: Subject,
        progress: Progress,
        extra: Mapping[str, Any],
        *,
        force: bool,
        advance: bool,
        from_red: bool = False,
        confirm: bool = True,
        bench: Bench | None = None,
    ) -> None:
        self.bench: Bench = bench or HostBench(repo)
        self.repo, self.subject, self.progress, self.extra = repo, subject, progress, extra
        self.force, self.advance, self.from_red, self.confirm = force, advance, from_red, confirm
        self.kind: Literal["baseline", "attempt"] = (
            "baseline" if subject.commit == subject.base else "attempt"
        )
        self.rows = LedgerReader(repo)
        self._rows: list[rows_.RecordRow] | None = None
        self.began = time.monotonic()

    def record(self) -> RecordResult:
        """Check and measure the commit; write the record."""
        candidate = build_candidate(self.repo, self.subject)
        if candidate.refusal is not None:
            return self.refuse(candidate)
        site = self.bench.site(self.subject.base, self.subject.policy)
        known = rows_.find_same_commit(
            self._measured_here(site),
            commit=self.subject.commit,
            instrument=candidate.instrument,
            environment=site.digest,
        )
        for damage in self.rows.damaged.values():
            self.progress(f"ignored: {damage}")
        if known is not None and not self.force:
            if self.kind == "attempt":
                self._measure_claims(candidate.instrument, None, site)
            return self._confirm_known(known)
        if self.kind == "attempt":
            problem = self.measure_base(candidate.instrument, site)
            if problem is not None:
                return self._write(RecordDraft(self._draft(candidate), problem))
            self._measure_claims(candidate.instrument, candidate.tree, site)
        self._check_noise(candidate, site)
        return self._measure(candidate, site)

    def refuse(self, candidate: Candidate, *, summary: str | None = None) -> RecordResult:
        """Record a candidate that is not measured."""
        return self._write(RecordDraft(self._draft(candidate), candidate.refusal, summary=summary))

    def check_base(self) -> Refusal | None:
        """Measure the subject, which is a base, and the best, unless they have a result here.

        Returns:
            What is wrong with the base; None if there is something to compare with.
        """
        candidate = build_candidate(self.repo, self.subject)
        if candidate.refusal is not None:
            return candidate.refusal
        site = self.bench.site(self.subject.base, self.subject.policy)
        problem = self.measure_base(candidate.instrument, site)
        if problem is None:
            self._measure_claims(candidate.instrument, None, site)
        return problem

    def measure_base(self, instrument: str, site: Site) -> Refusal | None:
        """Measure the base, unless the instrument has a valid result here.

        A base that has none is measured twice: only what fails twice alike is called red.

        Returns:
            None if there is something to compare with, or a red base may be improved; else the refusal.
        """
        done: RecordResult | None = None
        for _ in range(_BASE_RUNS):
            here = self._measured_here(site)
            if rows_.find_baseline(here, instrument) is not None:
                return None
            if rows_.is_red(here, instrument):
                break
            done = self._record_base(instrument, again=done is not None)
        here = self._measured_here(site)
        if rows_.find_baseline(here, instrument) is not None:
            return None
        if rows_.is_red(here, instrument):
            return None if self.from_red else self._red_refusal(here, instrument)
        return Refusal("no_baseline", done.record.summary if done else "it was measured elsewhere only")

    def _record_base(self, instrument: str, *, again: bool) -> RecordResult:
        base = self._base_subject(instrument)
        if again:
            self.progress(f"measuring the base {base.commit[:12]} again: it has no valid result yet")
        else:
            self.progress(
                f"measuring the base {base.commit[:12]} first: no valid record of this instrument yet"
            )
        done = Recorder(
            self.repo, base, self.progress, {}, force=True, advance=False, bench=self.bench
        ).record()
        self._rows = None
        self.progress(f"{done.record.verdict}: {done.record.summary}")
        return done

    def _base_subject(self, instrument: str) -> Subject:
        """Return the commit of the base branch, or the subject's own base if its instrument is another."""
        base = trusted_base.anchor_subject(self.repo, self.subject)
        if base.commit == self.subject.base or instrument_digest_at(self.repo, base.commit) == instrument:
            return base
        return trusted_base.base_subject(self.subject)

    def _red_refusal(self, here: Sequence[rows_.RecordRow], instrument: str) -> Refusal:
        red = [row for row in here if row.kind == "baseline" and row.instrument == instrument][-1]
        summary = find_record(self.repo, self.subject.plan, red.id).summary
        return Refusal(
            "red_base", f"{summary}; with '--from-red' the first valid attempt becomes the best of a red base"
        )

    def _measure_claims(self, instrument: str, tree: str | None, site: Site) -> None:
        """Measure the best improvement that the ledger claims and that was not measured here.

        Only then is a candidate compared with it. What cannot be measured here does not count here.

        Args:
            instrument: the instrument.
            tree: the candidate's tree, which is measured anyway; None without a candidate.
            site: the measuring environment.
        """
        skipped: set[str] = set()
        metric = self.subject.policy.metric
        kind = metric.kind if metric else "deterministic"
        for _ in range(_MOST_CLAIMS if self.confirm else 0):
            claims = list_claims(self._ledger(), self._measured_here(site), instrument, kind)
            claim = next((row for row in claims if row.id not in skipped and row.tree != tree), None)
            if claim is None:
                return
            skipped.add(claim.id)
            problem = self._measure_claim(claim)
            if problem is None:
                return
            self.progress(problem)
            self.subject = replace(self.subject, notes=(*self.subject.notes, problem))

    def _measure_claim(self, claim: rows_.RecordRow) -> str | None:
        """Measure the commit of a claim; return why it does not count, None if it holds."""
        if self.repo.maybe(claim.commit) is None:
            return f"'{claim.id}' claims an improvement and does not count here: its commit is missing"
        why = "was not measured here" if claim.lead_ins else "was measured in rounds without lead-in"
        self.progress(f"'{claim.id}' claims an improvement that {why}: it is measured again")
        try:
            subject = trusted_base.find_subject(self.repo, claim.commit, self.subject.plan)
            subject = replace(subject, notes=(*subject.notes, f"'{claim.id}' measured again"))
            recorder = Recorder(
                self.repo,
                subject,
                self.progress,
                {},
                force=True,
                advance=self.advance,
                confirm=False,
                bench=self.bench,
            )
            record = recorder.record().record
            self._rows = None
        except WorkerLostError:
            raise
        except PlannerError as error:
            return f"'{claim.id}' claims an improvement and does not count here: {error.message}"
        if record.verdict == "improved":
            return None
        return f"'{claim.id}' claims an improvement, and measured again: {record.verdict}, {record.summary}"

    def _check_noise(self, candidate: Candidate, site: Site) -> None:
        """Check the policy's min_gain against the noise; measure the noise first if unknown."""
        subject, metric = self.subject, self.subject.policy.metric
        if self.kind == "baseline" or metric is None or metric.kind != "noisy":
            return
        from git_planner.flows.measuring import noise

        known_noise = noise.read_noise(self.repo, subject, candidate.instrument, site.digest)
        if known_noise is None and metric.min_gain is not None:
            self.progress("the noise on this machine is not known yet: the base is measured for it")
            base = trusted_base.base_subject(subject)
            known_noise = noise.measure_noise(
                self.repo,
                base,
                build_candidate(self.repo, base),
                self.bench,
                noise.FEW_RUNS,
                self.progress,
            )
        if known_noise is not None:
            noise.check_min_gains(known_noise, subject.policy)
            return
        note = "the noise on this machine is not known; 'git record noise' measures it"
        self.subject = replace(subject, notes=(*subject.notes, note))

    def _ledger(self) -> list[rows_.RecordRow]:
        """Return the rows of the plan, read once, and again after another recorder has written."""
        if self._rows is None:
            self._rows = self.rows.read(self.subject.plan)
        return self._rows

    def _measured_here(self, site: Site) -> list[rows_.RecordRow]:
        """Return the rows of the plan that were measured in this repository and environment."""
        return self.rows.measured_here(self._ledger(), site.digest)

    def _measure(self, candidate: Candidate, site: Site) -> RecordResult:
        plan, instrument, rows = self.subject.plan, candidate.instrument, self._measured_here(site)
        first = rows_.find_baseline(rows, instrument) if self.kind == "attempt" else None
        draft = self._draft(candidate).with_(
            environment_digest=site.digest,
            environment=site.document(),
            instrument_tests=first.tests if first else None,
        )
        source = rows_.find_same_tree(
            rows, tree=candidate.tree, instrument=instrument, environment=site.digest
        )
        if source is not None and not self.force and self._is_reusable(source, rows):
            return self._reuse(draft, source.id)
        before = read_baseline_proof(self.repo, plan, rows, instrument) if self.kind == "attempt" else None
        with owned_folder(self.repo.private("records"), "running-") as logs:
            outcome = self.bench.measure(
                self.subject.base,
                self.subject.policy,
                candidate.tree,
                before=before,
                logs=logs,
                progress=self.progress,
                rival=self._rival(candidate, rows),
            )
            done = self._write(_measured_draft(draft, outcome))
            with suppress(OSError):
                logs.chmod(logs.parent.stat().st_mode & 0o777)
                logs.rename(self._place(done.record.id))
        kept = self._logs(done.record.id)
        excerpt: tuple[str, ...] = ()
        if outcome.refusal is not None and kept is not None:
            from git_planner.flows.measuring.reports.failing_output import failing_output

            excerpt = failing_output(kept, outcome.proof, outcome.refusal)
        return replace(done, logs=kept, excerpt=excerpt)

    def _is_reusable(self, source: rows_.RecordRow, rows: Sequence[rows_.RecordRow]) -> bool:
        """Return whether a known result of the same tree was compared with the current best."""
        metric = self.subject.policy.metric
        if metric is None or metric.kind != "noisy" or not source.valid or self.kind == "baseline":
            return True
        top = pick_best(rows, instrument=source.instrument)
        return top is None or top.tree == source.tree or top.id == source.rival

    def _rival(self, candidate: Candidate, rows: Sequence[rows_.RecordRow]) -> Rival | None:
        """Return the best that a noisy metric is compared with; None if it is deterministic or the first."""
        metric = self.subject.policy.metric
        if metric is None or metric.kind != "noisy" or self.kind == "baseline":
            return None
        top = pick_best(rows, instrument=candidate.instrument)
        if top is None or top.tree == candidate.tree:
            return None
        from git_planner.flows.measuring.paired_runs import prepare_rival, restore_tree

        tree = restore_tree(self.repo, self.subject, top.tree, top.commit)
        return prepare_rival(self.repo, self.subject.plan, metric, top=top, tree=tree, rows=rows)

    def _reuse(self, draft: Record, record_id: str) -> RecordResult:
        self.progress(f"the same tree was measured before: {record_id}")
        old = find_record(self.repo, self.subject.plan, record_id)
        draft = draft.with_(
            cached_from=old.cached_from or old.id,
            metrics=old.metrics,
            tests=old.tests,
            comparison=old.comparison,
            environment=old.environment,
            notes=(*draft.notes, f"not measured again: '{old.id}' has the same tree"),
        )
        refusal = Refusal(old.reason, old.summary) if old.reason else None
        done = self._write(RecordDraft(draft, refusal, summary=old.summary if refusal else None))
        return replace(done, cached=True)

    def _draft(self, candidate: Candidate) -> Record:
        subject, extra = self.subject, self.extra
        plain = Record(
            id="",
            plan=subject.plan,
            kind=self.kind,
            verdict="unmeasured",
            reason=None,
            commit=subject.commit,
            tree=candidate.tree,
            patch_id=trusted_base.patch_id(self.repo, subject),
            base=subject.base,
            branch=None if subject.branch is None else trusted_base.utf8_path(subject.branch),
            iteration=None,
            slug=None,
            instrument=candidate.instrument,
            environment_digest=None,
            files=candidate.files,
            violations=candidate.violations,
            notes=(*subject.notes, *extra.get("notes", ())),
            agents=dict(extra.get("agents", {})),
            usage=dict(extra.get("usage", {})),
            seconds=dict(extra.get("seconds", {})),
        )
        return plain if subject.state is None else _with_iteration(plain, subject.state)

    def _write(self, finding: RecordDraft) -> RecordResult:
        took = round(time.monotonic() - self.began, 3)
        draft = finding.draft.with_(seconds={**finding.draft.seconds, "record": took})
        done = write_record.write_record(
            self.repo,
            self.rows,
            self.subject,
            replace(finding, draft=draft),
            advance=self.advance,
            force=self.force,
            from_red=self.from_red,
            claims=self._ledger(),
        )
        for note in done.disputes:
            self.progress(note)
        return RecordResult(done.record, done.known, done.advanced, done.tag, self.subject.ref)

    def _confirm_known(self, known: rows_.RecordRow) -> RecordResult:
        self.progress(f"known already: {known.id}")
        done = write_record.confirm_record(self.repo, self.rows, self.subject, known, advance=self.advance)
        return RecordResult(
            done.record, True, done.advanced, done.tag, self.subject.ref, self._logs(known.id)
        )

    def _place(self, record_id: str) -> Path:
        return self.repo.private("records", record_id)

    def _logs(self, record_id: str) -> Path | None:
        place = self._place(record_id)
        return place if place.is_dir() else None


def _measured_draft(draft: Record, outcome: BenchmarkResult) -> RecordDraft:
    tests = outcome.proof.tests if outcome.proof else None
    held = draft.instrument_tests if draft.kind == "attempt" or tests is None else tests.ids
    return RecordDraft(
        draft.with_(
            metrics=outcome.metrics,
            comparison=outcome.comparison,
            tests=tests,
            instrument_tests=held,
            notes=(*draft.notes, *outcome.notes),
            seconds={**draft.seconds, **outcome.seconds},
        ),
        outcome.refusal,
        outcome.proof,
    )


def _with_iteration(record: Record, state: IterationState) -> Record:
    return record.with_(
        iteration=state.iteration,
        slug=state.slug,
        threshold=state.threshold,
        directive=state.directive_digest,
        packet=state.packet,
        strategy=state.directive.strategy,
        hypothesis=state.directive.primary_hypothesis,
        change_summary=state.directive.change_summary,
        agents=record.agents or {"planner": {"name": state.planner["name"], "model": state.planner["model"]}},
    )
