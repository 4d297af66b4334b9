"""Conversions between the formats: the same bits on every way, and targets whole or absent."""

import dataclasses
import io
import json
import pathlib
import tarfile

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import sentencepiece

from closedbook.checkpoints import CheckpointStore, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert, plan
from closedbook.checkpoints.tensors import nest
from closedbook.errors import UserError


@pytest.fixture(scope="module")
def golden(shared, tmp_path_factory) -> pathlib.Path:
    """Upstream's checkpoint after 20 steps, with factored accumulators."""
    folder = tmp_path_factory.mktemp("golden")
    with tarfile.open(shared / "golden" / "t5x" / "factored.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "checkpoint_20"


def _vocabulary(path: pathlib.Path, pieces: int) -> pathlib.Path:
    words = (f"w{a}{b}{c}" for a in "abcdefghij" for b in "abcdefghij" for c in "abcdefghij")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word} {word[::-1]} question answer" for word in words),
        model_writer=model,
        vocab_size=pieces,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> pathlib.Path:
    """A vocabulary of at most 1,152 ids, the golden model's rows."""
    return _vocabulary(tmp_path_factory.mktemp("vocabulary") / "words.model", 300)


def _same(one, other) -> None:
    for name in ("params", "slots"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            found, wanted = tensor.read(), theirs[key].read()
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=key)
    assert one.step == other.step


def test_every_format_carries_parameters_and_optimizer_state(golden, vocabulary, tmp_path):
    """Native, Orbax, closedbook scanned, native scanned, native: bits, step and state stay."""
    route = [
        *(("t5x-orbax", "auto"), ("closedbook", "scanned"), ("closedbook", "auto")),
        *(("t5x", "scanned"), ("t5x", "auto")),
    ]
    path = golden
    for i, (to, layers) in enumerate(route):
        options = Options(to=to, layers=layers, vocabulary=vocabulary)
        path = convert(path, tmp_path / str(i), options)
        assert path == tmp_path / str(i) / "checkpoint_20"
    _same(open_checkpoint(path), open_checkpoint(golden))
    assert (path / "checkpoint").read_bytes() == (golden / "checkpoint").read_bytes()
    scanned = open_checkpoint(tmp_path / "1")
    assert scanned.card.config.scan_layers
    assert scanned.params["encoder/layers/mlp/wo/kernel"].shape == (256, 2, 128)
    assert scanned.updates == 20


def test_orbax_itself_restores_what_is_written(golden, tmp_path):
    """As T5X does: the manager's handlers find the state, and its numbers are upstream's."""
    convert(golden, tmp_path / "out", Options(to="t5x-orbax"))
    handlers = {"state": ocp.PyTreeCheckpointHandler(use_ocdbt=True)}
    manager = ocp.CheckpointManager(
        tmp_path / "out",
        item_handlers=handlers,
        options=ocp.CheckpointManagerOptions(step_prefix="checkpoint"),
    )
    assert manager.all_steps() == [20]
    source = open_checkpoint(golden)
    flat = {f"target/{name}": tensor for name, tensor in source.params.items()}
    flat |= {f"state/param_states/{name}": tensor for name, tensor in source.slots.items()}
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    item = nest({k: jax.ShapeDtypeStruct(t.shape, t.dtype) for k, t in flat.items()})
    item["state"]["step"] = jax.ShapeDtypeStruct((), np.int32)
    restored = manager.restore(
        20,
        args=ocp.args.Composite(
            state=ocp.args.PyTreeRestore(
                item,
                restore_args=jax.tree.map(lambda _: ocp.ArrayRestoreArgs(sharding=device), item),
            )
        ),
    )["state"]
    manager.close()
    assert int(restored["state"]["step"]) == 20
    wanted = nest({name: tensor.read() for name, tensor in flat.items()})
    jax.tree.map(np.testing.assert_array_equal, restored["target"], wanted["target"])
    jax.tree.map(
        np.testing.assert_array_equal,
        restored["state"]["param_states"],
        wanted["state"]["param_states"],
    )


def test_what_orbax_writes_under_t5x_s_names_is_read(tmp_path, golden):
    source = open_checkpoint(golden)
    state = {
        "target": nest({name: tensor.read() for name, tensor in source.params.items()}),
        "state": {
            "step": np.int32(20),
            "param_states": nest({name: tensor.read() for name, tensor in source.slots.items()}),
        },
    }
    manager = ocp.CheckpointManager(
        tmp_path, options=ocp.CheckpointManagerOptions(step_prefix="checkpoint")
    )
    state = jax.tree.map(jax.numpy.asarray, state)
    manager.save(20, args=ocp.args.Composite(state=ocp.args.PyTreeSave(state)))
    manager.close()
    _same(open_checkpoint(tmp_path / "checkpoint_20"), source)
    _same(open_checkpoint(tmp_path), source)


def test_numbers_are_converted_but_never_the_accumulators(golden, tmp_path):
    written = convert(golden, tmp_path / "half", Options(to="t5x", dtype="bfloat16"))
    found, source = open_checkpoint(written), open_checkpoint(golden)
    name = "encoder/layers_0/mlp/wo/kernel"
    assert found.params[name].read().dtype == jax.numpy.bfloat16
    np.testing.assert_array_equal(
        found.params[name].read(), source.params[name].read().astype(jax.numpy.bfloat16)
    )
    assert {tensor.dtype for tensor in found.slots.values()} == {np.dtype(np.float32)}


