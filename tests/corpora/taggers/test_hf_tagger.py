"""Hugging Face's token classifiers: labels to spans, windows, mistakes."""

import json
import pathlib

import pytest

from closedbook.corpora.taggers import bio, load
from closedbook.corpora.taggers.bio import Word
from closedbook.errors import UserError

torch = pytest.importorskip("torch", reason="the extra [interop] is not installed")
transformers = pytest.importorskip("transformers", reason="the extra [interop] is not installed")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "met", "in", ".", "ada", "love", "##lace", "paris"]
LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
OF_WORD = {"ada": 1, "love": 2, "##lace": 3, "paris": 3}  # "##lace" wrongly, as models do


def save(folder: pathlib.Path, labels: dict[int, str], positions: int = 32) -> pathlib.Path:
    """A BERT without layers whose head reads the label off the word's embedding."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=positions,
        id2label=labels,
        label2id={name: index for index, name in labels.items()},
    )
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        for index, word in enumerate(WORDS):
            label = OF_WORD.get(word, 0)
            model.bert.embeddings.word_embeddings.weight[index, label] = 4.0
        for label in range(len(labels)):
            model.classifier.weight[label, label] = 1.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("hf") / "model", LABELS)


def texts(text, spans):
    return [(text[span.start : span.limit], span.label) for span in spans]


def test_entities_by_words_with_offsets_in_characters(folder):
    sentences = ["😀 Ada Lovelace met Ada Ada in Páris.", "", "in", "Paris"]
    spans = load(f"hf:{folder}").tag(sentences)
    assert texts(sentences[0], spans[0]) == [
        ("Ada Lovelace", "PER"),
        ("Ada", "PER"),
        ("Ada", "PER"),
        ("Páris", "LOC"),
    ]
    assert spans[1:3] == [[], []]
    assert texts("Paris", spans[3]) == [("Paris", "LOC")]


def test_sentences_longer_than_the_window_are_read_whole_and_once(folder):
    text = "met in Paris . " * 200 + "Ada Lovelace"
    (spans,) = load(f"hf:{folder}").tag([text])
    assert texts(text, spans) == [("Paris", "LOC")] * 200 + [("Ada Lovelace", "PER")]
    assert [span.start for span in spans[:200]] == [15 * index + 7 for index in range(200)]


def test_hostile_text(folder):
    strange = "\ud800 Ada\x00 in Paris \udfff"
    long = "Paris " * 5000
    spans = load(f"hf:{folder}").tag([strange, long, "\0", " "])
    assert ("Paris", "LOC") in texts(strange, spans[0])
    assert len(spans[1]) == 5000
    assert spans[2:] == [[], []]


def test_order_of_sentences_changes_nothing(folder):
    tagger = load(f"hf:{folder}")
    sentences = ["Ada", "met Paris in Paris", "in " * 50 + "Paris", "Ada Lovelace"]
    assert tagger.tag(sentences[::-1])[::-1] == tagger.tag(sentences)


def test_dates_beside_the_model(folder):
    text = "Ada met in 1990"
    tagger = load(f"hf:{folder}+dates")
    assert texts(text, tagger.tag([text])[0]) == [("Ada", "PER"), ("1990", "DATE")]
    assert tagger.name == f"hf:{folder}+dates"


def test_folder_with_other_weights_is_another_version(folder, tmp_path):
    other = save(tmp_path / "other", {**LABELS, 3: "B-ORG"})
    assert load(f"hf:{other}").version != load(f"hf:{folder}").version
    assert load(f"hf:{folder}").version == load(f"hf:{folder}").version


def test_missing_model_is_a_clear_mistake(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="no tagger model"):
        load(f"hf:{tmp_path / 'nothing'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no tagger model"):
        load(f"hf:{tmp_path / 'empty'}")


def test_model_without_names_of_classes_is_refused(tmp_path):
    folder = save(tmp_path / "m", LABELS)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(index): f"LABEL_{index}" for index in range(4)}
    config["label2id"] = {f"LABEL_{index}": index for index in range(4)}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="have no names"):
        load(f"hf:{folder}")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_model_without_a_trained_head_is_refused(tmp_path, folder):
    model = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=0, num_attention_heads=1
        )
    )
    model.save_pretrained(tmp_path / "bare")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match="no trained head"):
        load(f"hf:{tmp_path / 'bare'}")


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("B-P I-P O B-P", ["ab", "d"]),
        ("B-P B-P I-P I-P", ["a", "bcd"]),
        ("I-P I-P I-L O", ["ab", "c"]),  # begun with I-
        ("B-P E-P S-P S-P", ["ab", "c", "d"]),  # BIOES
        ("B-P L-P U-P O", ["ab", "c"]),  # BILOU
        ("P P L O", ["ab", "c"]),  # IO
        ("E-P I-P O O", ["a", "b"]),
        ("O O O O", []),
    ],
)
def test_schemes_of_labels(tags, entities):
    names = tags.split()
    pairs = [bio.tags_of({0: name}, "m")[0] for name in names]
    words = [Word(at, at + 1, *pair) for at, pair in enumerate(pairs)]
    assert ["abcd"[start:limit] for start, limit, _ in bio.decode(words, "abcd")] == entities
