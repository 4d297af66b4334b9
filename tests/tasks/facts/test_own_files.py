"""A user's own JSON lines of facts."""

import dataclasses
import io
import json
import pathlib
import re

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import Neighbour, own_files, read_facts

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PERU = {
    "subject": "Peru",
    "relation": "capital",
    "object": "Lima",
    "prompt": "The capital of {} is [Y].",
}


def test_least_row_is_a_fact(write):
    facts = read_facts(write("facts.jsonl", PERU))
    (fact,) = facts.facts
    assert (fact.subject, fact.object, fact.objects) == ("Peru", "Lima", ("Lima",))
    assert (fact.id, fact.style) == ("capital:1", "cloze")
    assert facts.relations["capital"].candidates == ("Lima",)


def test_whole_form_is_read(write):
    row = {
        **PERU,
        "id": "peru",
        "objects": ["Lima", "Ciudad de los Reyes"],
        "paraphrases": ["[Y] is the capital of [X]."],
        "neighbours": ["Quito is in", {"prompt": "Santiago is in", "object": "Chile"}],
        "type": "1-1",
        "negated": "The capital of {} is not [Y].",
        "target": "Cusco",
        "meta": {"source": "atlas"},
        "views": 12,
    }
    fact = read_facts(write("facts.jsonl", row)).facts[0]
    assert fact.objects == ("Lima", "Ciudad de los Reyes")
    assert fact.paraphrases == ("[Y] is the capital of {}.",)
    assert fact.neighbours == (
        Neighbour(prompt="Quito is in"),
        Neighbour(prompt="Santiago is in", object="Chile"),
    )
    assert (fact.type, fact.target) == ("1-1", "Cusco")
    assert fact.negated == "The capital of {} is not [Y]."
    assert fact.meta == {"source": "atlas", "views": 12}


def test_place_of_the_subject_is_found_in_a_prompt_that_names_it(write):
    fact = read_facts(write("f.jsonl", {**PERU, "prompt": "Peru has the capital"})).facts[0]
    assert (fact.prompt, fact.style) == ("{} has the capital", "continuation")


@pytest.mark.parametrize(
    ("prompt", "style"),
    [
        ("What is the capital of {}?", "question"),
        ("The capital of {} is", "continuation"),
        ("{} is ruled from [MASK].", "cloze"),
    ],
)
def test_style_is_told_by_the_prompt(write, prompt, style):
    assert read_facts(write("f.jsonl", {**PERU, "prompt": prompt})).facts[0].style == style


def test_style_may_be_given_where_the_prompt_does_not_tell_it(write):
    row = {**PERU, "prompt": "Name the capital of {}.", "style": "question"}
    assert read_facts(write("f.jsonl", row)).facts[0].style == "question"


def test_templates_and_candidates_of_a_relation_serve_all_its_facts(write):
    relation = {
        "relation": "capital",
        "label": "is the capital of",
        "type": "1-1",
        "candidates": ["Lima", "Quito", "Cusco"],
        "templates": ["[X] is ruled from [Y].", "[Y] is the seat of [X]."],
    }
    bare = [
        {"subject": s, "relation": "capital", "object": o}
        for s, o in [("Peru", "Lima"), ("Ecuador", "Quito")]
    ]
    facts = read_facts(write("facts.jsonl", relation, *bare))
    assert facts.relations["capital"].candidates == ("Lima", "Quito", "Cusco")
    assert [fact.prompt for fact in facts.facts] == ["{} is ruled from [Y]."] * 2
    assert facts.facts[0].paraphrases == ("[Y] is the seat of {}.",)
    assert facts.facts[1].type == "1-1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"object": ""}, "no object"),
        ({"relation": ""}, '"relation" is ""'),
        ({"prompt": ""}, "relation capital has no template and the fact no"),
        ({"prompt": "The capital is [Y]."}, "0 places for the subject 'Peru'"),
        ({"object": 5}, '"object" is 5; it must be a string'),
        ({"object": ["Lima"]}, r'"object" is \["Lima"\]; it is one name.* as "objects"'),
        ({"objects": "Lima"}, r'"objects" is "Lima"; it must be a list of strings, such as'),
        ({"subject": ""}, "has a place for a subject, and the fact has none"),
        ({"subject": None}, "has a place for a subject, and the fact has none"),
        ({"style": "poem"}, "unknown style of prompts 'poem'"),
        ({"neighbours": [3]}, "neighbour 3 must be a prompt"),
        ({"meta": 3}, '"meta" is 3; it must be an object'),
    ],
)
def test_bad_row_is_named_by_file_line_value_and_remedy(write, row, message):
    path = write("facts.jsonl", {**PERU, "subject": "Chile"}, {**PERU, **row})
    with pytest.raises(UserError, match=message) as error:
        read_facts(path)
    assert str(error.value).startswith(f"{path}:2: ")


