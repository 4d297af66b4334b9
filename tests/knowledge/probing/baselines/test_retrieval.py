"""DrQA's parts: what retrieval scores, what a reader reads, and what comes of both."""

import itertools
import json
import math

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.probing.baselines import passages, reader, retrieval
from closedbook.knowledge.probing.baselines.passages import Index, Passage
from closedbook.tasks.facts import Fact
from closedbook.tasks.facts.form import gather

_CORPUS = [
    Passage("Peru", "Lima is the capital city of Peru, on the coast."),
    Passage("Cuba", "Havana is a city in Cuba. The capital lies on the coast."),
    Passage("Seas", "The coast of the north sea."),
    Passage("France", "Paris lies near the Seine."),
    Passage("Spain", "Madrid, capital of Spain, lies near nothing."),
]


def fact(subject, object_, prompt="The capital of {} is [Y] .", **more) -> Fact:
    return Fact(id=subject, subject=subject, relation="r", object=object_, prompt=prompt, **more)


def test_passages_are_scored_as_drqa_scores_articles():
    """By hand: log(1 + count) * idf of unigrams and bigrams, stop words out, in both texts."""
    texts = [
        ["peru", "lima", "capital", "city", "peru", "coast"],
        ["cuba", "havana", "city", "cuba", "capital", "lies", "coast"],
        ["seas", "coast", "north", "sea"],
        ["france", "paris", "lies", "near", "seine"],
        ["spain", "madrid", "capital", "spain", "lies", "near"],
    ]
    grams = [[*text, *map(" ".join, itertools.pairwise(text))] for text in texts]
    question = ["capital", "city", "peru", "capital city", "city peru"]

    def idf(gram):
        having = sum(gram in each for each in grams)
        return max(0.0, math.log((len(texts) - having + 0.5) / (having + 0.5)))

    def score(each):
        shared = set(question) & set(each)
        return sum(math.log(2) * math.log(1 + each.count(g)) * idf(g) ** 2 for g in shared)

    wanted = [score(each) for each in grams]
    assert wanted[0] > wanted[1] > 0 == wanted[2] == wanted[3]
    index = Index(_CORPUS)
    found = index.scores(["What is the capital city of Peru?"]).toarray()[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert index.best(["What is the capital city of Peru?", "a zebra?"], 2) == [[0, 1], []]


def test_documents_become_passages_of_at_most_100_words(tmp_path):
    words = [f"w{n}" for n in range(230)]
    (tmp_path / "a.txt").write_text("First part\nof it.\n\n" + " ".join(words))
    (tmp_path / "b.jsonl").write_text(json.dumps({"title": "B", "text": "One line.\nAnother."}))
    found = passages.read([str(tmp_path)])
    assert [(each.title, each.text.split()[0]) for each in found] == [
        *(("a", "First"), ("a", "w0"), ("a", "w100"), ("a", "w200")),
        *(("B", "One"), ("B", "Another.")),
    ]
    assert found[0].text == "First part of it."
    assert " ".join(each.text for each in found[1:4]).split() == words
    (tmp_path / "c.txt").write_text("  \n")
    with pytest.raises(UserError, match="there is no text in"):
        passages.read([str(tmp_path / "c.txt")])


def test_questions_are_natural_ones_or_made_of_statements():
    assert retrieval.question(fact("Peru", "Lima")) == "The capital of Peru is what?"
    assert retrieval.question(fact("Peru", "Lima", "[Y] lies in {}.")) == "what lies in Peru?"
    assert retrieval.question(fact("[Y] {}", "Lima")) == "The capital of [Y] {} is what?"
    asked = fact("Peru", "Lima", "What is the capital of {}?", style="question")
    assert retrieval.question(asked) == "What is the capital of Peru?"
    ends = fact("Peru", "Lima", "The capital of {} is", style="continuation")
    assert retrieval.question(ends) == "The capital of Peru is what?"
    own = fact("Peru", "Lima", meta={"question": "Where does Peru's president live?"})
    assert retrieval.question(own) == "Where does Peru's president live?"


def _best_by_hand(folder, question, text, *, words=False):
    """(Text, score) of the best span, of one pair alone and one span after the other."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    row = tokenizer(question, text, return_offsets_mapping=True, return_tensors="pt")
    with torch.inference_mode():
        output = network(**{name: row[name] for name in ("input_ids", "token_type_ids")})
    best = ("", -math.inf)
    inside = [n for n, part in enumerate(row.sequence_ids(0)) if part == 1]
    for start, end in itertools.product(inside, inside):
        begin, limit = (
            int(row["offset_mapping"][0][start][0]),
            int(row["offset_mapping"][0][end][1]),
        )
        if end < start or end - start >= 15:
            continue
        if words and (
            not text[begin:limit].isalpha()
            or text[max(0, begin - 1) : begin].isalpha()
            or text[limit : limit + 1].isalpha()
        ):
            continue
        score = float(output.start_logits[0, start] + output.end_logits[0, end])
        if score > best[1]:
            best = (text[begin:limit], score)
    return best


_PAIRS = [
    ("the capital of peru is what?", "Lima is the capital city of Peru"),
    ("what is in cuba?", "the city is Havana and it lies near San Jose in Cuba"),
    ("what?", "the north coast"),
]


@pytest.mark.parametrize("words", [False, True])
def test_spans_are_the_best_of_transformers_logits(random_reader, words):
    model = reader.load(str(random_reader))
    found = reader.best_spans(model, _PAIRS, words=words)
    for span, pair in zip(found, _PAIRS, strict=True):
        text, score = _best_by_hand(random_reader, *pair, words=words)
        assert (span.text, span.score) == (text, pytest.approx(score, abs=1e-4))
        assert not words or " " not in span.text


def test_long_passages_are_read_in_windows(city_reader):
    model = reader.load(str(city_reader))
    text = "the sea is north of it and the city lies on the coast . " * 9 + "It is Lima ."
    assert len(model.tokenizer(text)["input_ids"]) > model.longest
    found = reader.best_spans(model, [("what is it?", text), ("what?", "a city")])
    assert found[0].text == "Lima"
    short = reader.best_spans(model, [("what is it?", "It is Lima .")])
    assert found[0].score == pytest.approx(short[0].score, abs=1e-4)
    assert found[1].score < found[0].score


def test_the_best_span_of_all_passages_is_the_answer(city_reader):
    facts = gather(
        [
            fact("Peru", "Lima"),
            fact("Spain", "Barcelona", objects=("Madrid",)),
            fact("France", "Lyon"),
            fact("Chile", "Santiago"),
        ],
        source="here",
    )
    model = reader.load(str(city_reader))
    found = retrieval.retrieve(facts, _CORPUS, model)
    assert [row.get("answer") for row in found.rows] == ["Lima", "Madrid", "Paris", ""]
    assert [row["right"] for row in found.rows] == [True, True, False, False]
    drqa, recall = found.baselines
    assert drqa.values["P@1"].tolist() == [1, 1, 0, 0]
    assert recall.values["found@1"].tolist() == [1, 1, 0, 0]
    assert recall.values["found@5"].tolist() == [1, 1, 0, 0]
    assert found.rows[0]["passages"][0][0] == "Peru"
    alone = retrieval.retrieve(facts, _CORPUS, natural={"Chile": "a zebra"})
    assert [each.name for each in alone.baselines] == ["retrieval"]
    assert alone.rows[3] == {"question": "a zebra", "passages": []}


def test_what_finds_nothing_has_no_answer(city_reader):
    facts = gather([fact("Peru", "Lima", meta={"question": "zebra"})], source="here")
    found = retrieval.retrieve(facts, _CORPUS, reader.load(str(city_reader)))
    assert found.rows == [
        {"question": "zebra", "passages": [], "answer": "", "score": None, "right": False}
    ]


def test_a_reader_is_recognised_by_its_architecture(city_reader, tmp_path):
    with pytest.raises(UserError, match="there is no reader"):
        reader.load(str(tmp_path / "nothing"))
    (tmp_path / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}')
    with pytest.raises(UserError, match="is BertForMaskedLM; a reader is"):
        reader.load(str(tmp_path))


def test_a_corpus_in_which_no_word_counts_is_told_of_once(caplog):
    facts = gather([fact("Peru", "Lima"), fact("Cuba", "Havana")], source="here")
    found = retrieval.retrieve(facts, _CORPUS[:2])
    assert [row["passages"] for row in found.rows] == [[], []]
    assert [record.message[:46] for record in caplog.records] == [
        "retrieval finds nothing for 2 of 2 questions: "
    ]
    assert "half of the 2 passages" in caplog.text
    caplog.clear()
    retrieval.retrieve(facts, _CORPUS)
    assert not caplog.records


def test_a_killed_retrieval_goes_on_from_what_was_read(city_reader, tmp_path, monkeypatch):
    names = {"Peru": "Lima", "Cuba": "Havana", "France": "Paris", "Spain": "Madrid"}
    facts = gather([fact(*pair) for pair in names.items()], source="here")
    model = reader.load(str(city_reader))
    whole = retrieval.retrieve(facts, _CORPUS, model)
    monkeypatch.setattr(retrieval, "_AT_ONCE", 3)
    asked, best = [], Index.best

    def killed(self, questions, k):
        if asked:
            raise KeyboardInterrupt
        asked.extend(questions)
        return best(self, questions, k)

    monkeypatch.setattr(Index, "best", killed)
    with pytest.raises(KeyboardInterrupt):
        retrieval.retrieve(facts, _CORPUS, model, keep=tmp_path)

    def counted(self, questions, k):
        asked.extend(questions)
        return best(self, questions, k)

    monkeypatch.setattr(Index, "best", counted)
    again = retrieval.retrieve(facts, _CORPUS, model, keep=tmp_path)
    assert again.rows == whole.rows
    assert [each.values["found@1"].tolist() for each in again.baselines[1:]] == [
        each.values["found@1"].tolist() for each in whole.baselines[1:]
    ]
    assert len(asked) == 4, "each question was looked up once"
    retrieval.retrieve(facts, [*_CORPUS, Passage("new", "text")], model, keep=tmp_path)
    assert len(asked) == 8, "another corpus is looked up anew"
