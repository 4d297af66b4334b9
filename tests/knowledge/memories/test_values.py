"""Values as votes for tokens, and the search for cells that promote a word."""

import math

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge import LoadedModel
from closedbook.knowledge.memories import values as of_values
from closedbook.knowledge.memories.cells import Cell
from closedbook.knowledge.memories.search import search
from closedbook.knowledge.memories.values import Values
from closedbook.models.taps import Patch, Taps


def layer_of(params: dict, stack: str, layer: int) -> np.ndarray:
    """Rows of a layer's second matrix, [cells, emb], in either layout."""
    own = params[stack]
    if "layers" in own:
        return np.asarray(own["layers"]["mlp"]["wo"]["kernel"])[:, layer]
    return np.asarray(own[f"layers_{layer}"]["mlp"]["wo"]["kernel"])


@pytest.mark.parametrize("reading", of_values.READINGS)
@pytest.mark.parametrize("name", ["t5_1_0", "t5_1_1_scanned", "decoder_only_scanned_relu"])
def test_votes_of_a_decoder_are_the_paper_s_formula(tiny, name: str, reading) -> None:
    model = tiny(name)
    params, size = model.params, model.config.emb_dim
    if model.config.logits_via_embedding:
        output = np.asarray(params["token_embedder"]["embedding"]).T
    else:
        output = np.asarray(params["decoder"]["logits_dense"]["kernel"])
    value = layer_of(params, "decoder", 1)[4]
    if reading == "scaled":
        if name.startswith("decoder_only"):  # a LayerNorm
            value = value - value.mean()
        value = value * np.asarray(params["decoder"]["decoder_norm"]["scale"])
    factor = size**-0.5 if name == "t5_1_0" else 1.0
    found = Values(model, "decoder", reading).votes([Cell("decoder", 1, 4)])
    expected = (value @ output * factor)[: model.vocabulary.vocab_size]
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-6)


def test_votes_of_an_encoder_are_what_a_decoder_says_that_sees_the_value_alone(tiny) -> None:
    """The same by patching the encoder's last norm in a whole forward pass."""
    model = tiny("t5_1_0")
    value = layer_of(model.params, "encoder", 0)[3]
    scale = np.asarray(model.params["encoder"]["encoder_norm"]["scale"])
    state = value / np.sqrt((value**2).mean() + 1e-6) * scale

    def logits(state: np.ndarray) -> np.ndarray:
        taps = Taps(patches={"encoder.final_norm": Patch(state)})
        one = np.ones((1, 1), np.int32)
        found, _ = model.module.apply({"params": model.params}, one, 0 * one, taps=taps)
        return np.asarray(found[0, 0])

    expected = (logits(state) - logits(0 * state))[: model.vocabulary.vocab_size]
    found = Values(model, "encoder", "scaled").votes([Cell("encoder", 0, 3)])
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-5)


def test_the_strongest_tokens_are_written_as_text(tiny) -> None:
    model = tiny("t5_1_0")
    votes = np.zeros(model.vocabulary.vocab_size, np.float32)
    kenya, peru = (model.vocabulary.encode(name)[0] for name in ("Kenya", "Peru"))
    votes[kenya], votes[peru] = 2.0, -3.0
    promoted, suppressed = of_values.strongest(votes, model, 1)
    assert [(vote.text, vote.vote) for vote in promoted] == [("Kenya", 2.0)]
    assert [(vote.text, vote.vote) for vote in suppressed] == [("Peru", -3.0)]


def planted(model: LoadedModel, cells: int) -> Values:
    """Values of noise, but for one that is for Kenya, one against it."""
    values = Values(model, "decoder")
    rng = np.random.default_rng(0)
    emb = model.config.emb_dim
    vectors = rng.normal(size=(2, cells, emb)).astype(np.float32)
    kenya = values._matrix[:, model.vocabulary.encode("Kenya")[0]]
    vectors[1, 7] = 40 * kenya / np.linalg.norm(kenya)
    vectors[0, 2] = -vectors[1, 7]
    values.__dict__["vectors"] = vectors
    return values


@pytest.mark.parametrize("signs", [("positive",), ("positive", "negative")])
def test_search_finds_the_cells_that_promote_a_word(tiny, signs) -> None:
    model = tiny("t5_1_0")
    values = planted(model, cells=1000)
    found = search(values, "Kenya", signs, 5.0)
    wanted = {(Cell("decoder", 1, 7), "positive")}
    if "negative" in signs:
        wanted.add((Cell("decoder", 0, 2), "negative"))
    assert {(hit.cell, hit.sign) for hit in found.hits} == wanted
    votes = values.votes([Cell("decoder", 1, 7)])[0]
    kenya = model.vocabulary.encode("Kenya")[0]
    (hit,) = (hit for hit in found.hits if hit.sign == "positive")
    assert hit.rank == 1 + (votes > votes[kenya]).sum()
    assert hit.vote == pytest.approx(votes[kenya], rel=1e-5)
    assert found.above == len(wanted)
    assert found.by_normal == pytest.approx(2000 * len(signs) * 2.8665e-7, rel=1e-3)


def test_search_tells_chance_by_other_tokens(tiny) -> None:
    values = planted(tiny("t5_1_0"), cells=2000)
    found = search(values, "Peru", ("positive",), 2.0, least=3)
    # Votes of random values are normally distributed: both kinds of chance agree.
    assert found.by_normal == pytest.approx(4000 * 0.5 * math.erfc(2**0.5), rel=1e-6)
    assert found.by_others == pytest.approx(found.by_normal, rel=0.15)
    assert [hit.z for hit in found.hits] == sorted((hit.z for hit in found.hits), reverse=True)


def test_the_vote_for_several_pieces_is_their_mean(tiny) -> None:
    model = tiny("t5_1_0")
    values = Values(model, "decoder")
    pieces = model.vocabulary.encode("Addis Ababa")
    assert len(pieces) > 1
    (hit, *_) = search(values, "Addis Ababa", ("positive",), 0.1, least=1).hits
    assert hit.vote == pytest.approx(values.votes([hit.cell])[0][pieces].mean(), rel=1e-4)


def test_a_word_that_the_vocabulary_cannot_write_is_an_error(tiny) -> None:
    values = Values(tiny("decoder_only"), "decoder")
    with pytest.raises(UserError, match="cannot write"):
        search(values, "   ", ("positive",))


@pytest.mark.parametrize("z", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_threshold_that_says_nothing_is_an_error(tiny, z: float) -> None:
    with pytest.raises(UserError, match="give a number of standard deviations above 0"):
        search(Values(tiny("t5_1_0")), "Kenya", ("positive",), z)


def test_a_byte_of_a_letter_is_written_as_its_number(tiny) -> None:
    model = tiny("t5_1_0")
    [*_, byte] = model.vocabulary.encode("東")
    assert of_values.token_text(model, byte) == f"<{byte}>"


def test_a_stack_that_is_not_there_is_named(tiny) -> None:
    with pytest.raises(UserError, match=r"unknown stack .*'encoder'"):
        Values(tiny("decoder_only"), "encoder")
