"""The paper's four-way table and the score that it corrects."""

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval import intervals
from closedbook.eval.analysis import kinds, labels, taxonomy
from closedbook.eval.analysis.kinds import Kind

# Roberts et al. 2020: 150 wrong answers of a model with exact match 36.6.
PAPER = {
    Kind.TRUE_NEGATIVE: 93,
    Kind.PHRASING: 20,
    Kind.INCOMPLETE: 20,
    Kind.UNANSWERABLE: 17,
}


def known(correct, labelled):
    """Rows whose kinds people have labelled."""
    none = [False] * len(correct)
    return kinds.sort(correct, equivalent=none, flagged=none, labels=labelled)


def judged(correct, equivalent=None, flagged=None, **arguments):
    none = [False] * len(correct)
    return kinds.sort(correct, equivalent=equivalent or none, flagged=flagged or none, **arguments)


def paper_rows():
    labelled = [kind for kind, count in PAPER.items() for _ in range(count)]
    correct = [True] * 366 + [False] * 634
    return known(correct, [None] * 366 + labelled + [None] * (634 - 150))


def test_labels_give_the_papers_score():
    table = taxonomy.four_way(paper_rows())
    assert table.em.mean == pytest.approx(0.366)
    assert 100 * table.adjusted.mean == pytest.approx(57.65, abs=0.005)
    assert {row.name: row.count for row in table.rows} == PAPER
    shares = {row.name: round(100 * row.share, 1) for row in table.rows}
    assert list(shares.values()) == [62.0, 13.3, 13.3, 11.3]
    assert "150 of the 634" in table.how


def test_intervals_of_the_papers_shares():
    table = taxonomy.four_way(paper_rows())
    phrasing = table.rows[1]
    # Wilson's interval of 20 of 150 by hand: 0.0880 to 0.1972; the bootstrap's is much the same.
    assert phrasing.low == pytest.approx(0.083, abs=0.006)
    assert phrasing.high == pytest.approx(0.197, abs=0.006)
    # Delta method by hand: error of the false negatives' share sqrt(.2667 * .7333 / 150) = .0361,
    # times .634 / .9281 gives .0247 of the score, and the other terms make it about .030.
    assert table.adjusted.high - table.adjusted.low == pytest.approx(4 * 0.029, abs=0.015)
    assert table.adjusted.low < 0.5765 < table.adjusted.high


def test_flagged_questions_leave_the_count_whether_right_or_wrong():
    # Right; a paraphrase; wrong; and the same three of flagged questions.
    rows = judged(
        [True, False, False] * 2,
        equivalent=[False, True, False] * 2,
        flagged=[False] * 3 + [True] * 3,
    )
    table = taxonomy.four_way(rows)
    assert [row.count for row in table.rows] == [1, 2, 0, 1]
    assert [row.share for row in table.rows] == [0.25, 0.5, 0.0, 0.25]
    assert table.adjusted.mean == pytest.approx(2 / 3)
    assert (table.adjusted.low, table.adjusted.high) == pytest.approx(intervals.wilson(2, 3))
    assert [row.asserted for row in table.rows] == [True, True, False, True]
    assert "leaves out all 3 answers to flagged questions" in table.how
    assert "1 exact matches and 1 answers of phrasing among the other 3" in table.how


