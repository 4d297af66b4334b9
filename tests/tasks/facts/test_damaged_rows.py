"""Whatever stands in a field of a row: facts or one message with the place, never a traceback."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import read_facts

FORMS = {
    "own": {
        "id": "1",
        "subject": "Ada",
        "relation": "r",
        "object": "o",
        "objects": ["o"],
        "prompt": "{} is",
        "paraphrases": ["{} was"],
        "neighbours": ["x"],
        "type": "1-1",
        "style": "continuation",
        "corpus": "c",
        "split": "s",
        "negated": "{} is not",
        "target": "t",
        "meta": {"a": 1},
    },
    "relation": {"relation": "r", "label": "l", "candidates": ["o"], "templates": ["{} is"]},
    "T-REx": {
        "uuid": "u",
        "sub_label": "Ada",
        "obj_label": "o",
        "predicate_id": "P19",
        "sub_uri": "Q1",
        "evidences": [{}],
    },
    "Google-RE": {
        "uuid": "u",
        "sub_label": "Ada",
        "obj_label": "o",
        "obj_aliases": ["p"],
        "pred": "/people/person/place_of_birth",
        "judgments": [{"judgment": "yes"}],
    },
    "ConceptNet": {
        "uuid": "u",
        "sub": "s",
        "pred": "p",
        "obj_label": "o",
        "masked_sentences": ["a [MASK]"],
        "masked_negations": ["no [MASK]"],
    },
    "PopQA": {
        "id": 1,
        "subj": "Ada",
        "prop": "p",
        "obj": "o",
        "question": "Is Ada?",
        "possible_answers": ["o"],
        "s_pop": 3,
    },
    "EasyEdit": {
        "case_id": 1,
        "prompt": "Ada is",
        "subject": "Ada",
        "target_new": "n",
        "ground_truth": "o",
        "rephrase_prompt": "Ada was",
        "locality_prompt": "Bob is",
        "locality_ground_truth": "b",
    },
    "CounterFact": {
        "case_id": 1,
        "requested_rewrite": {
            "prompt": "{} is",
            "relation_id": "P1",
            "subject": "Ada",
            "target_new": {"str": "n"},
            "target_true": {"str": "o"},
        },
        "paraphrase_prompts": ["Ada was"],
        "neighborhood_prompts": ["Bob is"],
        "generation_prompts": ["Ada"],
    },
    "zsRE": {
        "subject": "Ada",
        "src": "Is Ada?",
        "rephrase": "Was Ada?",
        "alt": "n",
        "answers": ["o"],
        "loc": "l",
        "loc_ans": "a",
        "pred": "p",
    },
    "QAEdit": {
        "id": 1,
        "source": "NQ",
        "prompt": "Is Ada?",
        "target": "o",
        "subject": "Ada",
        "rephrase": "Was Ada?",
        "locality": [{"loc": "l", "loc_ans": "a"}],
    },
    "known": {
        "known_id": 1,
        "subject": "Ada",
        "attribute": "o",
        "template": "{} is",
        "prediction": "o",
        "prompt": "Ada is",
        "relation_id": "P1",
    },
    "BEAR": {"sub_label": "Ada", "obj_label": "o", "answer_idx": 0, "sub_id": "Q1", "obj_id": "Q2"},
}
VALUES = [None, 5, 1.5, True, "", "word", "[", [], [1], {}, {"a": 1}, [{"a": 1}], "{} {}"]


@pytest.fixture
def folder(tmp_path):
    """With the templates that T-REx's and BEAR's rows need."""
    template = {"relation": "P19", "template": "[X] is [Y]"}
    (tmp_path / "relations.jsonl").write_text(json.dumps(template) + "\n")
    metadata = {"P1": {"templates": ["[X] is [Y]"], "answer_space_labels": ["o"]}}
    (tmp_path / "metadata_relations.json").write_text(json.dumps(metadata))
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
def test_row_with_any_value_in_any_field(folder, form):
    path = folder / "P1.jsonl"
    fact = [{"subject": "Ada", "relation": "r", "object": "o"}] if form == "relation" else []
    path.write_text("\n".join(json.dumps(row) for row in [FORMS[form], *fact]) + "\n")
    assert len(read_facts(path)) == 1, "the sound row reads"
    for key in FORMS[form]:
        for value in VALUES:
            rows = [FORMS[form], {**FORMS[form], key: value}, *fact]
            path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
            try:
                read_facts(path)
            except UserError as error:
                assert str(path) in str(error), (key, value)  # noqa: PT017
