"""Our T5 against Hugging Face's, on weights that travel through files of either side.

The weights are random, and such that answers differ between questions and end at many lengths.
"""

import collections
import dataclasses
import functools
import json
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from closedbook.checkpoints.huggingface.folders import open_huggingface, write_huggingface
from closedbook.checkpoints.tensors import Checkpoint, Tensor, flatten, nest
from closedbook.inference import DecodeSettings, Predictor
from closedbook.models import T5, T5Config, size, unboxed
from closedbook.training.loss import cross_entropy
from closedbook.vocabulary.sentencepiece import Vocabulary

torch = pytest.importorskip("torch", reason="torch, of the test extras, is not installed")
transformers = pytest.importorskip(
    "transformers", reason="transformers, of the test extras, is not installed"
)

QUESTIONS, BATCH, LENGTH, BEAMS = 200, 50, 12, 4
TOLERANCE = 1e-4  # absolute, in float32; logits of std 8 were measured within 6e-5
# Their config.json as published: the one of FLAN, written by transformers 4.23, says no more than
# this, and UL2 is a T5 with its own sizes and SiLU for a gate.
PUBLISHED = json.loads(pathlib.Path(__file__).with_name("published_configs.json").read_text())
FLAN, UL2 = PUBLISHED["google/flan-t5-small"], PUBLISHED["google/ul2"]


MULTILINGUAL: dict[str, Any] = {"feed_forward_proj": "gated-gelu", "scalable_attention": True}


def _fields(width: int, heads: int, head: int, mlp: int, layers: tuple[int, int], **other: Any):
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "d_model": width,
        "num_heads": heads,
        "d_kv": head,
        "d_ff": mlp,
        "num_layers": layers[0],
        "num_decoder_layers": layers[1],
        "model_type": "t5",
        "vocab_size": 3072,
        "decoder_start_token_id": 0,
        **other,
    }


