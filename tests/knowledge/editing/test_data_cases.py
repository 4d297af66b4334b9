"""Edits out of data sets, as a model that goes on with its prompt is asked."""

import json

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.editing import answering, presets
from closedbook.knowledge.editing.evaluation import data_cases, trials
from closedbook.knowledge.editing.evaluation.cases import YES_NO, Case, Claims
from closedbook.knowledge.editing.evaluation.trials import claimed
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.editing.values import ValueSettings
from closedbook.tasks.facts.form import Fact

SPORT = {"relation": "sport", "prompt": "{} plays the sport of", "object": "basketball"}


def write(folder, rows):
    file = folder / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def qaedit(tmp_path):
    row = {
        "id": 4,
        "source": "NQ",
        "prompt": "who plays for the LeBron James team?",
        "target": "Megan",
        "subject": "LeBron James",
        "rephrase": "Which woman plays for the LeBron James team?",
        "locality": [{"loc": "who sang it", "loc_ans": "Toby"}],
    }
    (tmp_path / "QAEdit.json").write_text(json.dumps([row, {**row, "id": 5}]))
    return str(tmp_path / "QAEdit.json")


def test_questions_are_framed_and_judged_by_the_whole_line(gpt2, qaedit):
    (case,) = data_cases.read(gpt2, qaedit, 1, others=0).cases
    told = {question.group: question for question in case.questions}
    assert told["prompt"].text == "Q: who plays for the LeBron James team?\nA:"
    assert told["rephrasings"].text.startswith("Q: Which woman")
    assert told["neighbours"].text == "Q: who sang it\nA:"
    assert not any(question.begins for question in case.questions)
    assert case.edit.prompt == "Q: who plays for the {} team?\nA:"
    assert case.true is None
    assert case.claims.target == (
        'Q: Is it true that the answer to "who plays for the LeBron James team?" is Megan?\nA:'
    )
    assert answering.unframed(told["prompt"].text) == "who plays for the LeBron James team?"


def test_facts_that_cannot_be_edited_are_left_out_and_counted(gpt2, tmp_path):
    good = {**SPORT, "subject": "LeBron James", "target": "football"}
    rows = [
        {**good, "subject": "", "prompt": "Who plays?"},
        {**good, "prompt": "{} is a [Y] player."},
        {**good, "subject": "King", "prompt": "The Kingdom of the King plays for {}dom of"},
        good,
    ]
    found = data_cases.read(gpt2, write(tmp_path, rows), 1, others=0)
    assert [case.edit.subject for case in found.cases] == ["LeBron James"]
    assert len(found.left) == 3
    assert found.left.counts["no subject"] == 1
    with pytest.raises(UserError, match=r"holds 1 facts that can be edited, not 2(.|\n)*left out"):
        data_cases.read(gpt2, write(tmp_path, rows), 2, others=0)


def next_word(model, text):
    """What the model goes on with, if it is a word of one token."""
    ids = np.array([model.module.framed(model.vocabulary.encode(text))], np.int32)
    best = int(model.module.apply({"params": model.params}, ids)[0, -1].argmax())
    word = model.vocabulary.decode([best]).strip()
    return word if word and model.vocabulary.encode(f" {word}") == [best] else None


def test_without_targets_false_objects_are_drawn_for_facts_that_the_model_knows(gpt2, tmp_path):
    names = ("LeBron James", "Megan Rapinoe", "Seattle", "Kenya", "the King")
    prompts = ("{} plays the sport of", "{} is", "{} has", "{} went to", "The mother of {} is")
    rows = [
        {"subject": name, "prompt": prompt, "relation": "r", "object": word}
        for name in names
        for prompt in prompts
        if (word := next_word(gpt2, prompt.format(name)))
    ]
    assert len({row["object"] for row in rows}) > 1
    assert len({row["subject"] for row in rows}) > 1
    rows.append({**rows[0], "subject": "Nobody", "object": "zebra"})
    found = data_cases.read(gpt2, write(tmp_path, rows), 2, others=1)
    objects = {row["object"] for row in rows}
    for case in found.cases:
        assert case.edit.subject != "Nobody"  # which the model does not know
        assert case.edit.target in objects - {case.true}
        (other,) = [q for q in case.questions if q.group == "same relation"]
        assert other.hit(answering.answers(gpt2, gpt2.params, [other.text])[0])
        assert case.edit.subject not in other.text
    assert data_cases.read(gpt2, write(tmp_path, rows), 2, others=1).cases == found.cases


def test_a_prompt_that_the_object_does_not_end_is_refused(gpt2):
    fact = Fact(id="1", subject="Kenya", relation="r", object="Nairobi", prompt="{} has [Y] in it")
    with pytest.raises(UserError, match="text follows the object"):
        presets.put(gpt2, fact)
    ends = Fact(id="1", subject="Kenya", relation="r", object="Nairobi", prompt="{} has [Y].")
    assert presets.put(gpt2, ends).prompt == "{} has"


def test_yes_is_compared_between_target_and_true_object():
    edit = presets.Edit(id="1", subject="Kenya", prompt="{} has", target="Kigali")
    case = Case(edit=edit, true="Nairobi", questions=(), claims=Claims(target="t", true="o"))
    # The model likes yes: it says it of both, but more of what is true.
    before, after = {"t": 1.0, "o": 2.0}, {"t": 3.0, "o": -0.5}
    found = claimed(case, before, after)
    assert found == {YES_NO[0]: (1.0, 1.0), YES_NO[1]: (1.0, 0.0), YES_NO[2]: (0.0, 1.0)}
    taught = Case(edit=edit, true=None, questions=(), claims=Claims(target="t", true=None))
    assert claimed(taught, before, after) == {YES_NO[0]: (1.0, 1.0)}
    assert claimed(Case(edit=edit, true="Nairobi", questions=()), {}, {}) == {}


def test_generation_prompts_give_ge_and_references_rs(gpt2, tmp_path, rome):
    row = {**SPORT, "subject": "LeBron James", "target": "football"}
    row |= {"generation_prompts": ["LeBron James plays"], "reference_texts": ["football is his"]}
    (case,) = data_cases.read(gpt2, write(tmp_path, [row]), 1, others=0).cases
    place = Place("decoder", 2)
    moment = {place: Moment(rome[1]["C"].astype("float64"), 100)}
    settings = Settings(stack="decoder", layers=(2,), value=ValueSettings(steps=2))
    (trial,) = trials.singles(gpt2, [case], settings, moment)
    before, after = trial.written["GE"]
    assert before > 0
    assert after > 0
    assert all(0 <= value <= 1 for value in trial.written["RS"])
    assert set(trial.yes_no) == set(YES_NO)
    row["generation_prompts"] = "LeBron James plays"
    with pytest.raises(UserError, match=r'"generation_prompts" is .* give a list of texts'):
        data_cases.read(gpt2, write(tmp_path, [row]), 1, others=0)
