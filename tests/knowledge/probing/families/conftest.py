"""Small masked language models, made here by `transformers`, and facts to ask them for."""

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")
transformers = pytest.importorskip("transformers", reason="transformers is an extra")

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (
    *("the", "capital", "of", "is", "it", "a", "city", "in", ".", ",", "(", ")"),
    *("peru", "cuba", "france", "spain", "lima", "havana", "paris", "madrid"),
    *("rio", "de", "janeiro", "buenos", "aires", "brazil", "argentina", "jan", "##eiro", "ai"),
    *("##res", "##os", "bu", "##en"),
)
CAPITALS = {
    "Peru": "Lima",
    "Cuba": "Havana",
    "France": "Paris",
    "Spain": "Madrid",
}


def save_bert(folder, network=None, words=_WORDS, **settings):
    """Writes a BERT with random weights, or the network given, and its vocabulary."""
    vocabulary = [*_SPECIAL, *words]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    if network is None:
        torch.manual_seed(0)
        network = transformers.BertForMaskedLM(
            transformers.BertConfig(
                **{
                    "vocab_size": len(vocabulary),
                    "hidden_size": 16,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "intermediate_size": 32,
                    "max_position_embeddings": 40,
                    "initializer_range": 1.0,
                    **settings,
                }
            )
        )
    network.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of a BERT with random weights; "janeiro" and "aires" are two pieces each."""
    words = [word for word in _WORDS if word not in ("janeiro", "aires", "buenos")]
    return save_bert(tmp_path_factory.mktemp("models") / "bert", words=words)


@pytest.fixture(scope="session")
def lookup_bert(tmp_path_factory):
    """The folder of a BERT that is a table: subject -> object, by attention to all tokens alike."""
    vocabulary = [*_SPECIAL, *_WORDS]
    names = [name.lower() for pair in CAPITALS.items() for name in pair]
    size = len(names)
    network = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=size,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=4,
            max_position_embeddings=40,
        )
    )
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.fill_(float("LayerNorm.weight" in name))
        for axis, name in enumerate(names):
            network.bert.embeddings.word_embeddings.weight[vocabulary.index(name), axis] = 10.0
        layer = network.bert.encoder.layer[0].attention
        for subject, object_ in CAPITALS.items():
            to, of = names.index(object_.lower()), names.index(subject.lower())
            layer.self.value.weight[to, of] = 1.0
        layer.output.dense.weight.copy_(100 * torch.eye(size))
        network.cls.predictions.transform.dense.weight.copy_(torch.eye(size))
    return save_bert(tmp_path_factory.mktemp("models") / "lookup", network)


@pytest.fixture(scope="session", params=[True, False], ids=["taken", "left"])
def roberta(request, tmp_path_factory):
    """The folder of a RoBERTa with random weights, whose pieces tell whether a space came first.

    Its mask takes the space before it, as that of the published ones does, or leaves it.
    """
    import tokenizers

    folder = tmp_path_factory.mktemp("models") / "roberta"
    folder.mkdir()
    pairs = tokenizers.ByteLevelBPETokenizer()
    text = [f"the capital of {s} is {o} . It is {o}" for s, o in CAPITALS.items()] * 9
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pairs.train_from_iterator(text, vocab_size=400, special_tokens=special, show_progress=False)
    pairs.save_model(str(folder))
    torch.manual_seed(1)
    network = transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(
            vocab_size=pairs.get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=98,
            initializer_range=1.0,
        )
    )
    network.save_pretrained(folder)
    mask = {"__type": "AddedToken", "content": "<mask>", "lstrip": request.param}
    mask |= {"rstrip": False, "single_word": False, "normalized": False, "special": True}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "mask_token": mask})
    )
    return folder


@pytest.fixture(scope="session")
def capitals(tmp_path_factory):
    """A file of facts about capitals."""
    path = tmp_path_factory.mktemp("facts") / "capitals.jsonl"
    rows = [
        {"subject": s, "relation": "capital", "object": o, "prompt": "The capital of {} is [Y] ."}
        for s, o in CAPITALS.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
