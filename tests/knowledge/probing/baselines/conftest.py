"""Readers made here by `transformers`: one with random weights, one that likes names of cities."""

import json

import pytest

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CITIES = ("lima", "havana", "paris", "madrid")
_WORDS = (
    *("the", "capital", "of", "is", "a", "city", "in", ".", ",", "?", "what", "and", "it", "on"),
    *("peru", "cuba", "france", "spain", "coast", "north", "sea", "lies", "li", "##ma", "ha"),
    *("##vana", "san", "jose", "near", "##s", *CITIES),
)


def _save(folder, network, words):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join((*_SPECIAL, *words)) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    network.save_pretrained(folder)
    return folder


def _network(words, **settings):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch.manual_seed(0)
    return transformers.BertForQuestionAnswering(
        transformers.BertConfig(
            **{
                "vocab_size": len(_SPECIAL) + len(words),
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "max_position_embeddings": 34,
                "initializer_range": 1.0,
                **settings,
            }
        )
    )


@pytest.fixture(scope="session")
def random_reader(tmp_path_factory):
    """The folder of a reader with random weights and room for 32 tokens; "lima" is two pieces."""
    words = [word for word in _WORDS if word not in ("lima", "havana")]
    return _save(tmp_path_factory.mktemp("readers") / "random", _network(words), words)


@pytest.fixture(scope="session")
def city_reader(tmp_path_factory):
    """The folder of a reader whose logits are high at names of cities, and nowhere else."""
    torch = pytest.importorskip("torch", reason="torch is an extra")

    network = _network(_WORDS, num_hidden_layers=0, max_position_embeddings=66)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.fill_(float("LayerNorm.weight" in name))
        for city in CITIES:
            number = len(_SPECIAL) + _WORDS.index(city)
            network.bert.embeddings.word_embeddings.weight[number, 0] = 10.0
        network.qa_outputs.weight[:, 0] = 1.0
    return _save(tmp_path_factory.mktemp("readers") / "cities", network, _WORDS)
