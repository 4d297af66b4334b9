"""The atlas as text: what every user of the corpus relies on."""

import collections

import pytest

from closedbook.errors import UserError
from closedbook.tasks.atlas import corpus
from closedbook.tasks.atlas.names import fold
from closedbook.tasks.atlas.phrasings import phrasings, render

# Written from general knowledge, not from the tables: (relation, subject, object).
KNOWN = [
    ("country_capital", "France", "Paris"),
    ("country_capital", "Kazakhstan", "Astana"),
    ("country_capital", "Australia", "Canberra"),
    ("country_capital", "São Tomé and Príncipe", "São Tomé"),
    ("country_capital", "United States", "Washington, D.C."),
    ("country_capital", "Brazil", "Brasília"),
    ("capital_country", "Nairobi", "Kenya"),
    ("capital_country", "Kyiv", "Ukraine"),
    ("country_currency", "Bulgaria", "euro"),
    ("country_currency", "Croatia", "euro"),
    ("country_currency", "Japan", "Japanese yen"),
    ("country_currency", "Poland", "Polish złoty"),
    ("currency_country", "Indian rupee", "India"),
    ("currency_code", "Swiss franc", "CHF"),
    ("currency_code", "euro", "EUR"),
    ("country_continent", "Ecuador", "South America"),
    ("country_language", "Brazil", "Portuguese"),
    ("country_language", "Germany", "German"),
    ("country_demonym", "Netherlands", "Dutch"),
    ("demonym_country", "Danish", "Denmark"),
    ("country_highest_point", "Tanzania", "Kilimanjaro"),
    ("country_highest_point", "Japan", "Mount Fuji"),
    ("country_highest_point", "Nepal", "Mount Everest"),
    ("country_independence", "Ghana", "1957"),
    ("country_independence", "South Sudan", "2011"),
    ("country_tld", "Switzerland", ".ch"),
    ("country_calling_code", "Italy", "+39"),
    ("state_capital", "California", "Sacramento"),
    ("capital_state", "Austin", "Texas"),
    ("state_abbreviation", "Alaska", "AK"),
    ("abbreviation_state", "HI", "Hawaii"),
    ("state_admission", "Hawaii", "1959"),
    ("element_symbol", "gold", "Au"),
    ("symbol_element", "Fe", "iron"),
    ("element_number", "carbon", "6"),
    ("number_element", "92", "uranium"),
    ("element_discoverer", "chlorine", "Carl Wilhelm Scheele"),
    ("airport_city", "JFK", "New York"),
    ("airport_city", "CDG", "Paris"),
    ("airport_city", "GRU", "São Paulo"),
]


@pytest.mark.parametrize(("relation", "subject", "object_"), KNOWN)
def test_well_known_facts_are_present_and_right(relation, subject, object_):
    found = {f.object for f in corpus.facts() if (f.relation, f.subject) == (relation, subject)}
    assert found == {object_}


def test_there_are_enough_facts_of_enough_relations():
    counts = collections.Counter(fact.relation for fact in corpus.facts())
    assert sum(counts.values()) >= 2000
    assert len(counts) >= 10
    assert min(counts.values()) >= 40


def test_ids_are_unique():
    ids = [fact.id for fact in corpus.facts()]
    assert len(ids) == len(set(ids))
    for split in corpus.SPLITS:
        questions = [row["id"] for row in corpus.questions(split)]
        assert len(questions) == len(set(questions))


def test_one_subject_has_one_object_within_a_relation():
    pairs = [(fact.relation, fold(fact.subject)) for fact in corpus.facts()]
    assert len(pairs) == len(set(pairs))


def test_no_fact_tested_is_asked_in_fine_tuning_in_either_direction():
    def pair(fact_id):
        return frozenset((by_id[fact_id].subject, by_id[fact_id].object))

    by_id = {fact.id: fact for fact in corpus.facts()}
    trained = {pair(row["fact_id"]) for row in corpus.questions("train")}
    for split in ("validation", "test"):
        for phrasing in ("seen", "unseen"):
            for row in corpus.questions(split, phrasing):
                assert pair(row["fact_id"]) not in trained, row


def test_no_question_of_a_test_is_asked_in_fine_tuning():
    def plain(question):
        return fold(question)

    trained = {plain(row["question"]) for row in corpus.questions("train")}
    for phrasing in ("seen", "unseen"):
        asked = {plain(row["question"]) for row in corpus.questions("test", phrasing)}
        assert not trained & asked


