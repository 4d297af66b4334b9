"""The packaged atlas as facts."""

import collections

import pytest

from closedbook.errors import UserError
from closedbook.tasks.atlas import corpus
from closedbook.tasks.facts import read_facts, templates


@pytest.fixture(scope="module")
def cloze():
    return read_facts("atlas")


@pytest.fixture(scope="module")
def questions():
    return read_facts("atlas", style="question")


def test_every_fact_of_every_relation_is_there(cloze):
    assert (len(cloze), len(cloze.relations)) == (3245, 24)
    pairs = sum(len(cloze.relations[fact.relation].candidates) for fact in cloze.facts)
    assert pairs == 539_509  # of prompt and candidate


def test_filled_sentences_are_those_of_pretraining(cloze):
    """Only articles of objects differ, which a prompt may not tell."""
    known = {sentence.text for sentence in corpus.sentences()}
    said = [
        templates.statement(prompt, fact.subject, fact.object)
        for fact in cloze.facts
        for prompt in fact.prompts
    ]
    strange = [text for text in said if text not in known]
    articles = {"the " + name for name in ("Netherlands", "Bahamas", "United States")}
    assert len(strange) < len(said) / 50
    assert any("Netherlands" in text for text in strange)
    assert not any(
        article in fact.prompt
        for fact in cloze.facts
        for article in articles
        if fact.object == article.removeprefix("the ")
    )


def test_subject_has_its_article(cloze):
    fact = next(
        f for f in cloze.facts if (f.relation, f.subject) == ("country_capital", "Philippines")
    )
    assert "the {}" in fact.prompt


def test_prompt_of_every_sentence_ends_with_the_object(cloze):
    assert all(templates.before_object(f.prompt, f.subject) is not None for f in cloze.facts)


def test_questions_are_those_of_fine_tuning(questions):
    asked = {row["fact_id"]: row["question"] for row in corpus.questions("test")}
    for fact in questions.facts:
        if fact.split == "test":
            assert asked[fact.id] in {fact.asked(prompt) for prompt in fact.prompts}


def test_split_tells_which_facts_fine_tuning_asked_about(cloze):
    assert collections.Counter(fact.split for fact in cloze.facts) == collections.Counter(
        fact.split for fact in corpus.facts()
    )
    asked = {row["fact_id"] for row in corpus.questions("train")}
    assert asked == {fact.id for fact in cloze.facts if fact.split == "train"}


def test_types_are_computed_from_the_closed_world(cloze):
    assert cloze.relations["country_capital"].type == "1-1"
    assert cloze.relations["country_continent"].type == "N-1"
    assert len(cloze.relations["country_continent"].candidates) == 6


def test_continuations_are_refused_with_a_remedy():
    with pytest.raises(UserError, match="styles cloze and question"):
        read_facts("atlas", style="continuation")


def test_relations_are_chosen_by_name():
    facts = read_facts("atlas", relations=["country_tld", "element_symbol"])
    assert set(facts.relations) == {"country_tld", "element_symbol"}
    with pytest.raises(UserError, match=r"nearest: .*element_symbol"):
        read_facts("atlas", relations=["element_symbo"])
