"""Consistency, BEAR's score, negation, correlations and hidden knowledge, against hand counts."""

import numpy as np
import pytest
import scipy.stats

from closedbook.knowledge.probing import agreement, correlation
from closedbook.knowledge.probing.hidden import share
from closedbook.tasks.facts.form import Fact, gather


def test_consistency_counts_agreeing_pairs_of_paraphrases():
    answers = np.array([[1, 1, 1, 2], [1, 1, 2, 2], [5, 5, 5, 5]])
    assert agreement.consistency(answers) == pytest.approx([3 / 6, 2 / 6, 1])


def test_one_paraphrase_has_no_consistency():
    assert np.isnan(agreement.consistency(np.array([[1], [2]]))).all()


def test_bear_score_is_the_mean_of_the_templates_accuracies():
    right = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]])  # 3/4, 1/4, 1/4
    score, deviation = agreement.bear_score(right)
    assert score == pytest.approx(5 / 12)
    assert deviation == pytest.approx(
        np.sqrt((2 * (1 / 4 - 5 / 12) ** 2 + (3 / 4 - 5 / 12) ** 2) / 3)
    )


def test_negation_that_a_model_does_not_mind_overlaps_wholly():
    scores = np.random.default_rng(0).random((5, 9))
    assert agreement.overlap(scores, scores).tolist() == [1] * 5
    assert agreement.rank_correlation(scores, scores) == pytest.approx(1)
    assert agreement.overlap(scores, -scores, k=2).tolist() == [0] * 5
    assert agreement.rank_correlation(scores, -scores) == pytest.approx(-1)


def test_overlap_of_as_many_as_there_are_candidates_is_not_defined():
    assert np.isnan(agreement.overlap(np.eye(2), np.eye(2), k=2)).all()


def test_coefficients_equal_scipys():
    random = np.random.default_rng(1)
    x = random.integers(0, 6, 200).astype(float)
    y = x + random.normal(0, 3, 200)
    assert correlation.pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert correlation.spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert correlation.ranks(x).tolist() == scipy.stats.rankdata(x).tolist()


def test_interval_of_a_correlation_is_about_fishers():
    random = np.random.default_rng(2)
    x = random.normal(size=400)
    y = 0.5 * x + random.normal(size=400)
    found = correlation.correlate(x, y)
    low, high = scipy.stats.pearsonr(x, y).confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)
    assert found.n == 400


def test_clusters_that_stand_together_widen_the_interval():
    random = np.random.default_rng(3)
    x = np.repeat(random.normal(size=12), 50)
    y = np.repeat(random.normal(size=12), 50) + 0.5 * x
    keys = np.repeat(np.arange(12), 50).tolist()
    alone, together = correlation.correlate(x, y), correlation.correlate(x, y, clusters=keys)
    assert alone.value == together.value
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_large_numbers_lose_no_digits():
    x = 1e9 + np.arange(10.0)
    assert correlation.pearson(x, np.arange(10.0)) == pytest.approx(1)


def test_variable_that_never_varies_has_no_correlation():
    found = correlation.correlate(np.ones(5), np.arange(5.0))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_missing_values_are_left_out():
    x = np.array([1.0, np.nan, 2.0, 3.0])
    found = correlation.correlate(x, np.array([1.0, 9.0, 2.0, 3.0]))
    assert (found.n, found.value) == (3, pytest.approx(1))


def test_k_counts_pairs_of_right_and_wrong():
    assert share.k_of(np.array([3.0, 1.0]), np.array([2.0, 0.0, 3.0])) == pytest.approx(3 / 6)
    assert share.k_of(np.array([1.0]), np.array([1.0, 1.0])) == 0  # equals are not told apart


def test_k_of_candidates_is_the_mean_over_questions():
    scores = [np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.3, 0.2, 0.1])]
    k = share.of_candidates(scores, [np.array([0]), np.array([1, 3])])
    assert k == pytest.approx([1, 1 / 4])
    known = share.knowledge(k)
    assert (known.k, known.full, known.questions) == (pytest.approx(5 / 8), 0.5, 2)


