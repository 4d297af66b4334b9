"""How facts are put to models, and what cannot be put to them."""

import dataclasses

import pytest

from closedbook.checkpoints import ModelCard
from closedbook.errors import UserError
from closedbook.knowledge.probing import candidates
from closedbook.knowledge.probing.prompts import IN_WORDS, WAYS, Prompting, style_of, way_of
from closedbook.tasks.facts import Fact, Relation
from closedbook.tasks.facts.form import gather
from closedbook.vocabulary import Vocabulary

CLOZE = Fact(id="f", subject="Peru", relation="r", object="Lima", prompt="In {} lies ([Y]).")
QUESTION = Fact(
    id="q", subject="Peru", relation="r", object="Lima", prompt="Where is {}?", style="question"
)
OPEN = Fact(
    id="c",
    subject="Peru",
    relation="r",
    object="Lima",
    prompt="The capital of {} is",
    style="continuation",
)

TWICE = Fact(
    id="t",
    subject="",
    relation="r",
    object="Peru",
    prompt="[Y]ian law  holds in [Y].",
    style="cloze",
)
ODD = dataclasses.replace(CLOZE, subject="Peru [Y] {}", prompt="In {} lies [Y].")


def with_card(model, **values):
    return dataclasses.replace(model, card=dataclasses.replace(model.card, **values))


@pytest.mark.parametrize(
    ("card", "way"),
    [
        ({"task": "atlas_ssm"}, "bare"),
        ({"task": "salient_span_masked_wikipedia"}, "nem"),
        ({"task": "span_corrupted_wikipedia"}, "sentinels"),
        ({"task": "natural_questions_open"}, "question"),
        ({"task": "closed_book_qa"}, "question"),
        ({"task": "my_own", "prefix": "mine: "}, "question"),
        ({"task": ""}, "sentinels"),
        ({"task": "unknown"}, "sentinels"),
    ],
)
def test_the_way_follows_from_what_the_model_was_trained_on(atlas_ssm, card, way):
    assert way_of(with_card(atlas_ssm, **card)) == way


@pytest.mark.parametrize(
    ("way", "fact", "text"),
    [
        ("bare", CLOZE, "In Peru lies ( <extra_id_0>)."),
        ("sentinels", OPEN, "The capital of Peru is <extra_id_0>"),
        ("nem", CLOZE, "nem: In Peru lies (_X_)."),
        ("continuation", OPEN, "The capital of Peru is"),
        ("continuation", dataclasses.replace(CLOZE, prompt="{}: [Y]."), "Peru:"),
        (
            "continuation",
            dataclasses.replace(CLOZE, prompt="[Y] is in {}.", paraphrases=("{} has [Y].",)),
            "Peru has",
        ),
        ("question", QUESTION, "atlas question: Where is Peru?"),
        # LAMA's SQuAD hides a word wherever it stands; candidates fill the first gap.
        ("sentinels", TWICE, "<extra_id_0>ian law holds in <extra_id_1>."),
        ("bare", TWICE, "<extra_id_0>ian law holds in <extra_id_1>."),
        ("nem", TWICE, "nem: _X_ian law holds in _X_."),
        # A subject is text, whatever stands in it.
        ("bare", ODD, "In Peru [Y] {} lies <extra_id_0>."),
        ("nem", ODD, "nem: In Peru [Y] {} lies _X_."),
        ("continuation", ODD, "In Peru [Y] {} lies"),
    ],
)
def test_prompts_are_written_as_in_training(atlas_qa, way, fact, text):
    assert Prompting.of(atlas_qa, way).text(fact) == text


def test_a_sentinel_in_a_subject_is_refused_and_gaps_have_one_each(atlas_ssm):
    prompting = Prompting.of(atlas_ssm)
    [row] = prompting.inputs([TWICE])
    marks = [atlas_ssm.vocabulary.encode(f"<extra_id_{n}>")[0] for n in (0, 1)]
    assert [row.count(mark) for mark in marks] == [1, 1]
    hidden = dataclasses.replace(CLOZE, subject="<extra_id_0>")
    with pytest.raises(UserError, match="2 sentinels <extra_id_0>"):
        prompting.inputs([hidden])


