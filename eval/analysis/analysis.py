"""The analysis of one predictions file, step by step; `results` says what it holds."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from closedbook import __version__
from closedbook.errors import UserError
from closedbook.eval import adjusted, intervals, metrics, protocols, summary
from closedbook.eval.analysis import (
    audit,
    candidates,
    checked,
    confidence,
    findings,
    kinds,
    labels,
    processes,
    scoring,
    slices,
    taxonomy,
)
from closedbook.eval.analysis.candidates import Candidate
from closedbook.eval.analysis.findings import Asked
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.labels import Corrections
from closedbook.eval.analysis.overlap import TrainingSet
from closedbook.eval.analysis.results import (
    Analysis,
    Example,
    FlagShare,
    JudgeUsed,
    Meta,
    Outcome,
    Review,
)
from closedbook.eval.answerability.assessment import Answerability
from closedbook.eval.equivalence import judges, simpleqa
from closedbook.eval.equivalence.verdicts import Verdict
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction

Progress = Callable[[str, int, int], None]
"""Called with the step under way, the number of steps done and that of all steps."""

STEPS = ("judging", "protocols", "slices", "candidates", "intervals")

_REVIEWED_FIRST = 0.4  # score of a candidate from which the row's outcome is "incomplete?"
_OUTCOMES = {
    Kind.TRUE_NEGATIVE: Outcome.WRONG,
    Kind.PHRASING: Outcome.PHRASING,
    Kind.INCOMPLETE: Outcome.INCOMPLETE,
    Kind.UNANSWERABLE: Outcome.UNANSWERABLE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What may be given beside the predictions."""

    labels: Mapping[str, Kind] | None
    train: Sequence[Gold] | None
    also: Mapping[str, Sequence[Prediction]]
    other_gold: Sequence[Gold] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Found:
    """What the steps find of each row, in the order of the rows."""

    ids: Sequence[str]
    scores: Mapping[str, Sequence[metrics.Score]]  # by protocol, the headline first
    correct: Sequence[bool]  # under the headline
    verdicts: Sequence[Verdict]
    flags: Sequence[Answerability]
    parts: Sequence[Mapping[str, str]]  # of slices
    reviews: Sequence[Candidate]  # of some rows, the likeliest first
    labels: Sequence[Kind | None] | None


