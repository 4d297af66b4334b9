"""`closedbook probe` of a masked language model, with triples, retrieval and a reader beside it."""

import json

import pytest

_FACTS = {"Peru": "Lima", "Cuba": "Havana", "Spain": "Madrid", "Brazil": "Rio de Janeiro"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A masked language model and a reader, both with random weights."""
    torch = pytest.importorskip("torch", reason="torch is an extra")
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the capital of is . it peru cuba spain brazil lima"
    words = [*words.split(), *"havana madrid rio de jan ##eiro what ? , city".split()]
    settings = {"vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 1}
    settings |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 66}
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    for name in ("BertForMaskedLM", "BertForQuestionAnswering"):
        network = getattr(transformers, name)(transformers.BertConfig(**settings))
        network.save_pretrained(folder / name)
        (folder / name / "vocab.txt").write_text("\n".join(words) + "\n")
        (folder / name / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return folder


@pytest.fixture
def given(tmp_path):
    """Facts, triples and a corpus: --data, --triples and --retrieve."""
    common = {"relation": "capital", "prompt": "The capital of {} is [Y]."}
    rows = [{"subject": s, "object": o, "id": s, **common} for s, o in _FACTS.items()]
    said = [
        {"subject": "Peru", "relation": "capital", "object": "Lima", "score": 0.5},
        {"subject": "Espana", "relation": "capital", "object": "M.", "fact": "Spain"},
    ]
    for name, lines in (("facts", rows), ("triples", said)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "text").mkdir()
    text = "Lima, a city, is in Peru.\n\nThe city of Cuba is Havana.\n\nSpain is dry.\n\nNobody."
    (tmp_path / "text" / "a.txt").write_text(text)
    return tmp_path


def test_all_baselines_stand_beside_a_masked_model(models, given, probe):
    out = given / "out"
    code, printed, errors = probe(
        *("--model", models / "BertForMaskedLM"),
        *("--data", given / "facts.jsonl", "--triples", given / "triples.jsonl"),
        *("--retrieve", given / "text", "--reader", models / "BertForQuestionAnswering"),
        *("--k", 1, "--out", out),
    )
    assert code == 0
    assert errors.startswith("retrieval finds nothing for 1 of 4 questions: "), "Brazil's"
    assert len(errors.splitlines()) == 1
    head = printed.splitlines()[1].split("  ")
    assert [each.strip() for each in head if "P@1" in each] == [
        *("P@1", "Freq P@1", "RE_n P@1", "RE_o P@1", "DrQA P@1"),
    ]
    assert "style mask" in printed
    assert "RE_o         mean over relations: P@1 50.0 [" in printed
    assert "retrieval    mean over relations: found@1 50.0 [" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["relations"][0]["re_n"]["P@1"]["mean"] == 0.25
    assert [each["name"] for each in summary["baselines"]] == ["re_n", "re_o", "drqa", "retrieval"]
    assert "each at its own mask" in summary["conventions"]["A candidate's score"]
    assert "4 passages" in summary["conventions"]["retrieval"]
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert rows[0]["prompt"] == "The capital of Peru is [MASK]."
    assert rows[0]["retrieved"]["question"] == "The capital of Peru is what?"
    assert rows[0]["retrieved"]["answer"] in "Lima, a city, is in Peru."
    command = json.loads((out / "command.json").read_text())
    assert {"torch", "transformers"} <= set(command["versions"])
    assert len(command["model"]["sha256"]) == 64
    page = (out / "report.html").read_text()
    assert '<th scope="row">RE_o</th>' in page
    assert "of 4 passages" in page
    table = (out / "tables" / "relations.csv").read_text()
    assert "RE_n P@1" in table


def test_single_tokens_are_those_of_both_families(models, given, probe):
    code, printed, errors = probe(
        *("--model", models / "BertForMaskedLM"),
        *("--data", given / "facts.jsonl", "--single-token", "--k", 1),
        *("--same-tokens-as", "closedbook://atlas_ssm", "--out", given / "out"),
    )
    assert (code, errors) == (0, "")
    assert "left out     1 fact: object not a single token" in printed
    summary = json.loads((given / "out" / "summary.json").read_text())
    assert summary["conventions"]["A candidate's score"] == (
        "its log-probability at the mask, as in LAMA"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reader", "{models}/BertForQuestionAnswering"), "--reader reads what --retrieve finds"),
        (("--retrieve", "{given}/nowhere/*.txt"), "no file matches"),
        (("--retrieve", "{given}/text", "--reader", "{models}/BertForMaskedLM"), "a reader is"),
        (("--triples", "{given}/nowhere.jsonl"), "nowhere.jsonl"),
        (("--model", "{models}/BertForMaskedLM", "--hidden"), "leave --hidden out"),
        (("--model", "{models}/BertForMaskedLM", "--generate"), "leave --generate out"),
        (("--model", "{models}/BertForMaskedLM", "--style", "nem"), "use --style mask"),
        (("--style", "mask"), "for masked language models"),
        (("--model", "{models}/BertForQuestionAnswering"), "config.json"),
    ],
)
def test_mistakes_are_one_message(models, given, probe, words, message):
    words = [word.format(models=models, given=given) for word in words]
    words += ["--data", given / "facts.jsonl", "--out", given / "out"]
    code, _, errors = probe(*words)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (given / "out").exists()


def test_a_prompt_that_cannot_be_asked_is_refused_before_the_corpus_is_read(
    given, monkeypatch, probe
):
    row = {"subject": "Peru", "relation": "r", "object": "Lima", "prompt": "What is {}?"}
    (given / "facts.jsonl").write_text(json.dumps(row))
    words = ("--data", given / "facts.jsonl", "--retrieve", given / "nowhere", "--out", "out")
    monkeypatch.chdir(given)
    code, _, errors = probe(*words)
    assert code == 2
    assert "facts.jsonl: fact r:1 asks by a question" in errors
    assert not list(given.glob("out*"))
