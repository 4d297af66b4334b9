"""A decoder-only model from its folder alone: asked, converted, described by its card."""

import json
import pathlib

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.cli import closedbook as command
from closedbook.errors import UserError
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge import load_model
from closedbook.models import DecoderOnlyConfig, decoder_only

SENTENCES = ["The capital of France is Paris.", "The capital of Italy is Rome.\n\nIt is old."] * 3
END = "<|endoftext|>"
GREEDY = DecodeSettings(max_decode_length=12)
PROMPTS = ["The capital of", "It", "France is old. The capital of Italy is Rome. The"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A random GPT-2 with a tokenizer of its own, as transformers keeps it."""
    folder = tmp_path_factory.mktemp("gpt2")
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES, trainer)
    config = DecoderOnlyConfig(
        vocab_size=made.get_vocab_size(),
        emb_dim=32,
        num_heads=4,
        num_layers=2,
        head_dim=8,
        mlp_dim=64,
        max_positions=64,
        eos_id=0,
        bos_id=0,
        logits_via_embedding=False,
    )
    random = np.random.default_rng(0)
    params = {
        name: Tensor.of(random.normal(size=shape).astype(np.float32), name)
        for name, shape in decoder_only.parameter_shapes(config).items()
    }
    write_huggingface(folder, Checkpoint(format="", path="made", params=params), config)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": END, "bos_token": END}))
    return folder


def test_answers_are_the_first_lines_of_what_transformers_writes(folder):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = load_model(folder)
    found = model.ask([*PROMPTS, f"{PROMPTS[0]} \n"], GREEDY)
    for prompt, answer in zip(PROMPTS, found, strict=False):
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        out = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=GREEDY.max_decode_length,
            do_sample=False,
            pad_token_id=0,
        )[0, ids.shape[1] :].tolist()
        text = tokenizer.decode(out[: out.index(0)] if 0 in out else out)
        assert answer.text == next(line.strip() for line in text.splitlines() if line.strip())
    assert found[-1] == found[0]  # a blank at the end is no token


def test_lines_of_a_prompt_are_kept(folder):
    model = load_model(folder)
    one, other = model.ask(["It is\nold", "It is old"], GREEDY)
    assert one != other


def test_closedbooks_own_form_says_family_and_keeps_the_ends(folder, tmp_path):
    before = load_model(folder)
    written = convert(folder, tmp_path / "own", Options(to="closedbook", layers="scanned"))
    card = json.loads((tmp_path / "own" / "model.json").read_text())
    assert card["family"] == "decoder_only"
    after = load_model(written)
    assert after.config.scan_layers
    assert after.vocabulary.eos_ids == before.vocabulary.eos_ids == (0,)
    for one, other in zip(before.ask(PROMPTS, GREEDY), after.ask(PROMPTS, GREEDY), strict=True):
        assert one.text == other.text
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_another_vocabulary_beside_the_card_is_refused(folder, tmp_path):
    written = convert(folder, tmp_path / "own", Options(to="closedbook"))
    path = tmp_path / "own" / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["merges"].pop()
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"not the vocabulary that model\.json names"):
        load_model(written)


def test_card_of_an_unknown_family_is_refused(folder, tmp_path):
    written = convert(folder, tmp_path / "own", Options(to="closedbook"))
    path = tmp_path / "own" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"family": "mamba"}))
    with pytest.raises(UserError, match=r"model\.json: unknown family of models 'mamba'"):
        load_model(written)


def test_folder_without_tokenizer_takes_one_that_is_given(folder, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(UserError, match="comes without a vocabulary"):
        load_model(bare)
    found = load_model(bare, vocabulary=folder / "tokenizer.json").ask(PROMPTS[:1], GREEDY)
    assert found == load_model(folder).ask(PROMPTS[:1], GREEDY)


def test_long_prompt_and_answer_have_positions(folder):
    model = load_model(folder)
    long = "Rome " * 60
    (answer,) = model.ask([long], GREEDY)
    assert answer.log_prob < 0
    with pytest.raises(UserError, match="leaves no position for a prompt"):
        model.ask(["It"], DecodeSettings(max_decode_length=65))


def test_command_goes_on_with_a_prompt(folder, capsys, monkeypatch):
    words = ["ask", "--model", str(folder), "--beams", "1", "--alternatives", "0", "--json"]
    monkeypatch.setattr("sys.argv", ["closedbook", *words, PROMPTS[0]])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code
    row = json.loads(capsys.readouterr().out)
    assert row["question"] == PROMPTS[0]
    assert row["prediction"]


def test_alternatives_with_the_same_first_line_are_one(folder, capsys, monkeypatch):
    written = Prediction(
        text=" Paris.\n\nIt is old.",
        log_prob=-1.0,
        decoder_score=-1.0,
        alternatives=(("\nRome.", -2.0), ("Paris.\nIt", -3.0), ("Rome.\nIt", -4.0), ("It", -5.0)),
    )
    monkeypatch.setattr(Predictor, "predict", lambda self, params, texts: [written] * len(texts))
    (answer,) = load_model(folder).ask(["The capital is"])
    assert (answer.text, answer.log_prob) == ("Paris.", -1.0)
    assert answer.alternatives == (("Rome.", -2.0), ("It", -5.0))
    alone = Prediction(
        text="Paris.", log_prob=-1.0, decoder_score=-1.0, alternatives=(("Paris.\nIt", -3.0),)
    )
    monkeypatch.setattr(Predictor, "predict", lambda self, params, texts: [alone] * len(texts))
    monkeypatch.setattr("sys.argv", ["closedbook", "ask", "--model", str(folder), "The capital is"])
    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().out.splitlines() == [
        "Paris.  (probability 0.37)",
        "  or: nothing else that reads differently",
    ]
