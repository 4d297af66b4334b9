"""Twenty steps of upstream T5X, step by step: losses, parameters, accumulators."""

import json
import pathlib
import tarfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore
from flax import serialization

from closedbook.models import T5, T5Config
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.schedules import constant
from closedbook.training.state import TrainState
from closedbook.training.step import make_train_step


def _read(folder: pathlib.Path) -> dict[str, Any]:
    """The tree of an upstream checkpoint, its zarr leaves read."""
    tree = serialization.msgpack_restore((folder / "checkpoint").read_bytes())["optimizer"]

    def leaf(x: Any) -> Any:
        if isinstance(x, dict) and "driver" in x:
            store = {"driver": "file", "path": str(folder / x["kvstore"]["path"])}
            spec = {"driver": "zarr", "kvstore": store}
            return tensorstore.open(spec, read=True).result().read().result()
        return x

    is_leaf = lambda x: isinstance(x, dict) and "driver" in x  # noqa: E731
    return jax.tree.map(leaf, tree, is_leaf=is_leaf)


@pytest.mark.parametrize("name", ["plain", "factored"])
def test_twenty_steps_equal_upstream_t5x(name, golden, request, tmp_path):
    # The factored run is too large for a clone.
    folder = golden if name == "plain" else request.getfixturevalue("shared") / "golden"
    with tarfile.open(folder / "t5x" / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    first, last = _read(tmp_path / "checkpoint_0"), _read(tmp_path / "checkpoint_20")
    emb = 64 if name == "plain" else 128
    config = T5Config(
        vocab_size=1152,
        emb_dim=emb,
        num_heads=4,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=emb // 4,
        mlp_dim=2 * emb,
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
        dropout_rate=0.0,
    )
    model = EncoderDecoderModel(
        module=T5(config), vocabulary=None, optimizer=adafactor(), z_loss=1e-4
    )
    params = jax.tree.map(jnp.asarray, first["target"])
    state = TrainState(jnp.int32(0), params, model.optimizer.init(params))
    step = jax.jit(make_train_step(model, constant()))
    trace = json.loads((folder / "t5x" / f"{name}_trace.json").read_text())
    for i, rows in enumerate(json.loads((golden / "t5x" / "batches.json").read_text()), start=1):
        batch = {key: np.array(value, np.int32) for key, value in rows.items()}
        state, sums = step(state, batch, jax.random.key(0))
        for key in ("loss", "cross_ent_loss", "z_loss"):
            assert float(sums[key]) == pytest.approx(trace[str(i)][key], rel=1e-4), (i, key)
        accuracy = float(sums["correct"] / sums["target_tokens"])
        assert accuracy == pytest.approx(trace[str(i)]["accuracy"], abs=1e-6)

    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5),
        state.params,
        last["target"],
    )
    assert int(state.opt_state.count) == int(last["state"]["step"]) == 20
    slots = last["state"]["param_states"]
    compared = 0
    for path, _ in jax.tree_util.tree_leaves_with_path(params):
        theirs = slots
        for key in path:
            theirs = theirs[key.key]
        for slot in ("v", "v_row", "v_col"):
            ours = getattr(state.opt_state, slot)
            for key in path:
                ours = ours[key.key]
            assert ours.shape == theirs[slot].shape, (path, slot)
            scale = float(np.abs(theirs[slot]).max())
            np.testing.assert_allclose(ours, theirs[slot], rtol=1e-4, atol=1e-4 * scale)
            compared += 1
    assert compared == 3 * len(jax.tree.leaves(params))
    factored = sum(v.shape != (1,) for v in jax.tree.leaves(state.opt_state.v_row))
    assert (factored > 0) == (name == "factored")
