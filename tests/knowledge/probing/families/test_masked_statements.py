"""Whole statements by masked language models: pseudo-log-likelihoods equal a loop by hand."""

import json

import numpy as np
import pytest
import torch
import transformers

from closedbook.errors import UserError
from closedbook.knowledge.probing.families.opening import open_model, prompting_of
from closedbook.knowledge.probing.probe import Settings, probe
from closedbook.tasks.facts import read_facts
from closedbook.tasks.facts.form import Fact, Relation

_NAMES = ("lima", "paris", "rio de janeiro", "buenos aires")


def _by_hand(folder, text: str) -> float:
    """Pieces that begin with ## go on with a word; each is scored with the rest of it masked."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    pieces = ["[CLS]", *tokenizer.tokenize(text), "[SEP]"]
    total = 0.0
    for place in range(1, len(pieces) - 1):
        row = list(pieces)
        row[place] = "[MASK]"
        for later in range(place + 1, len(pieces)):
            if not pieces[later].startswith("##"):
                break
            row[later] = "[MASK]"
        ids = torch.tensor([tokenizer.convert_tokens_to_ids(row)])
        with torch.inference_mode():
            found = network(ids).logits[0, place].log_softmax(-1)
        total += float(found[tokenizer.convert_tokens_to_ids(pieces[place])])
    return total


def test_statements_have_their_pseudo_log_likelihood(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model, "sentence")
    facts = [
        Fact(id="a", subject="Peru", relation="r", object="lima", prompt="[Y] is in {}, in [Y]."),
        Fact(id="b", subject="Janeiro", relation="r", object="lima", prompt="the city {} is [Y]"),
    ]
    answers = prompting.answers(Relation(name="r", candidates=_NAMES))
    inputs = prompting.inputs(facts)
    told: list[int] = []
    found = prompting.scorer(model)(inputs, answers, told.append)
    made = [
        [f"{n} is in Peru, in {n}." for n in _NAMES],
        [f"the city Janeiro is {n}" for n in _NAMES],
    ]
    wanted = [[_by_hand(bert, text) for text in texts] for texts in made]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    counts = [[len(tokenizer.tokenize(text)) for text in texts] for texts in made]
    assert prompting.lengths(inputs, answers).tolist() == counts
    assert told == [2]


@pytest.mark.parametrize("way", ["sentence", "mask"])
def test_scores_equal_those_of_lm_pub_quiz(golden, way):
    folder = golden / "lm_pub_quiz_masked"
    theirs = json.loads((folder / "scores.json").read_text())
    rows = [row for row in theirs["rows"] if row["way"] == way]
    assert len(rows) == {"sentence": 6, "mask": 4}[way]
    model = open_model(str(folder / "model"))
    prompting = prompting_of(model, way)
    facts = [
        Fact(
            id=str(number),
            subject=row["subject"],
            relation="r",
            object="Lima",
            prompt=row["template"].replace("[X]", "{}"),
        )
        for number, row in enumerate(rows)
    ]
    answers = prompting.answers(Relation(name="r", candidates=tuple(theirs["names"])))
    found = prompting.scorer(model)(prompting.inputs(facts), answers)
    np.testing.assert_allclose(found, [row["scores"] for row in rows], rtol=1e-5, atol=1e-4)


def test_the_first_letter_is_a_capital_one(roberta):
    prompting = prompting_of(open_model(str(roberta)), "sentence")
    (statement,) = prompting.statements(("the capital is ", "."), ["Lima"])
    assert prompting.spelling.tokenizer.decode(statement.ids) == "<s>The capital is Lima.</s>"


def test_a_probe_by_statements_ranks_a_tables_objects_first(lookup_bert, capitals):
    model = open_model(str(lookup_bert))
    facts = read_facts(str(capitals))
    rows = probe(model, facts, prompting_of(model, "sentence"), Settings(normalise="length"))
    assert rows[0]["prompt"] == "The capital of Peru is [Y] ."
    assert rows[0]["tokens"] == 7
    assert [row["rank"] for row in rows] == [1, 1, 1, 1]


@pytest.mark.parametrize("way", ["sentence", "mask"])
def test_a_subject_with_our_marks_in_it_is_text(bert, way):
    prompting = prompting_of(open_model(str(bert)), way)
    odd = Fact(id="f", subject="a [Y]", relation="r", object="o", prompt="{} is [Y].")
    assert prompting.text(odd) == {"sentence": "a [Y] is [Y].", "mask": "a [Y] is [MASK]."}[way]
    [given] = prompting.inputs([odd])
    if way == "sentence":
        assert tuple(given) == ("a [Y] is ", ".")
    else:
        assert given.count(prompting.tokenizer.mask_token_id) == 1


def test_what_is_no_statement_or_too_long_is_refused(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model, "sentence")
    asked = Fact(id="f", subject="Peru", relation="r", object="o", prompt="{}?", style="question")
    with pytest.raises(UserError, match="asks by a question"):
        prompting.inputs([asked])
    answers = prompting.answers(Relation(name="r", candidates=("lima", "rio de janeiro")))
    long = Fact(id="f", subject="peru " * 32, relation="r", object="o", prompt="{} is [Y]")
    with pytest.raises(UserError, match="has 39 tokens; the model has room for 38"):
        prompting.check_room(model, [long], prompting.inputs([long]), answers)
