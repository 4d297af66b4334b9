"""Masked language models: scores equal `transformers`' own, and a table of facts scores 100."""

import numpy as np
import pytest
import torch
import transformers

from closedbook.errors import UserError
from closedbook.knowledge.probing.families import masked_models
from closedbook.knowledge.probing.families.opening import (
    check_can,
    open_model,
    prompting_of,
    spelling_of,
)
from closedbook.knowledge.probing.probe import Settings, probe
from closedbook.tasks.facts import read_facts
from closedbook.tasks.facts.form import Fact, Relation

_NAMES = ("lima", "paris", "rio de janeiro", "buenos aires", "rio", "janeiro")


def _log_probs(folder, ids: list[int]) -> np.ndarray:
    """Of one row of ids alone, [length, vocabulary]: without padding, without a batch."""
    network = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    with torch.inference_mode():
        return network.eval()(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()


def _by_hand(folder, before: str, name: str, after: str) -> float:
    """The sum over the pieces of a name, each with what comes after it in the name masked."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pieces = tokenizer(f"it {name}", add_special_tokens=False)["input_ids"]
    pieces = pieces[len(tokenizer("it", add_special_tokens=False)["input_ids"]) :]
    left = tokenizer(before)["input_ids"][:-1]
    right = tokenizer(after, add_special_tokens=False)["input_ids"] + [tokenizer.sep_token_id]
    total = 0.0
    for number, piece in enumerate(pieces):
        masks = [tokenizer.mask_token_id] * (len(pieces) - number)
        row = [*left, *pieces[:number], *masks, *right]
        total += float(_log_probs(folder, row)[len(left) + number, piece])
    return total


def test_scores_equal_a_loop_over_pieces_by_transformers_alone(bert):
    _check_scores(bert, _NAMES)


def test_pieces_that_begin_with_a_space_stand_in_its_place(roberta):
    _check_scores(roberta, ("Lima", "Paris", "Madrid", "Rio de Janeiro"))


def _check_scores(folder, names: tuple[str, ...]) -> None:
    model = open_model(str(folder))
    prompting = prompting_of(model)
    subjects = ("Peru", "the city of France , in Spain")
    facts = [
        Fact(id=s, subject=s, relation="r", object=names[0], prompt="the capital of {} is [Y] .")
        for s in subjects
    ]
    answers = prompting.answers(Relation(name="r", candidates=names))
    assert int(answers.lengths.max()) > 1, "some are of several pieces"
    told = []
    found = prompting.scorer(model)(prompting.inputs(facts), answers, told.append)
    for row, subject in zip(found, subjects, strict=True):
        by_hand = [_by_hand(folder, f"the capital of {subject} is", n, " .") for n in names]
        np.testing.assert_allclose(row, by_hand, rtol=1e-5, atol=1e-5)
    assert told[-1] == 2


def test_single_pieces_have_their_log_probability_at_the_mask(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model)
    assert prompting.single(_NAMES) == [True, True, False, False, True, False]
    fact = Fact(id="f", subject="Cuba", relation="r", object="lima", prompt="[Y] is in {}")
    answers = prompting.answers(Relation(name="r", candidates=("lima", "rio")), single=True)
    found = prompting.scorer(model)(prompting.inputs([fact]), answers)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    ids = tokenizer("[MASK] is in cuba")["input_ids"]
    at_mask = _log_probs(bert, ids)[1]
    wanted = at_mask[tokenizer.convert_tokens_to_ids(["lima", "rio"])]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-5)


def test_batches_of_unlike_lengths_give_what_single_rows_give(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model)
    facts = [
        Fact(id=str(n), subject="peru " * n, relation="r", object="lima", prompt="in {} is [Y] .")
        for n in (9, 1, 4, 2)
    ]
    answers = prompting.answers(Relation(name="r", candidates=_NAMES))
    inputs = prompting.inputs(facts)
    together = prompting.scorer(model)(inputs, answers)
    alone = [prompting.scorer(model)([each], answers)[0] for each in inputs]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_model_that_is_a_table_scores_100_and_another_table_does_not(lookup_bert, capitals):
    model = open_model(str(lookup_bert))
    facts = read_facts(str(capitals))
    rows = probe(model, facts, prompting_of(model), Settings())
    assert [row["rank"] for row in rows] == [1, 1, 1, 1]
    assert rows[0]["prompt"] == "The capital of Peru is [MASK] ."
    turned = [*facts.facts[1:], facts.facts[0]]
    wrong = [
        Fact(id=a.id, subject=a.subject, relation="capital", object=b.object, prompt=a.prompt)
        for a, b in zip(facts.facts, turned, strict=True)
    ]
    rows = probe(model, facts.keep(wrong), prompting_of(model), Settings())
    assert 1 not in [row["rank"] for row in rows]


def test_sentences_are_whole_ones(bert):
    prompting = prompting_of(open_model(str(bert)))

    def text(prompt: str) -> str:
        return prompting.text(
            Fact(id="f", subject="Peru", relation="r", object="o", prompt=prompt, style=style)
        )

    style = "cloze"
    assert text("{} has  [Y] .") == "Peru has [MASK] ."
    style = "continuation"
    assert text("The capital of {} is") == "The capital of Peru is [MASK]."
    style = "question"
    with pytest.raises(UserError, match="asks by a question"):
        text("What is the capital of {}?")


def test_only_the_first_of_several_masks_is_filled(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model)
    fact = Fact(id="f", subject="", relation="r", object="rio", prompt="[Y] is in [Y] .")
    answers = prompting.answers(Relation(name="r", candidates=("lima", "janeiro")))
    found = prompting.scorer(model)(prompting.inputs([fact]), answers)
    assert found[0, 1] == pytest.approx(_by_hand(bert, "", "janeiro", "is in [MASK] ."), abs=1e-5)


def test_which_model_it_is_depends_on_its_weights_and_words(bert, lookup_bert, tmp_path):
    model, other = open_model(str(bert)), open_model(str(lookup_bert))
    assert model.sha256 == open_model(str(bert)).sha256 != other.sha256
    assert (len(model.sha256), model.step) == (64, 0)
    with torch.no_grad():
        other.network.cls.predictions.bias[7] += 1.0
    other.network.save_pretrained(tmp_path / "changed")
    for name in ("vocab.txt", "tokenizer_config.json", "config.json"):
        (tmp_path / "changed" / name).write_bytes((lookup_bert / name).read_bytes())
    assert open_model(str(tmp_path / "changed")).sha256 != open_model(str(lookup_bert)).sha256


@pytest.mark.parametrize(
    ("candidates", "single", "message"),
    [
        (("lima", "Lima"), False, "is spelled like 'lima'"),
        (("lima", "oslo"), False, "does not tokenise"),
        (("lima", "[MASK]"), False, "does not tokenise"),
        (("lima", " "), False, "does not tokenise"),
        (("lima", "rio de janeiro"), True, "is 4 pieces"),
    ],
)
def test_candidates_that_cannot_be_told_apart_are_refused(bert, candidates, single, message):
    prompting = prompting_of(open_model(str(bert)))
    with pytest.raises(UserError, match=message):
        prompting.answers(Relation(name="r", candidates=candidates), single=single)


def test_prompts_that_do_not_fit_are_refused(bert):
    model = open_model(str(bert))
    prompting = prompting_of(model)

    def fact(subject: str) -> Fact:
        return Fact(id="f", subject=subject, relation="r", object="o", prompt="{} is [Y]")

    with pytest.raises(UserError, match="2 masks after tokenising, not 1"):
        prompting.inputs([fact("the [MASK]")])
    answers = prompting.answers(Relation(name="r", candidates=("lima", "janeiro")))
    assert model.longest == 38
    fits, long = fact("peru " * 33), fact("peru " * 34)
    prompting.check_room(model, [fits], prompting.inputs([fits]), answers)
    with pytest.raises(UserError, match="has 38 tokens; the model has room for 37"):
        prompting.check_room(model, [long], prompting.inputs([long]), answers)


def test_ways_and_options_of_other_families_are_refused(bert):
    model = open_model(str(bert))
    with pytest.raises(UserError, match="use --style mask or sentence"):
        prompting_of(model, "sentinels")
    with pytest.raises(UserError, match="leave --vocabulary"):
        open_model(str(bert), vocabulary="x.model")
    with pytest.raises(UserError, match="leave --hidden out"):
        check_can(model, way="mask", hidden=True, generate=False)
    with pytest.raises(UserError, match="leave --generate out"):
        check_can(model, way="mask", hidden=False, generate=True)
    atlas = open_model("closedbook://atlas_ssm")
    check_can(atlas, way="bare", hidden=True, generate=True)
    with pytest.raises(UserError, match="for masked language models"):
        prompting_of(atlas, "mask")
    assert spelling_of(atlas).single(["Lima"]) == [True]


def test_folders_that_are_not_whole_are_refused(bert, tmp_path):
    import shutil

    import safetensors.torch

    assert not masked_models.is_masked(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: each for name, each in weights.items() if "transform" not in name}
    safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="its weights lack 4 tensors"):
        open_model(str(folder))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read as a masked language model"):
        open_model(str(folder))


def test_code_that_comes_with_a_model_is_not_run(bert, tmp_path):
    import pickle
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    torch.save({"x": Evil()}, folder / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(UserError, match="cannot be read as a masked language model"):
        open_model(str(folder))
    assert not (tmp_path / "was_run").exists()
