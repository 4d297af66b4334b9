"""Masks: what a model sees and has to answer, in each style, and where random masks fall."""

import collections
import dataclasses
import pathlib

import pytest

from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.tasks.spans.masking import Masking
from closedbook.tasks.spans.sentences import Sentence, Span
from closedbook.vocabulary.sentencepiece import Vocabulary

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import


@pytest.fixture(scope="module")
def vocabulary(vocabulary_file):
    return Vocabulary(vocabulary_file)


@pytest.fixture(scope="module")
def masked(vocabulary):
    """Masks sentences in one batch; ids of inputs and targets without EOS.

    `times` stands for as many passes, which differ in what is drawn.
    """
    registry = pytest.importorskip("closedbook.tasks.registry")
    import tensorflow as tf

    from closedbook.tasks.spans import corruption as span_corruption
    from closedbook.tasks.spans import salient as masking

    def make(sentences, *, vocabulary=vocabulary, lengths=None, times=1, **options):
        options = Masking(**options)
        sentences = list(sentences) * times
        spans = [
            zip(*each.spans, strict=True) if each.spans else ((), (), ()) for each in sentences
        ]
        starts, limits, labels = zip(*spans, strict=True)
        batch = {
            "text": tf.constant([each.text for each in sentences]),
            "spans": {
                "start": tf.ragged.constant(starts, tf.int32, 1),
                "limit": tf.ragged.constant(limits, tf.int32, 1),
                "type": tf.ragged.constant(labels, tf.string, 1),
            },
        }
        given = {
            "output_features": registry.output_features(vocabulary.path, vocabulary.extra_ids),
            "masking": options,
        }
        seeds = tf.random.experimental.stateless_split([options.seed, 7], 3)
        if options.corruption == "salient":
            found = masking.mask_salient_spans(batch, seeds, **given)
        else:
            tokens = span_corruption.tokenize_sentences(batch, **given)
            if options.corruption == "matched":
                found = span_corruption.mask_matched_spans(tokens, seeds, **given)
            else:
                found = span_corruption.corrupt_spans(
                    tokens, seeds, sequence_length=lengths, **given
                )
        return list(zip(*(found[side].to_list() for side in ("inputs", "targets")), strict=True))

    return make


@pytest.fixture(scope="module")
def texts(masked, vocabulary):
    def make(*arguments, **options):
        return [
            (vocabulary.decode(inputs), vocabulary.decode(targets))
            for inputs, targets in masked(*arguments, **options)
        ]

    return make


COOK = ("Tim Cook (born 1 November 1960) leads Apple.", "Tim Cook", "1 November 1960", "Apple")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {},
            [
                ("nem: _X_ (born 1 November 1960) leads Apple.", "Tim Cook"),
                ("nem: Tim Cook (born _X_) leads Apple.", "1 November 1960"),
                ("nem: Tim Cook (born 1 November 1960) leads _X_.", "Apple"),
            ],
        ),
        (
            {"style": "sentinel"},
            [
                (
                    "<extra_id_0> (born 1 November 1960) leads Apple.",
                    "<extra_id_0> Tim Cook <extra_id_1>",
                ),
                (
                    "Tim Cook (born <extra_id_0>) leads Apple.",
                    "<extra_id_0> 1 November 1960 <extra_id_1>",
                ),
                (
                    "Tim Cook (born 1 November 1960) leads <extra_id_0>.",
                    "<extra_id_0> Apple <extra_id_1>",
                ),
            ],
        ),
        (
            {"style": "sentinel_bare"},
            [
                ("<extra_id_0> (born 1 November 1960) leads Apple.", "Tim Cook"),
                ("Tim Cook (born <extra_id_0>) leads Apple.", "1 November 1960"),
                ("Tim Cook (born 1 November 1960) leads <extra_id_0>.", "Apple"),
            ],
        ),
        (
            {"style": "sentinel", "spans_per_example": "all"},
            [
                (
                    "<extra_id_0> (born <extra_id_1>) leads <extra_id_2>.",
                    "<extra_id_0> Tim Cook <extra_id_1> 1 November 1960 <extra_id_2> Apple "
                    "<extra_id_3>",
                )
            ],
        ),
    ],
)
def test_a_sentence_in_each_style(texts, sentence, options, expected):
    assert texts([sentence(*COOK)], **options) == expected


def test_a_sentinel_behind_a_bracket_is_one_token(masked, sentence, vocabulary):
    (inputs, _), (other, _) = masked(
        [sentence('He ("Bo") went.', "Bo"), sentence("Bo went.", "Bo")], style="sentinel"
    )
    first = vocabulary.vocab_size - 1
    assert inputs.count(first) == other.count(first) == 1
    assert vocabulary.decode([id for id in inputs if id != first]) == 'He (" ") went.'.replace(
        '" "', '""'
    )


