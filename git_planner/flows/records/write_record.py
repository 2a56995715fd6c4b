"""Writing a record: verdict, ledger, best and tag, decided on fresh tips and moved in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from git_planner import redact
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.records.ledger import TESTS_FOLDER, LedgerReader, read_record
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store, Tag, Write
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring import verdict
from git_planner.rules.measuring.test_report import Proof
from git_planner.rules.measuring.verdict import Decision, Refusal
from git_planner.rules.records.record import MeasuredMetric, Record, Verdict, pick_best, truncate_texts
from git_planner.rules.records.row import RecordRow, find_same_commit, next_id

_TEXTS = ("summary", "notes", "violations", "hypothesis", "change_summary", "files", "strategy")


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """What is known of a candidate before it is compared: a record without verdict, and what it rests on.

    `refusal` says why it does not count, in which case `said` may replace its words. `proof` is written
    beside the record.
    """

    draft: Record
    refusal: Refusal | None
    proof: Proof | None = None
    said: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """What stands in the ledger now. `known`: it stood there before."""

    record: Record
    known: bool
    advanced: bool
    tag: str | None


def write_record(
    repo: Repository,
    rows: LedgerReader,
    subject: Subject,
    finding: RecordDraft,
    *,
    advance: bool,
    force: bool,
) -> WrittenRecord:
    """Decide about a candidate and write all that follows, or nothing.

    Args:
        repo: the repository.
        rows: the ledger's reader.
        subject: the candidate.
        finding: what was found out about it.
        advance: move the rolling best when it is an improvement.
        force: write a new record even when there is one of the same commit.

    Raises:
        PlannerError: what Store.transact raises.
    """
    work = _Settlement(repo, rows, subject, finding, advance=advance, force=force)
    Store(repo).transact(work.refs, work.decide)
    assert work.settled is not None
    return work.settled


def confirm_record(
    repo: Repository, rows: LedgerReader, subject: Subject, known: RecordRow, *, advance: bool
) -> WrittenRecord:
    """Take a record that stands in the ledger as the answer; advance the rolling best if that is due."""
    work = _Settlement(repo, rows, subject, None, advance=advance, force=False, known=known)
    Store(repo).transact(work.refs, work.decide)
    assert work.settled is not None
    return work.settled


class _Settlement:
    """One decision, taken again on every lost race; `settled` is the outcome of the last one."""

    def __init__(
        self,
        repo: Repository,
        rows: LedgerReader,
        subject: Subject,
        finding: RecordDraft | None,
        *,
        advance: bool,
        force: bool,
        known: RecordRow | None = None,
    ) -> None:
        self.repo, self.rows, self.subject, self.finding = repo, rows, subject, finding
        self.advance, self.force, self.known = advance, force, known
        self.settled: WrittenRecord | None = None
        self.best_ref = refnames.best_ref(subject.plan)
        self.tag = self._tag()
        self.stamp = repo.now()

    @property
    def refs(self) -> list[str]:
        """Every ref that the decision looks at."""
        return [self.subject.ref, self.best_ref, *([self.tag] if self.tag else [])]

    def decide(self, seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        """From the tips to the steps; see Store.transact."""
        rows = self.rows.at(seen[self.subject.ref])
        known = self._known(rows)
        if known is not None:
            return self._stands(rows, known, seen)
        assert self.finding is not None
        record = self._judged(rows, self.finding)
        steps, notes, tag = self._advance(record, seen)
        record = _redacted(truncate_texts(record.with_(notes=(*record.notes, *notes))))
        documents_ = self._documents(record, self.finding.proof)
        message = Message(
            f"record {record.verdict}: {record.summary}"[:120],
            (("Planner-Op", "record"), ("Planner-Args", record.commit), ("Planner-Record", record.id)),
        )
        advanced = any(isinstance(step, Move) and step.oid == record.commit for step in steps)
        self.settled = WrittenRecord(record, False, advanced, tag)
        return [Write(self.subject.ref, documents_, message, self.subject.base), *steps]

    def _known(self, rows: Sequence[RecordRow]) -> RecordRow | None:
        if self.known is not None or self.force or self.finding is None:
            return self.known
        draft = self.finding.draft
        return find_same_commit(
            rows,
            commit=draft.commit,
            instrument=draft.instrument or "",
            environment=draft.environment_digest,
            reason=self.finding.refusal.reason if self.finding.refusal else None,
        )

    def _stands(
        self, rows: Sequence[RecordRow], known: RecordRow, seen: Mapping[str, Snapshot]
    ) -> Sequence[Step]:
        content = seen[self.subject.ref].read(refnames.record_path(known.id))
        record = read_record(content or b"", known.id)
        top = pick_best(rows, instrument=known.instrument)
        steps: list[Step] = []
        tag = None
        if top is not None and top.id == known.id:
            steps, _, tag = self._advance(record, seen)
        self.settled = WrittenRecord(record, True, any(isinstance(step, Move) for step in steps), tag)
        return steps

    def _judged(self, rows: Sequence[RecordRow], finding: RecordDraft) -> Record:
        draft = finding.draft
        top = pick_best(rows, instrument=draft.instrument)
        before = top.value if top else None
        if finding.refusal is not None:
            decision = verdict.refused_decision(finding.refusal, before)
        else:
            decision = self._compared(draft, top)
        value = draft.value
        return draft.with_(
            id=next_id(rows, self.stamp),
            created_at=self.stamp,
            verdict=decision.verdict,
            reason=decision.reason,
            best_before=decision.best_before,
            delta=decision.delta,
            threshold_met=decision.reason is None
            and value is not None
            and verdict.is_reached(value, draft.threshold, draft.direction),
            summary=finding.said or decision.summary,
        )

    def _compared(self, draft: Record, top: RecordRow | None) -> Decision:
        metric = self.subject.policy.metric
        if metric is None or not draft.metrics:
            unmoved: Verdict = "baseline" if draft.kind == "baseline" else "within_noise"
            return Decision(unmoved, None, None, None, "the tests passed; the policy names no metric")
        own = draft.metrics[0]
        if draft.kind == "baseline":
            return Decision("baseline", None, None, None, f"{verdict.measured_text(own)}, the baseline")
        if top is None or metric.kind == "deterministic":
            return verdict.decide(metric, own, _measured(top) if top else None)
        return verdict.decide_noisy(metric, own, draft.comparison, top, same=draft.tree == top.tree)

    def _tag(self) -> str | None:
        """The name the tag of a new best would have."""
        state = self.subject.state
        value = self.known.value if self.known else self.finding.draft.value if self.finding else None
        if state is None or value is None:
            return None
        return refnames.best_tag(value, refnames.Iteration(state.iteration, state.slug))

    def _advance(
        self, record: Record, seen: Mapping[str, Snapshot]
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        """Steps for the rolling best and its tag, notes about what was left out, and the tag that stands."""
        state, tip = self.subject.state, seen[self.best_ref].tip
        if state is None or not self.advance or not record.valid:
            return [], (), None
        branch = self.best_ref.removeprefix(refnames.HEADS)
        if not self.subject.confirmed:
            return [], (f"'{branch}' was not advanced: the iteration's start is not confirmed here",), None
        if record.verdict != "improved":
            return ([Move(self.best_ref, state.base)] if tip is None else []), (), None
        if tip is not None and not history.is_ancestor(self.repo.git, tip, record.commit):
            return [], (f"'{branch}' was not advanced: it has moved on to '{tip[:12]}' meanwhile",), None
        steps: list[Step] = [] if tip == record.commit else [Move(self.best_ref, record.commit)]
        return self._tagged(record, seen, steps)

    def _tagged(
        self, record: Record, seen: Mapping[str, Snapshot], steps: list[Step]
    ) -> tuple[list[Step], tuple[str, ...], str | None]:
        if self.tag is None:
            return steps, (), None
        if seen[self.tag].tip is None:
            message = f"new best: {record.summary}"
            return [*steps, Tag(self.tag, record.commit, message)], (), self.tag
        if self.repo.maybe(self.tag) == record.commit:
            return steps, (), self.tag
        name = self.tag.removeprefix("refs/tags/")
        return steps, (f"the tag '{name}' names another commit and was left as it is",), None

    def _documents(self, record: Record, proof: Proof | None) -> dict[str, bytes]:
        document = record.document()
        path = refnames.record_path(record.id)
        written = {path: canonical_json.dumps(document)}
        if proof is not None and record.tests is not None:
            written[f"{TESTS_FOLDER}/{record.tests.ids}.json"] = canonical_json.dumps(proof.document())
        return written


def _redacted(record: Record) -> Record:
    """A record without the secrets that what it quotes may hold: programs, agents, names of files."""
    texts = {name: getattr(record, name) for name in _TEXTS}
    masked = redact.mask_document(texts)
    return record if masked is texts else record.with_(**masked)


def _measured(row: RecordRow) -> MeasuredMetric:
    value = row.value or 0.0
    return MeasuredMetric(row.metric or "", row.unit, row.direction, (value,), value, row.spread)
