"""T5X's scalable network and umT5: theirs read and written, with transformers' logits."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.checkpoints import Checkpoint, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.files.orbax import read_arrays, write_arrays
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.tensors import SLOTS, Tensor, nest
from closedbook.errors import UserError
from closedbook.models import T5, T5Config

EMB, HEADS, WIDTH, MLP, LAYERS, ROWS = 16, 2, 4, 24, {"encoder": 2, "decoder": 3}, 96
_MATRICES = {"query": "q", "key": "k", "value": "v", "out": "o"}
_NORMS = {
    "encoder": ["attention", "mlp"],
    "decoder": ["self_attention", "cross_attention", "mlp"],
}


@pytest.fixture(scope="module")
def model() -> Any:
    """A tied umT5 of transformers, random in all its parameters."""
    torch = pytest.importorskip("torch", reason="torch, of the test extras, is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is a test extra")
    torch.manual_seed(0)
    config = transformers.UMT5Config(
        vocab_size=ROWS,
        d_model=EMB,
        d_kv=WIDTH,
        d_ff=MLP,
        num_layers=LAYERS["encoder"],
        num_decoder_layers=LAYERS["decoder"],
        num_heads=HEADS,
    )
    made = transformers.UMT5ForConditionalGeneration(config).eval()
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape) * 0.5
    return made


def scalable(model: Any) -> dict[str, np.ndarray]:
    """T5X's arrays of a model of transformers, spelt out part by part."""
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    out = {"token_embedder/embedding": weights["shared.weight"]}
    for stack, layers in LAYERS.items():
        out[f"{stack}/{stack}_norm/scale"] = weights[f"{stack}.final_layer_norm.weight"]
        attentions = [("attention" if stack == "encoder" else "self_attention", "SelfAttention")]
        if stack == "decoder":
            attentions.append(("encoder_decoder_attention", "EncDecAttention"))

        def of(part: int, name: str, stack: str = stack, layers: int = layers) -> list[np.ndarray]:
            blocks = [f"{stack}.block.{i}.layer.{part}.{name}.weight" for i in range(layers)]
            return [weights[block].T for block in blocks]

        inside = f"{stack}/{stack}"
        for part, norm in enumerate(_NORMS[stack]):
            out[f"{inside}/pre_{norm}_layer_norm/scale"] = np.stack(of(part, "layer_norm"), 1)
        out[f"{inside}/relpos_bias/rel_embedding"] = np.stack(
            of(0, "SelfAttention.relative_attention_bias"), 1
        )
        for part, (ours, theirs) in enumerate(attentions):
            for matrix, letter in _MATRICES.items():
                shape = (HEADS, WIDTH, EMB) if matrix == "out" else (EMB, HEADS, WIDTH)
                kernels = [x.reshape(shape) for x in of(part, f"{theirs}.{letter}")]
                out[f"{inside}/{ours}/{matrix}/kernel"] = np.stack(kernels, 1)
        for matrix in ("wi_0", "wi_1", "wo"):
            kernels = of(len(_NORMS[stack]) - 1, f"DenseReluDense.{matrix}")
            out[f"{inside}/mlp/{matrix}/kernel"] = np.stack(kernels, 1)
    return out


def written(folder: pathlib.Path, arrays: dict[str, np.ndarray], *slots: str) -> pathlib.Path:
    """A checkpoint of T5X in Orbax's form."""
    state = {f"target/{name}": array for name, array in arrays.items()}
    state["state/step"] = np.asarray(7, np.int32)
    for name, array in arrays.items():
        state |= {f"state/param_states/{name}/{slot}": array[:1] for slot in slots}
    tensors = {name: Tensor.of(array, name) for name, array in state.items()}
    (folder / "checkpoint_7").mkdir()
    write_arrays(folder / "checkpoint_7" / "state", tensors)
    return folder / "checkpoint_7"


def logits(path: pathlib.Path, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    checkpoint = open_checkpoint(path)
    config = recognise(checkpoint)
    assert isinstance(config, T5Config)
    assert config.relpos_per_layer
    params = nest({name: tensor.read() for name, tensor in checkpoint.params.items()})
    begun = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
    return np.asarray(jax.jit(T5(config).apply)({"params": params}, inputs, begun))


def test_theirs_has_the_logits_of_transformers_in_every_format(
    model: Any, tmp_path: pathlib.Path
) -> None:
    torch = pytest.importorskip("torch")
    arrays = scalable(model)
    source = written(tmp_path, arrays)
    random = np.random.default_rng(0)
    inputs, targets = random.integers(3, ROWS, (2, 4, 30)).astype(np.int32)
    inputs[1, 20:] = 0
    tokens = torch.tensor(inputs, dtype=torch.int64)
    with torch.no_grad():
        wanted = model(
            input_ids=tokens,
            attention_mask=(tokens > 0).long(),
            labels=torch.tensor(targets, dtype=torch.int64),
        ).logits.numpy()
    np.testing.assert_allclose(logits(source, inputs, targets), wanted, atol=1e-4)
    folder = convert(source, tmp_path / "hf", Options(to="huggingface"))
    np.testing.assert_allclose(logits(folder, inputs, targets), wanted, atol=1e-4)
    again = type(model).from_pretrained(folder).eval()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    for to in ("t5x", "t5x-orbax"):
        back = convert(folder, tmp_path / to, Options(to=to))
        np.testing.assert_allclose(logits(back, inputs, targets), wanted, atol=1e-4)
    state = read_arrays(Storage.at(back / "state"))
    found = {
        name.removeprefix("target/"): tensor.read()
        for name, tensor in state.items()
        if name.startswith("target/")
    }
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture
def unrolled(random_model: Callable[[T5Config], Checkpoint]) -> Checkpoint:
    return random_model(
        T5Config(
            vocab_size=ROWS,
            emb_dim=EMB,
            num_heads=HEADS,
            num_encoder_layers=2,
            num_decoder_layers=1,
            head_dim=WIDTH,
            mlp_dim=MLP,
            relpos_per_layer=True,
        )
    )


def test_layers_apart_are_those_of_scan_layers_false(
    unrolled: Checkpoint, tmp_path: pathlib.Path
) -> None:
    source = written(tmp_path, {name: x.read() for name, x in unrolled.params.items()})
    path = convert(source, tmp_path / "t5x", Options(to="t5x", layers="unrolled"))
    opened = open_checkpoint(path)
    assert {"encoder/layers_1/relpos_bias/rel_embedding"} <= set(opened.params)
    folders = {each.name: each for each in path.iterdir()}
    assert "target.decoder.layers_0.self_attention.out.kernel" in folders
    for name, tensor in opened.params.items():
        np.testing.assert_array_equal(tensor.read(), unrolled.params[name].read(), err_msg=name)


def test_its_optimizer_state_is_not_read_and_ours_not_written(
    model: Any, unrolled: Checkpoint, tmp_path: pathlib.Path
) -> None:
    source = written(tmp_path, scalable(model), *SLOTS)
    opened = open_checkpoint(source)
    assert opened.slots is None
    assert opened.other_optimizer == "Adafactor of the scalable network"
    with pytest.raises(UserError, match="Adafactor of the scalable network; leave it out with"):
        convert(source, tmp_path / "again", Options(to="t5x"))
    convert(source, tmp_path / "again", Options(to="t5x", optimizer="drop"))
