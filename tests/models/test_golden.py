"""The network gives T5X's loss on T5X's own checkpoint and batch."""

import json
import tarfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore

from closedbook.models import T5, T5Config


@pytest.fixture(scope="module")
def checkpoint(shared, tmp_path_factory):
    """`checkpoint_0` of the plain run: one zarr folder an array."""
    folder = tmp_path_factory.mktemp("plain")
    with tarfile.open(shared / "golden" / "t5x" / "plain.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "checkpoint_0"


def _params(checkpoint):
    """The tree of all `target.*` arrays."""
    tree: dict = {}
    for folder in sorted(checkpoint.glob("target.*")):
        kvstore = {"driver": "file", "path": str(folder)}
        array = tensorstore.open({"driver": "zarr", "kvstore": kvstore}).result().read().result()
        *path, leaf = folder.name.removeprefix("target.").split(".")
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[leaf] = np.asarray(array)
    return tree


def test_loss_of_the_first_batch_is_that_of_t5x(shared, checkpoint):
    config = T5Config(
        vocab_size=1152,
        emb_dim=64,
        num_heads=4,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=16,
        mlp_dim=128,
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
    )
    params = _params(checkpoint)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    made = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)
    made = nn.meta.unbox(made["params"])
    assert jax.tree.map(lambda x: x.shape, made) == jax.tree.map(lambda x: x.shape, params)

    batches = json.loads((shared / "golden" / "t5x" / "batches.json").read_text())
    batch = {name: np.array(rows) for name, rows in batches[0].items()}
    logits = jax.jit(T5(config).apply)(
        {"params": params}, batch["encoder_input_tokens"], batch["decoder_input_tokens"]
    )
    logits = np.asarray(logits, np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    targets = batch["decoder_target_tokens"]
    chosen = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    losses = log_z - chosen + 1e-4 * log_z**2
    assert (losses * batch["decoder_loss_weights"]).sum() == pytest.approx(438.50745, rel=1e-5)
