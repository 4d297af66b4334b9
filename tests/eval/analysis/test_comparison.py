"""Comparisons against hand-counted tables and other people's numbers."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval import intervals, paired
from closedbook.eval.analysis import comparison
from closedbook.eval.equivalence import judges
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction
from closedbook.eval.report import measures


def system(text, *, ids=False, start=0):
    """One row a letter: "r" right, "w" wrong, "x" wrong in another way."""
    return [
        Prediction(
            question=f"question {n}",
            answers=("right",),
            prediction={"r": "right", "w": "wrong", "x": "other"}[letter],
            id=n if ids else None,
        )
        for n, letter in enumerate(text, start=start)
    ]


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (10, 3, 0.09228515625),  # 2 (1 + 13 + 78 + 286) / 2^13
        (0, 6, 0.03125),
        (1, 0, 1.0),
    ],
)
def test_exact_mcnemar(b, c, p):
    assert paired.mcnemar(b, c) == paired.mcnemar(c, b) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(("b", "c"), [(59, 6), (700, 650), (2600, 2500)])
def test_exact_mcnemar_equals_integers_beyond_the_range_of_floats(b, c):
    total = sum(math.comb(b + c, i) for i in range(c + 1))
    assert paired.mcnemar(b, c) == pytest.approx(float(Fraction(2 * total, 2 ** (b + c))))


def test_sign_flips_are_mcnemar_where_each_row_is_a_question():
    for b, c in ((10, 3), (0, 6), (4, 4), (300, 250)):
        gaps = [1] * b + [-1] * c + [0] * 7
        assert paired.sign_flips(gaps) == pytest.approx(paired.mcnemar(b, c), rel=1e-9)


def test_sign_flips_count_whole_questions():
    gaps = [3, 2, 1, -1]
    sums = [
        sum(sign * gap for sign, gap in zip(signs, gaps, strict=True))
        for signs in itertools.product((1, -1), repeat=4)
    ]
    share = sum(abs(each) >= sum(gaps) for each in sums) / 16
    assert paired.sign_flips(gaps) == share


def test_tangos_interval_solves_its_equation():
    # Tango 1998's statistic, written down again: its ends lie z away.
    b, c, n, z = 12, 3, 40, 1.959963984540054
    for d in paired.tango(b, c, n):
        q = (-(-b - c + (2 * n - b + c) * d)) / (4 * n)
        q += math.sqrt((-b - c + (2 * n - b + c) * d) ** 2 + 8 * n * c * d * (1 - d)) / (4 * n)
        found = (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))
        assert abs(found) == pytest.approx(z, rel=1e-6)
    for sign, (low, high) in ((1, paired.tango(b, c, n)), (-1, paired.tango(c, b, n)[::-1])):
        assert sorted((sign * low, sign * high)) == pytest.approx(sorted(paired.tango(b, c, n)))


def test_tangos_interval_holds_the_truth_95_times_in_100():
    random = np.random.default_rng(0)
    draws = random.multinomial(50, [0.25, 0.1, 0.65], size=2000)
    ends = [paired.tango(b, c, 50) for b, c, _ in draws]
    held = np.mean([low <= 0.15 <= high for low, high in ends])
    assert 0.93 <= held <= 0.97


def test_equal_systems_do_not_differ_for_certain():
    for text in ("rw", "rr", "ww"):
        result = comparison.compare({"A": system(text), "B": system(text)})
        pair = result.protocols[0].pairs[0]
        for gap in (pair.difference, pair.difference_f1):
            assert gap.mean == 0
            assert -0.7 < gap.low < -0.6 < 0.6 < gap.high < 0.7


def test_holm_keeps_order_and_never_exceeds_one():
    assert paired.holm([0.04, 0.01, 0.5, 0.6]) == pytest.approx([0.12, 0.04, 1.0, 1.0])
    assert paired.holm([]) == []


def test_kappa_of_a_textbook_table():
    # Observed .70, by chance .5: (.7 - .5) / (1 - .5).
    assert paired.kappa(20, 5, 10, 15) == pytest.approx(0.4)


def test_detectable_difference_is_found_four_times_in_five():
    random = np.random.default_rng(0)
    n, share = 2000, 0.2
    gap = paired.detectable(int(n * share), 0, n)
    draws = random.multinomial(n, [(share + gap) / 2, (share - gap) / 2, 1 - share], size=400)
    found = np.mean([paired.mcnemar(b, c) < 0.05 for b, c, _ in draws])
    assert 0.72 < found < 0.87


def test_two_systems_by_hand():
    result = comparison.compare({"A": system("rrrrww"), "B": system("rrwwrw")}, resamples=2000)
    table = result.protocols[0]
    pair = table.pairs[0]
    assert result.meta.n == 6
    assert result.meta.aligned_by == "question"
    assert [s.em.mean for s in table.scores] == [pytest.approx(4 / 6), 0.5]
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (2, 2, 1, 1)
    assert pair.difference.mean == pytest.approx(1 / 6)
    assert pair.difference.low < 0 < pair.difference.high
    assert pair.p == pair.p_holm == 1.0
    won = [e.question for e in result.examples if e.correct["A"] and not e.correct["B"]]
    assert won == ["question 2", "question 3"]
    [alike] = result.agreement
    assert (alike.systems, alike.agreement) == (("A", "B"), 0.5)
    assert alike.kappa == pytest.approx(0.0)
    assert [line.count for line in result.solved_by] == [1, 3, 2]


def test_paired_interval_is_narrower_than_that_of_independent_systems():
    first = system("rw" * 500)
    second = [*system("rw" * 490), *system("ww" * 10, start=980)]
    pair = comparison.compare({"A": first, "B": second}).protocols[0].pairs[0]
    # 10 of 1000 rows differ, all one way: the score interval is then Wilson's of 10 in 1000.
    low, high = intervals.wilson(10, 1000)
    assert pair.difference.low == pytest.approx(low, abs=2e-4)
    assert pair.difference.high == pytest.approx(high, abs=2e-4)
    assert pair.p == pytest.approx(2 / 2**10)


def answered(*predictions):
    return [
        Prediction(question=f"q{n}", answers=("red green blue",), prediction=text)
        for n, text in enumerate(predictions)
    ]


def test_differences_of_f1_are_paired_too():
    # F1 of one, two and three right words of three: 1/2, 4/5 and 1.
    first = answered("red", "red green", "green red blue")
    second = answered("grey", "red green blue", "red")
    table = comparison.compare({"A": first, "B": second}).protocols[0]
    assert [s.f1.mean for s in table.scores] == pytest.approx([2.3 / 3, 1.5 / 3])
    found = table.pairs[0].difference_f1
    assert found.mean == pytest.approx((0.5 - 0.2 + 0.5) / 3)
    # Of three questions Student's interval: 4.303 times 0.4041 / sqrt(3); no difference exceeds 1.
    assert found.low == pytest.approx(0.8 / 3 - 1.004, abs=1e-3)
    assert found.high == 1


def test_the_interval_of_a_difference_in_f1_equals_drawing_rows_one_by_one():
    random = np.random.default_rng(1)
    words = np.array(["red", "red green", "red green blue", "grey"])
    shares = ([0.1, 0.2, 0.6, 0.1], [0.3, 0.3, 0.2, 0.2])
    first, second = (answered(*random.choice(words, 150, p=share)) for share in shares)
    f1 = {"red": 0.5, "red green": 0.8, "red green blue": 1.0, "grey": 0.0}
    gaps = np.array(
        [f1[a.prediction] - f1[b.prediction] for a, b in zip(first, second, strict=True)]
    )
    drawn = [gaps[random.integers(150, size=150)].mean() for _ in range(10_000)]
    found = comparison.compare({"A": first, "B": second}).protocols[0].pairs[0]
    assert found.difference_f1.low == pytest.approx(np.quantile(drawn, 0.025), abs=4e-3)
    assert found.difference_f1.high == pytest.approx(np.quantile(drawn, 0.975), abs=4e-3)


def test_protocols_without_f1_have_no_difference_of_it():
    result = comparison.compare({"A": system("rw"), "B": system("wr")}, protocol="dpr")
    assert result.protocols[0].scores[0].f1 is None
    assert result.protocols[0].pairs[0].difference_f1 is None


def test_one_question_says_nothing_of_others():
    result = comparison.compare({"A": system("r"), "B": system("w")})
    pair = result.protocols[0].pairs[0]
    assert pair.difference == pair.difference_f1 == Estimate(mean=1.0, low=-1.0, high=1.0)
    f1 = result.protocols[0].scores[0].f1
    assert (f1.mean, f1.low, f1.high) == (1.0, pytest.approx(0.2065, abs=1e-4), 1.0)  # Wilson's


def test_three_systems_have_three_pairs_corrected_together_under_every_protocol():
    result = comparison.compare(
        {"A": system("r" * 20), "B": system("w" * 20), "C": system("rw" * 10)}, resamples=200
    )
    assert [t.protocol for t in result.protocols][:3] == ["squad", "nq_open", "trivia_qa"]
    pairs = result.protocols[0].pairs
    assert [p.systems for p in pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert pairs[0].p_holm == pytest.approx(3 * 2 / 2**20)
    assert pairs[1].p_holm == pairs[2].p_holm == pytest.approx(2 * 2 / 2**10)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False)) == result.to_json()


def test_rows_are_aligned_by_id_in_any_order_and_the_rest_is_named():
    first, second = system("rrww", ids=True), system("wwr", ids=True, start=1)[::-1]
    result = comparison.compare({"A": first, "B": second})
    assert (result.meta.aligned_by, result.meta.n) == ("id", 3)
    assert [e.correct for e in result.examples] == [
        {"A": True, "B": False},
        {"A": False, "B": False},
        {"A": False, "B": True},
    ]
    lines = [(s.name, s.rows, s.left_out, s.left_out_ids) for s in result.systems]
    assert lines == [("A", 4, 1, ["0"]), ("B", 3, 0, [])]


def test_ids_that_only_number_rows_are_not_taken_for_questions():
    first, second = system("rr", ids=True), system("rw", ids=True, start=1)
    second = [Prediction(**{**vars(row), "id": n}) for n, row in enumerate(second)]
    result = comparison.compare({"A": first, "B": second})
    assert (result.meta.aligned_by, result.meta.n) == ("question", 1)


def test_the_answers_of_all_files_count_whoever_comes_first():
    other = [Prediction(**{**vars(row), "answers": ("wrong",)}) for row in system("rwww")]
    result = comparison.compare({"A": system("rwrx"), "B": other})
    assert result.meta.golds_differ == 4
    assert result.meta.golds_differ_in == [f"question {n}" for n in range(4)]
    assert "in 4 questions (such as question 0; question 1; question 2)" in measures.golds(result)
    assert [s.answers_differ for s in result.systems] == [4, 4]
    assert [s.em_own for s in result.systems] == [0.5, 0.75]
    means = {s.system: s.em.mean for s in result.protocols[0].scores}
    swapped = comparison.compare({"B": other, "A": system("rwrx")})
    assert means == {s.system: s.em.mean for s in swapped.protocols[0].scores}
    first, second = (each.protocols[0].pairs[0].difference for each in (result, swapped))
    assert (first.mean, first.low, first.high) == pytest.approx(
        (-second.mean, -second.high, -second.low)
    )


def test_files_without_a_common_question_are_refused_with_examples():
    with pytest.raises(UserError, match=r"no question is common .* 'question 0'; B has 2 rows"):
        comparison.compare({"A": system("rr"), "B": system("rr", start=9)})


def test_question_asked_twice_needs_ids():
    with pytest.raises(UserError, match="B asks 'question 0' in rows 1 and 3; give the rows"):
        comparison.compare({"A": system("rr"), "B": system("rr") + system("r")})


@pytest.mark.parametrize("systems", [{}, {"A": system("r")}])
def test_one_system_is_no_comparison(systems):
    with pytest.raises(UserError, match="needs two systems"):
        comparison.compare(systems)


def test_empty_system_is_named():
    with pytest.raises(UserError, match="B has no predictions"):
        comparison.compare({"A": system("r"), "B": []})


def test_the_f1_of_two_questions_claims_no_certainty():
    def rows(*texts):
        return [
            Prediction(question=f"question {n}", answers=("alpha beta",), prediction=text)
            for n, text in enumerate(texts)
        ]

    result = comparison.compare({"A": rows("alpha", "alpha beta"), "B": rows("alpha", "alpha")})
    gap = result.protocols[0].pairs[0].difference_f1
    # F1 2/3 and 1 against 2/3 and 2/3: the mean of 0 and 1/3, and Student's 12.7 standard errors.
    assert gap.mean == pytest.approx(1 / 6)
    assert (gap.low, gap.high) == (-1.0, 1.0)


def test_what_could_be_found_is_larger_where_rows_share_questions():
    def rows(right):
        return [
            Prediction(
                question=f"question {n}",
                answers=("right",),
                prediction="right" if n in right else "wrong",
                id=f"{n}-{k}",
            )
            for n in range(20)
            for k in range(25)
        ]

    a, b = rows({0, 1, 2}), rows({2, 3})
    [clustered] = comparison.compare({"A": a, "B": b}).protocols[0].pairs
    # Three questions differ, in all 25 rows each: as if 3 of 20 rows differed.
    assert clustered.detectable == pytest.approx(paired.detectable(2, 1, 20))
    [equal] = comparison.compare({"A": a, "B": a}).protocols[0].pairs
    assert equal.detectable > 0


def test_neither_the_order_of_the_files_nor_of_their_rows_decides_anything():
    random = np.random.default_rng(4)
    words = ("red", "red green", "red green blue", "grey")
    first, second = (answered(*random.choice(words, 40)) for _ in range(2))
    one = comparison.compare({"A": first, "B": second}).protocols[0].pairs[0]
    shuffled = [second[place] for place in random.permutation(40)]
    other = comparison.compare({"B": shuffled, "A": first}).protocols[0].pairs[0]
    for name in ("difference", "difference_f1"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a.mean, a.low, a.high) == pytest.approx((-b.mean, -b.high, -b.low))
    assert one.p == other.p


def test_adjusted_scores_count_what_the_judge_accepts_whole_and_in_slices():
    def rows(texts):
        return [
            Prediction(
                id=n,
                question=f"who wrote the book of island {n}",
                answers=("Ann Lee",),
                prediction=text,
                meta={"shelf": "left" if n < 6 else "right", "model": texts[0]},
            )
            for n, text in enumerate(texts)
        ]

    mine = judges.Scored(
        name="mine", probabilities=lambda rows: [row.prediction == "her" for row in rows]
    )
    first = rows(["Ann Lee"] * 6 + ["her"] * 3 + ["Bob"] * 3)
    second = rows(["Bob"] * 9 + ["Ann Lee"] * 3)
    found = comparison.compare({"A": first, "B": second}, judge=mine)
    adjusted = {score.system: score for score in found.adjusted.scores}
    assert found.adjusted.flagged == 0
    assert (adjusted["A"].adjusted.mean, adjusted["A"].phrasing) == (0.75, 3)
    assert (adjusted["B"].adjusted.mean, adjusted["B"].phrasing) == (0.25, 0)
    [pair] = found.adjusted.pairs
    assert pair.difference.mean == 0.5
    assert pair.difference.low < 0.5 < pair.difference.high
    parts = {(row.slice, row.value): row for row in found.slices}
    right = parts["shelf", "right"]
    assert (right.n, [each.mean for each in right.em]) == (6, [0.0, 0.5])
    assert [each.mean for each in right.adjusted] == [0.5, 0.5]
    # What the files do not agree on is no slice.
    assert not any(name == "model" for name, _ in parts)
    row = found.examples[7]
    assert (row.correct["A"], row.accepted["A"], row.slices["shelf"]) == (False, True, "right")
