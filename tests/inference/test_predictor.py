"""From texts to answers, whatever their order, lengths and number."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.inference import Decoded, DecodeSettings, Predictor
from closedbook.inference.predictor import bucket


class Letters:
    """A vocabulary of the letters a to j, ids 2 to 11."""

    def encode_batch(self, texts):
        return [[ord(letter) - ord("a") + 2 for letter in text] for text in texts]

    def decode(self, ids):
        return "".join(chr(int(i) - 2 + ord("a")) for i in ids)


TEXTS = ["", "abc", "jihgfedcba" * 3, "ca", "b", "abcdefghij", "dd", "hij", "e", "ab", "cde"]


@pytest.fixture(scope="module")
def predictor(tiny):
    return Predictor(
        tiny.module,
        Letters(),
        settings=DecodeSettings(method="beam", num_beams=2, max_decode_length=6),
        max_input_length=20,
        batch_size=8,
    )


def test_answers_come_in_the_order_of_the_texts(tiny, predictor):
    answers = predictor.predict(tiny.params, TEXTS)
    assert len(answers) == len(TEXTS)
    for i in np.random.default_rng(0).permutation(len(TEXTS))[:5]:
        alone = predictor.predict(tiny.params, [TEXTS[i]])[0]
        assert alone.text == answers[i].text
        np.testing.assert_allclose(alone.log_prob, answers[i].log_prob, atol=1e-4)


def test_alternatives_are_the_other_hypotheses(tiny, predictor):
    text = "abc"
    inputs = np.array([[2, 3, 4, 1]], np.int32)
    found = tiny.decode(inputs, method="beam", num_beams=2)
    answer = predictor.predict(tiny.params, [text])[0]
    spelled = []
    for tokens in found.tokens[0]:
        ids = [t for t in tokens.tolist()[: [*tokens.tolist(), 1].index(1)] if t]
        spelled.append(Letters().decode(ids))
    assert (answer.text, *(t for t, _ in answer.alternatives)) == tuple(spelled)
    np.testing.assert_allclose(answer.log_prob, found.log_probs[0, 0], atol=1e-4)
    np.testing.assert_allclose(answer.alternatives[0][1], found.log_probs[0, 1], atol=1e-4)


def test_long_input_is_cut_and_still_ends_with_eos(tiny, predictor):
    cut, whole = "jihgfedcba" * 3, ("jihgfedcba" * 3)[:19]
    [found], [same] = (predictor.predict(tiny.params, [text]) for text in (cut, whole))
    assert found.cut_to == 20
    assert dataclasses.replace(found, cut_to=None) == same


def test_no_text_no_answer(tiny, predictor):
    assert predictor.predict(tiny.params, []) == []
    assert predictor.score_candidates(tiny.params, [], []) == []


@pytest.mark.parametrize("rules", ["t5x", "huggingface"])
def test_inputs_that_are_set_aside_get_the_answers_that_they_had(tiny, rules):
    settings = DecodeSettings(
        method="beam", num_beams=2, alpha=0.0, max_decode_length=12, beam_rules=rules
    )
    ways = {"max_input_length": 16, "settings": settings, "batch_size": 8}
    texts = [letter * n for n in range(1, 6) for letter in "abcdefghij"]
    whole = Predictor(tiny.module, Letters(), **ways).predict(tiny.params, texts)
    setting_aside = Predictor(tiny.module, Letters(), sets_aside=True, **ways)
    asked, search = [], setting_aside.decode_function

    def watched(params, tokens, rows, leave):
        asked.append(int(leave))
        return search(params, tokens, rows, leave)

    setting_aside.decode_function = watched
    found = setting_aside.predict(tiny.params, texts)
    assert [each.text for each in found] == [each.text for each in whole]
    np.testing.assert_allclose(
        [each.log_prob for each in found], [each.log_prob for each in whole], atol=1e-5
    )
    # Two of eight may be left; seven batches hold all texts once, and more hold those left.
    assert asked[:6] == [2] * 6
    assert len(asked) > 7
    assert asked[-1] == 0


def test_samples_do_not_depend_on_batching(tiny):
    settings = DecodeSettings(method="sample", num_samples=3, max_decode_length=6, seed=5)
    ways = {"max_input_length": 16, "settings": settings}
    one = Predictor(tiny.module, Letters(), batch_size=8, **ways)
    other = Predictor(tiny.module, Letters(), batch_size=3, **ways)
    assert [p.text for p in one.predict(tiny.params, TEXTS)] == [
        p.text for p in other.predict(tiny.params, TEXTS)
    ]


def test_other_params_are_used_and_compile_nothing_anew(tiny, predictor):
    before = predictor.predict(tiny.params, TEXTS)
    programs = predictor.decode_function._cache_size()
    other = dict(tiny.params, token_embedder={"embedding": jnp.zeros((12, 16))})
    assert predictor.predict(other, TEXTS) != before
    assert predictor.predict(tiny.params, TEXTS) == before
    assert predictor.decode_function._cache_size() == programs


def test_scores_equal_those_of_the_tokens(tiny, predictor):
    texts, answers = ["abc", "", "abc"], [["ba"], ["c"], [""]]
    found = [row[0] for row in predictor.score_candidates(tiny.params, texts, answers)]
    inputs = np.array([[2, 3, 4, 1], [1, 0, 0, 0], [2, 3, 4, 1]], np.int32)
    targets = np.array([[3, 2, 1], [4, 1, 0], [1, 0, 0]], np.int32)
    expected = tiny.score(inputs, targets[:, None])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    several = predictor.score_candidates(tiny.params, ["abc", ""], [["", "ba", "jjj"], ["c"]])
    assert [len(row) for row in several] == [3, 1]
    np.testing.assert_allclose(several[0][:2], [expected[2], expected[0]], atol=1e-4)
    np.testing.assert_allclose(several[1], [expected[1]], atol=1e-4)


def test_batches_keep_order_and_leave_other_keys_alone(tiny, predictor):
    batches = [
        {"encoder_input_tokens": tiny.inputs[i : i + 4], "decoder_target_tokens": tiny.inputs[:4]}
        for i in (0, 4)
    ]
    found = list(predictor.predict_batches(tiny.params, iter(batches)))
    expected = tiny.decode(method="beam", num_beams=2)
    assert [type(d.tokens) for d in found] == [np.ndarray] * 2
    np.testing.assert_array_equal(np.concatenate([d.tokens for d in found]), expected.tokens)


def test_few_lengths_and_sizes_are_compiled(tiny):
    watched = Predictor(
        tiny.module,
        Letters(),
        batch_size=16,
        batch_multiple=4,
        max_input_length=40,
    )
    seen = set()

    def decode(params, tokens, rows):
        seen.add(tokens.shape)
        zeros = np.zeros((len(tokens), 1), np.float32)
        return Decoded(np.zeros((len(tokens), 1, 1), np.int32), zeros, zeros)

    watched.decode_function = decode
    for n in (1, 3, 9, 16, 30):
        assert len(watched.predict(tiny.params, ["a" * (i + n) for i in range(n)])) == n
    assert {length for _, length in seen} == {16, 24, 32, 40}
    assert {rows for rows, _ in seen} == {4, 8, 16}
    assert bucket(33, 1000) == 64
    assert bucket(33, 1000, finer=True) == 48


def test_batch_size_that_devices_cannot_share_is_refused(tiny):
    with pytest.raises(UserError, match="multiple of 4"):
        Predictor(tiny.module, Letters(), batch_size=6, batch_multiple=4)
    with pytest.raises(UserError, match="batch_size is 0"):
        Predictor(tiny.module, Letters(), batch_size=0)


def test_unequal_lists_to_score_are_refused(tiny, predictor):
    with pytest.raises(UserError, match="2 inputs but 1 lists of candidates"):
        predictor.score_candidates(tiny.params, ["a", "b"], [["c"]])
    with pytest.raises(UserError, match="2 inputs but 1 lists of candidates"):
        predictor.score_tokens(tiny.params, [[2, 1], [3, 1]], [[[4, 1]]])


def test_ids_that_no_text_gives_are_scored_as_they_are(tiny, predictor):
    class Lossy(Letters):
        def decode(self, ids):
            raise AssertionError("scoring needs no text")

        encode_batch = decode

    ids = [[3, 0, 2, 1]]  # padding inside, which no text gives
    found = Predictor(tiny.module, Lossy()).score_tokens(tiny.params, [[2, 3, 4, 1]], [ids])
    inputs, targets = np.array([[2, 3, 4, 1]], np.int32), np.array([ids], np.int32)
    np.testing.assert_allclose(found, tiny.score(inputs, targets), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "beams"}, "nearest: beam"),
        ({"method": "beam", "num_beams": 0}, "num_beams is 0; it must be at least 1"),
        ({"num_beams": 4}, "set method='beam'"),
        ({"beam_rules": "huggingface"}, "set method='beam'"),
        ({"method": "beam", "beam_rules": "hf"}, "beam_rules 'hf'"),
        ({"method": "sample", "temperature": 0.0}, "use method='greedy'"),
        ({"method": "sample", "top_p": 1.5}, "top_p is 1.5"),
        ({"method": "sample", "top_p": 0.0}, "top_p is 0.0"),
        ({"method": "sample", "top_k": -1}, "top_k is -1"),
        ({"temperature": 0.7}, "set method='sample'"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"max_decode_length": 0}, "max_decode_length is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_remedy(settings, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        DecodeSettings(**settings)
