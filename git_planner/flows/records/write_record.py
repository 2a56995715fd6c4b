"""Write a record and advance the best, its tag and the ledger in one ref transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from git_planner import redact
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.plans.best_place import MovedBest, find_moved_best, move_best
from git_planner.flows.records.journal import note_record
from git_planner.flows.records.ledger import TESTS_FOLDER, LedgerReader, find_record, read_record
from git_planner.flows.records.settle_disputes import (
    DisputedRow,
    best_tag,
    dispute_files,
    tag_steps,
    way_back,
)
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store, Tag, Write
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring import verdict
from git_planner.rules.measuring.verdict import Decision, Refusal
from git_planner.rules.records.dispute import Dispute, contradiction
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import MeasuredMetric, Record, truncate_texts
from git_planner.rules.records.row import (
    RecordRow,
    Verdict,
    find_baseline,
    find_same_commit,
    next_id,
    row_from,
)

if TYPE_CHECKING:
    from git_planner.rules.measuring.proofs.proof import Proof

_TEXTS = ("summary", "notes", "violations", "hypothesis", "change_summary", "files", "strategy")

# Refusals of a commit before anything runs, which contradict a record that called it valid.
_REFUSED_BEFORE_MEASURING = ("guard", "scope")


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """Draft of a record: without a verdict, which depends on the ledger at the time of writing.

    `refusal` is why it is not valid; `summary` may replace its sentence. `proof` is stored beside it.
    """

    draft: Record
    refusal: Refusal | None
    proof: Proof | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """Record in the ledger. `known`: it was there before. `disputes`: what it disputes, one sentence each."""

    record: Record
    known: bool
    advanced: bool
    tag: str | None
    disputes: tuple[str, ...] = ()


def write_record(
    repo: Repository,
    rows: LedgerReader,
    subject: Subject,
    draft: RecordDraft,
    *,
    advance: bool,
    force: bool,
    from_red: bool = False,
    claims: Sequence[RecordRow] = (),
) -> WrittenRecord:
    """Decide the verdict and write record, best, tag and ledger atomically.

    Args:
        repo: the repository.
        rows: the ledger reader.
        subject: the candidate.
        draft: the measured or refused record.
        advance: move the rolling best to an improvement.
        force: write a new record even if the commit has one.
        from_red: let the first valid result become the best without a valid baseline.
        claims: the ledger as it was read last, whose tags may have to go.

    Raises:
        PlannerError: what Store.transact raises.
    """
    writer = _RecordWriter(repo, rows, subject, draft, advance=advance, force=force, from_red=from_red)
    writer.claims = claims
    Store(repo).transact(writer.refs, writer.decide)
    assert writer.settled is not None
    return writer.settled


def confirm_record(
    repo: Repository, rows: LedgerReader, subject: Subject, known: RecordRow, *, advance: bool
) -> WrittenRecord:
    """Return a record that is already in the ledger; advance the rolling best if it is the best."""
    writer = _RecordWriter(repo, rows, subject, None, advance=advance, force=False, known=known)
    Store(repo).transact(writer.refs, writer.decide)
    assert writer.settled is not None
    return writer.settled


class _RecordWriter:
    """One decision, repeated after every lost race; `settled` is the last result."""

    def __init__(
        self,
        repo: Repository,
        rows: LedgerReader,
        subject: Subject,
        finding: RecordDraft | None,
        *,
        advance: bool,
        force: bool,
        from_red: bool = False,
        known: RecordRow | None = None,
    ) -> None:
        self.repo, self.rows, self.subject, self.finding = repo, rows, subject, finding
        self.advance, self.force, self.from_red, self.known = advance, force, from_red, known
        self.settled: WrittenRecord | None = None
        self.claims: Sequence[RecordRow] = ()
        self.best_ref = refnames.best_ref(subject.plan)
        self.best_copy = refnames.best_copy(subject.plan)
        self.moved: MovedBest | None = None
        self.tag = self._tag_name()
        self.stamp = repo.now()

    @property
    def refs(self) -> list[str]:
        """Return every ref that the decision depends on."""
        refs = [self.subject.ref, self.best_ref, self.best_copy, *([self.tag] if self.tag else [])]
        if self._contradicts:
            tags = (best_tag(row) for row in self._same_claims(self.claims))
            refs += [tag for tag in tags if tag is not None]
        return list(dict.fromkeys(refs))

    @property
    def _contradicts(self) -> bool:
        """True if the new record can contradict older ones: it was measured, or the guard refused it."""
        if self.finding is None:
            return False
        refusal = self.finding.refusal
        return self.finding.draft.environment_digest is not None or (
            refusal is not None and refusal.reason in _REFUSED_BEFORE_MEASURING
        )

    def decide(self, seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        """Return the steps for the current tips; see Store.transact."""
        self.moved = find_moved_best(self.repo, self.subject.plan) if self.advance else None
        rows = self.rows.read_at(seen[self.subject.ref])
        known = self._find_known(rows)
        if known is not None:
            return self._keep_known(rows, known, seen)
        assert self.finding is not None
        here = self.rows.measured_here(rows, self.finding.draft.environment_digest)
        record = self._with_verdict(rows, here, self.finding)
        disputed = self._contradicted(rows, here, record)
        if disputed:
            ids = {entry.row.id for entry in disputed}
            here = [row for row in here if row.id not in ids]
            record = self._with_verdict(rows, here, self.finding).with_(id=record.id)
        steps, notes, tag = self._move_best(record, here, disputed, seen)
        record = _redact_record(truncate_texts(record.with_(notes=(*record.notes, *notes))))
        documents_ = self._documents(record, self.finding.proof) | dispute_files(disputed)
        # The intent comes first: a record without its entry would be measured again.
        note_record(self.repo, documents_[refnames.record_path(record.id)])
        message = Message(
            f"record {record.verdict}: {record.summary}"[:120],
            (("Planner-Op", "record"), ("Planner-Args", record.commit), ("Planner-Record", record.id)),
        )
        advanced = any(isinstance(step, Move) and step.oid == record.commit for step in steps)
        sentences = tuple(entry.sentence for entry in disputed)
        self.settled = WrittenRecord(record, False, advanced, tag, sentences)
        return [Write(self.subject.ref, documents_, message, self.subject.base, masked=True), *steps]

    def _same_claims(self, rows: Sequence[RecordRow]) -> list[RecordRow]:
        """Return the valid records of the same commit or tree by the same instrument."""
        assert self.finding is not None
        draft = self.finding.draft
        return [
            row
            for row in rows
            if row.valid
            and row.instrument == draft.instrument
            and (row.tree == draft.tree or row.commit == draft.commit)
        ]

    def _contradicted(
        self, rows: Sequence[RecordRow], here: Sequence[RecordRow], record: Record
    ) -> list[DisputedRow]:
        """Return the older records that the new one contradicts, with their disputes."""
        if not self._contradicts or record.cached_from:
            return []
        metric = self.subject.policy.metric
        kind = metric.kind if metric else "deterministic"
        baseline = find_baseline(here, record.instrument or "")
        reasons = [(row, contradiction(row, record, baseline, kind)) for row in self._same_claims(rows)]
        return [
            DisputedRow(row, Dispute(row.id, why, "measurement", record.id, self.stamp))
            for row, why in reasons
            if why is not None
        ]

    def _move_best(
        self,
        record: Record,
        here: Sequence[RecordRow],
        disputed: Sequence[DisputedRow],
        seen: Mapping[str, Snapshot],
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        """Return steps for the best and its tags, notes for the record, and the new tag."""
        tip = seen[self.best_ref].tip
        # A best that somebody else moved stays there until a person decides; where it was left is known.
        left = tip if self.moved is None else self.moved.left
        if not disputed:
            return self._advance_best(record, seen, left)
        own = [row_from(record.document())] if record.valid else []
        same = [row for row in here if row.instrument == record.instrument]
        back = way_back(self.repo, self.subject.plan, tip, disputed, [*same, *own], base=self.subject.base)
        self.moved = back.moved
        steps, notes, tag = self._advance_best(record, seen, back.holds)
        moves = [*steps]
        if back.step is not None and not any(step.ref == self.best_ref for step in steps):
            moves.append(back.step)
            if back.moved is None:
                branch, place = refnames.short_name(self.best_ref), back.step.oid[:12]
                notes = (*notes, f"'{branch}' is back at '{place}', the last best that holds")
        moves += tag_steps(self.repo, disputed, seen, tag)
        return moves, (*(entry.sentence for entry in disputed), *notes), tag

    def _find_known(self, rows: Sequence[RecordRow]) -> RecordRow | None:
        if self.known is not None or self.force or self.finding is None:
            return self.known
        draft = self.finding.draft
        measured = draft.environment_digest is not None
        return find_same_commit(
            self.rows.measured_here(rows, draft.environment_digest) if measured else rows,
            commit=draft.commit,
            instrument=draft.instrument or "",
            environment=draft.environment_digest,
            reason=self.finding.refusal.reason if self.finding.refusal else None,
        )

    def _keep_known(
        self, rows: Sequence[RecordRow], known: RecordRow, seen: Mapping[str, Snapshot]
    ) -> Sequence[Step]:
        content = seen[self.subject.ref].read(refnames.record_path(known.id))
        record = read_record(content or b"", known.id)
        here = self.rows.measured_here(rows, known.environment_digest)
        top = pick_best(here, instrument=known.instrument)
        steps: list[Step] = []
        tag = None
        restarts = self.moved is not None and record.verdict == "baseline"
        if (top is not None and top.id == known.id) or restarts:
            steps, _, tag = self._advance_best(record, seen, seen[self.best_ref].tip)
        self.settled = WrittenRecord(record, True, any(isinstance(step, Move) for step in steps), tag)
        return steps

    def _with_verdict(
        self, rows: Sequence[RecordRow], here: Sequence[RecordRow], finding: RecordDraft
    ) -> Record:
        """Return the record with its verdict, against the records that were measured here.

        Args:
            rows: the ledger, after which its id comes.
            here: the records that were measured in this repository and environment.
            finding: the draft.
        """
        draft = finding.draft
        top = pick_best(here, instrument=draft.instrument)
        before = top.value if top else None
        problems: Sequence[str] = ()
        if finding.refusal is not None:
            decision = verdict.refused_decision(finding.refusal, before)
        else:
            decision, problems = self._constrain(self._decide_verdict(draft, top), draft, top)
        value = draft.value
        return draft.with_(
            id=next_id(rows, self.stamp),
            created_at=self.stamp,
            verdict=decision.verdict,
            reason=decision.reason,
            best_before=decision.best_before,
            delta=decision.delta,
            threshold_met=decision.reason is None
            and not problems
            and value is not None
            and verdict.is_reached(value, draft.threshold, draft.direction),
            summary=finding.summary or f"{decision.summary}{_skips_text(draft)}",
        )

    def _constrain(
        self, decision: Decision, draft: Record, top: RecordRow | None
    ) -> tuple[Decision, Sequence[str]]:
        """Return the decision under the constraints of the metrics, and the clauses of those not met."""
        metrics = self.subject.policy.metrics
        if not any(metric.is_bounded for metric in metrics):
            return decision, ()
        from git_planner.rules.measuring import constraints

        best: Sequence[MeasuredMetric] = ()
        if top is not None and any(metric.no_worse_than is not None for metric in metrics):
            best = find_record(self.repo, self.subject.plan, top.id).metrics
        problems = constraints.constraint_problems(metrics, draft.metrics, best)
        return constraints.constrained(decision, problems), problems

    def _decide_verdict(self, draft: Record, top: RecordRow | None) -> Decision:
        metric = self.subject.policy.metric
        if metric is None or not draft.metrics:
            unmoved: Verdict = "baseline" if draft.kind == "baseline" else "within_noise"
            return Decision(unmoved, None, None, None, "the tests passed; the policy has no metric")
        own = draft.metrics[0]
        if draft.kind == "baseline":
            return Decision("baseline", None, None, None, f"{verdict.measured_text(own)}, the baseline")
        if top is None and not self.from_red:
            return verdict.refused_decision(Refusal("no_baseline", verdict.measured_text(own)), None)
        if top is None or metric.kind == "deterministic":
            return verdict.decide(metric, own, _row_measurement(top) if top else None)
        return verdict.decide_noisy(metric, own, draft.comparison, top, same=draft.tree == top.tree)

    def _tag_name(self) -> str | None:
        """Return the tag name of a new best."""
        state = self.subject.state
        value = self.known.value if self.known else self.finding.draft.value if self.finding else None
        if state is None or value is None:
            return None
        return refnames.best_tag(value, refnames.IterationName(state.iteration, state.slug))

    def _advance_best(
        self, record: Record, seen: Mapping[str, Snapshot], tip: str | None
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        """Return steps for the rolling best and its tag, notes on omitted steps, and the tag.

        Args:
            record: the new or known record.
            seen: the snapshots of the transaction.
            tip: where the rolling best is, or goes back to.
        """
        state = self.subject.state
        branch = refnames.short_name(self.best_ref)
        if self.moved is not None and record.valid:
            return self._keep_moved(record, seen, self.moved)
        if state is None or not self.advance or not record.valid:
            return [], (), None
        if not self.subject.confirmed:
            return [], (f"'{branch}' was not advanced: the iteration's start is not confirmed here",), None
        if record.verdict != "improved":
            return ([move_best(self.subject.plan, state.base)] if tip is None else []), (), None
        if tip is not None and not history.is_ancestor(self.repo.git, tip, record.commit):
            return [], (f"'{branch}' was not advanced: it was moved to '{tip[:12]}' meanwhile",), None
        is_there = record.commit == seen[self.best_ref].tip == seen[self.best_copy].tip
        return self._tag_best(record, seen, [] if is_there else [move_best(self.subject.plan, record.commit)])

    def _keep_moved(
        self, record: Record, seen: Mapping[str, Snapshot], moved: MovedBest
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        """Return what `_advance_best` does if a person moved the best.

        It is kept where it is if that commit is the subject and was measured: as an improvement, as no loss
        if it follows the last best, or as the base to begin with again.
        """
        follows = moved.left is not None and history.is_ancestor(self.repo.git, moved.left, record.commit)
        verdicts = ("improved", "baseline", "within_noise") if follows else ("improved", "baseline")
        if moved.symbolic or record.commit != moved.tip or record.verdict not in verdicts:
            note = f"'{moved.branch}' was not advanced: it {moved.problem}; '{moved.fix}' brings it back"
            return [], (note,), None
        steps: list[Step] = [move_best(self.subject.plan, record.commit)]
        return self._tag_best(record, seen, steps) if record.verdict == "improved" else (steps, (), None)

    def _tag_best(
        self, record: Record, seen: Mapping[str, Snapshot], steps: list[Step]
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        if self.tag is None:
            return steps, (), None
        if seen[self.tag].tip is None:
            message = f"new best: {record.summary}"
            return [*steps, Tag(self.tag, record.commit, message)], (), self.tag
        if self.repo.maybe(self.tag) == record.commit:
            return steps, (), self.tag
        name = refnames.short_name(self.tag)
        return steps, (f"the tag '{name}' names another commit and was left as it is",), None

    def _documents(self, record: Record, proof: Proof | None) -> dict[str, bytes]:
        document = record.document()
        path = refnames.record_path(record.id)
        written = {path: canonical_json.dumps(document)}
        if proof is not None and record.tests is not None:
            written[f"{TESTS_FOLDER}/{record.tests.ids}.json"] = canonical_json.dumps(proof.document())
        return written


def _skips_text(draft: Record) -> str:
    """Return the part of the summary about skipped tests; empty if none was."""
    skipped = draft.tests.skipped if draft.tests else 0
    return f"; {skipped} of {draft.tests.collected} tests skipped" if draft.tests and skipped else ""


def _redact_record(record: Record) -> Record:
    """Return a record with secrets masked in its quoted texts."""
    texts = {name: getattr(record, name) for name in _TEXTS}
    masked = redact.mask_document(texts)
    return record if masked is texts else record.with_(**masked)


def _row_measurement(row: RecordRow) -> MeasuredMetric:
    value = row.value or 0.0
    return MeasuredMetric(row.metric or "", row.unit, row.direction, (value,), value, row.spread)
