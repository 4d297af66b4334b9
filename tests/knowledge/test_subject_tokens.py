"""Which tokens of a prompt are its subject's."""

import dataclasses

import pytest

from closedbook.errors import UserError
from closedbook.knowledge import load_model, subject_tokens
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.tasks.facts import Fact, read_facts


@pytest.fixture(scope="module")
def model():
    return load_model()


def test_a_subjects_tokens_spell_it_and_the_frame_is_named(model):
    found = subject_tokens.in_text(model, "What is the  capital of South Korea?", "South Korea")
    assert found.text == "atlas question: What is the capital of South Korea?"
    assert found.ids[-1] == model.module.eos_id
    assert found.tokens[-1] == "</s>"
    assert model.vocabulary.decode(found.ids[found.first : found.limit]) == "South Korea"
    assert found.tokens[found.last + 1] == "?"
    assert len(found.ids) == len(found.tokens)
    assert list(found.ids[:-1]) == model.vocabulary.encode(found.text)


def test_whole_words_come_first_and_a_part_of_a_word_is_found_where_there_is_none(model):
    prompt = "Is Niger or Nigeria larger?"
    niger = subject_tokens.in_text(model, prompt, "Niger")
    assert model.vocabulary.decode(niger.ids[niger.first : niger.limit]) == "Niger"
    assert niger.limit < subject_tokens.in_text(model, prompt, "Nigeria").first + 1
    assert subject_tokens.in_text(model, "Who are the Kenyans?", "Kenya").subject == "Kenya"


@pytest.mark.parametrize(
    ("prompt", "subject", "occurrence", "said"),
    [
        ("What is the capital of Kenya?", "Peru", None, "'Peru' does not stand in the prompt"),
        ("What is the capital of Kenya?", "kenya", None, "capitals and accents"),
        ("What is the capital of Kenya?", " ", None, "the subject is empty"),
        ("Is Kenya in Kenya?", "Kenya", None, "stands 2 times .* --occurrence 1 to 2"),
        ("Is Kenya in Kenya?", "Kenya", 3, "--occurrence is 3, but .* stands twice"),
        ("Is Kenya in Kenya?", "Kenya", 0, "--occurrence is 0"),
        ("atlas question of Kenya? " * 40, "Peru", None, "does not stand"),
        ("Kenya " + "and the capital " * 400, "Kenya", None, "give a shorter one"),
        ("What does atlas mean?", "question", None, "does not stand"),  # though the prefix has it
    ],
)
def test_what_cannot_be_found_is_the_users_error(model, prompt, subject, occurrence, said):
    with pytest.raises(UserError, match=said):
        subject_tokens.in_text(model, prompt, subject, occurrence=occurrence)


def test_an_occurrence_is_chosen(model):
    first = subject_tokens.in_text(model, "Is Kenya in Kenya?", "Kenya", occurrence=1)
    second = subject_tokens.in_text(model, "Is Kenya in Kenya?", "Kenya", occurrence=2)
    assert first.limit <= second.first
    assert first.ids[first.first] == second.ids[second.first]


def test_all_facts_of_the_atlas_have_their_subjects_tokens(model):
    facts = read_facts("atlas", style="question").facts[::40]
    for fact in facts:
        prompt = subject_tokens.of_fact(model, fact, Prompting.of(model))
        inside = model.vocabulary.decode(prompt.ids[prompt.first : prompt.limit])
        assert fact.subject in inside
        assert len(inside) <= len(fact.subject) + 1  # a token may hold a sign after the name


def test_a_fact_says_where_its_subject_stands(model):
    fact = Fact(
        id="1", subject="Kenya", relation="r", object="o", style="question", prompt="Kenya or {}?"
    )
    found = subject_tokens.of_fact(model, fact, Prompting.of(model))
    assert (
        found.first == subject_tokens.in_text(model, "Kenya or Kenya?", "Kenya", occurrence=2).first
    )
    nameless = dataclasses.replace(fact, subject="", prompt="Who is it?")
    with pytest.raises(UserError, match="fact 1 has no subject"):
        subject_tokens.of_fact(model, nameless, Prompting.of(model))