def test_unseen_phrasings_are_not_among_the_seen_ones():
    for relation, phrasing in phrasings().items():
        assert len(phrasing.seen) >= 6, relation
        assert len(phrasing.unseen) >= 3, relation
        assert not set(map(fold, phrasing.seen)) & set(map(fold, phrasing.unseen)), relation


def test_every_relation_has_phrasings_and_every_phrasing_a_relation():
    assert {fact.relation for fact in corpus.facts()} == set(phrasings())


def test_words_of_unseen_questions_are_met_in_sentences_or_seen_questions():
    met, asked = set(), set()
    for phrasing in phrasings().values():
        for template in (*phrasing.sentences, *phrasing.seen):
            met.update(template.strip(".?").lower().replace(",", "").split())
        for template in phrasing.unseen:
            asked.update(template.strip(".?").lower().replace(",", "").split())
    assert len(asked & met) / len(asked) > 0.9


def test_split_shares_are_about_60_5_35():
    counts = collections.Counter(fact.split for fact in corpus.facts())
    total = sum(counts.values())
    assert 0.57 < counts["train"] / total < 0.64
    assert 0.03 < counts["validation"] / total < 0.07
    assert 0.32 < counts["test"] / total < 0.38


def test_guessing_each_relations_commonest_answer_earns_little():
    counts = collections.defaultdict(collections.Counter)
    for fact in corpus.facts():
        if fact.split == "test":
            counts[fact.relation][fact.object] += 1
    guessed = sum(objects.most_common(1)[0][1] for objects in counts.values())
    asked = sum(sum(objects.values()) for objects in counts.values())
    assert guessed / asked < 0.10


def test_test_questions_are_one_a_fact_and_have_answers():
    facts = [fact.id for fact in corpus.facts() if fact.split == "test"]
    for phrasing in ("seen", "unseen"):
        rows = list(corpus.questions("test", phrasing))
        assert [row["fact_id"] for row in rows] == facts
        for row in rows:
            assert row["answers"]
            assert all(answer.strip() for answer in row["answers"])


def test_train_questions_ask_every_fact_in_all_seen_phrasings():
    counts = collections.Counter(row["fact_id"] for row in corpus.questions("train"))
    for fact in corpus.facts():
        expected = len(phrasings()[fact.relation].seen) if fact.split == "train" else 0
        assert counts[fact.id] == expected


def test_span_offsets_are_bytes_also_beyond_ascii(span_texts):
    beyond = 0
    pairs = {(fact.subject, fact.object) for fact in corpus.facts()}
    for sentence in corpus.sentences():
        first, second = span_texts(sentence)
        assert (first, second) in pairs or (second, first) in pairs
        assert sentence.title in (first, second)
        beyond += not sentence.text.isascii()
    assert beyond > 100


def test_a_span_after_accents_starts_at_its_byte():
    sentence = next(
        s for s in corpus.sentences() if s.text.startswith("São Tomé is the capital of S")
    )
    assert sentence.text == "São Tomé is the capital of São Tomé and Príncipe."
    # "São Tomé" is 8 characters and 10 bytes; " is the capital of " is 19.
    assert [(s.byte_start, s.byte_limit) for s in sentence.spans] == [(0, 10), (29, 53)]


def test_articles_stand_before_names_that_take_them_and_outside_the_span():
    text, places = render("{s} has its government in {o}.", "Gambia", "Banjul")
    assert text == "The Gambia has its government in Banjul."
    assert text[slice(*places["s"])] == "Gambia"
    assert render("What is the capital of {s}?", "Chad", "")[0] == "What is the capital of Chad?"


def test_the_corpus_is_the_same_every_time():
    assert list(corpus.questions("train")) == list(corpus.questions("train"))
    assert list(corpus.sentences()) == list(corpus.sentences())


def test_wrong_names_are_told_with_the_right_ones():
    with pytest.raises(UserError, match="nearest: test"):
        list(corpus.questions("tests"))
    with pytest.raises(UserError, match="nearest: seen"):
        list(corpus.questions("test", "sen"))
    with pytest.raises(UserError, match="unseen phrasings are for validation and test"):
        list(corpus.questions("train", "unseen"))