def test_each_span_is_masked_once_whatever_the_groups(texts, sentence):
    names = [f"Nr{i}" for i in range(7)]
    found = texts(
        [sentence(" and ".join(names) + ".", *names)], style="sentinel", spans_per_example=3
    )
    masked = [[word for word in target.split() if not word.startswith("<")] for _, target in found]
    assert sorted(map(len, masked)) == [1, 3, 3]
    assert sorted(name for group in masked for name in group) == names
    assert all(group == sorted(group) for group in masked)  # numbered as they stand in the text


def test_groups_of_a_pass_differ_from_those_of_the_next(texts, sentence):
    names = [f"Nr{i}" for i in range(8)]
    given = [sentence(" and ".join(names) + ".", *names)]
    found = texts(given, style="sentinel", spans_per_example=2, times=3)
    assert len(found) == 12
    assert len({target for _, target in found}) > 4
    assert found == texts(given, style="sentinel", spans_per_example=2, times=3)
    assert found != texts(given, style="sentinel", spans_per_example=2, times=3, seed=1)


def test_offsets_are_bytes(texts, sentence):
    given = sentence("Ça va à Zürich, über Genève.", "Zürich", "Genève")
    assert [target for _, target in texts([given])] == ["Zürich", "Genève"]


def test_only_asked_labels_are_masked(texts, sentence):
    given = sentence("Bo met Al in 1990.", ("Bo", "PER"), ("Al", "PER"), ("1990", "DATE"))
    assert [target for _, target in texts([given], labels=("DATE",))] == ["1990"]
    assert len(texts([given], labels=("DATE",), corruption="matched")) == 1


def test_spans_outside_of_the_text_or_empty_are_left_out(texts):
    wrong = [Span(3, 3, "X"), Span(4, 99, "X"), Span(-1, 2, "X"), Span(5, 4, "X")]
    assert texts([Sentence("Bo went.", (Span(0, 2, "X"), *wrong))]) == [("nem: _X_ went.", "Bo")]


def test_overlapping_spans_masked_together_do_not_stop_the_build(texts):
    crossed = Sentence("one two three four", (Span(0, 7, "X"), Span(4, 13, "X")))
    assert len(texts([crossed], style="sentinel", spans_per_example="all")) == 1


@pytest.mark.parametrize("style", ["nem", "sentinel", "sentinel_bare"])
def test_the_control_has_the_budget_and_the_form_of_what_it_controls(
    masked, sentence, vocabulary, style
):
    given = [sentence(*COOK), sentence("No span here."), sentence("Paris", "Paris")]
    salient, control = masked(given, style=style), masked(given, style=style, corruption="matched")
    whole = vocabulary.encode(given[0].text)
    prefix = vocabulary.encode("nem:") if style == "nem" else []
    mask = vocabulary.encode("_X_") if style == "nem" else [vocabulary.vocab_size - 1]
    assert len(control) == 4
    for (_, ours), (inputs, targets) in zip(salient[:3], control[:3], strict=True):
        assert len(targets) == len(ours)
        masked_tokens = targets[1:-1] if style == "sentinel" else targets
        at = inputs.index(mask[0], len(prefix))
        # Put back where the mask stands, the target gives the sentence again.
        assert inputs[:at] + masked_tokens + inputs[at + len(mask) :] == prefix + whole
    if style == "sentinel":
        assert control[0][1][0] == vocabulary.vocab_size - 1
        assert control[0][1][-1] == vocabulary.vocab_size - 2


def test_every_place_is_equally_likely(masked, sentence):
    words = "a b c d e f g h i j"  # one token each, or two: "▁" and the letter
    given = [sentence(words, "c d")]
    found = masked(given, corruption="matched", style="sentinel_bare", times=3000)
    first = max(max(inputs) for inputs, _ in found)
    places = collections.Counter(inputs.index(first) for inputs, _ in found)
    length = len(found[0][0]) - 1 + len(found[0][1])
    expected = length - len(found[0][1]) + 1
    assert sorted(places) == list(range(expected))
    mean = 3000 / expected
    assert sum((n - mean) ** 2 / mean for n in places.values()) < 3 * expected  # chi square


