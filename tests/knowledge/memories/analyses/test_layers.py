"""What layers predict, against formulas in NumPy over the records of one text at a time."""

import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.memories.analyses import agreement, layers, lens, places
from closedbook.knowledge.memories.analyses.places import Place


def softmax(x):
    grown = np.exp(x - x.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


@pytest.mark.parametrize("kind", ["relu", "llama", "t5"])
def test_predictions_of_layers_are_those_of_the_formulas(tiny, kind):
    made = tiny(kind)
    model, cells = made.model, made.index.cells["decoder"]
    some = places.draw(made.examples, "decoder", 24, seed=1)
    tops = agreement.tops(agreement.agreement(model, made.index))
    found = layers.predictions(model, cells, some, tops)
    relu = kind != "llama"
    seen = set()
    for n, place in enumerate(some):
        logits, records = made.records(place.example)
        top = logits[place.position, : model.vocabulary.vocab_size].argmax()
        assert found.output[n] == top
        for layer in range(cells.layers):
            at = {
                site: records[f"decoder.{layer}.{site}"][place.position]
                for site in ("mlp.coefficients", "mlp.out", "resid_post")
            }
            values = np.asarray(model.params["decoder"][f"layers_{layer}"]["mlp"]["wo"]["kernel"])
            m, y, o = at["mlp.coefficients"], at["mlp.out"], at["resid_post"]
            size = np.abs(m) * np.linalg.norm(values, axis=1)
            active = m > 0 if relu else size > 0.01 * size.max()
            assert found.active[n, layer] == pytest.approx((m > 0).mean())
            wanted = [(size > share * size.max()).mean() for share in layers.THRESHOLDS]
            np.testing.assert_allclose(found.strong[n, layer], wanted, atol=1e-6)
            for reading in ("raw", "scaled"):
                residual = made.of_stream(o - y, reading)
                update = made.of_value(y, reading).argmax()
                assert found.residual[reading][n, layer] == residual.argmax()
                assert found.update[reading][n, layer] == update
                assert found.after[reading][n, layer] == made.of_stream(o, reading).argmax()
                probability = softmax(residual)[top]
                assert found.probability[reading][n, layer] == pytest.approx(probability, rel=1e-3)
                tops = made.of_value(np.where(m < 0, -1, 1)[:, None] * values, reading).argmax(-1)
                new = [bool(update not in tops), bool(update not in tops[active])]
                assert [
                    found.new_to_all[reading][n, layer],
                    found.new_to_active[reading][n, layer],
                ] == new
                seen.update(new)
    assert seen == {True, False}  # both were tried
    np.testing.assert_array_equal(found.after["scaled"][:, -1], found.output)


def test_lens_reads_each_encoder_layer_as_the_decoder_would(tiny):
    made = tiny("t5")
    model, module = made.model, made.model.module
    some = places.draw(made.examples, "decoder", 12, seed=2)
    found = lens.look(model, some)
    scale = np.asarray(model.params["encoder"]["encoder_norm"]["scale"])

    @jax.jit
    def decoded(params, x, inputs, read):
        return module.apply({"params": params}, x, inputs, read, method="decode")[0]

    for n, place in enumerate(some):
        logits, records = made.records(place.example)
        size = model.vocabulary.vocab_size
        top = logits[place.position, :size].argmax()
        assert found.output[n] == top
        read = made.row((0, *place.example.targets[:-1]))
        for layer in range(3):
            x = records[f"encoder.{layer}.resid_post"]
            x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale
            own = decoded(model.params, x[None], made.row(place.example.inputs), read)
            scores = np.asarray(own[0, place.position, :size])
            assert found.top[n, layer] == scores.argmax()
            assert found.probability[n, layer] == pytest.approx(softmax(scores)[top], rel=1e-3)
    np.testing.assert_array_equal(found.top[:, -1], found.output)


def test_a_model_without_an_encoder_is_told_so(tiny):
    with pytest.raises(UserError, match="no encoder"):
        lens.look(tiny("relu").model, [])


def test_places_are_drawn_evenly_and_do_not_depend_on_what_follows(tiny):
    examples = tiny("relu").examples
    few, many = (places.draw(examples, "decoder", n) for n in (20, 60))
    assert {id(p.example) for p in few} <= {id(p.example) for p in many}
    everything = [Place(e, p) for e in examples for p in range(len(e.targets))]
    assert places.draw(examples, "decoder", 10**6) == everything
    drawn = [
        place.position
        for seed in range(200)
        for place in places.draw(examples, "decoder", 5, seed=seed)
    ]
    expected = np.bincount([place.position for place in everything]) / len(everything)
    observed = np.bincount(drawn, minlength=len(expected)) / len(drawn)
    error = np.sqrt(expected * (1 - expected) / len(drawn))
    assert (np.abs(observed - expected) < 4 * error).all()


def test_a_corpus_without_texts_is_refused():
    with pytest.raises(UserError, match="no text"):
        places.draw([], "decoder", 5)