def test_candidates_are_written_as_in_training(atlas_ssm):
    relation = Relation(name="r", candidates=("Paris", "Lima"))
    lima = tuple(atlas_ssm.vocabulary.encode("Lima"))
    first, second = (atlas_ssm.vocabulary.encode(f"<extra_id_{n}>")[0] for n in (0, 1))
    bare = Prompting.of(atlas_ssm).answers(relation)
    assert (bare.pieces[1], bare.before, bare.end) == (lima, (), 1)
    between = Prompting.of(atlas_ssm, "sentinels").answers(relation)
    assert (between.pieces[1], between.before, between.end) == (lima, (first,), second)
    open_ = Prompting.of(atlas_ssm, "continuation").answers(relation)
    assert (open_.pieces[1], open_.before, open_.end) == (lima, (), None)


def test_what_a_model_wrote_is_read_as_it_was_trained_to_write(atlas_ssm):
    def read(way, text):
        return Prompting.of(atlas_ssm, way).answer_in(text)

    assert read("sentinels", "<extra_id_0> Lima <extra_id_1> and") == "Lima"
    assert read("bare", " Lima ") == "Lima"
    assert read("continuation", " Lima\nIt") == "Lima"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Lima", "漢字"), "'漢字' of r does not tokenise"),
        (("Lima", " "), "' ' of r does not tokenise"),
        (("Lima", "Lima "), "'Lima ' of r is spelled like 'Lima'"),
    ],
)
def test_candidates_that_no_score_can_tell_are_refused_or_dropped(
    atlas_ssm, vocabulary_file, names, message
):
    words = Vocabulary(vocabulary_file)  # without pieces for bytes
    prompting = Prompting.of(dataclasses.replace(atlas_ssm, vocabulary=words))
    with pytest.raises(UserError, match=message):
        prompting.answers(Relation(name="r", candidates=names))
    facts = gather([dataclasses.replace(CLOZE, id=n, object="Lima") for n in "ab"], source="here")
    relation = dataclasses.replace(facts.relations["r"], candidates=names)
    facts = dataclasses.replace(facts, relations={"r": relation})
    assert candidates.spelled(facts, prompting).relations["r"].candidates == ("Lima",)


def test_several_pieces_are_no_single_token(atlas_ssm):
    prompting = Prompting.of(atlas_ssm)
    assert prompting.single(["Lima", "Lima Paris", "漢"]) == [True, False, False]
    with pytest.raises(UserError, match="'Lima Paris' of r is 2 pieces"):
        prompting.answers(Relation(name="r", candidates=("Lima", "Lima Paris")), single=True)


def test_a_vocabulary_without_sentinels_is_refused(atlas_ssm):
    bare = dataclasses.replace(atlas_ssm, vocabulary=Vocabulary(atlas_ssm.vocabulary.path, 0))
    with pytest.raises(UserError, match=r"has no <extra_id_0>.*--style question"):
        Prompting.of(bare)
    assert Prompting.of(bare, "nem").way == "nem"


@pytest.mark.parametrize(
    ("way", "fact", "message"),
    [
        ("bare", QUESTION, "--style question"),
        ("question", CLOZE, "fact f asks by a cloze"),
        ("continuation", CLOZE, None),
        (
            "continuation",
            dataclasses.replace(CLOZE, prompt="[Y] is in {}."),
            "text follows the object",
        ),
        ("prose", CLOZE, "unknown style of asking 'prose'"),
    ],
)
def test_facts_of_another_style_are_refused(atlas_ssm, way, fact, message):
    if message is None:
        assert Prompting.of(atlas_ssm, way).inputs([fact])
        return
    with pytest.raises(UserError, match=message):
        Prompting.of(atlas_ssm, way).inputs([fact])


def test_the_atlas_is_read_in_the_style_of_the_way():
    assert style_of("question") == "question"
    assert style_of("continuation") == "cloze"


def test_a_model_that_says_nothing_has_no_prefix(atlas_ssm):
    card = ModelCard(config=atlas_ssm.config, vocabulary_sha256="")
    assert Prompting.of(dataclasses.replace(atlas_ssm, card=card)).way == "sentinels"


def test_every_way_is_told_in_words():
    assert set(IN_WORDS) == set(WAYS)
