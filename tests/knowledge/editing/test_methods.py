"""Whole edits of the tiny GPT-2 by each method, against direct float64 solutions."""

import dataclasses

import numpy as np
import pytest

from closedbook.knowledge.editing import keys, presets, requests
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place, kernel
from closedbook.knowledge.editing.requests import ESSENCE, Edit, Keep
from closedbook.knowledge.editing.rows import pack
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.editing.values import ValueSettings

PLACE = Place("decoder", 2)
BASE = Settings(stack="decoder", layers=(2,), value=ValueSettings(steps=3), moment_weight=5.0)


def edit(subject, target):
    return Edit(
        id=subject,
        subject=subject,
        prompt="{} plays the sport of",
        target=target,
        contexts=("The city of Seattle is. {} plays the sport of",),
        keep=(Keep(prompt=ESSENCE, at_subject=True),),
    )


EDITS = [edit("LeBron James", "football"), edit("Megan Rapinoe", "basketball")]


@pytest.fixture(scope="module")
def moment(rome):
    return {PLACE: Moment(rome[1]["C"].astype(np.float64), 100)}


@pytest.fixture(scope="module")
def matrix(gpt2):
    """K [mlp, 2]: each edit's mean key over its prompts, by the original."""
    found = []
    for each in EDITS:
        told = requests.tells(gpt2, each)
        batch = pack(gpt2, told, requests.keeps(gpt2, each))
        read = keys.at_places(gpt2, gpt2.params, batch, [PLACE], len(told))[PLACE]
        found.append(read[0].mean(0))
    return np.stack(found, axis=1)


def run(gpt2, moment, **changes):
    settings = dataclasses.replace(BASE, **changes)
    return Editor(gpt2, settings, moment).apply(EDITS)


def lengths(done):
    return [record["delta_norm"] for record in done.record]


def test_memit_solves_its_normal_equations_for_the_values_it_searched(gpt2, moment, matrix):
    done = run(gpt2, moment, method="memit")
    change = done.changes[PLACE].matrix
    weighed = 5.0 * moment[PLACE].matrix
    # (lambda C + K K^T) D = K R gives R back, whose rows are the values that were searched.
    left = (weighed + matrix @ matrix.T) @ change
    wanted = np.linalg.lstsq(matrix, left, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), lengths(done), rtol=1e-4)
    direct = np.linalg.inv(weighed + matrix @ matrix.T) @ matrix @ wanted
    np.testing.assert_allclose(change, direct, atol=1e-5 * np.abs(direct).max())


def test_emmet_gives_every_value_exactly(gpt2, moment, matrix):
    done = run(gpt2, moment, method="emmet")
    change = done.changes[PLACE].matrix
    wanted = matrix.T @ change
    np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), lengths(done), rtol=1e-4)
    inverse = np.linalg.inv(moment[PLACE].matrix)
    direct = inverse @ matrix @ np.linalg.inv(matrix.T @ inverse @ matrix) @ wanted
    np.testing.assert_allclose(change, direct, atol=1e-5 * np.abs(direct).max())


def test_alphaedit_is_its_published_solution_in_the_null_space(gpt2, moment, matrix):
    settings = {"null_space": True, "null_threshold": 0.02, "l2": 2.0}
    done = run(gpt2, moment, method="alphaedit", **settings)
    change = done.changes[PLACE].matrix
    values, vectors = np.linalg.eigh(moment[PLACE].matrix)
    small = vectors[:, values < 0.02 * values[-1]]
    projector = small @ small.T
    np.testing.assert_allclose(projector @ change, change, atol=1e-5 * np.abs(change).max())
    inside = projector @ matrix @ matrix.T + 2.0 * np.eye(len(projector))
    wanted = np.linalg.lstsq(projector @ matrix, inside @ change, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), lengths(done), rtol=1e-3)
    direct = np.linalg.solve(inside, projector @ matrix @ wanted)
    np.testing.assert_allclose(change, direct, atol=1e-4 * np.abs(direct).max())