def analyze(
    rows: Sequence[Prediction],
    *,
    protocol: str = "squad",
    judge: str | judges.Judge = "learned",
    threshold: float | None = None,
    labels: Mapping[str, Kind] | None = None,
    train: Sequence[Gold] | None = None,
    also: Mapping[str, Sequence[Prediction]] | None = None,
    other_gold: Sequence[Gold] | None = None,
    source: str | None = None,
    form: str | None = None,
    notes: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyses the predictions of one system.

    Args:
        rows: The predictions, as `closedbook.eval.predictions.read` gives them.
        protocol: Whose exact match is the headline and says what is correct.
        judge: Of equivalence: "learned", "rules" (which needs no weights), or another of
            `closedbook.eval.equivalence.judges`, by name or itself.
        threshold: Probability from which the judge calls an answer equivalent. Default: its own.
        labels: Kinds of wrong predictions by id, as `closedbook.eval.analysis.labels.read` gives
            them; a row without an id has its number, from 1. `labels.Corrections` replace single
            verdicts; others are of all wrong predictions or a random sample.
        train: The training set, for overlap and aliases.
        also: Other systems' predictions on the same questions, by name.
        other_gold: Another data set's answers, for those of the same questions.
        source: The file's name, for the report.
        form: What the file was taken for, in words, for the report.
        notes: How many of the file's rows had something worth saying, by what it was; of
            `closedbook.eval.predictions.read_any`, likewise.
        progress: Called as the work goes on.

    Raises:
        UserError: There are no rows, or an argument is not as it should be.
    """
    judge = judges.named(judge) if isinstance(judge, str) else judge
    given = _Evidence(labels=labels, train=train, also=also or {}, other_gold=other_gold)
    ids = _checked_ids(rows, threshold, given)
    notes = dict(notes or {})
    if isinstance(labels, Corrections):
        given_labels = len(labels)
        labels = labels.of({key: row.prediction for key, row in zip(ids, rows, strict=True)})
        if set_aside := given_labels - len(labels):
            notes["corrections of other predictions than these, set aside"] = set_aside
    asked = Asked(protocols=scoring.names(rows, protocol), judge=judge, threshold=threshold)
    tell = _Steps(progress)
    tell.next()
    of_rows = findings.empty(asked)
    work = functools.partial(findings.of_rows, asked=asked)
    for part in processes.parts(work, rows, judge=judge):
        of_rows.add(part)
        tell.again()
    verdicts, flags = of_rows.verdicts, of_rows.flags
    right, scores = of_rows.right(), of_rows.scores
    tell.next()
    disagreements = audit.disagreements(rows, right, of_rows.differs)
    headline = asked.protocols[0]
    stops = audit.stops(rows, headline, before=right[headline], found=of_rows.cuts)
    if protocol in protocols.JUDGED:
        right = {protocol: [verdict.equivalent for verdict in verdicts]}
        scores = {protocol: scoring.judged(right[protocol])} | scores
    correct = right[protocol]
    tell.next()
    training = None if train is None else TrainingSet(train)
    parts = slices.assign(rows, training=training, texts=of_rows.parts)
    tell.next()
    reviews = _reviewed(rows, correct, verdicts, given, training)
    tell.next()
    found = _Found(
        ids=ids,
        scores=scores,
        correct=correct,
        verdicts=verdicts,
        flags=flags,
        parts=parts,
        reviews=reviews,
        labels=None if labels is None else [labels.get(key) for key in ids],
    )
    questions = _numbers(summary.question_keys(rows))
    usual = threshold in (None, judge.threshold)
    errors = adjusted.load(judge.name, judge.version) if usual else None
    trust, doubts = adjusted.of_file(rows, correct, verdicts, flags, errors)
    sorted_rows = kinds.sort(
        correct,
        equivalent=[verdict.equivalent for verdict in verdicts],
        flagged=[flag.flag is not None for flag in flags],
        labels=found.labels,
        correcting=isinstance(labels, Corrections),
        clusters=questions,
        trust=trust,
    )
    analysis = Analysis(
        meta=_meta(
            rows,
            given,
            n_questions=len(set(questions)),
            protocol=protocol,
            judge=JudgeUsed(
                mode=judge.name,
                threshold=judge.threshold if threshold is None else threshold,
                weights=judge.version,
            ),
            source=source,
            form=form,
            notes=notes,
            corrections=isinstance(labels, Corrections),
        ),
        protocols=[scoring.table(rows, values, name) for name, values in scores.items()],
        disagreements=disagreements,
        audit=stops,
        taxonomy=taxonomy.four_way(sorted_rows, () if sorted_rows.labelled else doubts),
        grades=simpleqa.of_grades([verdict.grade for verdict in verdicts], questions),
        answerability=_flag_shares(flags, questions),
        slices=slices.table(parts, sorted_rows),
        confidence=confidence.assess(
            rows, sorted_rows.correct, sorted_rows.worth, counted=~sorted_rows.left_out
        ),
        candidates=[_review(rows[review.index], ids[review.index], review) for review in reviews],
        examples=_examples(rows, found),
    )
    tell.next()
    return analysis


class _Steps:
    """Tells how far the work is; does nothing without anyone to tell."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or (lambda step, done, total: None)
        self._done = -1

    def next(self) -> None:
        self._done += 1
        self.again()

    def again(self) -> None:
        step = STEPS[min(self._done, len(STEPS) - 1)]
        self._progress(step, self._done, len(STEPS))


def _checked_ids(
    rows: Sequence[Prediction], threshold: float | None, given: _Evidence
) -> list[str]:
    """The rows' ids; a mistake in the arguments is told before any work is done."""
    if not rows:
        raise UserError("there are no predictions to analyse; give at least one")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"the threshold is {threshold}; it must be a probability, 0 to 1")
    ids = checked.ids(rows)
    labels.check(given.labels or (), set(ids))
    for name, others in given.also.items():
        checked.check_shared(rows, others, f"{name} has", "other systems' predictions")
    if given.other_gold is not None:
        checked.check_shared(
            rows, given.other_gold, "the other gold has", "another data set's answers"
        )
    return ids


