"""LAMA's filters and LAMA-UHN's, and what they count."""

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import Fact, filters
from closedbook.tasks.facts.form import gather
from closedbook.tasks.facts.triples import Triple, read


def fact(subject, object_, **fields) -> Fact:
    given = {"relation": "maker", "prompt": "{} is made by [Y].", "id": f"{subject}/{object_}"}
    return Fact(subject=subject, object=object_, **{**given, **fields})


def facts(*rows: Fact):
    return gather(rows, source="here")


def test_every_filter_counts_what_it_drops():
    data = facts(
        fact("iPod", "Apple"),
        fact("iPod", "Apple", id="again"),
        fact("Apple Watch", "apple"),
        fact("Model T", "Ford Motor"),
        fact("word " * 99, "Apple"),
        fact("Zune", "Microsoft", meta={"judgments": ["yes", "no", "skip"]}),
        fact("Xbox", "Microsoft", meta={"judgments": ["yes", "no"]}),
    )
    left = filters.lama(data, vocabulary={"Apple", "apple", "Microsoft", "Sony"}, uhn=True)
    assert [each.subject for each in left.facts] == ["iPod", "Xbox"]
    assert left.dropped == {
        "over 100 words": 1,
        "object not in the vocabulary": 1,
        "denied by raters": 1,
        "said before": 1,
        "object within the subject's name": 1,
    }


@pytest.mark.parametrize("value", [5, "yes", {"yes": 1}, True])
def test_a_users_own_field_judgments_is_no_raters_list(value):
    data = facts(fact("iPod", "Apple", meta={"judgments": value}))
    assert len(filters.lama(data)) == 1


def test_candidates_outside_the_vocabulary_go_and_the_others_stay():
    data = facts(fact("iPod", "Apple"), fact("Model T", "Ford"), fact("Walkman", "Sony"))
    left = filters.lama(data, vocabulary={"Apple", "Sony"})
    assert left.relations["maker"].candidates == ("Apple", "Sony")
    assert filters.lama(data).relations["maker"].candidates == ("Apple", "Ford", "Sony")


def test_words_of_the_subject_count_towards_the_sentence():
    assert filters.short([fact("a b c", "d")], 7) == [fact("a b c", "d")]  # a b c is made by [Y].
    assert filters.short([fact("a b c", "d")], 6) == []


def test_masked_sentences_with_one_object_are_not_duplicates():
    one, two = (fact("", "gold", id=i, prompt=f"{i} is [Y].") for i in "ab")
    assert filters.distinct([one, two]) == [one, two]


def test_names_that_tell_the_object_drop_the_fact(tmp_path):
    path = tmp_path / "names.jsonl"
    path.write_text(
        '{"relation": "maker", "name": "Hiroshi", "objects": ["Japan", "Sony"]}\n', "utf-8"
    )
    names = filters.read_names(path)
    data = facts(
        fact("Hiroshi Ito", "Sony"),
        fact("Hiroshi Ito", "Apple"),
        fact("Hiroshima", "Sony"),
        fact("hiroshi b", "sony", relation="owner"),
    )
    left = filters.lama(data, names=names)
    assert [each.id for each in left.facts] == [
        "Hiroshi Ito/Apple",
        "Hiroshima/Sony",
        "hiroshi b/sony",
    ]
    assert left.dropped["object told by a name"] == 1


def test_nothing_left_says_which_filters_took_it():
    with pytest.raises(UserError, match=r"no fact passes .* \(object not in the vocabulary: 1\)"):
        filters.lama(facts(fact("iPod", "Apple")), vocabulary={"Sony"})


def test_triples_are_read_with_their_confidence_and_sentence(tmp_path):
    path = tmp_path / "triples.jsonl"
    path.write_text(
        '{"subject": "Ada", "relation": "P19", "object": "London"}\n'
        '{"subject": "A.", "relation": "P19", "object": "Paris", "score": 0.5, "fact": "u1"}\n',
        "utf-8",
    )
    assert read(path) == [
        Triple(subject="Ada", relation="P19", object="London"),
        Triple(subject="A.", relation="P19", object="Paris", score=0.5, fact="u1"),
    ]
    for score in ('"high"', "true", "[1]", "9" * 400):
        path.write_text(
            f'{{"subject": "Ada", "relation": "P19", "object": "x", "score": {score}}}\n'
        )
        with pytest.raises(UserError, match=r'triples.jsonl:1: "score" is .*; it must be a number'):
            read(path)