def test_memit_spreads_over_layers_so_that_the_last_one_makes_up_the_rest(gpt2, rome):
    places = [Place("decoder", 1), PLACE]
    moments = {place: Moment(rome[1]["C"].astype(np.float64), 100) for place in places}
    settings = dataclasses.replace(BASE, method="memit", layers=(1, 2), moment_weight=1e-6)
    editor = Editor(gpt2, settings, moments)
    bare = dataclasses.replace(EDITS[0], contexts=())
    done = editor.apply([bare])
    assert list(done.changes) == places
    batch = pack(gpt2, requests.tells(gpt2, bare), requests.keeps(gpt2, bare))
    site = "decoder.2.resid_post"
    spot = requests.tells(gpt2, bare)[0].subject
    before, after = (
        np.asarray(keys.recorded(gpt2.module, params, batch, (site,))[site][0, spot])
        for params in (gpt2.params, editor.params)
    )
    # With hardly any weight on C the residual stream gets the whole value.
    assert np.linalg.norm(after - before) == pytest.approx(lengths(done)[0], rel=0.01)


def test_accumulated_keys_keep_an_earlier_edit_in_place(gpt2, moment, matrix):
    def disturbed(accumulate):
        settings = dataclasses.replace(BASE, accumulate_keys=accumulate, key_weight=1e4)
        editor = Editor(gpt2, settings, moment)
        first = editor.apply(EDITS[:1])
        before = np.asarray(kernel(editor.params, PLACE), np.float64)
        editor.apply(EDITS[1:])
        after = np.asarray(kernel(editor.params, PLACE), np.float64)
        assert first.edits == (EDITS[0],)
        return np.linalg.norm(matrix[:, 0] @ (after - before))

    assert disturbed(True) < 0.01 * disturbed(False)


def test_a_norm_anchor_keeps_the_values_length(gpt2, moment, matrix):
    editor = Editor(gpt2, dataclasses.replace(BASE, norm_anchor=True), moment)
    told = requests.tells(gpt2, EDITS[0])
    batch = pack(gpt2, told, requests.keeps(gpt2, EDITS[0]))
    value = keys.at_places(gpt2, gpt2.params, batch, [PLACE], 1)[PLACE][1][0]
    change = editor.apply(EDITS[:1]).changes[PLACE].matrix
    delta = matrix[:, 0] @ change
    assert np.linalg.norm(delta) > 0.1 * np.linalg.norm(value)
    assert np.linalg.norm(value + delta) == pytest.approx(np.linalg.norm(value), rel=1e-4)


@pytest.mark.parametrize("method", ["ft", "ft-l", "ft-m"])
def test_fine_tuning_lowers_its_loss_within_its_bound(gpt2, method):
    settings = dataclasses.replace(
        BASE, method=method, fine_tuning_rate=1e-2, fine_tuning_steps=5, largest_change=2e-3
    )
    done = Editor(gpt2, settings, {}).apply(EDITS[:1])
    losses = done.record[0]["losses"]
    assert losses[-1] < losses[0]
    largest = np.abs(done.changes[PLACE].matrix).max()
    assert largest <= 2e-3 * (1 + 1e-4) if method == "ft-l" else largest > 2e-3


def test_a_context_that_names_the_subject_too_is_edited_where_it_is_meant(gpt2):
    twice = dataclasses.replace(
        EDITS[0], prompt="LeBron James is. {} plays the sport of", contexts=(), keep=()
    )
    (once,) = requests.tells(gpt2, dataclasses.replace(EDITS[0], contexts=(), keep=()))
    (row,) = requests.tells(gpt2, twice)
    assert row.subject == once.subject + len(row.prompt) - len(once.prompt)


def test_generated_contexts_end_with_the_prompt_and_are_always_the_same(gpt2):
    found = presets.generated(gpt2, "{} plays the sport of")
    assert 5 <= len(found) <= 20
    assert all(each.endswith(". {} plays the sport of") for each in found)
    assert all(each.count("{}") == 1 for each in found)
    assert found == presets.generated(gpt2, "{} plays the sport of")


def test_fifty_edits_in_reverse_have_the_same_deltas_to_the_last_bit(gpt2, moment):
    people = ("LeBron James", "Megan Rapinoe", "James", "Seattle", "King")
    edits = [
        dataclasses.replace(edit(person, target), id=f"{number} {person}", prompt=prompt)
        for number, prompt in enumerate(("{} plays the sport of", "{} plays", "{} is", "The {} is"))
        for person in people
        for target in ("football", "basketball", "the city")
    ][:50]

    def deltas(order):
        made = [Editor(gpt2, BASE, moment).apply([each]) for each in order]
        changes = [each.changes[PLACE] for each in made]
        return [(each.left.tobytes(), each.right.tobytes()) for each in changes]

    there = deltas(edits)
    assert len(set(there)) == 50
    assert deltas(edits[::-1]) == there[::-1]