def _meta(
    rows: Sequence[Prediction],
    given: _Evidence,
    *,
    n_questions: int,
    protocol: str,
    judge: JudgeUsed,
    source: str | None,
    form: str | None,
    notes: Mapping[str, int],
    corrections: bool,
) -> Meta:
    return Meta(
        source=source,
        n=len(rows),
        n_questions=n_questions,
        task=_common(row.task for row in rows),
        split=_common(row.split for row in rows),
        protocol=protocol,
        judge=judge,
        also=list(given.also),
        training_rows=None if given.train is None else len(given.train),
        closedbook=__version__,
        form=form,
        notes=notes,
        corrections=corrections,
    )


def _reviewed(
    rows: Sequence[Prediction],
    correct: Sequence[bool],
    verdicts: Sequence[Verdict],
    given: _Evidence,
    training: TrainingSet | None,
) -> list[Candidate]:
    open_ = [not c and not v.equivalent for c, v in zip(correct, verdicts, strict=True)]
    return candidates.incomplete(
        rows,
        open_,
        also=given.also,
        training=given.train,
        index=training,
        other_gold=given.other_gold,
    )


def _review(row: Prediction, key: str, found: Candidate) -> Review:
    return Review(
        id=key,
        question=row.question,
        answers=row.answers,
        prediction=row.prediction,
        score=found.score,
        reasons=found.reasons,
    )


def _examples(rows: Sequence[Prediction], found: _Found) -> list[Example]:
    ranks = {review.index: review.score for review in found.reviews}
    names = tuple(found.scores)
    scores = zip(*found.scores.values(), strict=True)
    return [
        Example(
            row=row,
            id=found.ids[index],
            scores=scoring.of_row(names, next(scores)),
            correct=found.correct[index],
            verdict=_outcome(found, index, ranks.get(index, 0.0)),
            label=found.labels[index] if found.labels else None,
            probability=found.verdicts[index].probability,
            grade=found.verdicts[index].grade,
            reason=found.verdicts[index].reason,
            evidence=found.verdicts[index].evidence,
            flag=found.flags[index].flag,
            flag_reason=_with_words(found.flags[index]),
            candidate=ranks.get(index, 0.0),
            slices=found.parts[index],
        )
        for index, row in enumerate(rows)
    ]


def _outcome(found: _Found, index: int, rank: float) -> Outcome:
    """What a reader is told of a row: people's word before the judge's."""
    if found.correct[index]:
        return Outcome.CORRECT
    label = found.labels[index] if found.labels else None
    if label is not None:
        return _OUTCOMES[label]
    if found.verdicts[index].equivalent:
        return Outcome.PHRASING
    if found.flags[index].flag is not None:
        return Outcome.UNANSWERABLE
    return Outcome.INCOMPLETE if rank >= _REVIEWED_FIRST else Outcome.WRONG


def _with_words(found: Answerability) -> str:
    if found.flag is None:
        return ""
    return f"{found.reason}: {found.evidence}" if found.evidence else found.reason


def _flag_shares(flags: Sequence[Answerability], questions: Sequence[int]) -> list[FlagShare]:
    table = []
    for flag, count in Counter(found.flag for found in flags).most_common():
        if flag is None:
            continue
        share = intervals.share([found.flag == flag for found in flags], clusters=questions)
        table.append(
            FlagShare(flag=flag, count=count, share=share.mean, low=share.low, high=share.high)
        )
    return table


def _numbers(keys: Iterable[Hashable]) -> list[int]:
    """Each key's number, in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _common(values: Iterable[str | None]) -> str | None:
    """The one value that all rows have; None if they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