def test_rows_of_one_question_stand_and_fall_together():
    correct = [c for c in [True, False] * 100 for _ in range(5)]
    alone = taxonomy.four_way(judged(correct))
    clusters = [number // 5 for number in range(1000)]
    together = taxonomy.four_way(judged(correct, clusters=clusters))
    for name in ("em", "adjusted"):
        one, many = getattr(alone, name), getattr(together, name)
        assert (one.low, one.high) == pytest.approx(intervals.wilson(500, 1000))
        assert (many.high - many.low) / (one.high - one.low) == pytest.approx(5**0.5, abs=0.25)


def test_a_group_of_three_wrong_rows_is_not_certain():
    correct = [False] * 3 + [True] * 50
    group = np.arange(53) < 3
    labelled = known(correct, [Kind.TRUE_NEGATIVE] * 3 + [None] * 50)
    for rows in (judged(correct), labelled):
        found = kinds.estimates(rows, group)
        assert (found.n, found.adjusted.mean) == (3, 0.0)
        assert found.adjusted.high == pytest.approx(intervals.wilson(0, 3).high)


def test_a_group_without_labels_knows_nothing_of_its_adjusted_score():
    rows = known([False, False], [Kind.PHRASING, None])
    found = kinds.estimates(rows, np.array([False, True]))
    assert found.adjusted == intervals.UNKNOWN


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong(right):
    table = taxonomy.four_way(judged([right] * 20))
    assert table.em.mean == table.adjusted.mean == float(right)
    assert all(0 <= row.low <= row.share <= row.high <= 1 for row in table.rows)


def test_nothing_answerable_leaves_no_score_and_no_crash():
    table = taxonomy.four_way(judged([False] * 5, flagged=[True] * 5))
    assert (table.adjusted.low, table.adjusted.high) == (0.0, 1.0)
    labelled = taxonomy.four_way(known([False] * 5, [Kind.UNANSWERABLE] * 5))
    assert (labelled.adjusted.low, labelled.adjusted.high) == (0.0, 1.0)


def test_labels_of_right_rows_alone_are_refused():
    with pytest.raises(UserError, match="none of the labels is of a wrong prediction"):
        taxonomy.four_way(known([True, False], [Kind.PHRASING, None]))


def test_the_same_rows_give_the_same_table():
    first, second = (taxonomy.four_way(paper_rows()) for _ in range(2))
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
        ('{"id": 1, "label": "phrase"}', r'l.jsonl:2: label "phrase" is not one of .*phrasing'),
        (
            '{"id": 1, "label": ["x"]}',
            r"l.jsonl:2: label ..x.. is not one of true negative .or wrong., phrasing",
        ),
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


def test_counts_lead_from_the_kinds_to_the_score():
    # Right, phrasing, wrong; then the same of flagged questions.
    rows = judged(
        [True, False, False] * 2,
        equivalent=[False, True, False] * 2,
        flagged=[False] * 3 + [True] * 3,
    )
    table = taxonomy.four_way(rows)
    counts = {row.name: (row.answerable, row.flagged, row.total) for row in table.counts}
    assert counts == {
        "exact match": (1, 1, 2),
        "phrasing": (1, 1, 2),
        "other wrong answers": (1, 1, 2),
        "all": (3, 3, 6),
    }
    kind = {row.name: row.count for row in table.rows}
    assert kind[Kind.PHRASING] == counts["phrasing"][2]
    assert kind[Kind.UNANSWERABLE] == counts["other wrong answers"][1]
    assert kind[Kind.TRUE_NEGATIVE] == counts["other wrong answers"][0]
    assert table.adjusted.mean == pytest.approx((1 + 1) / 3)
    assert table.doubts == ()


def test_labelled_rows_need_no_counts():
    assert taxonomy.four_way(paper_rows()).counts == ()


def test_corrections_replace_single_verdicts_and_leave_the_judges_elsewhere():
    correct = [True] * 4 + [False] * 6
    equivalent = [False] * 4 + [True, True, False, False, False, False]
    flagged = [False] * 9 + [True]
    told = [None] * 5 + [
        Kind.TRUE_NEGATIVE,
        Kind.INCOMPLETE,
        Kind.UNANSWERABLE,
        None,
        Kind.PHRASING,
    ]
    found = taxonomy.four_way(
        kinds.sort(correct, equivalent=equivalent, flagged=flagged, labels=told, correcting=True)
    )
    counts = {row.name: row.count for row in found.rows}
    assert counts == {"true negative": 2, "phrasing": 2, "incomplete": 1, "unanswerable": 1}
    assert not found.labelled
    # Nine questions can be answered, and seven of their answers are right.
    assert found.adjusted.mean == pytest.approx(7 / 9)
    assert "1 that people found right" in found.how


def test_a_file_is_of_corrections_or_of_a_sample(tmp_path):
    path = tmp_path / "labels.jsonl"
    line = '{"id": 1, "label": "phrasing", "corrects": "wrong"}\n'
    path.write_text(line)
    assert isinstance(labels.read(path), labels.Corrections)
    path.write_text(line + '{"id": 2, "label": "wrong"}\n')
    with pytest.raises(UserError, match=r'labels\.jsonl:2: some lines have "corrects"'):
        labels.read(path)
