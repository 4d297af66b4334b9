"""Corpora: texts as a model's own task makes them."""

import gzip
import hashlib
import json

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge import load_model
from closedbook.knowledge.memories import build, sources
from closedbook.knowledge.memories.sources import open_corpus
from closedbook.tasks.atlas import corpus as atlas

_TEXT = (
    "The river Tana is in Kenya. It rose in May 1961, as (Nairobi) said.\n\n= Peru =\n\nNo name."
)


@pytest.fixture(scope="module")
def atlas_qa():
    return load_model("closedbook://atlas_qa")


@pytest.fixture(scope="module")
def atlas_ssm():
    return load_model("closedbook://atlas_ssm")


def test_questions_of_the_atlas_have_the_model_s_prefix(atlas_qa) -> None:
    found = open_corpus(atlas_qa)
    first = next(found.examples())
    asked = next(atlas.questions("train"))
    decode = atlas_qa.vocabulary.decode
    assert decode(first.inputs) == f"atlas question: {asked['question']}"
    assert decode(first.targets) == asked["answers"][0]
    assert first.inputs[-1] == first.targets[-1] == atlas_qa.vocabulary.eos_id
    assert first.fact == asked["fact_id"]
    every = list(found.examples())
    assert len(every) == found.total(0)
    assert {each.fact for each in every} == {fact.id for fact in atlas.facts()}


def test_gaps_of_the_atlas_are_the_tokens_that_the_packaged_model_was_trained_on(atlas_ssm) -> None:
    """All of them; the hashes are its cache's, as in tests/tasks/test_atlas_tasks.py."""
    examples = list(open_corpus(atlas_ssm).examples())

    def digest(rows: list[tuple[int, ...]]) -> str:
        tokens = np.concatenate([np.array(row, np.uint16) for row in rows])
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return hashlib.sha256(tokens.tobytes() + offsets.tobytes()).hexdigest()

    assert digest([each.inputs for each in examples]) == (
        "63d22c14085c3b7d2689885f7afc083dacba7b408e4cf865e13c87523b66f3df"
    )
    assert digest([each.targets for each in examples]) == (
        "46d30e931aa98aad00cece2df3504a4ad0f9a54ad43d6dc8ba6bbf619442b690"
    )


@pytest.mark.parametrize("form", ["txt", "jsonl.gz"])
def test_sentences_of_text_get_gaps(atlas_ssm, tmp_path, form: str) -> None:
    path = tmp_path / f"text.{form}"
    if form == "txt":
        path.write_text(_TEXT)
    else:
        path.write_bytes(gzip.compress(json.dumps({"text": _TEXT, "title": "t"}).encode()))
    found = open_corpus(atlas_ssm, str(path))
    decode = atlas_ssm.vocabulary.decode
    pairs = {(decode(each.inputs), decode(each.targets)) for each in found.examples()}
    assert ("The river Tana is in <extra_id_0>.", "Kenya") in {
        (given.replace("> .", ">."), target) for given, target in pairs
    }
    assert any(target.startswith("May") for _, target in pairs)
    assert all("<extra_id_0>" in given for given, _ in pairs)
    assert list(found.examples()) == list(found.examples())
    assert found.total(len(pairs)) == len(pairs)


def test_a_file_of_questions_is_a_corpus(atlas_qa, tmp_path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"question": "Where is Tana?", "answer": ["Kenya"]}) + "\n")
    (only,) = open_corpus(atlas_qa, str(path)).examples()
    decode = atlas_qa.vocabulary.decode
    assert (decode(only.inputs), decode(only.targets)) == (
        "atlas question: Where is Tana?",
        "Kenya",
    )


