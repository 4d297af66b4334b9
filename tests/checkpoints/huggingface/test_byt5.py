"""ByT5, whose vocabulary needs no file: read, asked and written as transformers has it."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.checkpoints import open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.tensors import nest
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError
from closedbook.knowledge.loading import load_model
from closedbook.models import T5, T5Config

TEXTS = ["who wrote Zürich?", " 東京\n", "😀 {a} <b>"]


@pytest.fixture(scope="module")
def theirs() -> Any:
    """A random ByT5 of transformers and its tokenizer."""
    torch = pytest.importorskip("torch", reason="torch, of the test extras, is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is a test extra")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=384,
        d_model=16,
        d_kv=4,
        d_ff=24,
        num_layers=3,
        num_decoder_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        tokenizer_class="ByT5Tokenizer",
    )
    return transformers.T5ForConditionalGeneration(config).eval(), transformers.ByT5Tokenizer()


@pytest.fixture
def folder(theirs: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    for each in theirs:
        each.save_pretrained(tmp_path / "byt5")
    return tmp_path / "byt5"


def test_ids_texts_and_logits_are_those_of_transformers(theirs: Any, folder: pathlib.Path) -> None:
    torch = pytest.importorskip("torch")
    model, tokenizer = theirs
    checkpoint = open_checkpoint(folder)
    config = recognise(checkpoint)
    assert isinstance(config, T5Config)
    assert checkpoint.vocabulary is not None
    vocabulary = open_vocabulary(checkpoint.vocabulary, checkpoint.extra_ids)
    rows = [[*vocabulary.encode(text), vocabulary.eos_id] for text in TEXTS]
    assert rows == tokenizer(TEXTS)["input_ids"]
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    assert [vocabulary.decode(row) for row in rows] == texts == TEXTS
    tokens = np.asarray([rows[0]], np.int32)
    params = nest({name: tensor.read() for name, tensor in checkpoint.params.items()})
    begun = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
    ours = jax.jit(T5(config).apply)({"params": params}, tokens, begun)
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor(rows[:1]), labels=torch.tensor(rows[:1])).logits
    np.testing.assert_allclose(ours, wanted.numpy(), atol=1e-4)


def test_every_format_keeps_the_bytes(theirs: Any, folder: pathlib.Path) -> None:
    transformers = pytest.importorskip("transformers")
    source = folder
    for to in ("closedbook", "t5x", "huggingface"):
        source = convert(source, folder.parent / to, Options(to=to))
        assert str(open_checkpoint(source).vocabulary) == "bytes"
    again = transformers.AutoTokenizer.from_pretrained(source)
    assert again(TEXTS)["input_ids"] == theirs[1](TEXTS)["input_ids"]
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(source)
    assert model.config.decoder_start_token_id == 0
    loaded = load_model(folder.parent / "closedbook")
    assert loaded.vocabulary.vocab_size == 259
    assert len(loaded.ask(TEXTS[:1])) == 1


def test_bytes_are_named_where_no_file_tells(folder: pathlib.Path) -> None:
    for name in ("tokenizer_config.json", "config.json"):
        fields = json.loads((folder / name).read_text())
        fields.pop("tokenizer_class")
        (folder / name).write_text(json.dumps(fields))
    with pytest.raises(UserError, match=r"comes without a vocabulary; .*ByT5 --vocabulary bytes"):
        load_model(folder)
    loaded = load_model(folder, vocabulary="bytes")
    assert loaded.vocabulary.encode("a") == [100]


def test_tokens_added_to_the_bytes_are_named(theirs: Any, folder: pathlib.Path) -> None:
    path = folder / "tokenizer_config.json"
    fields = json.loads(path.read_text())
    fields["added_tokens_decoder"]["384"] = {"content": "<sep>"}
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="adds '<sep>' as 384, which ByT5Tokenizer lacks"):
        open_checkpoint(folder)
