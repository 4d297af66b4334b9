"""Estimates, lenses, averages and the folder of results, on the packaged model."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval.intervals import of_any
from closedbook.knowledge import result_folders
from closedbook.knowledge.leaving_out import CannotBePut, LeftOut
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.tracing import cases, results, roles, study
from closedbook.knowledge.tracing.agreement import agreement
from closedbook.knowledge.tracing.approximate import approximate, verified
from closedbook.knowledge.tracing.kinds import chosen, kinds
from closedbook.knowledge.tracing.lenses import lenses
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.study import Settings
from closedbook.knowledge.tracing.summary import summarise
from closedbook.knowledge.tracing.trace import trace
from closedbook.tasks.facts import read_facts

SMALL = Noise(level=0.02, samples=2)  # so that effects are nearly linear
NOISE = Noise(level=3.4, samples=2)


@pytest.fixture(scope="module")
def rows(atlas_tracer):
    facts = read_facts("atlas", relations=["country_capital"], style="question")
    model = atlas_tracer.model
    known, unknown, left = cases.of_facts(
        model, facts.keep(facts.facts[:4]), Prompting.of(model), score=None
    )
    assert len(known) + unknown == 4
    assert not left.counts
    assert len(known) >= 2
    settings = Settings(
        kinds=chosen(atlas_tracer.config, ["encoder.state", "encoder.mlp"]),
        noise=NOISE,
        lenses=True,
        approximations=("relp",),
    )
    return study.run(atlas_tracer, known, settings), settings


def test_attribution_is_the_first_order_of_the_measured_map(gpt2_tracer, gpt2_case):
    """What it misses is of second order: of a tenth of the noise, about a hundredth."""
    some, missed = kinds(gpt2_tracer.config), []
    for noise in (SMALL, dataclasses.replace(SMALL, level=SMALL.level / 10)):
        exact = trace(gpt2_tracer, gpt2_case, some, noise=noise, width=1)
        found, changes = approximate(
            gpt2_tracer, gpt2_case, some, "attribution", noise=noise, width=1
        )
        assert found.clean == pytest.approx(exact.clean, abs=1e-6)
        assert found.corrupted == pytest.approx(exact.corrupted, abs=1e-6)
        measured = {name: np.log(scores / exact.corrupted) for name, scores in exact.scores.items()}
        missed.append(max(np.abs(changes[name] - measured[name]).max() for name in measured))
        largest = max(np.abs(values).max() for values in measured.values())
    assert missed[1] < missed[0] / 30
    assert missed[1] < 0.05 * largest


def test_an_estimate_of_a_window_is_the_sum_of_its_layers(gpt2_tracer, gpt2_case):
    some = chosen(gpt2_tracer.config, ["decoder.mlp"])
    form = {"noise": SMALL, "convention": "paper"}
    _, single = approximate(gpt2_tracer, gpt2_case, some, "relp", width=1, **form)
    _, three = approximate(gpt2_tracer, gpt2_case, some, "relp", width=3, **form)
    one = single["decoder.mlp"]
    padded = np.pad(one, ((0, 0), (1, 1)))
    wanted = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    np.testing.assert_allclose(three["decoder.mlp"], wanted, atol=1e-9)


def test_estimates_cost_at_most_four_forward_passes_per_sample(gpt2_tracer, gpt2_case):
    from closedbook.knowledge.tracing import approximate as module
    from closedbook.knowledge.tracing.trace import draw

    some = kinds(gpt2_tracer.config)
    noise = Noise(level=0.8)
    fact = gpt2_tracer.fact(gpt2_case, draw(gpt2_tracer, gpt2_case, noise, 1))
    program = module._compiled(gpt2_tracer.module, some, True)
    cost = program.lower(gpt2_tracer.params, *fact.arrays).compile().cost_analysis()["flops"]
    apply = jax.jit(lambda params, row: gpt2_tracer.module.apply({"params": params}, row))
    forward = apply.lower(gpt2_tracer.params, fact.row).compile().cost_analysis()["flops"]
    assert cost <= 4 * noise.samples * forward


def test_verified_cells_have_the_measured_scores(atlas_tracer, kenya):
    some = chosen(atlas_tracer.config, ["encoder.state", "encoder.mlp", "decoder.mlp"])
    exact = trace(atlas_tracer, kenya, some, noise=NOISE)
    estimated, _ = approximate(atlas_tracer, kenya, some, "attribution", noise=NOISE)
    found = verified(atlas_tracer, kenya, estimated, some, 3, noise=NOISE)
    assert {name: len(cells) for name, cells in found.items()} == dict.fromkeys(found, 3)
    for name, cells in found.items():
        for token, layer, score in cells:
            assert score == pytest.approx(exact.scores[name][token, layer], abs=2e-6)


def test_the_last_layer_of_each_lens_is_the_model_itself(
    atlas_tracer, kenya, gpt2_tracer, gpt2_case
):
    found = lenses(atlas_tracer, kenya)
    clean = trace(
        atlas_tracer, kenya, chosen(atlas_tracer.config, ["decoder.mlp"]), noise=NOISE
    ).clean
    assert list(found) == ["logit", "decoder"]
    for seen in found.values():
        assert seen.probability[-1] == pytest.approx(clean, abs=1e-5)
        assert seen.first[-1] == kenya.targets[0]
        assert seen.probability[0] < clean
    (logit,) = lenses(gpt2_tracer, gpt2_case).values()
    assert logit.first[-1] == gpt2_case.targets[0]
    assert len(logit.probability) == 6


def test_agreement_is_of_hand_made_maps():
    exact = np.arange(12.0).reshape(4, 3)
    assert agreement(exact, 2 * exact + 1) == {
        "pearson": pytest.approx(1),
        "spearman": pytest.approx(1),
        "recall": 1.0,
    }
    turned = agreement(exact, -exact)
    assert (turned["pearson"], turned["recall"]) == (pytest.approx(-1), 0.8)
    assert agreement(exact, np.zeros((4, 3)))["pearson"] == 0
    assert agreement(exact[:2], exact[:2])["recall"] is None
    assert agreement(np.ones((4, 3)), exact) is None


def test_tokens_have_the_roles_of_the_paper(gpt2_case, kenya):
    assert roles.places(gpt2_case, "decoder") == {
        roles.FIRST: [0],
        roles.LAST: [1],
        roles.NEXT: [2],
        roles.FURTHER: [3, 4],
        roles.END: [5],
    }
    found = roles.places(kenya, "encoder")
    assert found[roles.FIRST] == found[roles.LAST] == [13]
    assert found[roles.BEFORE] == list(range(13))
    assert found[roles.END] == [15]
    assert roles.places(kenya, "decoder") == {roles.START: [0], roles.ANSWER: [1]}


def test_averages_are_means_over_facts_with_intervals(rows):
    found, _ = rows
    summary = summarise(found)
    assert summary["facts"] == len(found)
    effects = [row["clean"] - row["corrupted"] for row in found]
    assert summary["total_effect"].mean == pytest.approx(np.mean(effects))
    assert summary["total_effect"].low <= np.mean(effects) <= summary["total_effect"].high
    (state,) = [kind for kind in summary["kinds"] if kind["name"] == "encoder.state"]
    (last,) = [each for each in state["roles"] if each["role"] == roles.LAST]
    own = [row["scores"]["encoder.state"][row["subject_tokens"][1] - 1][0] for row in found]
    lows = [row["corrupted"] for row in found]
    assert last["effects"][0].mean == pytest.approx(np.mean(np.array(own) - lows))
    assert {each["method"] for each in summary["approximations"]} == {"relp"}


def test_intervals_of_two_subjects_are_students(rows):
    found, _ = rows
    two = [{**row, "subject": str(number % 2)} for number, row in enumerate(found)]
    effects = [row["clean"] - row["corrupted"] for row in two]
    low, high = of_any(effects, clusters=[row["subject"] for row in two])
    total = summarise(two)["total_effect"]
    assert (total.low, total.high) == pytest.approx((low, min(high, 1.0)))  # no effect is larger
    one = summarise([{**row, "subject": "a"} for row in found])["total_effect"]
    assert one.low == one.mean == one.high


def test_a_killed_run_goes_on_with_what_is_kept(atlas_tracer, kenya, tmp_path, monkeypatch):
    settings = Settings(
        kinds=chosen(atlas_tracer.config, ["encoder.state"]), noise=NOISE, severed=False
    )
    two = [kenya, dataclasses.replace(kenya, id="again")]
    first = study.run(atlas_tracer, two, settings, keep=tmp_path)
    monkeypatch.setattr(study, "of_case", lambda *_: pytest.fail("measured again"))
    assert study.run(atlas_tracer, two, settings, keep=tmp_path) == first
    other = dataclasses.replace(settings, noise=dataclasses.replace(NOISE, level=1.0))
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        study.run(atlas_tracer, two, other, keep=tmp_path)


def test_the_folder_holds_page_numbers_and_figures(atlas_tracer, rows, tmp_path):
    found, settings = rows
    hostile = [
        {**row, "subject": "<script>alert(1)</script>", "id": str(n)} for n, row in enumerate(found)
    ]
    left = LeftOut()
    left.add(CannotBePut("<b>of fact 7</b>", "without a subject"))
    about = results.meta(
        atlas_tracer.model,
        settings,
        model_name="m",
        source="atlas",
        rows=hostile,
        unknown=1,
        left=left,
        score="answer",
        noise_from="given",
    )
    command = result_folders.command(atlas_tracer.model, "m", {})
    out = results.write(tmp_path / "out", hostile, about, command)
    names = {path.name for path in out.rglob("*.*")}
    assert {"heat_encoder.svg", "heat_encoder.png", "lines_encoder.svg", "severed.png"} <= names
    page = (out / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<b>1</b> left out, without a subject" in page
    assert "<b>of fact" not in page
    assert "DecoderLens" in page
    summary = json.loads((out / "summary.json").read_text())
    assert summary["total_effect"].keys() == {"mean", "low", "high"}
    lines = (out / "results.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == hostile
    table = json.loads((out / "tables" / "effects.json").read_text())
    assert {row["kind"] for row in table} >= {
        "encoder.state",
        "encoder.mlp",
        "encoder.state, severed",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 0}, "the window is 0 layers wide"),
        ({"exact": False}, "neither exact tracing nor an approximation"),
        ({"verify": 3}, "--verify is 3"),
    ],
)
def test_settings_that_make_no_sense_are_the_users_error(change, said):
    with pytest.raises(UserError, match=said):
        Settings(kinds=(), noise=NOISE, **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": -1.0}, "the noise is -1.0"),
        ({"level": float("nan")}, "the noise is nan"),
        ({"samples": 0}, "0 samples"),
        ({"seed": -1}, "seed"),
        ({"distribution": "normal"}, "unknown distribution of noise .normal."),
    ],
)
def test_noise_out_of_range_is_the_users_error(change, said):
    with pytest.raises(UserError, match=said):
        dataclasses.replace(NOISE, **change)


def test_uniform_noise_lies_within_its_level_and_seeds_give_other_noise():
    drawn = Noise(level=0.5, distribution="uniform").draws(1, 3, 8)
    assert drawn.shape == (1, 10, 3, 8)
    assert 0.4 < np.abs(drawn).max() <= 0.5
    assert not np.array_equal(
        drawn, Noise(level=0.5, distribution="uniform", seed=2).draws(1, 3, 8)
    )
