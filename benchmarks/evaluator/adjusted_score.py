"""Writes docs/studies/adjusted_score.md: whether the adjusted score may be believed.

    python benchmarks/evaluator/adjusted_score.py NQ.json TQ.json \\
        --systems FOLDER --questions NQ-open.dev.jsonl

`NQ.json` and `TQ.json` are EVOUNA's (github.com/wangcunxiang/QA-Eval, Apache 2.0); the systems
those of Kamalloo et al. 2023 (github.com/ehsk/OpenQA-eval), files `NQ_<system>.jsonl`. Everything
that is learned is learned again without the system that is tested: the judge's trees, their
calibration, and the errors to be expected of it. Needs scikit-learn; takes some minutes.
"""

import argparse
import itertools
import pathlib
import random
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from closedbook.eval import adjusted, metrics, predictions, summary
from closedbook.eval.adjusted import estimate, learn
from closedbook.eval.adjusted.errors import JudgeErrors
from closedbook.eval.adjusted.learn import Answers
from closedbook.eval.analysis import kinds
from closedbook.eval.answerability import assessment
from closedbook.eval.equivalence import judge_all
from closedbook.eval.equivalence.judged import SYSTEMS
from closedbook.eval.files import gold as gold_files
from closedbook.eval.files.gold import Gold
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "studies" / "adjusted_score.md"
WEAK = (0.4, 0.2, 0.1, 0.03)  # shares of right answers of systems made weak

HEAD = """# May the adjusted score be believed?

Made by `benchmarks/evaluator/adjusted_score.py` from EVOUNA's judgements (Wang et al. 2023), the
systems of Kamalloo et al. 2023, and the questions of NQ-open. Percent, with 95% intervals.
"""
LEFT_OUT = """## Systems that the judge had not seen

One system at a time is left out: the judge's trees and calibration are learned from the other
systems' answers to other questions, and the errors to be expected of it are measured on the other
systems, each again by a judge that knew neither. TriviaQA takes no part in learning the judge.
"People" is the share that EVOUNA's annotators call right, of the questions they call proper.
"Errors of NQ alone" measures the judge's errors on the other four systems' answers to NQ, so that
for TriviaQA's systems nothing of their data set was seen; "all questions" is the judge as it ships
on the whole file, improper questions too, which the flags have to find.
"""
MADE_WEAK = """## Weak systems

The same systems made weak: all their wrong answers, and so few of the right ones, drawn at random,
that people call this share right. Judge and errors are those of the last table.
"""
TEN = """## Systems without judgements

Nobody has judged these; the intervals are what the judge's errors on other systems lead to expect.
"""
JUNK = """## Predictions that know nothing

For NQ-open's {n:,} development questions, with the judge as it ships. A hundred
answers are longer than any that were judged, so that their ends are bounds.
"""
LIMITS = """## What this does not show

- The five systems are of a kind: one reader of retrieved passages with short answers, four language
  models that write sentences. A system whose answers look otherwise may be judged worse; that New
  Bing is judged worst of all when left out is the measure of that.
- Systems made weak keep the wrong answers of strong ones. Those of a weak model may be further off,
  and easier to tell, or nearer to the question's words.
- English, and questions with short factual answers, alone. For questions in other languages,
  without questions, or with much longer answers, the report says so and gives bounds.
- People are EVOUNA's annotators, one judgement for each answer; on a comparable set two agree on
  86% of the answers. Gold answers that lack a right answer count against the system here as there
  only where the annotators did not know better.
- The form of the interval was chosen with these systems in view, though its numbers were not
  fitted to the system that is tested.
"""
REFUSALS = ("I don't know.", "unanswerable", "I'm sorry, but I cannot answer that question.")
CONSTANT = ("banana", "yes", "2016", "the united states")


def left_out(data: Sequence[Answers]) -> dict[int, Sequence[np.ndarray]]:
    """Per system what a judge accepts that had not seen it, per data set."""
    return {system: learn.accepted(data, (system,)) for system in range(len(SYSTEMS))}


def errors(
    data: Sequence[Answers], told: Sequence[np.ndarray]
) -> dict[tuple[int, bool], JudgeErrors]:
    """The errors to be expected without a system, of the first data set alone and of all."""
    twice = {
        pair: learn.accepted(data, pair) for pair in itertools.combinations(range(len(SYSTEMS)), 2)
    }
    found = {}
    for system in range(len(SYSTEMS)):
        for every in (False, True):
            measured = [
                learn.one_system(each, other, columns[place], told[place])
                for other in range(len(SYSTEMS))
                if other != system
                for columns in [twice[min(system, other), max(system, other)]]
                for place, each in enumerate(data if every else data[:1])
            ]
            found[system, every] = learn.combine(measured, learn.longest(data), None)
    return found


def scored(data: Answers, rows: np.ndarray, accepted: np.ndarray, known: JudgeErrors) -> Estimate:
    """The adjusted score of some rows of a data set; flagged questions leave it."""
    kept = rows[~data.flagged[rows]]
    exact, took = data.exact[kept], accepted[kept]
    everything = np.ones(len(kept), bool)
    trust = estimate.trust(
        exact, took, words=data.words[kept], possible=took, scored=everything, errors=known
    )
    return estimate.score(exact, took, everything, trust, clusters=np.arange(len(kept)))


