"""Training that starts from other tools' checkpoints, told by their path alone."""

import dataclasses
import logging
import pathlib
import types
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.checkpoints import CheckpointStore, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.errors import UserError
from closedbook.models import T5, T5Config
from closedbook.parallel import Partitioner
from closedbook.training import startup
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers import adamw
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.settings import RestoreCheckpointConfig
from closedbook.training.state import fresh_state


@pytest.fixture(scope="module")
def golden(factored_checkpoint) -> pathlib.Path:
    """Of T5X's own format, with factored accumulators."""
    return factored_checkpoint


# Of the models' size; these tests encode nothing.
WORDS: Any = types.SimpleNamespace(vocab_size=1152, path="words.model")


def _begin(
    path: pathlib.Path,
    folder: pathlib.Path,
    *,
    optimizer: Any = None,
    state: str = "restore",
    scan_layers: bool = False,
    devices: Any = None,
) -> startup.Start:
    config = recognise(open_checkpoint(path))
    model = EncoderDecoderModel(
        module=T5(dataclasses.replace(config, scan_layers=scan_layers)),
        vocabulary=WORDS,
        optimizer=optimizer or adafactor(),
        loss_normalizing_factor=10.0,
    )
    devices = devices or jax.devices()[:1]
    partitioner = Partitioner(num_partitions=len(devices), devices=tuple(devices))
    store = CheckpointStore(folder)
    restore = RestoreCheckpointConfig(path=str(path), optimizer=state)
    with partitioner.activate():
        start = startup.begin(model, partitioner, store, folder, restore, 0, {})
    store.close()
    return start


def _equal_to_upstream(start: Any, path: pathlib.Path) -> None:
    source = open_checkpoint(path)
    for name, tensor in source.params.items():
        leaf = start.state.params
        for key in name.split("/"):
            leaf = leaf[key]
        np.testing.assert_array_equal(leaf, tensor.read(), err_msg=name)
        for slot in ("v", "v_row", "v_col"):
            ours = getattr(start.state.opt_state, slot)
            for key in name.split("/"):
                ours = ours[key]
            np.testing.assert_array_equal(ours, source.slots[f"{name}/{slot}"].read())


@pytest.mark.parametrize("factored", [False, True])
def test_a_t5x_checkpoint_starts_a_run_with_its_state_and_step(
    upstream_run, factored_checkpoint, factored, tmp_path, caplog
):
    path = factored_checkpoint if factored else upstream_run / "checkpoint_20"
    with caplog.at_level(logging.INFO, logger="closedbook"):
        start = _begin(path, tmp_path / "run")
    assert (start.step, start.first_step, int(start.state.opt_state.count)) == (20, 20, 20)
    assert "(t5x, step 20), optimiser state restored" in caplog.text
    _equal_to_upstream(start, path)


def test_parameters_are_laid_out_over_devices_and_stacked_layers(golden, tmp_path):
    start = _begin(golden, tmp_path / "run", scan_layers=True, devices=jax.devices()[:4])
    leaf = start.state.params["encoder"]["layers"]["mlp"]["wi_0"]["kernel"]
    assert leaf.shape == (128, 2, 256)
    assert leaf.addressable_shards[0].data.shape == (128, 2, 64)  # mlp split four ways
    source = open_checkpoint(golden)
    for i in range(2):
        wanted = source.params[f"encoder/layers_{i}/mlp/wi_0/kernel"].read()
        np.testing.assert_array_equal(np.asarray(leaf)[:, i], wanted)
        kept = start.state.opt_state.v_col["encoder"]["layers"]["mlp"]["wi_0"]["kernel"]
        slot = source.slots[f"encoder/layers_{i}/mlp/wi_0/kernel/v_col"].read()
        np.testing.assert_array_equal(np.asarray(kept)[i], slot)


def test_a_hugging_face_folder_starts_at_step_zero_without_state(golden, tmp_path, caplog):
    folder = convert(golden, tmp_path / "hf", Options(to="huggingface"))
    with caplog.at_level(logging.INFO, logger="closedbook"):
        start = _begin(folder, tmp_path / "run")
    assert (start.step, int(start.state.opt_state.count)) == (0, 0)
    assert "optimiser state reset (the checkpoint has none)" in caplog.text


def test_another_optimizer_is_not_given_adafactors_state(golden, tmp_path, caplog):
    message = r"holds an Adafactor state, the run's optimiser is another; set .* 'reset'"
    with pytest.raises(UserError, match=message):
        _begin(golden, tmp_path / "run", optimizer=adamw())
    with caplog.at_level(logging.INFO, logger="closedbook"):
        start = _begin(golden, tmp_path / "run", optimizer=adamw(), state="reset")
    assert "optimiser state reset (as asked)" in caplog.text
    assert start.step == 20


def test_a_model_of_another_size_lists_what_differs(golden, tmp_path):
    config = recognise(open_checkpoint(golden))
    model = EncoderDecoderModel(
        module=T5(dataclasses.replace(config, mlp_dim=128, num_decoder_layers=3)),
        vocabulary=WORDS,
        optimizer=adafactor(),
    )
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    restore = RestoreCheckpointConfig(path=str(golden))
    store = CheckpointStore(tmp_path)
    with pytest.raises(UserError) as caught, partitioner.activate():
        startup.begin(model, partitioner, store, tmp_path, restore, 0, {})
    store.close()
    message = str(caught.value)
    assert "missing: decoder/layers_2/mlp/wi_0/kernel (128, 128)" in message
    other = "encoder/layers_0/mlp/wo/kernel is (256, 128), the model has (128, 128)"
    assert f"other shape: {other}" in message


def test_a_fresh_state_with_factored_slots_is_laid_out_over_devices():
    """Unused slots have shape (1,), which no axis of the mesh divides."""
    config = T5Config(
        vocab_size=256,
        emb_dim=128,
        num_heads=4,
        num_encoder_layers=1,
        num_decoder_layers=1,
        head_dim=32,
        mlp_dim=256,
    )
    model = EncoderDecoderModel(module=T5(config), vocabulary=WORDS, optimizer=adafactor())
    partitioner = Partitioner(num_partitions=4, devices=tuple(jax.devices()[:4]))
    with partitioner.activate():
        state = fresh_state(model, partitioner, 0)
    slots = state.opt_state
    path = ("encoder", "layers_0", "mlp", "wi", "kernel")
    found = {}
    for slot in ("v", "v_row", "v_col"):
        leaf = getattr(slots, slot)
        for key in path:
            leaf = leaf[key]
        found[slot] = (leaf.shape, leaf.addressable_shards[0].data.shape)
    # The kernel is [128, 256], its 256 columns split four ways; v_row is the mean over them.
    assert found == {"v": ((1,), (1,)), "v_row": ((128,), (128,)), "v_col": ((256,), (64,))}


def test_a_vocabulary_of_another_size_is_refused_even_if_none_came_along(golden, tmp_path):
    config = recognise(open_checkpoint(golden))
    words: Any = types.SimpleNamespace(vocab_size=90, path="small.model")
    model = EncoderDecoderModel(module=T5(config), vocabulary=words, optimizer=adafactor())
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    store = CheckpointStore(tmp_path)
    restore = RestoreCheckpointConfig(path=str(golden))
    message = r"small\.model has 90 ids, extra ids included, but the embedding has 1152 rows"
    with pytest.raises(UserError, match=message), partitioner.activate():
        startup.begin(model, partitioner, store, tmp_path, restore, 0, {})
    store.close()