def test_question_without_an_answer_to_compare_is_refused():
    with pytest.raises(ValueError, match="a right and a wrong answer"):
        share.k_of(np.array([1.0]), np.array([]))


def test_gap_is_paired_by_question():
    random = np.random.default_rng(4)
    external = random.random(300) * 0.8
    found = share.gap(external + 0.1, external)
    assert found.value == pytest.approx(0.1)
    assert found.interval.low < 0.09 < 0.11 < found.interval.high, "equal gaps are no certainty"
    assert found.relative == pytest.approx(0.1 / external.mean())


def test_what_explains_is_counted_in_the_data_and_compared_within_relations():
    """Twelve facts of two relations; only the popular half of each is known."""
    facts = gather(
        [
            Fact(
                id=f"{relation}{n}",
                subject="s" * (n + 1),
                relation=relation,
                object="common" if n % 2 else f"o{n}",
                prompt="{} is [Y].",
                meta={"s_pop": 10**n} if n < 5 else {},
            )
            for relation in "ab"
            for n in range(6)
        ],
        source="made",
    )
    rows = [
        {
            "rank": 1 if (n < 3) == (relation == "a") else 2,
            "log_prob": -1.0 if relation == "a" else -2.0,
            "tokens": 1,
            "subject_tokens": n + 1,
            "candidates": 4,
            "top": [{"log_prob": -0.5 * n}],
        }
        for relation in "ab"
        for n in range(6)
    ]
    found = {each["name"]: each for each in correlation.explained(facts, facts, rows)}
    assert "tokens of the object" not in found, "it never varies"
    assert "facts that name the subject (log)" not in found, "each is named twice"
    assert found["facts with the object (log)"]["n"] == 12
    assert found["page views of the subject (log)"]["n"] == 10
    by_object = found["log-probability of the object"]
    assert by_object["within"] is None, "it varies between relations alone"
    # Long names are wrong in one relation and right in the other.
    assert found["characters of the subject"]["value"] == pytest.approx(0, abs=1e-12)
    views = found["page views of the subject (log)"]
    assert views["value"] is not None
    assert (views["low"], views["high"]) == (None, None), "two relations are too few to draw"
    one = facts.only("a")
    alone = {each["name"]: each for each in correlation.explained(one, facts, rows[:6])}
    assert alone == {}, "of six facts nothing is said"
    hits = [row["rank"] == 1 for row in rows]
    doubled = gather([*one.facts, *one.facts], source="made")
    twice = correlation.explained(doubled, facts, [*rows[:6], *rows[:6]])
    [length] = [each for each in twice if each["name"] == "characters of the subject"]
    assert length["within"] is None
    assert length["value"] == pytest.approx(np.corrcoef(range(6), hits[:6])[0, 1])
    assert -1 <= length["low"] <= length["value"] <= length["high"] <= 1


@pytest.mark.parametrize("value", ["many", -5, [1], {"a": 1}, 10**400, float("inf"), None, ""])
def test_a_users_own_field_s_pop_is_no_page_views(value):
    facts = gather(
        [
            Fact(
                id=str(n),
                subject="s" * (n + 1),
                relation="r",
                object="o",
                prompt="{} is [Y].",
                meta={"s_pop": value if n == 3 else str(10**n)},
            )
            for n in range(12)
        ],
        source="made",
    )
    row = {"log_prob": -1.0, "tokens": 1, "subject_tokens": 1, "candidates": 4}
    row["top"] = [{"log_prob": -0.5}]
    rows = [{**row, "rank": 1 + n % 2} for n in range(12)]
    found = {each["name"]: each for each in correlation.explained(facts, facts, rows)}
    assert found["page views of the subject (log)"]["n"] == 11
