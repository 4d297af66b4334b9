"""Starting from a checkpoint with other names, or without some of the run's parameters."""

import dataclasses
import types
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.checkpoints import CheckpointStore, open_checkpoint, recognise
from closedbook.errors import UserError
from closedbook.models import T5
from closedbook.parallel import Partitioner
from closedbook.training import startup
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.settings import RestoreCheckpointConfig

NORM = "decoder/decoder_norm/scale"
OTHER = "encoder/encoder_norm/scale"


@pytest.fixture
def begun(factored_checkpoint, tmp_path):
    """Begins a run from T5X's checkpoint: (state, the checkpoint's parameters)."""
    checkpoint = open_checkpoint(factored_checkpoint)

    def begin(rules=None, *, scratch=False, layers=None, strict=True) -> tuple[Any, Any]:
        config = recognise(checkpoint)
        if layers:
            config = dataclasses.replace(config, num_decoder_layers=layers)
        model = EncoderDecoderModel(
            module=T5(config),
            vocabulary=types.SimpleNamespace(vocab_size=1152, path="words.model"),
            optimizer=adafactor(),
            loss_normalizing_factor=10.0,
        )
        restore = RestoreCheckpointConfig(
            path=str(factored_checkpoint),
            assignment_map=rules,
            fallback_to_scratch=scratch,
            strict=strict,
        )
        partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
        store = CheckpointStore(tmp_path / "run")
        with partitioner.activate():
            start = startup.begin(model, partitioner, store, tmp_path / "run", restore, 0, {})
        store.close()
        return start.state, checkpoint

    return begin


def _at(tree: Any, name: str) -> np.ndarray:
    for part in name.split("/"):
        tree = tree[part]
    return np.asarray(tree)


def test_a_parameter_comes_from_another_name(begun):
    state, checkpoint = begun(
        [(f"target/{NORM}", f"target/{OTHER}"), (f"target/{OTHER}", f"target/{NORM}")]
    )
    np.testing.assert_array_equal(_at(state.params, NORM), checkpoint.params[OTHER].read())
    np.testing.assert_array_equal(_at(state.params, OTHER), checkpoint.params[NORM].read())
    slot = _at(state.opt_state.v, NORM)
    np.testing.assert_array_equal(slot, checkpoint.slots[f"{NORM}/v"].read())


def test_groups_of_a_pattern_stand_in_the_name(begun):
    rules = [(r"target/(encoder|decoder)/relpos_bias/(.*)", r"target/\1/relpos_bias/\2")]
    state, checkpoint = begun(rules)
    name = "encoder/relpos_bias/rel_embedding"
    np.testing.assert_array_equal(_at(state.params, name), checkpoint.params[name].read())


def test_what_is_left_out_or_lacking_begins_at_random(begun):
    state, checkpoint = begun(
        [(f"(target|state/param_states)/{NORM}.*", None)], scratch=True, layers=3
    )
    np.testing.assert_array_equal(_at(state.params, NORM), np.ones(128))  # as RMSNorm begins
    np.testing.assert_array_equal(_at(state.opt_state.v, NORM), np.zeros(128))
    assert _at(state.params, "decoder/layers_2/mlp/wo/kernel").std() > 0
    same = "decoder/layers_1/mlp/wo/kernel"
    np.testing.assert_array_equal(_at(state.params, same), checkpoint.params[same].read())


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([("a", "b")], "patterns that match nothing: a; names of the run begin with target/"),
        ([(f"target/{NORM}", "target/x")], f"takes target/{NORM} from target/x: unknown array"),
        ([("(", None)], "no regular expression"),
        ([(f"target/{NORM}", None)], NORM),  # nothing to begin it with
    ],
)
def test_a_rule_that_cannot_be_followed_is_one_message(begun, rules, message):
    with pytest.raises(UserError) as caught:
        begun(rules)
    assert message in str(caught.value)


def test_what_the_model_lacks_is_left_out_where_that_is_asked_for(begun, caplog):
    extra = "decoder/layers_1/mlp/wo/kernel"
    with pytest.raises(UserError, match=rf"extra: {extra}"):
        begun(layers=1)
    state, checkpoint = begun(layers=1, strict=False)
    assert set(state.params["decoder"]) >= {"layers_0"}
    assert "layers_1" not in state.params["decoder"]
    assert "layers_1" not in state.opt_state.v["decoder"]
    same = "decoder/layers_0/mlp/wo/kernel"
    np.testing.assert_array_equal(_at(state.params, same), checkpoint.params[same].read())
    assert "strict is False" in caplog.text
    assert extra in caplog.text
    assert same not in caplog.text


def test_what_the_checkpoint_lacks_is_no_less_missing_without_strictness(begun):
    with pytest.raises(UserError, match="missing: decoder/layers_2/") as caught:
        begun(layers=3, strict=False)
    assert "extra" not in str(caught.value)
