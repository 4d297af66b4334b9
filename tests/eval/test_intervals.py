"""Intervals against published values and against plain resampling."""

import numpy as np
import pytest

from closedbook.eval import intervals


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, table I, method 3 (score, no continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_newcombes_table(successes, n, low, high):
    assert intervals.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetric_in_successes_and_failures():
    low, high = intervals.wilson(3, 17)
    assert intervals.wilson(14, 17) == pytest.approx((1 - high, 1 - low))


def test_wilson_holds_the_ends_exactly():
    assert intervals.wilson(0, 5).low == 0.0
    assert intervals.wilson(5, 5).high == 1.0


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="no proportion"):
        intervals.wilson(successes, n)


def test_bootstrap_equals_resampling_example_by_example():
    values = np.random.default_rng(1).choice([0, 40, 66.7, 80, 100], size=500)
    draws = np.random.default_rng(2).integers(len(values), size=(20_000, len(values)))
    expected = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    assert intervals.bootstrap(values) == pytest.approx(expected, abs=0.25)


def test_bootstrap_is_seeded():
    values = list(range(50))
    assert intervals.bootstrap(values) == intervals.bootstrap(values)
    assert intervals.bootstrap(values) != intervals.bootstrap(values, seed=1)


def test_bootstrap_of_many_distinct_values_draws_in_chunks_with_the_same_law():
    values = np.random.default_rng(3).normal(50, 10, size=3_000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    expected = (values.mean() - half, values.mean() + half)
    assert intervals.bootstrap(values, resamples=4_000) == pytest.approx(expected, abs=0.05)


def test_bootstrap_of_clusters_equals_drawing_clusters_one_by_one():
    random = np.random.default_rng(4)
    clusters = random.integers(60, size=300)
    values = (random.random(300) < 0.2 + 0.6 * (clusters % 2)).astype(float)
    sums, sizes = np.bincount(clusters, weights=values), np.bincount(clusters)
    draws = random.integers(60, size=(20_000, 60))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    expected = np.quantile(means, [0.025, 0.975])
    assert intervals.bootstrap(values, clusters=list(clusters)) == pytest.approx(expected, abs=4e-3)


def test_bootstrap_of_one_cluster_knows_nothing():
    assert intervals.bootstrap([1, 2], clusters="aa") == (-np.inf, np.inf)
    assert intervals.bootstrap([1]) == (-np.inf, np.inf)


@pytest.mark.parametrize("clusters", [None, [n // 4 for n in range(200)]])
def test_means_of_common_draws_have_the_bootstraps_interval(clusters):
    values = np.random.default_rng(2).random((200, 2))
    means = intervals.drawn_means(values, clusters=clusters)
    assert means.shape == (10_000, 2)
    expected = intervals.bootstrap(values[:, 0], clusters=clusters)
    assert np.quantile(means[:, 0], [0.025, 0.975]) == pytest.approx(expected, abs=3e-3)
    gap = intervals.bootstrap(values[:, 0] - values[:, 1], clusters=clusters)
    drawn = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
    assert drawn == pytest.approx(gap, abs=4e-3)


def test_values_that_are_all_equal_are_not_certain():
    assert intervals.of_mean([1.0] * 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert intervals.of_mean([0.0] * 20, clusters=list("aabbccddee" * 2)) == pytest.approx(
        (0.0, 0.4345),
        abs=1e-4,  # Wilson's of 0 of 5
    )
    assert intervals.of_mean([30.0], top=100.0)[1] > 80


@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 2], list(range(4))])
def test_columns_of_few_clusters_have_the_interval_of_each_alone(clusters):
    values = np.random.default_rng(5).normal(size=(4, 3))
    expected = [intervals.of_any(column, clusters=clusters) for column in values.T]
    assert intervals.of_columns(values, clusters=clusters) == expected


def test_columns_of_many_clusters_have_the_bootstraps_interval():
    values = np.random.default_rng(5).normal(size=(60, 2))
    found = intervals.of_columns(values, clusters=[n // 2 for n in range(60)])
    drawn = intervals.drawn_means(values, clusters=[n // 2 for n in range(60)])
    for column, interval in enumerate(found):
        assert interval == tuple(np.quantile(drawn[:, column], [0.025, 0.975]))


def test_bootstrap_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        intervals.bootstrap([])


def test_a_share_is_wilsons_where_rows_are_alone_and_draws_whole_clusters_elsewhere():
    hits = [True] * 30 + [False] * 30
    alone = intervals.share(hits, clusters=range(60))
    assert (alone.low, alone.high) == pytest.approx(intervals.wilson(30, 60))
    pairs = [number // 2 for number in range(60)]
    together = intervals.share(hits, clusters=pairs)
    assert (together.low, together.high) == intervals.bootstrap(hits, clusters=pairs)
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


def test_a_share_of_nothing_may_be_anything():
    assert intervals.share([]) == intervals.UNKNOWN


def test_many_distinct_values_get_the_normal_interval_that_the_bootstrap_gives():
    values = np.random.default_rng(0).exponential(size=10_000)
    found, drawn = intervals.of_any(values), intervals.bootstrap(values, resamples=2_000)
    half = 1.959964 * values.std(ddof=1) / 100
    assert found == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-5)
    assert found == pytest.approx(drawn, abs=0.1 * half)