def test_text_for_a_model_that_answers_questions_needs_a_style(atlas_qa, tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(_TEXT)
    with pytest.raises(UserError, match="--style sentinels"):
        open_corpus(atlas_qa, str(path))
    found = list(open_corpus(atlas_qa, str(path), way="sentinels").examples())
    decode = atlas_qa.vocabulary.decode
    assert any(decode(each.targets) == "<extra_id_0> Kenya <extra_id_1>" for each in found)


def test_a_decoder_only_model_reads_sentences(tiny, tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(_TEXT)
    model = tiny("decoder_only")
    found = open_corpus(model, str(path))
    assert found.way == "continuation"
    texts = [model.vocabulary.decode(each.targets) for each in found.examples()]
    assert texts[0] == "The river Tana is in Kenya."
    assert not any(each.inputs for each in found.examples())


def test_a_decoder_only_model_reads_a_question_and_its_answer_if_asked(tiny, tmp_path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"question": "Where is Tana?", "answer": "Kenya"}) + "\n")
    model = tiny("decoder_only")
    (only,) = open_corpus(model, str(path), way="question").examples()
    assert model.vocabulary.decode(only.targets) == "Where is Tana? Kenya"
    assert "each pair one text" in sources.in_words("question", continues=True)


def test_no_decoder_reads_text_under_an_empty_encoder(atlas_qa, tmp_path) -> None:
    with pytest.raises(UserError, match=r"the encoder of this T5 1\.0 would read nothing"):
        open_corpus(atlas_qa, str(tmp_path / "text.txt"), way="continuation")


def test_what_is_left_out_of_text_is_told_once(tiny, atlas_ssm, tmp_path, caplog) -> None:
    long, none = tmp_path / "long.txt", tmp_path / "none.txt"
    long.write_text("word " * 500 + "\n\nShort.\n")
    found = open_corpus(tiny("decoder_only"), str(long))
    assert [len(list(found.examples())) for _ in range(2)] == [1, 1]
    none.write_text("nothing here has a name.\n")
    assert not list(open_corpus(atlas_ssm, str(none)).examples())
    (tmp_path / "empty.txt").write_text("")
    assert not list(open_corpus(atlas_ssm, str(tmp_path / "empty.txt")).examples())
    told = [record.message.replace(str(tmp_path), "") for record in caplog.records]
    assert [words.partition(";")[0] for words in told] == [
        "/long.txt: 1 sentences of more than 2,000 characters are left out",
        "/none.txt: the tagger dates finds no name or date in any of 1 sentences, so that there is "
        "nothing to make gaps of",
        "/empty.txt: its text is empty",
    ]


def test_the_corpus_of_an_index_is_found_from_everywhere_and_known_again(
    tiny, tmp_path, monkeypatch
) -> None:
    model, text = tiny("t5_1_1_scanned"), tmp_path / "text.txt"
    text.write_text(_TEXT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    made = open_corpus(model, "text.txt", way="bare")
    settings = build.Settings(t=1, tokens=100)
    index = build.build(model, made, tmp_path / "index", settings)
    assert index.manifest["corpus"]["tagger"] == "dates"
    examples = list(made.examples())
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = sources.corpus_of(index, model)
    assert (found.name, found.way, found.tagger) == ("text.txt", "bare", "dates")
    assert list(found.examples()) == examples
    text.write_text(f"{_TEXT} It was founded in May 1961.")
    with pytest.raises(UserError, match=r"text.txt has changed since .*index was made of it"):
        list(found.examples())
    assert len(list(sources.corpus_of(index, model, str(text)).examples())) > 1
    text.unlink()
    with pytest.raises(UserError, match="say with --corpus where it is now"):
        sources.corpus_of(index, model)


def test_no_such_file(atlas_ssm) -> None:
    with pytest.raises(UserError, match=r"no file matches 'nowhere/\*.txt'"):
        open_corpus(atlas_ssm, "nowhere/*.txt")


def test_masks_keep_a_sentinel_apart() -> None:
    assert sources.masked("(", "Kenya", ")", "bare") == ("( <extra_id_0>)", "Kenya")