def whole_file(rows: Sequence[Prediction]) -> tuple[Estimate, Estimate]:
    """Exact match and adjusted score, as `analyze` has them."""
    correct = [metrics.is_right(row.prediction, row.answers, "squad") for row in rows]
    verdicts, flags = judge_all(rows), assessment.assess_all(rows)
    trust, _ = adjusted.of_file(rows, correct, verdicts, flags, adjusted.load("learned"))
    numbers: dict[str | int, int] = {}
    found = kinds.estimates(
        kinds.sort(
            correct,
            equivalent=[verdict.equivalent for verdict in verdicts],
            flagged=[flag.flag is not None for flag in flags],
            clusters=[numbers.setdefault(key, len(numbers)) for key in summary.question_keys(rows)],
            trust=trust,
        ),
        np.ones(len(rows), bool),
    )
    return found.em, found.adjusted


def junk(golds: Sequence[Gold]) -> dict[str, list[str]]:
    """Predictions that know nothing, by what they are."""
    answers = [gold.answers[0] for gold in golds]
    drawn = random.Random(0)
    shuffled = drawn.sample(answers, len(answers))
    return {
        **{f'"{text}"': [text] * len(golds) for text in (*CONSTANT, *REFUSALS)},
        "nothing": [""] * len(golds),
        "the answer to another question": shuffled,
        "the question itself": [gold.question for gold in golds],
        "a hundred other answers": [", ".join(drawn.sample(answers, 100)) for _ in golds],
        '"It is not", and the gold answer': [f"It is not {answer}." for answer in answers],
    }


def _shown(value: Estimate) -> str:
    return f"{100 * value.mean:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _holds(value: Estimate, people: float) -> str:
    return "yes" if value.low <= people <= value.high else "**no**"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def validation(data: Mapping[str, Answers]) -> list[str]:
    """The tables of systems that people have judged."""
    every = list(data.values())
    told = [learn.shipped(each) for each in every]
    held_out, known = left_out(every), errors(every, told)
    strong, weak = [], []
    for place, (name, each) in enumerate(data.items()):
        for system, called in enumerate(SYSTEMS):
            mine = np.flatnonzero((each.system == system) & each.proper)
            all_mine = np.flatnonzero(each.system == system)
            people = float(each.right[mine].mean())
            accepted = held_out[system][place]
            found = [
                scored(each, mine, accepted, known[system, True]),
                scored(each, mine, accepted, known[system, False]),
                scored(each, all_mine, told[place], known[system, True]),
            ]
            cells = [cell for one in found for cell in (_shown(one), _holds(one, people))]
            strong.append([f"{name} {called}", f"{len(mine):,}", f"{100 * people:.1f}", *cells])
            row = [f"{name} {called}"]
            for share in WEAK:
                rows = made_weak(each, mine, share)
                one = scored(each, rows, accepted, known[system, True])
                row.append(f"{_shown(one)} {_holds(one, float(each.right[rows].mean()))}")
            weak.append(row)
    header = ("system", "n", "people", "adjusted", "holds", "errors of NQ alone", "holds")
    return [
        LEFT_OUT,
        _table((*header, "all questions", "holds"), strong),
        f"The interval holds what people say in {_held(strong, 4)}; with the errors of NQ alone in "
        f"{_held(strong, 6)}; of all questions, improper ones too, in {_held(strong, 8)}.",
        MADE_WEAK,
        _table(("system", *(f"{100 * share:.0f}% right" for share in WEAK)), weak),
        "The interval holds the share in "
        + ", ".join(f"{_held(weak, 1 + place)}" for place in range(len(WEAK)))
        + ", in the order of the columns.",
    ]


def _held(rows: Sequence[Sequence[str]], column: int) -> str:
    """In how many rows the interval holds what people say."""
    return f"{sum(row[column].endswith('yes') for row in rows)} of {len(rows)}"


def made_weak(data: Answers, rows: np.ndarray, share: float) -> np.ndarray:
    """Wrong answers and a part of the right ones, so that the share of these is right."""
    right, wrong = rows[data.right[rows]], rows[~data.right[rows]]
    count = min(round(share / (1 - share) * len(wrong)), len(right))
    return np.concatenate([wrong, np.random.default_rng(0).permutation(right)[:count]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=pathlib.Path, nargs="+", help="EVOUNA's NQ.json and TQ.json")
    parser.add_argument("--systems", type=pathlib.Path, help="folder of NQ_<system>.jsonl")
    parser.add_argument("--questions", type=pathlib.Path, help="NQ-open.dev.jsonl")
    parser.add_argument("--out", type=pathlib.Path, default=PAGE)
    given = parser.parse_args()
    parts = [HEAD]
    parts += validation({path.stem: learn.read(path) for path in given.data})
    if given.systems:
        files = sorted(given.systems.glob("NQ*.jsonl"))
        rows = [(file.stem, *whole_file(predictions.read(file))) for file in files]
        table = [(name, _shown(em), _shown(score)) for name, em, score in rows]
        parts += [TEN, _table(("system", "exact match", "adjusted"), table)]
    if given.questions:
        golds = gold_files.read(given.questions)
        rows = []
        for name, texts in junk(golds).items():
            em, score = whole_file(
                [
                    Prediction(question=gold.question, answers=gold.answers, prediction=text)
                    for gold, text in zip(golds, texts, strict=True)
                ]
            )
            rows.append((name, f"{100 * em.mean:.2f}", _precise(score)))
        parts += [
            JUNK.format(n=len(golds)),
            _table(("every prediction is", "exact match", "adjusted"), rows),
        ]
    parts.append(LIMITS)
    given.out.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    print(given.out)


def _precise(value: Estimate) -> str:
    return f"{100 * value.mean:.2f} [{100 * value.low:.2f}, {100 * value.high:.2f}]"


if __name__ == "__main__":
    main()
