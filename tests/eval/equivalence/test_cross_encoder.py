"""A cross-encoder of transformers as a judge; tiny random models, made here."""

import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own, at import

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from closedbook.errors import UserError  # noqa: E402
from closedbook.eval.equivalence import judges  # noqa: E402
from closedbook.eval.predictions import Prediction  # noqa: E402

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] paris lyon rome the city of".split()
ROWS = [
    Prediction(question="q", answers=("Paris",), prediction="the city of Paris"),
    Prediction(question="q", answers=("Rome", "Lyon"), prediction="Paris"),
    Prediction(question="q", answers=("Rome",), prediction="city " * 50_000),
]


@pytest.fixture
def model(tmp_path):
    """Makes a model with so many labels and such settings: its folder."""

    def make(labels, **settings):
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
            num_labels=labels,
            **settings,
        )
        network = transformers.BertForSequenceClassification(config)
        network.save_pretrained(folder)
        return network.eval(), folder

    return make


def logits(network, folder, first, second):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return network(**tokenizer(first, second, return_tensors="pt")).logits[0]


def test_the_best_answer_of_a_similarity_counts(model):
    network, folder = model(1)
    # Weights of a random head are small: what they say must differ between the answers.
    network.classifier.weight.data *= 100
    network.save_pretrained(folder)
    judge = judges.named(f"cross-encoder:{folder}")
    verdicts = judge.judge_all(ROWS[:2])
    alone = [
        logits(network, folder, "Paris", answer).sigmoid().item() for answer in ROWS[1].answers
    ]
    assert verdicts[1].probability == pytest.approx(max(alone), abs=1e-5)
    assert verdicts[1].reason == "judge"
    assert len(judge.version) == 12


def test_of_several_labels_the_one_that_says_the_same_counts(model):
    names = {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"}
    network, folder = model(3, id2label=names, label2id={n: i for i, n in names.items()})
    (verdict,) = judges.named(f"cross-encoder:{folder}").judge_all(ROWS[:1])
    expected = logits(network, folder, "the city of Paris", "Paris").softmax(-1)[2].item()
    assert verdict.probability == pytest.approx(expected, abs=1e-5)


def test_a_regression_is_taken_as_it_is(model):
    network, folder = model(1, problem_type="regression")
    network.classifier.bias.data += 0.4
    network.save_pretrained(folder)
    (verdict,) = judges.named(f"cross-encoder:{folder}").judge_all(ROWS[:1])
    expected = logits(network, folder, "the city of Paris", "Paris").item()
    assert verdict.probability == pytest.approx(min(max(expected, 0), 1), abs=1e-5)


def test_long_texts_are_cut(model):
    _, folder = model(2)
    assert len(judges.named(f"cross-encoder:{folder}").judge_all(ROWS)) == 3


def test_a_model_that_cannot_judge_is_refused(model, tmp_path):
    with pytest.raises(UserError, match="cannot load the cross-encoder"):
        judges.named(f"cross-encoder:{tmp_path / 'nowhere'}")
    _, folder = model(3)
    with pytest.raises(UserError, match=r"has the labels label_0, label_1, label_2; name the one"):
        judges.named(f"cross-encoder:{folder}")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "no", "1": "yes", "2": "maybe"}
    (folder / "config.json").write_text(json.dumps(config))
    assert judges.named(f"cross-encoder:{folder}").judge_all(ROWS[:1])