def test_a_state_is_dropped_only_where_it_is_said(golden, vocabulary, tmp_path):
    options = Options(to="closedbook", optimizer="drop", vocabulary=vocabulary)
    assert "optimiser state: dropped as asked" in plan(golden, options).notes
    written = convert(golden, tmp_path / "own", options)
    assert not (written / "optimizer").exists()
    notes = plan(written, Options(to="t5x")).notes
    assert "optimiser state: the source has none" in notes
    hugging = plan(golden, Options(to="huggingface")).notes
    assert "optimiser state: dropped (huggingface has no place for it)" in hugging


def test_another_optimizers_state_is_dropped_only_on_demand(golden, vocabulary, tmp_path):
    written = convert(golden, tmp_path / "own", Options(to="closedbook", vocabulary=vocabulary))
    store = CheckpointStore(tmp_path / "adam", asynchronous=False)
    params = nest({k: t.read() for k, t in open_checkpoint(written).params.items()})
    store.save(3, params=params, opt_state={"mu": params, "nu": params}, run={})
    store.close()
    adam = tmp_path / "adam" / "checkpoint_3"
    with pytest.raises(UserError, match=r"another optimiser than Adafactor.*--optimizer drop"):
        plan(adam, Options(to="t5x"))
    assert plan(adam, Options(to="t5x", optimizer="drop")).result.slots is None


def test_an_interrupted_conversion_leaves_nothing(golden, tmp_path):
    def interrupt(nbytes: int) -> None:
        raise KeyboardInterrupt

    for to in ("t5x", "t5x-orbax", "huggingface"):
        with pytest.raises(KeyboardInterrupt):
            convert(golden, tmp_path / to, Options(to=to), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_is_named_and_nothing_is_written(golden, tmp_path):
    copy = convert(golden, tmp_path / "copy", Options(to="t5x-orbax"))
    data = max((copy / "state" / "d").iterdir(), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(UserError, match=r"checkpoint_20/state: .* cannot be read"):
        convert(copy, tmp_path / "out", Options(to="huggingface"))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_existing_targets_are_replaced_only_by_force_and_only_checkpoints(golden, tmp_path):
    target = tmp_path / "out"
    convert(golden, target, Options(to="t5x"))
    with pytest.raises(UserError, match=r"out exists; give another folder, or --force"):
        convert(golden, target, Options(to="huggingface"))
    convert(golden, target, Options(to="huggingface"), force=True)
    assert (target / "config.json").is_file()
    assert not (target / "checkpoint_20").exists()
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "thesis.tex").write_text("all my work")
    with pytest.raises(UserError, match="is not a checkpoint, so --force does not replace it"):
        convert(golden, precious, Options(to="t5x"), force=True)
    assert (precious / "thesis.tex").read_text() == "all my work"
    with pytest.raises(UserError, match="lie in one another"):
        convert(target, target, Options(to="t5x"), force=True)


def test_a_vocabulary_of_another_size_is_refused(golden, shared, vocabulary, tmp_path):
    other = shared / "data" / "vocab" / "t5_tokenizer_base.model"
    message = r"has 32100 ids with 100 extra ids, but the embedding has 1152 rows .*another model"
    with pytest.raises(UserError, match=message):
        convert(golden, tmp_path / "out", Options(to="closedbook", vocabulary=other))
    with pytest.raises(UserError, match=r"comes without a vocabulary.*--vocabulary FILE"):
        plan(golden, Options(to="closedbook"))
    broken = tmp_path / "broken.model"
    broken.write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"broken\.model is not a SentencePiece model"):
        plan(golden, Options(to="closedbook", vocabulary=broken))


def test_missing_extra_and_misshapen_tensors_are_listed_together(golden):
    whole = open_checkpoint(golden)
    params = dict(whole.params)
    del params["decoder/decoder_norm/scale"]
    params["encoder/layers_0/attention/rogue/kernel"] = params["encoder/encoder_norm/scale"]
    params["decoder/layers_1/mlp/wo/kernel"] = params["decoder/layers_1/mlp/wi_0/kernel"]
    with pytest.raises(UserError) as caught:
        recognise(dataclasses.replace(whole, params=params))
    message = str(caught.value)
    assert "missing: decoder/decoder_norm/scale (128,)" in message
    assert "extra: encoder/layers_0/attention/rogue/kernel (128,) (" in message
    assert "other shape: decoder/layers_1/mlp/wo/kernel is (128, 256), the model has" in message
    assert f"({golden}/" in message  # where the tensor lies


def test_steps_and_shards_are_the_users_choice(golden, tmp_path):
    assert convert(golden, tmp_path / "t", Options(to="t5x", step=7)).name == "checkpoint_7"
    options = Options(to="huggingface", max_shard_bytes=1_000_000)
    convert(golden, tmp_path / "shards", options)
    files = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(files) > 2
    assert all(path.stat().st_size <= 1_100_000 for path in files)
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {path.name for path in files}
    for bad, message in (
        ({"to": "torch"}, "'torch'"),
        ({"to": "t5x", "dtype": "int8"}, "'int8'"),
        ({"to": "huggingface", "layers": "scanned"}, "no scanned layers"),
        ({"to": "t5x", "step": -1}, "step is -1"),
    ):
        with pytest.raises(UserError, match=message):
            Options(**bad)
