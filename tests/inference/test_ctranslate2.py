"""The engine CTranslate2 beside JAX: the same answers, the same scores, and what it refuses."""

import dataclasses
import sys
import types

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ctranslate2_folders
from closedbook.errors import UserError
from closedbook.inference import DecodeSettings
from closedbook.inference.ctranslate2_predictor import CTranslate2Predictor, opened
from closedbook.models import DecoderOnlyConfig
from closedbook.models.parameters import Params
from tests.inference.conftest import LENGTH


class _Letters:
    def encode_batch(self, texts):
        return [[ord(letter) - ord("a") for letter in text] for text in texts]

    def decode(self, ids):
        return "".join(chr(ord("a") + number) for number in ids)


def _inputs(tiny):
    return [[int(token) for token in row if token] for row in tiny.inputs]


def _predictor(tiny, monkeypatch, tmp_path, *, kind="float32", **settings):
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path))

    def made(params: Params):
        return opened(ctranslate2_folders.folder_of(tiny.config, params, kind))

    chosen = DecodeSettings(max_decode_length=LENGTH, **settings)
    return CTranslate2Predictor(tiny.module, _Letters(), opened=made, settings=chosen, batch_size=3)


def test_greedy_answers_and_scores_are_those_of_jax(tiny, monkeypatch, tmp_path):
    pytest.importorskip("ctranslate2", reason="the extra ctranslate2 is not installed")
    predictor = _predictor(tiny, monkeypatch, tmp_path)
    found, inputs = predictor.predict_tokens(tiny.params, _inputs(tiny)), _inputs(tiny)
    wanted = tiny.decode()
    np.testing.assert_array_equal(predictor.token_rows(found), wanted.tokens[:, 0])
    assert len({len(each.tokens) for each in found}) > 2  # ended early and late
    np.testing.assert_allclose([f.log_prob for f in found], wanted.log_probs[:, 0], atol=2e-3)
    np.testing.assert_allclose([f.decoder_score for f in found], wanted.scores[:, 0], atol=2e-3)
    candidates = np.array([[[5, 6, 1], [7, 1, 0]]] * len(inputs))
    scores = predictor.score_tokens(tiny.params, inputs, [[[5, 6, 1], [7, 1]]] * len(inputs))
    np.testing.assert_allclose(scores, tiny.score(tiny.inputs, candidates), atol=2e-3)
    (folder,) = (tmp_path / "ctranslate2").iterdir()  # written once, and taken again
    before = folder.stat().st_mtime_ns
    again = _predictor(tiny, monkeypatch, tmp_path).predict_tokens(tiny.params, inputs)
    assert again == found
    assert folder.stat().st_mtime_ns == before


def test_other_parameters_and_eight_bits_have_folders_of_their_own(tiny, monkeypatch, tmp_path):
    pytest.importorskip("ctranslate2", reason="the extra ctranslate2 is not installed")
    predictor = _predictor(tiny, monkeypatch, tmp_path, kind="int8", method="beam", num_beams=2)
    (one, *_) = predictor.predict_tokens(tiny.params, _inputs(tiny))
    assert len(set(one.hypotheses)) == 2
    assert one.hypotheses[0] == (one.text, one.log_prob)
    embedder = tiny.params["token_embedder"]
    others = tiny.params | {"token_embedder": {"embedding": -embedder["embedding"]}}
    assert predictor.predict_tokens(others, _inputs(tiny))[0] != one
    assert len(list((tmp_path / "ctranslate2").iterdir())) == 2


def test_beams_that_have_ended_go_before_those_that_were_cut(tiny):
    found = types.SimpleNamespace(
        hypotheses=[["3"] * LENGTH, ["5", "1"], ["4", "1"]], scores=[-1.0, -5.0, -4.0]
    )
    model = types.SimpleNamespace(translate_batch=lambda rows, **settings: [found] * len(rows))
    chosen = DecodeSettings(method="beam", num_beams=3, alpha=0.0, max_decode_length=LENGTH)
    made = CTranslate2Predictor(tiny.module, _Letters(), opened=lambda _: model, settings=chosen)
    (answer,) = made.predict_tokens(tiny.params, [[5, 1]])
    assert answer.hypotheses == (("e", -4.0), ("f", -5.0))
    found.hypotheses = [["3"] * LENGTH, ["5"] * LENGTH, ["4"] * LENGTH]  # none has ended
    (answer,) = made.predict_tokens(tiny.params, [[5, 1]])
    assert answer.hypotheses == (("d" * LENGTH, -1.0), ("e" * LENGTH, -4.0), ("f" * LENGTH, -5.0))


def test_a_damaged_folder_is_named_and_parameters_of_sixteen_bits_have_one_too(
    tiny, monkeypatch, tmp_path
):
    pytest.importorskip("ctranslate2", reason="the extra ctranslate2 is not installed")
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path))
    narrow = jax.tree.map(lambda x: x.astype("bfloat16"), tiny.params)
    folder = ctranslate2_folders.folder_of(tiny.config, narrow, "float32")
    content = (folder / "model.bin").read_bytes()
    for damaged in (content[: len(content) // 2], b""):  # as a crash of the machine leaves it
        (folder / "model.bin").write_bytes(damaged)
        with pytest.raises(UserError, match=rf"{folder.name}.*delete that folder"):
            opened(folder)


@pytest.mark.parametrize("settings", [{"method": "sample"}, {"beam_rules": "huggingface"}])
def test_samples_and_foreign_rules_are_refused(tiny, settings):
    chosen = DecodeSettings(**({"method": "beam"} | settings))
    with pytest.raises(UserError, match=r"use .*engine jax|or the engine jax"):
        CTranslate2Predictor(tiny.module, _Letters(), opened=lambda params: None, settings=chosen)


def test_other_families_and_activations_are_refused(tiny):
    odd = dataclasses.replace(tiny.config, mlp_activations=("relu", "relu"))
    lm = DecoderOnlyConfig(vocab_size=12, eos_id=1)
    for config, why in ((odd, "relu and relu"), (lm, "it is no T5")):
        with pytest.raises(UserError, match=f"cannot run this model.*{why}.*engine jax"):
            ctranslate2_folders.check_held(config)


def test_a_missing_package_is_told_with_the_extra(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(UserError, match=r'pip install "closedbook\[ctranslate2\]"'):
        ctranslate2_folders.check_held(tiny.config)
