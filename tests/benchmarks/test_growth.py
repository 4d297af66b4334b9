"""The cost of a step grows in a straight line with rows and devices, as the compiler plans it."""

import dataclasses

import pytest

from benchmarks.growth import PANELS, Line, compiled, figure, first, run_of
from closedbook.models import T5
from closedbook.parallel.topologies import topology


def test_a_line_goes_through_points_and_tells_how_far_they_are_off():
    line = Line.through([(1, 5), (2, 7), (4, 11)])
    assert (line.at0, line.slope) == pytest.approx((3, 2))
    assert line.off == pytest.approx(0, abs=1e-9)
    assert Line.through([(1, 1), (2, 2), (3, 4.5)]).off > 0.05


def _tiny(run):
    config = dataclasses.replace(
        run.model.config, vocab_size=384, emb_dim=16, num_heads=2, head_dim=8, mlp_dim=32
    )
    config = dataclasses.replace(config, num_encoder_layers=1, num_decoder_layers=1)
    return dataclasses.replace(run, model=dataclasses.replace(run.model, module=T5(config)))


def test_activations_grow_with_rows_alone_and_gradients_with_none():
    devices = first(topology("cpu:8"), 1)
    small, double = (
        compiled(_tiny(run_of("nq_1_1_small", rows, 64, 16)), devices) for rows in (64, 128)
    )
    assert double["temporaries"] == pytest.approx(2 * small["temporaries"], rel=0.15)
    assert double["parameters"] == small["parameters"]
    assert double["flops"] == 2 * small["flops"]
    assert small["exchanged"] == 0
    # As many rows on each of two devices: as much memory, and gradients are added up once.
    both = compiled(_tiny(run_of("nq_1_1_small", 128, 64, 16)), first(topology("cpu:8"), 2))
    assert both["temporaries"] == pytest.approx(small["temporaries"], rel=0.15)
    assert 0.9 * both["parameters"] < both["exchanged"] < 3 * both["parameters"]


def test_the_figure_has_every_panel():
    points = [
        {"what": what, "measure": measure, "number": 1, "value": 1.0, "fitted": 1.0}
        for what, measure, *_ in PANELS
    ]
    assert len(figure(points)["concat"]) == len(PANELS)
