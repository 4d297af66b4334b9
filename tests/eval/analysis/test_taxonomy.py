"""The paper's four-way table and the score that it corrects."""

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval import intervals
from closedbook.eval.analysis import labels, taxonomy
from closedbook.eval.analysis.kinds import Kind

# Roberts et al. 2020: 150 wrong answers of a model with exact match 36.6.
PAPER = {
    Kind.TRUE_NEGATIVE: 93,
    Kind.PHRASING: 20,
    Kind.INCOMPLETE: 20,
    Kind.UNANSWERABLE: 17,
}


def known(correct, kinds):
    """Odds of rows whose kinds people have labelled."""
    none = [0.0] * len(correct)
    return taxonomy.odds(correct, equivalent=none, unanswerable=none, labels=kinds)


def judged(correct, equivalent, unanswerable):
    return taxonomy.odds(correct, equivalent=equivalent, unanswerable=unanswerable)


def paper_rows():
    labelled = [kind for kind, count in PAPER.items() for _ in range(count)]
    correct = [True] * 366 + [False] * 634
    return known(correct, [None] * 366 + labelled + [None] * (634 - 150))


def test_labels_give_the_papers_score():
    table = taxonomy.four_way(paper_rows(), labelled=True)
    assert table.em.mean == pytest.approx(0.366)
    assert 100 * table.adjusted.mean == pytest.approx(57.65, abs=0.005)
    assert {row.kind: row.count for row in table.kinds} == PAPER
    shares = {row.kind: round(100 * row.share.mean, 1) for row in table.kinds}
    assert list(shares.values()) == [62.0, 13.3, 13.3, 11.3]
    assert "150 of the 634" in table.how


def test_intervals_of_the_papers_shares():
    table = taxonomy.four_way(paper_rows(), labelled=True)
    phrasing = table.kinds[1].share
    # Wilson's interval of 20 of 150 by hand: 0.0880 to 0.1972; the bootstrap's is much the same.
    assert phrasing.low == pytest.approx(0.083, abs=0.006)
    assert phrasing.high == pytest.approx(0.197, abs=0.006)
    # Delta method by hand: error of the false negatives' share sqrt(.2667 * .7333 / 150) = .0361,
    # times .634 / .9281 gives .0247 of the score, and the other terms make it about .030.
    assert table.adjusted.high - table.adjusted.low == pytest.approx(4 * 0.029, abs=0.015)
    assert table.adjusted.low < 0.5765 < table.adjusted.high


def test_probabilities_are_summed_and_unanswerable_ones_leave_the_count():
    # Of three wrong rows: one surely a paraphrase; one unanswerable with 1/2; one a paraphrase
    # with 1/2, and unanswerable with 1/2 of the rest: 1.5 paraphrases, 0.75 unanswerable.
    rows = judged([True, False, False, False], [0, 1.0, 0.0, 0.5], [0, 0.3, 0.5, 0.5])
    table = taxonomy.four_way(rows, labelled=False)
    assert [row.count for row in table.kinds] == [0.8, 1.5, 0.0, 0.8]  # rounded for showing
    assert [row.share.mean for row in table.kinds] == pytest.approx([0.25, 0.5, 0.0, 0.25])
    assert table.adjusted.mean == pytest.approx((1 + 1.5) / (4 - 0.75))
    assert [row.asserted for row in table.kinds] == [True, True, False, True]


def test_the_judges_doubt_widens_the_interval():
    correct = [True] * 100 + [False] * 100
    # Fifty paraphrases for sure, or a hundred with probability 1/2: the same mean.
    sure = judged(correct, [0] * 100 + [1, 0] * 50, [0] * 200)
    unsure = judged(correct, [0] * 100 + [0.5] * 100, [0] * 200)
    tables = [taxonomy.four_way(rows, labelled=False) for rows in (sure, unsure)]
    assert [table.adjusted.mean for table in tables] == [0.75, 0.75]
    # Every resample of the unsure rows draws each row's kind, which is the sure rows' lottery too.
    widths = [table.adjusted.high - table.adjusted.low for table in tables]
    assert widths[1] == pytest.approx(widths[0], abs=0.02)
    # Were expectations resampled in place of kinds, it would be that of EM over two: 0.069.
    assert min(widths) > 0.11


def test_rows_of_one_question_stand_and_fall_together():
    correct = [True, False] * 100
    rows = judged([c for c in correct for _ in range(5)], [0] * 1000, [0] * 1000)
    alone = taxonomy.four_way(rows, labelled=False)
    clusters = [number // 5 for number in range(1000)]
    together = taxonomy.four_way(rows, labelled=False, clusters=clusters)
    assert (alone.em.low, alone.em.high) == pytest.approx(intervals.wilson(500, 1000))
    ratio = (together.em.high - together.em.low) / (alone.em.high - alone.em.low)
    assert ratio == pytest.approx(5**0.5, abs=0.25)


def test_a_group_of_three_wrong_rows_is_not_certain():
    rows = judged([False] * 3 + [True] * 50, [0] * 53, [0] * 53)
    groups = np.zeros((53, 1))
    groups[:3] = 1
    (found,) = taxonomy.estimates(rows, groups)
    assert (found.n, found.adjusted.mean) == (3, 0.0)
    assert found.adjusted.high == pytest.approx(intervals.wilson(0, 3).high)


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong(right):
    table = taxonomy.four_way(judged([right] * 20, [0] * 20, [0] * 20), labelled=False)
    assert table.em.mean == table.adjusted.mean == float(right)
    assert all(0 <= row.share.low <= row.share.mean <= row.share.high <= 1 for row in table.kinds)


def test_nothing_answerable_leaves_no_score_and_no_crash():
    table = taxonomy.four_way(judged([False] * 5, [0] * 5, [1] * 5), labelled=False)
    assert (table.adjusted.low, table.adjusted.high) == (0.0, 1.0)


def test_labels_of_right_rows_alone_are_refused():
    with pytest.raises(UserError, match="none of the labels is of a wrong prediction"):
        taxonomy.four_way(known([True, False], [Kind.PHRASING, None]), labelled=True)


def test_the_same_seed_gives_the_same_table():
    rows = judged([True, False] * 30, [0.3] * 60, [0.2] * 60)
    first, second = (taxonomy.four_way(rows, labelled=False).as_dict() for _ in range(2))
    assert first == second


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_read_by_id(tmp_path):
    path = write(tmp_path / "l.jsonl", '{"id": 7, "label": "phrasing"}\n'
                 '{"id": "x", "label": "true negative", "by": "me"}\n')  # fmt: skip
    assert labels.read(path) == {"7": Kind.PHRASING, "x": Kind.TRUE_NEGATIVE}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "label": "phrase"}', r"l.jsonl:2: unknown label 'phrase'.*phrasing"),
        ('{"id": 1, "label": ["x"]}', r"l.jsonl:2: unknown label"),
        ('{"label": "phrasing"}', r"l.jsonl:2: .*has no id"),
        ('{"id": true, "label": "phrasing"}', r"l.jsonl:2: .*has no id"),
        ("[1]", r"l.jsonl:2: .*has no id"),
        ('{"id": "0", "label": "phrasing"}', r"l.jsonl:2: id .* is labelled twice"),
        ("{", r"l.jsonl:2: not JSON"),
    ],
)
def test_a_bad_label_is_named_by_its_line(tmp_path, line, message):
    path = write(tmp_path / "l.jsonl", '{"id": 0, "label": "phrasing"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        labels.read(path)