def test_several_random_spans_do_not_overlap_and_reach_every_place(masked, sentence, vocabulary):
    given = sentence("one two three four five six", "two", "four")
    found = masked(
        [given], corruption="matched", style="sentinel", spans_per_example="all", times=600
    )
    top = vocabulary.vocab_size - 1
    whole = vocabulary.encode(given.text)
    seen = collections.Counter()
    for inputs, targets in found:
        one, two, three = (targets.index(top - n) for n in range(3))
        spans = {top: targets[one + 1 : two], top - 1: targets[two + 1 : three]}
        assert [len(span) for span in spans.values()] == [1, 1]
        assert [t for id in inputs for t in spans.get(id, [id])] == whole
        seen[inputs.index(top), inputs.index(top - 1)] += 1
    assert len(seen) == 15  # 6 tokens, 2 of them masked
    assert min(seen.values()) > 15  # 40 on average


def test_rows_of_t5s_span_corruption_fill_its_lengths():
    pytest.importorskip("tensorflow")
    from closedbook.tasks.spans.corruption import row_length

    # Raffel et al. 2020 and upstream's `random_spans_helper`.
    assert row_length(512) == (568, 114)


def test_t5s_span_corruption_masks_15_percent_in_spans_of_three(masked, sentence, vocabulary):
    given = [sentence("The quick brown fox jumps over the lazy dog near the old mill.")] * 256
    found = masked(given, corruption="t5", lengths={"inputs": 128, "targets": 64})
    top = vocabulary.vocab_size - 1
    whole = vocabulary.encode(given[0].text)
    joined: list[int] = []
    noise = spans = 0
    for inputs, targets in found:
        marks = [id for id in inputs if id > top - 100]
        assert (
            marks
            == [id for id in targets if id > top - 100]
            == list(range(top, top - len(marks), -1))
        )
        assert inputs[-1] in marks  # a row ends with a span
        parts = {}
        for id in targets:
            if id in marks:
                parts[id] = []
                last = id
            else:
                parts[last].append(id)
        joined += [t for id in inputs for t in parts.get(id, [id])]
        noise, spans = noise + len(targets) - len(marks), spans + len(marks)
    assert joined == whole * 256
    assert noise / len(joined) == pytest.approx(0.15, abs=0.01)
    assert noise / spans == pytest.approx(3, abs=0.3)
    assert len(found[0][0]) == 127  # and EOS


def test_t5s_span_corruption_needs_room_for_its_targets(masked, sentence):
    with pytest.raises(UserError, match="has targets of 114; TASK_FEATURE_LENGTHS allows 64"):
        masked(
            [sentence("Bo went.")],
            corruption="t5",
            lengths={"inputs": 512, "targets": 64},
        )


def test_sentinels_need_a_vocabulary_that_has_them(masked, sentence, vocabulary):
    none = Vocabulary(vocabulary.path, extra_ids=0)
    given = [sentence("Bo went.", "Bo")]
    for corruption in ("salient", "matched"):
        with pytest.raises(UserError, match=r"has 0; set seqio.SentencePiece\S+extra_ids = 100"):
            masked(given, vocabulary=none, style="sentinel", corruption=corruption)
        assert len(masked(given, vocabulary=none, corruption=corruption)) == 1


def test_sentinels_of_the_file_itself_are_used(masked, sentence, vocabulary, tmp_path):
    """T5X's public vocabulary holds its 100 sentinels; SeqIO then has no extra ids."""
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    model = model_pb2.ModelProto()
    model.ParseFromString(pathlib.Path(vocabulary.path).read_bytes())
    for number in reversed(range(100)):
        model.pieces.add(piece=f"▁<extra_id_{number}>", score=0.0, type=4)
    (tmp_path / "100extra.model").write_bytes(model.SerializeToString())
    whole = Vocabulary(tmp_path / "100extra.model", extra_ids=0)
    assert whole.vocab_size == vocabulary.vocab_size
    given = [sentence("Bo went.", "Bo")]
    for corruption in ("salient", "matched"):
        options = {"style": "sentinel", "corruption": corruption}
        assert masked(given, vocabulary=whole, **options) == masked(given, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "nems"}, "unknown style of masking 'nems'; nearest: nem"),
        ({"spans_per_example": 2}, 'style "sentinel", which numbers them'),
        ({"spans_per_example": 0}, "spans_per_example is 0"),
        ({"style": "sentinel", "spans_per_example": "al"}, "spans_per_example is 'al'"),
        ({"passes": 0}, "passes is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"labels": "DATE"}, r'give a list, for example \["DATE"\]'),
        ({"corruption": "random"}, "unknown corruption 'random'"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(UserError, match=message):
        Masking(**options)


def test_the_packaged_tasks_mask_as_the_paper_does():
    assert specs.SPECS["salient_span_masked_wikipedia"].masking == Masking()
    assert dataclasses.asdict(Masking())["style"] == "nem"
    assert specs.SPECS["span_corrupted_wikipedia"].masking == Masking(corruption="t5")