def test_relation_that_says_nothing_may_stand_first(write):
    path = write("facts.jsonl", {"relation": "capital", "label": "is the capital of"}, PERU)
    assert read_facts(path).relations["capital"].label == "is the capital of"
    path = write("bare.jsonl", {"relation": "capital"}, {**PERU, "prompt": ""})
    with pytest.raises(UserError, match=r"bare\.jsonl:2: relation capital has no template"):
        read_facts(path)


@pytest.mark.parametrize("key", ["prompt", "paraphrases"])
def test_sentence_without_a_place_for_the_object_is_refused(write, key):
    text = "The capital of {} is."
    row = {**PERU, key: text if key == "prompt" else [text]}
    with pytest.raises(UserError, match=r"'The capital of \{\} is.' ends as a sentence and has no"):
        read_facts(write("facts.jsonl", row))


def test_continuation_that_ends_with_a_full_stop_may_be_given_and_is_written_back(write):
    row = {**PERU, "prompt": "{} has a seat at St.", "style": "continuation"}
    facts = read_facts(write("facts.jsonl", row))
    file = io.StringIO()
    own_files.write(facts, file)
    again = write("again.jsonl", *map(json.loads, file.getvalue().splitlines()))
    assert read_facts(again).facts[0].style == "continuation"


def test_row_with_an_object_and_no_subject_is_no_relation(write):
    path = write("facts.jsonl", PERU, {key: PERU[key] for key in PERU if key != "subject"})
    with pytest.raises(
        UserError, match=r':2: the row has "object" and no "subject"; give its name'
    ):
        read_facts(path)


def test_what_the_first_row_lacks_is_named(write):
    path = write("facts.jsonl", {key: PERU[key] for key in PERU if key != "relation"})
    with pytest.raises(UserError, match=r'has "subject", "object", "prompt" and lacks "relation"'):
        read_facts(path)


def test_a_table_beside_a_row_for_its_relation_is_read(tmp_path):
    relation = {"relation": "capital", "templates": ["The capital of {} is [Y]."]}
    (tmp_path / "relations.jsonl").write_text(json.dumps(relation))
    (tmp_path / "facts.csv").write_text(
        "subject,relation,object,objects\n"
        'Peru,capital,Lima,"[""Lima"", ""Ciudad de los Reyes""]"\n'
        "Cuba,capital,Havana,\n"
    )
    peru, cuba = read_facts(tmp_path).facts
    assert (peru.objects, peru.prompt) == (
        ("Lima", "Ciudad de los Reyes"),
        "The capital of {} is [Y].",
    )
    assert (cuba.objects, cuba.id) == (("Havana",), "capital:3")


def test_the_page_names_every_field():
    page = (REPOSITORY / "docs" / "your_facts.md").read_text()
    shown = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    of_relations = {"label", "candidates", "templates"}
    of_readers = {"question", "s_pop", "o_pop", "generation_prompts", "reference_texts"}
    assert shown == {*own_files.FIELDS} | of_relations | of_readers


@pytest.mark.parametrize(("rows", "line"), [((PERU, "{oops"), 2), (("{oops", PERU), 1)])
def test_line_that_is_no_json_is_named(write, rows, line):
    path = write("facts.jsonl", *rows)
    with pytest.raises(UserError, match=rf"facts.jsonl:{line}: not JSON"):
        read_facts(path)


@pytest.mark.parametrize(
    ("template", "message"),
    [("The capital is [Y].", "0 places for the subject"), ("[X] [X] [Y]", "2 places")],
)
def test_template_without_its_places_is_refused(write, template, message):
    path = write("f.jsonl", {"relation": "capital", "templates": [template]}, PERU)
    with pytest.raises(UserError, match=rf"f.jsonl:1: template .* has {message}"):
        read_facts(path)


def test_described_relation_without_facts_is_refused(write):
    path = write("f.jsonl", PERU, {"relation": "currency", "candidates": ["sol"]})
    with pytest.raises(UserError, match="relation currency has no facts"):
        read_facts(path)


def test_id_that_stands_twice_is_refused_with_both_places(write):
    path = write("f.jsonl", {**PERU, "id": 3}, {**PERU, "id": "3"})
    with pytest.raises(UserError, match=r"f.jsonl:2: id '3' stands already at .*f.jsonl:1"):
        read_facts(path)


@pytest.mark.parametrize("style", ["cloze", "question"])
def test_what_is_written_reads_back_equal(tmp_path, style):
    facts = read_facts("atlas", style=style)
    path = tmp_path / "atlas.jsonl"
    with path.open("w", encoding="utf-8") as file:
        own_files.write(facts, file)
    again = read_facts(path)
    assert again.facts == facts.facts
    assert dict(again.relations) == dict(facts.relations)


def test_row_has_the_designs_names_in_order(write):
    fact = read_facts(write("f.jsonl", PERU)).facts[0]
    buffer = io.StringIO()
    json.dump(
        own_files.row_of(dataclasses.replace(fact, neighbours=(Neighbour(prompt="q"),))), buffer
    )
    row = json.loads(buffer.getvalue())
    assert list(row) == [
        *("id", "subject", "relation", "object", "objects", "prompt", "paraphrases"),
        *("neighbours", "type"),
    ]
    assert row["neighbours"] == ["q"]