MODELS = {
    "1.0": _fields(128, 4, 32, 256, (3, 2), feed_forward_proj="relu"),
    "1.1": _fields(
        64, 6, 8, 128, (2, 4), feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
    "flan": FLAN
    | {"vocab_size": 3072, "d_model": 128, "d_ff": 256, "num_layers": 4, "num_decoder_layers": 4},
    "gated and tied": _fields(96, 3, 16, 80, (2, 2), feed_forward_proj="gated-gelu"),
    "relu and untied": _fields(
        64, 2, 64, 96, (1, 3), feed_forward_proj="relu", tie_word_embeddings=False
    ),
    "mt5": _fields(
        64, 4, 16, 96, (2, 2), tie_word_embeddings=False, model_type="mt5", **MULTILINGUAL
    ),
    "umt5": _fields(
        64, 4, 16, 96, (2, 3), tie_word_embeddings=False, model_type="umt5", **MULTILINGUAL
    ),
    "umt5, tied": _fields(64, 4, 16, 96, (3, 2), model_type="umt5", **MULTILINGUAL),
    # As google/ul2 and google/flan-ul2, which are 32 + 32 layers of 4096 and 16 heads of 256.
    "ul2": UL2
    | {"vocab_size": 3072, "d_model": 64, "d_kv": 16, "d_ff": 96, "num_heads": 4}
    | {"num_layers": 2, "num_decoder_layers": 2},
    "begins with a piece": _fields(
        64, 4, 16, 96, (2, 2), feed_forward_proj="relu", decoder_start_token_id=7
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # with 2 threads and another process on 2 cores: 8 times slower
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def examples(
    vocabulary_file: pathlib.Path, made_questions: list[dict[str, Any]]
) -> tuple[Vocabulary, list[str], list[str]]:
    """The vocabulary, 200 questions of 3 to 10 words in any order, and an answer to each."""
    draw = random.Random(0)
    words = sorted({word for row in made_questions[:3000] for word in row["question"].split()})
    questions = [" ".join(draw.sample(words, draw.randint(3, 10))) for _ in range(QUESTIONS)]
    answers = [row["answer"][0] for row in made_questions[:QUESTIONS]]
    return Vocabulary(vocabulary_file), questions, answers


def _padded(vocabulary: Vocabulary, texts: list[str]) -> np.ndarray:
    rows = [[*ids, 1] for ids in vocabulary.encode_batch(texts)]
    tokens = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    return tokens


@pytest.fixture(scope="module")
def questions(examples: tuple) -> np.ndarray:
    return _padded(examples[0], examples[1])


@dataclasses.dataclass(frozen=True)
class Pair:
    """One model, theirs and ours, both from the same folder."""

    name: str
    folder: pathlib.Path
    theirs: Any
    config: T5Config
    params: Any

    def generate(self, questions: np.ndarray, **settings: Any) -> np.ndarray:
        """Their answers [questions, answers, LENGTH]."""
        found = []
        for start in range(0, len(questions), BATCH):
            tokens = torch.tensor(questions[start : start + BATCH], dtype=torch.int64)
            # Their own choice of a cache has as many layers as the encoder.
            empty = transformers.cache_utils.DynamicCache
            with torch.no_grad():
                rows = self.theirs.generate(
                    input_ids=tokens,
                    attention_mask=(tokens > 0).long(),
                    max_new_tokens=LENGTH,
                    past_key_values=transformers.cache_utils.EncoderDecoderCache(empty(), empty()),
                    **settings,
                )[:, 1:].numpy()
            rows = np.pad(rows, ((0, 0), (0, LENGTH - rows.shape[1])))
            ended = (rows == 1).cumsum(axis=1) - (rows == 1)
            rows = np.where(ended > 0, 0, rows)  # a beam search of theirs repeats the end
            found.append(rows.reshape(len(tokens), -1, LENGTH))
        return np.concatenate(found)

    def predictor(
        self, vocabulary: Vocabulary, batch_size: int = BATCH, **settings: Any
    ) -> Predictor:
        return Predictor(
            T5(self.config),
            vocabulary,
            settings=DecodeSettings(max_decode_length=LENGTH, **settings),
            batch_size=batch_size,
        )

    def decode(self, vocabulary: Vocabulary, questions: np.ndarray, **settings: Any) -> np.ndarray:
        """Our answers [questions, answers, LENGTH]."""
        starts = range(0, len(questions), BATCH)
        batches = [{"encoder_input_tokens": questions[i : i + BATCH]} for i in starts]
        decoded = self.predictor(vocabulary, **settings).predict_batches(self.params, batches)
        return np.concatenate([each.tokens for each in decoded])


def _random_model(fields: dict[str, Any]) -> Any:
    """A model of theirs that says something else to each question."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**fields)
    model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    tied = fields.get("tie_word_embeddings", True)
    with torch.no_grad():
        if not tied:  # transformers 5 makes every new T5 a tied one
            own = torch.randn(config.vocab_size, config.d_model)
            model.lm_head.weight = torch.nn.Parameter(own)
            model.config.tie_word_embeddings = False
        for name, weight in model.named_parameters():
            if "layer_norm" in name:
                weight.uniform_(-1.5, 1.5)  # ones would hide a norm that is left out
            elif "relative_attention_bias" in name:
                weight.normal_(0.0, 2.0)
            elif name.endswith(".q.weight"):
                weight *= 2.0
            elif name.endswith("EncDecAttention.o.weight"):
                weight *= 3.0
        model.decoder.final_layer_norm.weight *= 3.0 * (1.0 if tied else config.d_model**-0.5)
        model.lm_head.weight[1] *= 3.0  # an answer ends now and then
    return model


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return _pair(request.param, tmp_path_factory.mktemp("saved"))


def _pair(name: str, folder: pathlib.Path) -> Pair:
    _random_model(MODELS[name]).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(MODELS[name]))  # as on the hub
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    # Version 5 takes every umT5 for a tied one, and scales what it gives to its own matrix.
    theirs.config.tie_word_embeddings = MODELS[name].get("tie_word_embeddings", True)
    checkpoint = open_huggingface(folder)
    assert checkpoint.config is not None
    params = nest({name: tensor.read() for name, tensor in checkpoint.params.items()})
    return Pair(name, folder, theirs, checkpoint.config, params)


@functools.partial(jax.jit, static_argnums=0)
def _ours(config: T5Config, params: Any, inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
    """Encoder states, logits and the loss of each target."""
    model = T5(config)
    states, _ = model.apply({"params": params}, inputs, method="encode")
    first = ((0, 0), (1, 0))
    shifted = jax.numpy.pad(targets[:, :-1], first, constant_values=config.begin_id)
    logits, _ = model.apply({"params": params}, states, inputs, shifted, method="decode")
    each = (logits.reshape(-1, 1, 1, logits.shape[-1]), targets.reshape(-1, 1, 1))
    losses, _ = jax.vmap(lambda x, y: cross_entropy(x, y, jax.numpy.ones((1, 1))))(*each)
    return states, logits, losses.reshape(targets.shape)


def _theirs(model: Any, inputs: np.ndarray, targets: np.ndarray) -> tuple[Any, Any, Any]:
    tokens, labels = (torch.tensor(x, dtype=torch.int64) for x in (inputs, targets))
    ignored = labels.masked_fill(labels == 0, -100)
    with torch.no_grad():
        out = model(input_ids=tokens, attention_mask=(tokens > 0).long(), labels=ignored)
        # Of rows, as transformers does it: over another axis torch's sums err by 1e-4.
        losses = torch.nn.functional.cross_entropy(
            out.logits.flatten(0, 1), ignored.flatten(), reduction="none", ignore_index=-100
        ).view(labels.shape)
    mean = float(losses.sum() / (labels > 0).sum())
    assert float(out.loss) == pytest.approx(mean, rel=1e-5)
    return out.encoder_last_hidden_state.numpy(), out.logits.numpy(), losses.numpy()


def _differences(pair: Pair, inputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    ours = [np.asarray(x) for x in _ours(pair.config, pair.params, inputs, targets)]
    theirs = _theirs(pair.theirs, inputs, targets)
    real = [inputs > 0, targets > 0, targets > 0]
    names = ("encoder states", "logits", "losses")
    return {
        name: float(np.abs(a - b)[mask].max())
        for name, a, b, mask in zip(names, ours, theirs, real, strict=True)
    }


def test_states_logits_and_losses_are_equal(
    pair: Pair,
    examples: tuple,
    questions: np.ndarray,
) -> None:
    targets = _padded(examples[0], examples[2])[:32]
    inputs = questions[:32]
    assert len(set((inputs > 0).sum(1))) > 5, "the batch is not padded"
    assert len(set((targets > 0).sum(1))) > 3, "the batch is not padded"
    found = _differences(pair, inputs, targets)
    assert max(found.values()) < TOLERANCE, found


def _answers(tokens: np.ndarray) -> list[tuple[int, ...]]:
    """The best answer to each question, up to its end."""
    rows = tokens[:, 0].tolist()
    return [tuple(row[: row.index(1) + 1] if 1 in row else row) for row in rows]


def _assert_telling(tokens: np.ndarray) -> None:
    """The answers are of many kinds, so that equal ones say something."""
    answers = _answers(tokens)
    lengths = collections.Counter(map(len, answers))
    ended = sum(answer[-1] == 1 for answer in answers)
    assert len(set(answers)) > QUESTIONS / 2
    assert len(lengths) >= 10, lengths
    assert QUESTIONS / 10 < ended < QUESTIONS * 9 / 10


@pytest.mark.slow
def test_greedy_answers_are_identical(pair: Pair, examples: tuple, questions: np.ndarray) -> None:
    theirs = pair.generate(questions, do_sample=False)
    _assert_telling(theirs)
    np.testing.assert_array_equal(pair.decode(examples[0], questions), theirs)


@pytest.mark.slow
def test_all_four_beams_are_identical(pair: Pair, examples: tuple, questions: np.ndarray) -> None:
    theirs = pair.generate(questions, num_beams=BEAMS, num_return_sequences=BEAMS)
    _assert_telling(theirs)
    settings: Any = {
        "method": "beam",
        "num_beams": BEAMS,
        "beam_rules": "huggingface",
        "alpha": 1.0,
    }
    np.testing.assert_array_equal(pair.decode(examples[0], questions, **settings), theirs)


@pytest.mark.slow
def test_answers_as_text_are_identical_without_a_length_penalty(
    tmp_path: pathlib.Path, examples: tuple, questions: np.ndarray
) -> None:
    vocabulary, texts, _ = examples
    pair = _pair("relu and untied", tmp_path)
    theirs = pair.generate(questions, num_beams=BEAMS, length_penalty=0.0)
    expected = [vocabulary.decode([i for i in row if i > 1]) for row in _answers(theirs)]
    assert len(set(expected)) > QUESTIONS / 2
    settings: Any = {
        "method": "beam",
        "num_beams": BEAMS,
        "beam_rules": "huggingface",
        "alpha": 0.0,
    }
    found = pair.predictor(vocabulary, QUESTIONS, **settings).predict(pair.params, texts)
    assert [prediction.text for prediction in found] == expected


def _own_config(name: str) -> T5Config:
    widths: Any = {"emb_dim": 64, "num_heads": 3, "head_dim": 16, "mlp_dim": 96}
    layers: Any = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    per_layer = name.startswith("um")
    return dataclasses.replace(
        size(name.removeprefix("um")),
        dropout_rate=0.0,
        relpos_per_layer=per_layer,
        **widths,
        **layers,
    )


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)], ids=str)
@pytest.mark.parametrize("name", ["t5_small", "t5_1_1_small", "umt5_1_1_small"])
def test_ours_through_transformers_and_back_are_the_same_bits(
    tmp_path: pathlib.Path,
    examples: tuple,
    questions: np.ndarray,
    name: str,
    dtype: np.dtype,
) -> None:
    config = _own_config(name)
    tokens = np.ones((1, 2), np.int32)
    init = jax.jit(T5(config).init)(jax.random.key(1), tokens, tokens)["params"]
    flat = flatten(unboxed(init), leaf=lambda _: False)
    params = {path: np.asarray(x).astype(dtype) for path, x in flat.items()}
    tensors = {path: Tensor.of(x, path) for path, x in params.items()}
    folder = tmp_path / "ours"
    folder.mkdir()
    checkpoint = Checkpoint(
        format="closedbook",
        path="memory",
        params=tensors,
        vocabulary=pathlib.Path(examples[0].path),
    )
    write_huggingface(folder, checkpoint, config)

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype="auto").eval()
    model.config.tie_word_embeddings = config.logits_via_embedding  # see `_pair`
    assert str(model.dtype) == f"torch.{dtype}"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = questions[:8]
    ids = tokenizer(examples[1][:8], padding="longest", return_tensors="np")["input_ids"]
    np.testing.assert_array_equal(ids, inputs[:, : ids.shape[1]])
    wide = nest({path: x.astype(np.float32) for path, x in params.items()})
    pair = Pair(name, folder, model.float(), config, wide)
    found = _differences(pair, inputs, _padded(examples[0], examples[2][:8]))
    assert max(found.values()) < TOLERANCE, found

    model.to(getattr(torch, str(dtype))).save_pretrained(tmp_path / "theirs")
    for source in (folder, tmp_path / "theirs"):
        back = open_huggingface(source)
        assert back.config is not None
        assert dataclasses.replace(back.config, dropout_rate=0.0) == config
        assert set(back.params) == set(params)
        for path, tensor in back.params.items():
            read = tensor.read()
            assert (read.dtype, read.shape) == (params[path].dtype, params[path].shape), path
            assert read.tobytes() == params[path].tobytes(), path
